"""YaRN's figures show what the package computes, and what a reader is asked to predict."""

from dataclasses import replace

import pytest
import torch

from minids.check.ch05.predict import PREDICTED
from minids.config import YarnConfig
from minids.model.rope import correction_range, softmax_factor
from minids.study import viz_yarn

V3 = YarnConfig(factor=40, original=4096)


def test_every_figure_has_a_title_and_axes_with_words():
    runs = [[2.0, 3.0], [2.5, 3.5]]
    points = {"none": [(0.2, 3.0)], "YaRN, sharper": [(1.0, 1.2)]}
    figures = [
        viz_yarn.wavelengths(64, 1e4, V3),
        viz_yarn.by_position({"PI": runs, "YaRN by turns, beta 32": runs}, 512, 64, 1.1),
        viz_yarn.two_harms({"before": points, "after": points}),
        viz_yarn.attention_paid({"PI": [(0.7, 0.9)]}, 0.95),
        viz_yarn.needle_grids({"a": [[1.0, 0.2]], "b": [[0.0, 1.0]]}, [64], [0.0, 1.0], 64),
        viz_yarn.learning({0: ([4.0, 2.0], [4.0, 0.1])}),
    ]
    for figure in figures:
        axes = [a for a in figure.axes if a.get_label() != "<colorbar>"]
        assert all(a.get_title() and a.get_xlabel() and a.get_ylabel() for a in axes)


def test_yarn_is_slowed_between_not_at_all_and_the_factor():
    right = viz_yarn.wavelengths(64, 1e4, V3).axes[1]
    lines = {line.get_label(): line.get_ydata() for line in right.lines}
    assert list(lines["YaRN"][:11]) == pytest.approx(11 * [1.0])
    assert list(lines["YaRN"][23:]) == pytest.approx(9 * [40.0])
    assert list(lines["PI"]) == pytest.approx(32 * [40.0])
    assert lines["NTK"][0] == 1 and lines["NTK"][-1] == pytest.approx(40, rel=1e-4)


@pytest.mark.parametrize("original", [64, 256, 16_384])
@pytest.mark.parametrize("beta", [2, 64])
def test_wavelengths_can_be_drawn_for_every_setting_of_the_sliders(original, beta):
    c = YarnConfig(factor=2, original=original, beta_fast=beta)
    assert len(viz_yarn.wavelengths(64, 1e4, c).axes) == 2


def test_every_method_has_its_own_mark_and_colour():
    colours, marks, _ = zip(*viz_yarn.STYLES.values(), strict=True)
    assert len(set(colours)) == len(set(marks)) == len(viz_yarn.STYLES)


def test_the_longest_name_decides_the_style():
    assert viz_yarn._style("YaRN by turns, beta 32") == viz_yarn.STYLES["YaRN by turns"]
    assert viz_yarn._style("YaRN, sharper") == viz_yarn.STYLES["YaRN"]


def test_a_grid_carries_its_values_and_the_line_of_its_target():
    values = torch.tensor([[1.0, 0.5], [0.25, 0.0]]).tolist()
    axes = viz_yarn.needle_grids({"a": values}, [64, 128], [0.0, 1.0], 64).axes[0]
    assert {text.get_text() for text in axes.texts} == {"100", "50", "25", "0"}
    assert {line.get_ydata()[0] for line in axes.lines} == {0.5}


CHANGES = {
    "twice the factor": ({"factor": 80}, 1e4),
    "twice the trained context": ({"original": 8192}, 1e4),
    "beta 16 instead of 32": ({"beta_fast": 16}, 1e4),
    "alpha 2 instead of 1": ({"beta_slow": 2}, 1e4),
    "base 100,000 instead of 10,000": ({}, 1e5),
    "mscale 0.707 instead of 1": ({"mscale": 0.707}, 1e4),
}


@pytest.mark.parametrize("change", PREDICTED)
def test_the_prediction_exercise_expects_what_the_package_computes(change):
    fields, theta = CHANGES[change]
    changed = replace(V3, **fields)
    (low, high), (new_low, new_high) = (
        correction_range(64, 1e4, V3),
        correction_range(64, theta, changed),
    )
    moved = {"low": low != new_low, "high": high != new_high}
    moved["temperature"] = softmax_factor(V3) != softmax_factor(changed)
    assert {name for name, yes in moved.items() if yes} == PREDICTED[change][0]


def test_the_contexts_are_named_where_no_curve_runs():
    left = viz_yarn.wavelengths(64, 1e4, YarnConfig(factor=2, original=64)).axes[0]
    said = [text.get_text() for text in left.get_legend().get_texts()]
    assert said[2:] == ["trained context 64", "new context 128"] and not left.texts


def test_the_bar_beside_a_grid_counts_as_its_cells_do():
    figure = viz_yarn.needle_grids({"a": [[1.0, 0.2]]}, [64], [0.0, 1.0], 64)
    figure.draw_without_rendering()
    bar = figure.axes[-1]
    assert bar.get_ylabel() == "needles found, percent"
    assert bar.get_yticklabels()[-1].get_text() == "100"
