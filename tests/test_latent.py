"""Chapter 04's runs and figures: equal sizes, honest counts, pictures that say their numbers."""

import math

import pytest
import torch

from minids import accounting
from minids.check.bugs import ch04 as bugs
from minids.model.mla import absorbed, absorbing_pays, expanded
from minids.model.transformer import Transformer
from minids.presets import preset
from minids.study import latent, latent_decode, viz_latent
from minids.study.results import Results

V3 = preset("deepseek-v3").attention


# --- models of equal size


def test_all_kinds_weigh_the_same_and_the_count_is_that_of_the_model():
    sizes = {kind: accounting.parameters(latent.toy(kind)).total for kind in latent.KINDS}
    assert max(sizes.values()) < 1.001 * min(sizes.values())
    for kind, size in sizes.items():
        assert sum(p.numel() for p in Transformer(latent.toy(kind)).parameters()) == size


def test_mla_keeps_what_two_key_heads_keep():
    kept = {kind: latent.toy(kind).attention.cached_width for kind in latent.KINDS}
    assert kept == {"MHA": 256, "GQA-4": 64, "GQA-2": 32, "MQA": 16, "MLA": 32}


def test_an_unknown_kind_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="no kind 'MLB'; there are: MHA, GQA-4"):
        latent.attention("MLB")


@pytest.mark.parametrize("kind", ["MHA", "MLA"])
def test_a_few_steps_lower_the_held_out_loss(kind):
    before = latent.held_out(Transformer(latent.toy(kind)), 4)
    after = latent.loss(seed=0, kind=kind, steps=12, n_windows=4)
    assert before == pytest.approx(math.log(latent.toy(kind).vocab), abs=0.1)
    assert after < before - 0.5


@pytest.mark.parametrize("change", [bugs.forget_the_norm, bugs.forget_the_rope_width])
def test_a_change_is_made_before_the_model_learns(change):
    plain = latent.trained(seed=0, kind="MLA", steps=1)
    broken = latent.trained(seed=0, kind="MLA", steps=1, change=change)
    tokens = torch.arange(8)[None]
    assert not torch.allclose(plain(tokens).logits, broken(tokens).logits, atol=1e-5)


# --- what is there to keep


def test_what_a_layer_would_cache_is_as_wide_as_its_cache():
    for kind in ("MHA", "GQA-2"):
        layers = latent.keys_and_values(Transformer(latent.toy(kind)), n_windows=2)
        width = latent.toy(kind).attention.cached_width
        assert [rows.shape for rows in layers] == [(128, width)] * 2


def test_keys_and_values_of_a_latent_have_its_rank():
    rank = latent.toy("MLA").attention.kv_rank
    for rows in latent.keys_and_values(Transformer(latent.toy("MLA")), n_windows=2):
        near, exact = latent.rank_errors(rows, [rank - 1, rank])
        assert exact < 1e-5 < near


def test_looking_at_a_model_leaves_no_hooks():
    model = Transformer(latent.toy("MHA"))
    latent.keys_and_values(model, n_windows=1)
    assert not any(module._forward_hooks for module in model.modules())


def test_rank_errors_are_those_of_the_best_approximation():
    rows = torch.randn(40, 12, generator=torch.Generator().manual_seed(0))
    errors = latent.rank_errors(rows, range(13))
    assert errors[0] == pytest.approx(1) and errors[12] < 1e-6
    assert errors == sorted(errors, reverse=True)
    u, s, v = torch.linalg.svd(rows, full_matrices=False)
    best = (u[:, :5] * s[:5]) @ v[:5]
    assert errors[5] == pytest.approx(float((rows - best).norm() / rows.norm()), rel=1e-4)
    with pytest.raises(ValueError, match="between 0 and 12"):
        latent.rank_errors(rows, [13])


# --- one decode step


def test_counted_operations_of_carrying_and_rebuilding_cross_where_the_module_switches():
    for total in (300, 100_000):
        for new in (1, 64, 170, 171, 200):
            carried, rebuilt = (
                latent_decode.flops(way, new, total, V3) for way in (absorbed, expanded)
            )
            assert (carried < rebuilt) == absorbing_pays(new, total, V3)


def test_the_count_is_that_of_the_accounting():
    c = preset("deepseek-v3")
    for way, name in ((absorbed, "absorbed"), (expanded, "expanded")):
        many, few = (latent_decode.flops(way, 1, total, V3) for total in (2001, 1001))
        formula = [accounting.flops_per_token(c, n, "decode", mla=name) for n in (2001, 1001)]
        assert (many - few) * c.n_layers == formula[0] - formula[1]


def test_a_step_is_timed_for_four_kinds_of_attention():
    seconds = latent_decode.step_seconds(64, repeats=2)
    assert list(seconds) == ["MHA", "GQA", "MLA, rebuilt", "MLA, carried"]
    assert all(value > 0 for value in seconds.values())


# --- figures


def figures():
    values = {kind: {"value": (1.0 + i / 10, 1.1 + i / 10)} for i, kind in enumerate(latent.KINDS)}
    kept = {kind: latent.toy(kind).attention.cached_width for kind in latent.KINDS}
    times = {"MHA": 1e-3, "GQA": 5e-4, "MLA, rebuilt": 2e-2, "MLA, carried": 6e-4}
    errors = {"trained": (1.0, 0.2, 0.0), "not trained": (1.0, 0.5, 0.0)}
    return {
        "position": viz_latent.position_errors({"a": [0.0, 1.0, 1.2], "b": [1e-16] * 3}),
        "loss": viz_latent.loss_by_cache(Results(seeds=(0, 1), values=values, machine="x"), kept),
        "decode": viz_latent.decode_times({256: times, 1024: times}),
        "budget": viz_latent.budget((0, 24, 64), errors, {"MHA": 256}, kv_rank=24, rope_dim=8),
    }


def test_every_figure_has_a_title_and_axes_with_words():
    for name, figure in figures().items():
        for axes in figure.axes:
            assert axes.get_title() and axes.get_xlabel() and axes.get_ylabel(), name


def test_a_point_stands_at_its_cache_and_loss():
    axes = figures()["loss"].axes[0]
    points = {
        (round(float(line.get_xdata()[0])), round(float(line.get_ydata()[0]), 3))
        for line in axes.lines
        if len(line.get_xdata()) == 1
    }
    assert points == {(256, 1.05), (64, 1.15), (32, 1.25), (16, 1.35), (32, 1.45)}


def test_the_budget_says_what_is_lost_and_what_is_kept():
    figure = figures()["budget"]
    words = [text.get_text().strip() for axes in figure.axes for text in axes.texts]
    assert {"0.20", "0.50", "32", "256"} <= set(words)
    errors = {"trained": (1.0, 0.0)}
    figure = viz_latent.budget((0, 64), errors, {"MHA": 256}, kv_rank=64, rope_dim=0)
    figure.draw_without_rendering()
    left = figure.axes[0]
    assert left.texts[0].get_window_extent().x1 < left.get_window_extent().x1
    with pytest.raises(ValueError, match="no measurement for kv_rank=5"):
        viz_latent.budget((0, 24), {"trained": (1, 0)}, {"MHA": 2}, kv_rank=5, rope_dim=8)


def test_kinds_of_attention_differ_in_colour_mark_and_line_together():
    colours, marks, _ = zip(*viz_latent._STYLES.values(), strict=True)
    assert len(set(colours)) == len(set(marks)) == len(viz_latent._STYLES)
    assert viz_latent._style("GQA-4") == viz_latent._style("GQA")
    assert viz_latent._style("MLA, carried") == viz_latent._style("MLA")
