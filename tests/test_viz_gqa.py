"""The figures of chapter 02 say what they are given, with titled axes."""

import pytest

from minids import accounting
from minids.presets import preset
from minids.study import viz_gqa
from minids.study.results import Results
from minids.study.widgets import png

B67 = preset("deepseek-llm-67b")
RESULTS = Results(
    seeds=(0, 1),
    values={"MHA": {"loss": (3.0, 3.1)}, "MQA": {"loss": (3.1, 3.2)}},
    machine="x",
)


def test_every_figure_has_a_title_and_axes_with_words():
    figures = [
        viz_gqa.losses(RESULTS, {"MHA": 8, "MQA": 1}),
        viz_gqa.writing((1, 2), {"a": [1, 2], "b": [1, 4]}, {"a": [1, 2], "b": [1, 4]}),
        viz_gqa.one_step((1, 2), {8: [1, 2], 1: [1, 1]}, {8: [8, 16], 1: [1, 2]}, 4),
        viz_gqa.cache_size(B67, 8, 4096, 32),
    ]
    for figure in figures:
        for axes in figure.axes:
            assert axes.get_title() and axes.get_xlabel() and axes.get_ylabel()


def test_the_losses_stand_beside_the_band_that_the_verdicts_use():
    axes = viz_gqa.losses(RESULTS, {"MHA": 8, "MQA": 1}).axes[0]
    band, drawn = (
        RESULTS.band(),
        axes.patches[0].get_extents().transformed(axes.transData.inverted()),
    )
    assert (drawn.y0, drawn.y1) == pytest.approx((band.low, band.high))
    assert axes.get_legend().get_texts()[0].get_text() == "noise: 95 % of means of 2 runs"


def test_neighbouring_query_heads_read_one_key_head():
    left, right = viz_gqa.who_reads_whom(6, (3, 1)).axes
    keys = [tuple(line.get_xdata())[1] for line in left.lines if len(line.get_xdata()) == 2]
    assert keys == [0.5, 0.5, 2.5, 2.5, 4.5, 4.5]
    assert left.get_title() == "GQA-3: 3 key heads" and right.get_title() == "MQA: 1 key head"


def test_lines_differ_by_colour_mark_and_dash():
    for one in zip(*viz_gqa._STYLES, strict=True):
        assert len(set(one)) == len(viz_gqa._STYLES)


@pytest.mark.parametrize("model", ["deepseek-llm-7b", "deepseek-llm-67b"])
@pytest.mark.parametrize("batch", [1, 32])
def test_the_marked_point_is_the_cache(model, batch):
    c = preset(model)
    axes = viz_gqa.cache_size(c, c.attention.n_kv_heads, 4096, batch).axes[0]
    x, y = axes.collections[-1].get_offsets()[0]
    assert x == 4096
    assert y == pytest.approx(4096 * batch * accounting.cache_bytes(c) / 1e9)


def test_speed_is_tokens_of_all_texts():
    right = viz_gqa.one_step((10,), {2: [0.5]}, {2: [80]}, batch=4).axes[1]
    assert list(right.lines[0].get_ydata()) == [8]


def test_heads_that_do_not_divide_and_latents_are_refused():
    with pytest.raises(ValueError, match="do not divide"):
        viz_gqa.cache_size(preset("deepseek-llm-7b"), 64, 4096, 1)
    with pytest.raises(ValueError, match="chapter 04"):
        viz_gqa.cache_size(preset("deepseek-v3"), 8, 4096, 1)


@pytest.mark.parametrize(
    "heads, context, batch, said", [(64, 65_536, 128, "26,113 GB"), (1, 256, 1, "0.0125 GB")]
)
def test_the_cache_is_said_in_plain_numbers_inside_the_axes(heads, context, batch, said):
    figure = viz_gqa.cache_size(B67, heads, context, batch)
    png(figure)
    (axes,) = figure.axes
    (words,) = [text for text in axes.texts if text.get_text() == said]
    inner, panel = words.get_window_extent(), axes.get_window_extent()
    assert panel.x0 < inner.x0 and inner.x1 < panel.x1 and panel.y0 < inner.y0


def test_one_key_head_is_no_plural():
    legend = viz_gqa.one_step((10,), {1: [0.5]}, {1: [80]}, batch=4).axes[0].get_legend()
    assert legend.get_texts()[0].get_text() == "1 key head"
    assert "1 key head (MQA)" in viz_gqa.cache_size(B67, 1, 256, 1).axes[0].get_title()
