"""Stretching: YaRN is the package's own, other methods do what their names say."""

import math
from dataclasses import replace

import pytest
import torch

from minids.config import MLAConfig, YarnConfig
from minids.model.rope import frequencies
from minids.model.transformer import Transformer
from minids.study.needle import haystacks
from minids.study.recall import build, toy
from minids.study.stretch import answer, sharpening, stretch, turning, with_positions

C = toy(64)


def tokens(rows=2, length=100, seed=0):
    return haystacks(rows, length, 0.3, seed=seed).tokens


def test_stretched_yarn_is_what_the_package_builds_from_a_config():
    plain = Transformer(C, seed=0)
    scaling = YarnConfig(factor=4, original=64, beta_fast=8)
    theirs = Transformer(replace(C, context=256, rope_scaling=scaling), seed=0)
    ours = stretch(plain, "YaRN", 4, temperature=True, beta=8)
    x = tokens(length=256)
    torch.testing.assert_close(ours(x).logits, theirs(x).logits)
    without = stretch(plain, "YaRN", 4, beta=8)
    assert (without(x).logits - theirs(x).logits).abs().max() > 1e-3


def test_ntk_is_the_package_with_a_larger_base():
    plain = Transformer(C, seed=0)
    theirs = Transformer(replace(C, context=256, rope_theta=1e4 * 4 ** (32 / 30)), seed=0)
    x = tokens(length=256)
    torch.testing.assert_close(
        stretch(plain, "NTK", 4)(x).logits, theirs(x).logits, rtol=1e-3, atol=1e-3
    )


def test_interpolation_makes_position_s_m_look_like_position_m():
    short = Transformer(C, seed=0)
    longer = stretch(short, "PI", 4)
    torch.testing.assert_close(longer.cos[::4][:64], short.cos, rtol=1e-4, atol=1e-4)


def test_no_method_changes_the_model_it_is_given_or_its_weights():
    short = Transformer(C, seed=0)
    before = [block.attention.scale for block in short.layers]
    longer = stretch(short, "YaRN", 8, temperature=True)
    assert [block.attention.scale for block in short.layers] == before
    assert short.cos.shape == (64, 16) and longer.cos.shape == (512, 16)
    for a, b in zip(short.parameters(), longer.parameters(), strict=True):
        assert torch.equal(a, b) and a.data_ptr() != b.data_ptr()


def test_without_stretching_short_rows_read_as_before():
    short = build(64, 0)
    x = tokens(length=60)
    torch.testing.assert_close(stretch(short, "none", 8)(x).logits, short(x).logits)


def test_the_temperature_multiplies_scores_by_the_published_factor():
    assert sharpening(C, 40) == pytest.approx(1.8739, abs=1e-4)
    sharper = stretch(Transformer(C, seed=0), "none", 40, temperature=True)
    assert sharper.layers[0].attention.scale == pytest.approx(32**-0.5 * 1.8739, rel=1e-4)


def test_by_turns_a_pair_is_kept_by_its_share_of_turns():
    found = turning("YaRN by turns", C, 8, beta=8)
    plain = frequencies(32, 1e4)
    for i in range(16):
        r = 64 * float(plain[i]) / (2 * math.pi)
        kept = min(max((r - 1) / 7, 0), 1)
        assert float(found[i]) == pytest.approx(float(plain[i]) * (kept + (1 - kept) / 8), rel=1e-4)


def test_a_beta_that_does_not_fit_spares_no_pair_by_turns_and_one_by_the_clipped_ramp():
    plain = frequencies(32, 1e4)
    assert turning("YaRN by turns", C, 8, beta=32)[0] < 0.5 * plain[0]
    assert turning("YaRN", C, 8, beta=32)[0] == plain[0]
    assert torch.equal(turning("YaRN", C, 8, beta=32), turning("YaRN", C, 8, beta=8))


def test_an_unknown_method_is_refused_by_name():
    with pytest.raises(Exception, match="Linear|linear"):
        turning("linear", C, 8, beta=8)


def test_latent_attention_is_refused():
    latent = MLAConfig(n_heads=2, kv_rank=8, q_rank=None, nope_dim=8, rope_dim=8, value_dim=8)
    model = Transformer(replace(C, attention=latent), seed=0)
    with pytest.raises(TypeError, match="give a GQAConfig"):
        with_positions(model, torch.ones(4), 1.0, 128)


def test_answering_from_the_cache_equals_reading_at_once():
    model = stretch(build(64, 0), "YaRN", 4, temperature=True)
    x = tokens(3, 90)
    torch.testing.assert_close(answer(model, model, x), model(x, last=1).logits[:, -1])


def test_a_writer_that_forgot_to_stretch_is_found_out():
    model = stretch(build(64, 0), "YaRN", 4, temperature=True)
    x = tokens(3, 90)
    forgot = stretch(build(64, 0), "none", 4)
    assert (answer(model, forgot, x) - model(x, last=1).logits[:, -1]).abs().max() > 1e-3
