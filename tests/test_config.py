"""Configs: what contradicts itself is refused by name."""

from dataclasses import FrozenInstanceError, replace

import pytest

from minids.config import ConfigError, GQAConfig, MLAConfig, ModelConfig, MoEConfig

GQA = GQAConfig(n_heads=6, n_kv_heads=2, head_dim=10)
MOE = MoEConfig(n_routed=12, n_shared=1, top_k=3, hidden=7)
MODEL = ModelConfig(name="m", vocab=11, dim=14, n_layers=3, hidden=5, attention=GQA, context=9)


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
