"""A model read by steps says what the model says; each planted step fails where it should."""

import pytest
import torch

from minids import accounting
from minids.check.bugs import ch02 as bugs
from minids.config import GQAConfig, ModelConfig
from minids.model.transformer import Transformer
from minids.presets import preset
from minids.study import by_steps

TOKENS = torch.randint(31, (2, 11), generator=torch.Generator().manual_seed(0))


def model(qkv_bias: bool = False) -> Transformer:
    heads = GQAConfig(n_heads=6, n_kv_heads=2, head_dim=4, qkv_bias=qkv_bias)
    built = Transformer(
        ModelConfig(
            name="small", vocab=31, dim=20, n_layers=3, hidden=28, attention=heads,
            context=64, init_std=0.4,
        )
    )  # fmt: skip
    if qkv_bias:
        for block in built.layers:
            torch.nn.init.normal_(
                block.attention.qkv.bias, generator=torch.Generator().manual_seed(1)
            )
    return built


def apart(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).detach().abs().max() / b.detach().abs().max())


@pytest.mark.parametrize("chunk", [1, 3, 11, 50])
@pytest.mark.parametrize("step", bugs.cache_step.RIGHT)
def test_a_right_step_says_what_the_model_says(step, chunk):
    m = model()
    reading = by_steps.read(m, TOKENS, step, chunk=chunk)
    assert apart(reading.logits, m(TOKENS).logits) < 1e-5


def test_what_is_kept_is_what_the_formula_says():
    m = model()
    kept = by_steps.read(m, TOKENS, bugs.step, chunk=4).cache_bytes
    assert kept == TOKENS.numel() * accounting.cache_bytes(m.c, bits=32)
    copies = by_steps.read(m, TOKENS, bugs.step_keeping_copies, chunk=4).cache_bytes
    assert copies == 3 * kept


@pytest.mark.parametrize("step", [bugs.step_restarting, bugs.step_keeping_before_the_turn])
def test_broken_positions_show_in_decoding_alone(step):
    m = model()
    expected = m(TOKENS).logits
    assert apart(by_steps.read(m, TOKENS, step, chunk=11).logits, expected) < 1e-5
    assert apart(by_steps.read(m, TOKENS, step, chunk=1).logits, expected) > 1e-2


@pytest.mark.parametrize("qkv_bias", [False, True])
def test_a_tiled_model_is_the_same_model_with_its_heads_in_another_order(qkv_bias):
    m = model(qkv_bias)
    before = m(TOKENS).logits
    tiled = by_steps.as_if_tiled(m)
    assert apart(by_steps.read(tiled, TOKENS, bugs.step_tiled, chunk=11).logits, before) < 1e-5
    assert apart(tiled(TOKENS).logits, before) > 1e-2
    assert torch.equal(m(TOKENS).logits, before)  # the first model is untouched


def test_what_cannot_be_read_is_refused():
    with pytest.raises(ValueError, match="chunk=0"):
        by_steps.read(model(), TOKENS, bugs.step, chunk=0)
    with pytest.raises(TypeError, match="GQAConfig"):
        by_steps.as_if_tiled(Transformer(preset("toy-v3")))
