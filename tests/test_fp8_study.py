"""What chapter 08 measures: planted outliers, long sums, bytes at real size, figures."""

from dataclasses import replace

import pytest
import torch

from minids import accounting
from minids.cli.stops import fp8 as stop
from minids.model.fp8 import Fp8Linear, Recipe, to_fp8
from minids.model.fp8_formats import TILE, block_scales
from minids.model.transformer import Transformer
from minids.presets import preset
from minids.study import fp8_bytes, fp8_errors, low_precision, viz_fp8
from minids.study.results import Results

V3 = preset("deepseek-v3")


# ---- errors


@pytest.mark.parametrize(("where", "count"), [("entry", 1), ("token", 512), ("channel", 64)])
def test_outliers_stand_where_they_are_said_to(where, count):
    p = fp8_errors.planted(1000.0, where)
    assert p.outlier.sum() == count
    assert (p.x[p.outlier].abs() == 1000).all() and p.x[~p.outlier].abs().max() < 10
    assert torch.equal(p.x[~p.outlier], fp8_errors.planted(1.0, where).x[~p.outlier])


def test_the_error_of_the_rest_does_not_see_the_outliers():
    p = fp8_errors.planted(1e4)
    assert fp8_errors.error_of_the_rest(lambda x: x, p) == 0
    assert fp8_errors.error_of_the_rest(lambda x: 0 * x, p) == 1
    spared = fp8_errors.error_of_the_rest(lambda x: torch.where(p.outlier, 0.0, x), p)
    assert spared == 0


@pytest.mark.parametrize("seed", range(3))
def test_floating_point_holds_out_where_whole_numbers_break(seed):
    errors = fp8_errors.by_size([1.0, 1e3, 1e6], seed=seed)
    assert errors["INT8, one scale"][1] > 0.5
    assert errors["E4M3, one scale"][1] < 0.03 < 0.5 < errors["E4M3, one scale"][2]
    assert errors["E4M3, 1 x 128 tiles"][2] < 0.1
    with pytest.raises(ValueError, match="entry, token, channel"):
        fp8_errors.planted(1.0, "row")


def test_rounding_averages_out_in_a_positive_sum_and_cutting_does_not():
    short, long = (fp8_errors.sum_error(k, positive=True, rows=16) for k in (128, 2048))
    assert long.typical > 10 * short.typical and long.largest >= long.typical
    exact = [fp8_errors.sum_error(k, positive=True, rows=16, exact=True) for k in (128, 2048)]
    assert exact[0].typical / exact[1].typical == pytest.approx(4, rel=0.3)  # root of 16
    promoted = fp8_errors.sum_error(2048, positive=True, rows=16, promote=128)
    assert promoted.largest < 0.001


# ---- bytes


def test_v3s_weights_weigh_half():
    w = fp8_bytes.weights(V3)
    p = accounting.parameters(V3)
    assert w.in_fp8 == p.total - p.embedding - p.head - p.router - p.norms
    assert w.fp8 == w.in_fp8 + 4 * w.in_fp8 / 16_384 + 2 * (p.total - w.in_fp8)
    assert w.bf16 == 2 * p.total
    model = Transformer(preset("toy-v3"))
    matrices = {"gate_up", "down", "q_up", "kv_down", "kv_up", "out"}
    built = sum(p.numel() for n, p in model.named_parameters() if matrices & set(n.split(".")))
    assert fp8_bytes.weights(model.c).in_fp8 == built


def test_a_token_to_one_expert_takes_7392_bytes():
    sent = fp8_bytes.messages(V3, 1)
    assert sent == (7168 + 56 * 4, 2 * 7168, 4 * 7168)
    assert (
        fp8_bytes.messages(V3, 8).saved
        == pytest.approx(sent.saved)
        == pytest.approx(0.242, abs=1e-3)
    )
    with pytest.raises(ValueError, match="no experts"):
        fp8_bytes.messages(preset("toy-llama"), 1)
    with pytest.raises(ValueError, match="at least one place"):
        fp8_bytes.messages(V3, 0)


def test_the_rest_of_a_width_has_a_scale_of_its_own():
    c = replace(preset("toy-v3"), dim=200)
    tiles = block_scales(torch.ones(1, 200), TILE).numel()
    assert fp8_bytes.messages(c, 1).dispatch == c.dim + 4 * tiles


# ---- the run


def test_a_run_is_a_function_of_its_seed():
    def run(seed):
        return low_precision.held_out_loss(
            seed=seed, steps=1, recipe=Recipe(size=16), n_windows=2, products="plain"
        )

    assert run(0) == run(0) != run(1)


@pytest.mark.parametrize("products", ["plain", "bf16"])
def test_no_loss_shows_a_planted_outlier_in_higher_precision(products):
    losses = [
        low_precision.trained(seed=0, steps=2, outlier=size, batch=2, products=products)[1]
        for size in (0.0, 3e5)
    ]
    assert losses[0] == losses[1]


