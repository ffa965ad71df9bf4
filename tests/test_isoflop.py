"""Valleys are found where they were put, and an exponent is the slope that made them."""

import math

import pytest

from minids import accounting
from minids.presets import preset
from minids.study.isoflop import (
    exponent,
    exponent_range,
    flops_per_token,
    steps_for,
    valley,
)
from minids.study.pretrain import toy


def dug(bottom: float, deep: float = 2.5, bend: float = 0.2) -> tuple[list[float], list[float]]:
    """Sizes and losses on a parabola in ln M whose bottom is known; sizes are not symmetric."""
    sizes = [bottom * x for x in (0.4, 0.9, 2.0, 5.0)]
    return sizes, [deep + bend * math.log(m / bottom) ** 2 for m in sizes]


def test_the_bottom_is_found_where_it_was_put():
    sizes, losses = dug(1e5)
    found = valley(sizes, losses)
    assert found.scale == pytest.approx(1e5) and found.loss == pytest.approx(2.5)
    assert found.bend == pytest.approx(0.2)
    assert [found.at(m) for m in sizes] == pytest.approx(losses)


def test_a_hill_has_no_bottom_and_the_best_size_tried_stands_in():
    found = valley([1e4, 2e4, 4e4], [2.0, 3.0, 2.5])
    assert found.bend == 0 and found.scale == 1e4 and found.at(9e9) == 2.0


def test_two_sizes_are_no_parabola():
    with pytest.raises(ValueError, match="three sizes or more, got 2"):
        valley([1.0, 2.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="one budget has no slope"):
        exponent([1.0], [1.0])


def test_the_published_law_gives_back_its_exponent():
    budgets = [1e17, 1e18, 1e20]
    best = [accounting.scaling_laws(c).scale for c in budgets]
    assert exponent(budgets, best) == pytest.approx(0.5243)
    tokens = [accounting.scaling_laws(c).tokens for c in budgets]
    assert exponent(budgets, tokens) == pytest.approx(1 - 0.5243)


def test_the_range_holds_the_exponent_and_grows_with_the_noise():
    budgets = [1e9, 1e10, 1e11]
    rows = [dug(1e4 * (c / 1e9) ** 0.5) for c in budgets]
    scales, losses = [row[0] for row in rows], [row[1] for row in rows]
    none = exponent_range(budgets, scales, losses, sd=0.0, draws=5)
    assert none == pytest.approx((0.5, 0.5))
    little, much = (exponent_range(budgets, scales, losses, sd=sd) for sd in (0.005, 0.02))
    assert little[0] < 0.5 < little[1]
    assert much[0] < little[0] and much[1] > little[1]
    assert exponent_range(budgets, scales, losses, sd=0.02) == much


def test_a_budget_is_spent():
    config = toy(24, vocab=512)
    n = steps_for(config, budget=1e10, batch=12)
    spent = n * 12 * config.context * flops_per_token(config)
    assert spent == pytest.approx(1e10, rel=0.01)
    assert steps_for(config, budget=1.0, batch=12) == 1


def test_the_head_counts_in_a_toy_and_hardly_in_the_7b():
    for config, low, high in (
        (toy(16, vocab=512), 0.3, 0.6),
        (preset("deepseek-llm-7b"), 0.05, 0.1),
    ):
        without = flops_per_token(config) - 6 * config.vocab * config.dim
        assert low < 1 - without / flops_per_token(config) < high
