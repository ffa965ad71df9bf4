"""The map's figures say what the accounting says, and what they vary is one number."""

import pytest

from minids import accounting
from minids.check.ch00.predict import PREDICTED
from minids.presets import preset
from minids.study import viz_map

V3 = preset("deepseek-v3")


def words(axes) -> str:
    return " ".join(text.get_text() for text in axes.texts)


def test_every_figure_has_a_title_and_axes_with_words():
    changed = viz_map.vary(V3, "layers", 2)
    figures = [
        viz_map.evolution(["deepseek-llm-67b", "deepseek-v2"], ["deepseek-llm-7b"]),
        viz_map.one_number(V3, changed),
        viz_map.parts(V3),
        viz_map.parts(preset("deepseek-llm-7b")),
    ]
    for figure in figures:
        for axes in figure.axes:
            assert axes.get_title() and axes.get_xlabel() and axes.get_ylabel()


def test_models_that_stand_in_one_place_share_a_label():
    figure = viz_map.evolution(["deepseek-v2", "deepseek-v3", "deepseek-r1"])
    assert "v3, r1\n671 B" in words(figure.axes[0])


def test_a_point_stands_at_its_activated_parameters_and_its_cache():
    figure = viz_map.evolution(["deepseek-v3"], convention="both tables")
    x, y = figure.axes[0].collections[-1].get_offsets()[0]
    assert x == pytest.approx(37.552, abs=1e-3) and y == pytest.approx(70.272)
    assert "both tables" in figure.axes[0].get_xlabel()


def test_every_kind_of_attention_has_its_own_mark_and_colour():
    kinds = [
        viz_map.kind(preset(n)) for n in ("deepseek-llm-7b", "deepseek-llm-67b", "deepseek-v2")
    ]
    assert kinds == ["MHA", "GQA", "MLA"]
    colours, marks = zip(*viz_map._KINDS.values(), strict=True)
    assert len(set(colours)) == len(set(marks)) == 3


def test_a_change_by_one_changes_nothing():
    for change in viz_map.CHANGES:
        assert viz_map.vary(V3, change, 1) == V3


def test_every_change_moves_at_least_one_size():
    def sizes(c):
        return accounting.parameters(c), accounting.activated(c), accounting.cache_elements(c)

    for change in viz_map.CHANGES:
        assert sizes(viz_map.vary(V3, change, 2)) != sizes(V3), change


def test_a_dense_model_has_no_experts_to_vary_and_says_so():
    dense = preset("deepseek-llm-7b")
    with pytest.raises(ValueError, match="deepseek-llm-7b is dense"):
        viz_map.vary(dense, "routed experts", 2)
    with pytest.raises(ValueError, match="'colour' is not one of layers"):
        viz_map.vary(V3, "colour", 2)
    with pytest.raises(ValueError, match="does not divide"):
        viz_map.vary(dense, "key heads or latent", 4)


def test_multi_head_attention_stays_multi_head_when_heads_are_varied():
    fewer = viz_map.vary(preset("deepseek-llm-7b"), "query heads", 0.25)
    assert (fewer.attention.n_heads, fewer.attention.n_kv_heads) == (8, 8)
    grouped = viz_map.vary(preset("deepseek-llm-67b"), "query heads", 0.5)
    assert (grouped.attention.n_heads, grouped.attention.n_kv_heads) == (32, 8)


def test_bars_carry_the_values_before_and_after():
    text = words(viz_map.one_number(V3, viz_map.vary(V3, "experts per token", 2)).axes[0])
    assert "36.63 → 57.06 B" in text and "70.27 → 70.27 kB" in text


@pytest.mark.parametrize("change", PREDICTED)
def test_the_prediction_exercise_expects_what_the_accounting_computes(change: str):
    factor, what = {"twice": 2.0, "half": 0.5, "a": 2.0}[change.split()[0]], change.split(" ", 1)[1]
    names = {
        "the layers": "layers",
        "the routed experts": "routed experts",
        "the experts per token": "experts per token",
        "the kv_rank": "key heads or latent",
        "the query heads": "query heads",
    }
    if what in names:
        changed = viz_map.vary(V3, names[what], factor)
    else:
        from dataclasses import replace

        changed = replace(V3, mtp_depth=2)
    measures = {
        "total": lambda c: accounting.parameters(c).total,
        "active": accounting.activated,
        "cache": accounting.cache_bytes,
    }
    moved = {n for n, size in measures.items() if abs(size(changed) / size(V3) - 1) > 0.05}
    assert moved == PREDICTED[change][0]


def test_no_value_stands_on_the_line_of_before():
    axes = viz_map.one_number(V3, viz_map.vary(V3, "query heads", 0.25)).axes[0]
    assert min(text.get_position()[0] for text in axes.texts) >= 1


def test_every_value_of_a_part_stands_inside_the_axes():
    for name in ("deepseek-v3", "deepseek-llm-7b"):
        axes = viz_map.parts(preset(name)).axes[0]
        assert min(text.get_position()[0] for text in axes.texts) >= axes.get_xlim()[0]
