"""Rotary positions: lengths are kept, only distances count, and distances do count."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minids.config import Llama3RopeConfig, YarnConfig
from minids.model.rope import (
    correction_range,
    frequencies,
    interpolate,
    ntk_aware,
    rotary,
    rotate_halves,
    rotate_halves_written_out,
    rotate_pairs,
    rotate_pairs_written_out,
    softmax_factor,
    yarn,
)

V3 = YarnConfig(factor=40, original=4096)
LAYOUTS = [rotate_halves, rotate_pairs]


def turned(x, positions, rotate, width=8):
    return rotate(x, rotary(frequencies(width, 100.0), torch.as_tensor(positions)))


def test_the_first_pair_turns_one_radian_per_token():
    torch.testing.assert_close(frequencies(4, 10_000.0), torch.tensor([1.0, 0.01]))


def test_a_quarter_turn_takes_the_first_axis_to_the_second():
    quarter = rotary(torch.tensor([math.pi / 2]), torch.tensor([1]))
    for rotate in LAYOUTS:
        y = rotate(torch.tensor([[1.0, 0.0]]), quarter)
        torch.testing.assert_close(y, torch.tensor([[0.0, 1.0]]), atol=1e-6, rtol=0)


@pytest.mark.parametrize("rotate", LAYOUTS)
def test_turning_keeps_every_length(rotate):
    x = torch.randn(2, 3, 5, 8)
    torch.testing.assert_close(turned(x, range(5), rotate).norm(dim=-1), x.norm(dim=-1))


@pytest.mark.parametrize("rotate", LAYOUTS)
@given(shift=st.integers(1, 500), a=st.integers(0, 50), b=st.integers(0, 50))
def test_only_the_distance_counts(rotate, shift, a, b):
    g = torch.Generator().manual_seed(a * 51 + b)
    q, k = torch.randn(1, 8, generator=g), torch.randn(1, 8, generator=g)
    near = (turned(q, [a], rotate) * turned(k, [b], rotate)).sum()
    far = (turned(q, [a + shift], rotate) * turned(k, [b + shift], rotate)).sum()
    torch.testing.assert_close(near, far, atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("rotate", LAYOUTS)
def test_but_the_distance_does_count(rotate):
    x = torch.ones(1, 8)
    scores = [(turned(x, [0], rotate) * turned(x, [d], rotate)).sum().item() for d in range(4)]
    assert len({round(s, 2) for s in scores}) == 4


def test_the_two_layouts_differ_by_a_permutation_and_by_no_more():
    x = torch.randn(2, 5, 8)
    pairs_first = torch.cat([x[..., 0::2], x[..., 1::2]], -1)
    via_halves = turned(pairs_first, range(5), rotate_halves)
    back = torch.stack(via_halves.chunk(2, -1), -1).flatten(-2)
    torch.testing.assert_close(turned(x, range(5), rotate_pairs), back)
    assert (turned(x, range(5), rotate_pairs) - turned(x, range(5), rotate_halves)).abs().max() > 1


def test_deepseeks_correction_range_is_10_to_23():
    assert correction_range(64, 10_000.0, V3) == (10, 23)


def test_yarn_leaves_fast_pairs_alone_and_divides_slow_ones_by_the_factor():
    plain = frequencies(64, 10_000.0)
    stretched = yarn(plain, 10_000.0, V3)
    assert torch.equal(stretched[:11], plain[:11])
    torch.testing.assert_close(stretched[23:], plain[23:] / 40, rtol=1e-5, atol=0)
    assert (stretched[11:23] < plain[11:23]).all() and (stretched[11:23] > plain[11:23] / 40).all()


def test_without_stretching_yarn_changes_nothing():
    plain = frequencies(64, 10_000.0)
    torch.testing.assert_close(yarn(plain, 10_000.0, YarnConfig(factor=1, original=4096)), plain)
    assert softmax_factor(YarnConfig(factor=1, original=4096)) == 1


def test_softmax_factors_are_the_published_ones():
    assert round(softmax_factor(V3), 4) == 1.8739
    assert round(softmax_factor(YarnConfig(factor=40, original=4096, mscale=0.707)), 4) == 1.5896
    assert softmax_factor(None) == 1


def test_ntk_keeps_the_fastest_pair_and_slows_the_slowest_by_the_factor():
    plain, aware = frequencies(32, 10_000.0), ntk_aware(32, 10_000.0, 8.0)
    assert aware[0] == plain[0]
    torch.testing.assert_close(aware[-1], plain[-1] / 8, rtol=1e-5, atol=0)
    assert (aware[1:] > interpolate(plain, 8.0)[1:] * 0.999).all()


def test_llama3_divides_slow_pairs_and_keeps_fast_ones():
    plain = frequencies(128, 500_000.0)
    scaled = frequencies(128, 500_000.0, Llama3RopeConfig(factor=8.0, original=8192))
    turns = 8192 * plain / (2 * math.pi)
    assert torch.equal(scaled[turns > 4], plain[turns > 4])
    torch.testing.assert_close(scaled[turns < 1], plain[turns < 1] / 8, rtol=1e-5, atol=0)


@pytest.mark.parametrize(
    "fast, formula",
    [(rotate_halves, rotate_halves_written_out), (rotate_pairs, rotate_pairs_written_out)],
)
def test_the_fast_rotation_and_the_formula_agree_in_value_and_gradient(fast, formula):
    r = rotary(frequencies(8, 100.0), torch.arange(5))
    x = torch.randn(2, 3, 5, 8, generator=torch.Generator().manual_seed(0))
    grads = []
    for rotate in (fast, formula):
        leaf = x.clone().requires_grad_()
        (rotate(leaf, r) * torch.linspace(-1, 1, 240).view(2, 3, 5, 8)).sum().backward()
        grads.append(leaf.grad)
    torch.testing.assert_close(fast(x, r), formula(x, r))
    torch.testing.assert_close(*grads)


def test_too_few_angles_are_refused():
    one = rotary(frequencies(8, 10_000.0), torch.arange(1))
    with pytest.raises(ValueError, match="3 tokens and angles for 1"):
        rotate_halves(torch.ones(2, 3, 8), one)


def test_pairs_turn_wherever_they_lie_in_memory():
    turn = rotary(frequencies(8, 10_000.0), torch.arange(3))
    wide = torch.randn(2, 3, 9, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        rotate_pairs(wide[..., :8], turn), rotate_pairs(wide[..., :8].clone(), turn)
    )


def test_the_correction_range_ends_with_the_width_as_in_deepseeks_code():
    # 4.44 and 10.4 before rounding; cut at width - 1, which makes the ramp steeper
    c = YarnConfig(factor=4, original=2**20, beta_fast=1000)
    assert correction_range(8, 100.0, c) == (4, 7)


def test_a_ramp_of_no_width_leaves_numbers():
    plain = frequencies(8, 100.0)  # no pair turns once in 6 tokens: both ends of the range are 0
    stretched = yarn(plain, 100.0, YarnConfig(factor=4, original=6))
    torch.testing.assert_close(stretched, torch.cat([plain[:1], plain[1:] / 4]))


def test_a_context_that_does_not_grow_is_not_sharpened():
    assert softmax_factor(YarnConfig(factor=0.5, original=4096)) == 1
