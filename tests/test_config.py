"""Configs: what contradicts itself is refused by name."""

from copy import copy
from dataclasses import FrozenInstanceError, replace

import pytest

from minids.config import (
    ConfigError,
    GQAConfig,
    Llama3RopeConfig,
    MLAConfig,
    ModelConfig,
    MoEConfig,
    YarnConfig,
)

GQA = GQAConfig(n_heads=6, n_kv_heads=2, head_dim=10)
MOE = MoEConfig(n_routed=12, n_shared=1, top_k=3, hidden=7)
MODEL = ModelConfig(name="m", vocab=11, dim=14, n_layers=3, hidden=5, attention=GQA, context=9)


def spoilt(config, **fields):
    """The config with what no annotation allows, but a file may hold."""
    config = copy(config)
    for name, value in fields.items():
        object.__setattr__(config, name, value)
    config.__post_init__()


@pytest.mark.parametrize(
    "make, says",
    [
        (lambda: replace(GQA, n_kv_heads=4), "n_kv_heads=4 does not divide n_heads=6"),
        (lambda: replace(GQA, n_kv_heads=0), "n_kv_heads=0"),
        (lambda: replace(GQA, head_dim=9), "head_dim=9 must be even"),
        (lambda: replace(MOE, n_groups=5), "n_groups=5"),
        (lambda: replace(MOE, n_groups=4, kept_groups=5), "kept_groups=5"),
        (lambda: replace(MOE, n_groups=6, kept_groups=1), "top_k=3, but 1 of 6 groups hold 2"),
        (
            lambda: replace(MOE, n_groups=12, kept_groups=3, group_score="top2"),
            "needs two experts in a group",
        ),
        (lambda: replace(MODEL, vocab=0), "vocab=0 must be a whole number, 1 or more"),
        (lambda: replace(MODEL, mtp_depth=-3), "mtp_depth=-3 must be a whole number, 0 or more"),
        (lambda: replace(GQA, head_dim=-16), "head_dim=-16 must be"),
        (lambda: replace(GQA, head_dim=0), "head_dim=0 must be"),
        (lambda: replace(MOE, hidden=-32), "hidden=-32 must be"),
        (lambda: replace(MOE, n_shared=-3), "n_shared=-3 must be"),
        (lambda: replace(MODEL, n_dense=1), "moe is None"),
        (lambda: spoilt(GQA, qkv_bias="no"), "qkv_bias='no' must be False or True"),
        (lambda: spoilt(MOE, normalise="no"), "normalise='no' must be False or True"),
        (lambda: spoilt(MOE, biased=1), "biased=1 must be False or True"),
        (lambda: spoilt(MOE, scores="relu"), "scores='relu' must be 'softmax' or 'sigmoid'"),
        (lambda: spoilt(MOE, group_score="best"), "group_score='best' must be 'max' or 'top2'"),
        (lambda: replace(MOE, scale=float("nan")), "scale=nan must be a number, above 0"),
        (lambda: spoilt(MOE, scale="2.5"), "scale='2.5' must be a number"),
        (lambda: replace(MODEL, rope_theta=-1e4), "rope_theta=-10000.0 must be"),
        (lambda: replace(MODEL, norm_eps=float("inf")), "norm_eps=inf must be"),
        (lambda: replace(MODEL, init_std=-0.1), "init_std=-0.1 must be a number, 0 or more"),
        (lambda: spoilt(MODEL, init_std=True), "init_std=True must be"),
        (lambda: replace(MODEL, norm_eps=10**310), "norm_eps=10*0 must be a number"),
        (lambda: YarnConfig(factor=0, original=9), "factor=0 must be a number, above 0"),
        (lambda: YarnConfig(factor=2.0, original=0), "original=0 must be a whole number"),
        (lambda: YarnConfig(factor=2.0, original=9, mscale=float("nan")), "mscale=nan must be"),
        (lambda: YarnConfig(factor=2.0, original=9, beta_slow=0), "beta_slow=0 must be"),
        (lambda: Llama3RopeConfig(factor=float("inf"), original=9), "factor=inf must be"),
        (lambda: replace(MODEL, moe=MOE, n_dense=4), "n_dense=4"),
        (
            lambda: MLAConfig(
                n_heads=2, kv_rank=4, q_rank=None, nope_dim=4, rope_dim=3, value_dim=4
            ),
            "rope_dim=3 must be even",
        ),
        (
            lambda: MLAConfig(n_heads=2, kv_rank=4, q_rank=0, nope_dim=4, rope_dim=2, value_dim=4),
            "write None",
        ),
    ],
)
def test_a_contradiction_is_refused_by_name(make, says):
    with pytest.raises(ConfigError, match=says):
        make()


def test_configs_are_frozen_and_comparable():
    with pytest.raises(FrozenInstanceError):
        MODEL.dim = 3
    assert replace(MODEL) == MODEL
    assert hash(replace(MODEL)) == hash(MODEL)


def test_the_cached_width_is_two_vectors_per_key_head_or_one_latent_and_one_key():
    assert GQA.cached_width == 2 * 2 * 10
    mla = MLAConfig(n_heads=128, kv_rank=512, q_rank=1536, nope_dim=128, rope_dim=64, value_dim=128)
    assert mla.cached_width == 576


def test_dense_layers_come_first():
    c = replace(MODEL, moe=MOE, n_dense=1)
    assert [c.is_moe(i) for i in range(3)] == [False, True, True]
    assert c.n_moe == 2
    assert MODEL.n_moe == 0