def test_with_one_scale_a_planted_outlier_shows_at_once_and_with_tiles_it_does_not():
    found = {}
    for name, size in (("tiles", 16), ("one scale", None)):
        model = Transformer(low_precision.toy(), seed=0)
        tokens = torch.arange(128).view(2, 64)
        to_fp8(model, Recipe(size=size))
        low_precision.plant(model, 0.0)
        before = model(tokens).logits.detach()
        planted = Transformer(low_precision.toy(), seed=0)
        to_fp8(planted, Recipe(size=size))
        low_precision.plant(planted, 1e6)
        after = planted(tokens).logits.detach()
        found[name] = float((after - before).norm() / before.norm())
    assert found["one scale"] > 3 * found["tiles"]


def test_every_layer_but_the_head_is_planted_and_stays_silent():
    model = Transformer(low_precision.toy(), seed=0)
    to_fp8(model, Recipe(size=16))
    low_precision.plant(model, 1e5)
    layers = low_precision.linears(model)
    assert len(layers) == 8 and all(type(layer) is Fp8Linear for layer in layers)
    model(torch.arange(64)[None]).logits.square().sum().backward()
    for layer in layers:
        assert not layer.weight[:, 0].any() and not layer.weight.grad[:, 0].any()
        assert layer.weight.grad[:, 1:].any()
    assert model.head.weight[:, 0].any()
    with pytest.raises(ValueError, match="not between"):
        low_precision.plant(model, -1.0)


# ---- figures and the stop


def results(**arms):
    return Results(
        seeds=(0, 1), values={name: {"value": runs} for name, runs in arms.items()}, machine=""
    )


def test_every_figure_has_a_title_and_axes_with_words():
    x = 2.0 ** torch.linspace(-3, 3, 50)
    p = fp8_errors.planted(1e5)
    sizes = [1.0, 1e5]
    errors = fp8_errors.by_size(sizes)
    clean = results(bf16=(4.0, 4.1), fp32=(4.0, 4.1), tiles=(4.01, 4.1))
    spoiled = results(bf16=(4.0, 4.1), tiles=(4.8, 4.9))
    figures = [
        viz_fp8.fineness(x, {"a": x / 10, "b": x / 20}),
        viz_fp8.by_outlier(sizes, errors, 1e5),
        viz_fp8.who_pays(p.x.abs(), p.outlier, sizes, errors, 1e5),
        viz_fp8.sums((128, 256), {"a": [0.1, 0.2], "b": [0.1, 0.1]}, 0.02),
        viz_fp8.gaps(clean, spoiled, 0.25),
    ]
    for figure in figures:
        for axes in figure.axes[:2]:
            assert axes.get_ylabel()
            assert axes.get_label() == "<colorbar>" or (axes.get_title() and axes.get_xlabel())


def test_the_legend_of_the_formats_hides_no_line():
    x = 2.0 ** torch.linspace(-20, 20, 1000)
    figure = viz_fp8.fineness(x, {name: torch.full((1000,), 0.0035) for name in "abcd"})
    figure.draw_without_rendering()
    (axes,) = figure.axes
    lowest = axes.transData.transform((1, 0.0035))[1]
    assert axes.get_legend().get_window_extent().y1 < lowest and not axes.texts


def test_an_arm_looks_alike_in_both_panels_and_stands_at_its_gap():
    clean = results(bf16=(4.0, 5.0), fp32=(4.0, 5.0), tiles=(4.04, 5.0))
    left, right = viz_fp8.gaps(clean, results(bf16=(4.0, 4.0), tiles=(6.0, 6.0)), 0.25).axes
    assert left.lines[4].get_color() == right.lines[2].get_color()
    assert list(left.lines[4].get_xdata()) == pytest.approx([1.0, 0.0])
    assert list(right.lines[2].get_xdata()) == pytest.approx([50.0, 50.0])


def test_the_tips_of_a_saw_tooth_become_a_line():
    teeth = torch.tensor([0.0, 1.0, 2.0, 3.0] * 30)
    assert torch.equal(viz_fp8.largest_nearby(teeth, 9), torch.full((120,), 3.0))


def test_lines_differ_by_colour_and_by_mark():
    colours, marks, _ = zip(*viz_fp8._LOOKS, strict=True)
    assert len(set(colours)) == len(set(marks)) == len(viz_fp8._LOOKS)


def test_the_stop_prints_a_table_and_draws(tmp_path, capsys):
    (path,) = stop.visit(tmp_path)
    said = capsys.readouterr().out
    assert "E4M3, 1 x 128 tiles" in said and "673 GB" in said
    assert path.read_bytes().startswith(b"\x89PNG")
