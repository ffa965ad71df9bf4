"""Writing with a cache costs what the formula says, and gives what writing without one gives."""

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from minids import accounting
from minids.config import GQAConfig, ModelConfig
from minids.model.attention import SHORT
from minids.model.transformer import Transformer
from minids.presets import preset
from minids.study import decode_cost


def small(n_kv_heads: int = 2, n_layers: int = 3) -> ModelConfig:
    heads = GQAConfig(n_heads=4, n_kv_heads=n_kv_heads, head_dim=6)
    return ModelConfig(
        name="small", vocab=31, dim=20, n_layers=n_layers, hidden=28, attention=heads,
        context=64, init_std=0.3,
    )  # fmt: skip


@pytest.mark.parametrize("n_kv_heads", [1, 2, 4])
def test_both_ways_write_the_same_tokens(n_kv_heads):
    model = Transformer(small(n_kv_heads), seed=3)
    written = list(decode_cost.writing(model, 20, cached=True, start=5))
    assert len(written) == 20 and len(set(written)) > 1
    assert written == list(decode_cost.writing(model, 20, cached=False, start=5))


@pytest.mark.parametrize("n_kv_heads", [1, 2, 4])
def test_the_count_with_a_cache_is_the_formula(n_kv_heads):
    c = small(n_kv_heads)
    model = Transformer(c)
    counted = decode_cost.operations(model, [9, 4], cached=True)
    steps = [accounting.flops_per_token(c, n, "decode") for n in range(1, 10)]
    assert counted == [sum(steps), sum(steps[:4])]


def test_the_count_without_a_cache_is_a_whole_text_for_every_token():
    c = small()
    model = Transformer(c)
    counted = decode_cost.operations(model, [1, 9], cached=False)
    head = 2 * c.vocab * c.dim  # for the last token alone
    texts = [n * (accounting.flops_per_token(c, n, "decode") - head) + head for n in range(1, 10)]
    assert counted == [texts[0], sum(texts)]


def test_long_texts_are_counted_as_short_ones_are():
    """Behind `SHORT` tokens attention is one kernel, which torch's counter does not know."""
    n = SHORT + 1
    c = replace(small(n_layers=1), context=n)
    model, tokens = Transformer(c), torch.zeros(1, n, dtype=torch.long)
    kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    counter = FlopCounterMode(display=False, custom_mapping={kernel: decode_cost._attention_flops})
    with torch.no_grad(), counter:
        model(tokens, last=1)
    head = 2 * c.vocab * c.dim
    whole = n * (accounting.flops_per_token(c, n, "decode") - head) + head
    assert counter.get_total_flops() == whole


def test_the_least_of_all_repeats_is_the_time(monkeypatch):
    clock = iter([0.0, 3.0, 5.0, 10.0, 12.0, 16.0, 20.0, 24.0, 26.0])  # three runs, two readings
    monkeypatch.setattr(decode_cost.time, "perf_counter", lambda: next(clock))
    taken = decode_cost.elapsed(Transformer(small()), [2, 3], cached=True, repeats=3)
    assert taken == [2.0, 5.0]


def test_one_step_is_measured_over_a_full_cache():
    c = small()
    cost = decode_cost.one_step(c, 10, batch=3, repeats=1)
    assert cost.cache_bytes == 3 * 10 * accounting.cache_bytes(c, bits=32)
    assert cost.seconds > 0


def test_a_latent_cache_is_refused():
    with pytest.raises(TypeError, match="GQAConfig"):
        decode_cost.one_step(preset("toy-v3"), 4, batch=1)
