"""Grouped-query attention: the kernel against the formula, and its two ends."""

from dataclasses import replace

import pytest
import torch

from minids.config import GQAConfig, ModelConfig, YarnConfig
from minids.model.attention import (
    SHORT,
    Attention,
    attend,
    attend_from_one,
    attend_fused,
    attend_in_three,
    attend_to_one_head,
    attend_written_out,
    causal_mask,
    in_two_products,
)
from minids.model.cache import KVCache
from minids.model.layers import init_weights
from minids.model.rope import Rotary, frequencies, rotary
from minids.model.transformer import Transformer
from minids.presets import preset

CONFIG = ModelConfig(
    name="tiny",
    vocab=11,
    dim=12,
    n_layers=1,
    hidden=5,
    attention=GQAConfig(n_heads=6, n_kv_heads=2, head_dim=4),
    context=64,
)


def tiny(n_kv_heads=2, seed=0):
    c = replace(CONFIG, attention=replace(CONFIG.attention, n_kv_heads=n_kv_heads))
    layer = Attention(c)
    init_weights(layer, 0.5, torch.Generator().manual_seed(seed))
    return layer.double()


def turn(start, end):
    return rotary(frequencies(4, 100.0), torch.arange(start, end))


def inputs(b=2, t=7, seed=1):
    return torch.randn(b, t, 12, generator=torch.Generator().manual_seed(seed)).double()


def qkv(h, g, t, s, seed=0):
    r = torch.Generator().manual_seed(seed)
    return (torch.randn(3, n, m, 4, generator=r) for n, m in ((h, t), (g, s), (g, s)))


def test_yarn_sharpens_every_score():
    c = replace(CONFIG, rope_scaling=YarnConfig(factor=40.0, original=8, mscale=0.707))
    assert Attention(CONFIG).scale == pytest.approx(1 / 2)
    assert Attention(c).scale == pytest.approx(1.5896 / 2, rel=1e-4)


@pytest.mark.parametrize("h, g", [(6, 6), (6, 3), (6, 2), (6, 1)])
@pytest.mark.parametrize("t, s", [(5, 5), (1, 5), (2, 5), (1, 1)])
def test_attention_is_the_formula(h, g, t, s):
    q, k, v = qkv(h, g, t, s)
    torch.testing.assert_close(attend(q, k, v, 0.7), attend_written_out(q, k, v, 0.7))


@pytest.mark.parametrize("t, s, width", [(5, 5, 4), (3, 5, 4), (1, 5, 4), (5, 5, 3), (5, 5, 6)])
@pytest.mark.parametrize("g", [6, 2, 1])
@pytest.mark.parametrize("way", [attend_in_three, attend_fused, attend_from_one])
def test_every_way_has_the_formulas_output_and_gradients(way, g, t, s, width):
    if way is attend_from_one:
        t = 1
    found = []
    for attention in (way, attend_written_out):
        q, k, _ = (x.requires_grad_() for x in qkv(6, g, t, s))
        v = torch.randn(3, g, s, width, generator=torch.Generator().manual_seed(1)).requires_grad_()
        y = attention(q, k, v, 0.7)
        y.square().sum().backward()
        found.append([y.detach(), q.grad, k.grad, v.grad])
    for ours, formula in zip(*found, strict=True):
        torch.testing.assert_close(ours, formula)


@pytest.mark.parametrize(
    "rows, t, s, in_three",
    [(1, 2, SHORT, True), (1, 2, SHORT + 1, False), (1, 1, 40, False), (85, 1, 40, False),
     (86, 1, 16, True), (86, 1, 15, False), (86, 1, SHORT + 1, False)],  # 86 x 6 key heads: 516
)  # fmt: skip
def test_short_texts_are_attended_to_in_three_calls(rows, t, s, in_three, monkeypatch):
    r, way = torch.Generator().manual_seed(0), []
    q, k = (torch.randn(rows, h, n, 4, generator=r) for h, n in ((12, t), (6, s)))
    for f in (attend_in_three, attend_fused):
        monkeypatch.setattr(
            f"minids.model.attention.{f.__name__}",
            lambda *args, f=f: way.append(f) or f(*args),
        )
    torch.testing.assert_close(attend(q, k, k, 0.7), attend_written_out(q, k, k, 0.7))
    assert way == [attend_in_three if in_three else attend_fused]


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_formats_go_to_the_kernel(dtype, monkeypatch):
    monkeypatch.setattr("minids.model.attention.attend_in_three", None)
    q, k, v = (x.to(dtype) for x in qkv(6, 6, 5, 5))
    assert attend(q, k, v, 0.7).dtype == dtype


def test_no_rows_at_all_are_no_trouble():
    q, k, v = (x[:0] for x in qkv(6, 2, 5, 5))
    assert attend(q, k, v, 0.7).shape == (0, 6, 5, 4)


def test_the_kernel_computes_the_formula_under_a_mask():
    q, k, v = qkv(6, 2, 2, 5)
    mask = torch.tensor([[1, 0, 1, 0, 1], [1, 1, 1, 1, 0]]).bool().expand(3, 1, 2, 5)
    torch.testing.assert_close(attend(q, k, v, 0.7, mask), attend_written_out(q, k, v, 0.7, mask))


def test_head_i_uses_the_key_head_of_its_group():
    # Groups of three neighbours: changing key head 1 must move query heads 3, 4, 5 alone.
    q, k, v = qkv(6, 2, 5, 5)
    before = attend(q, k, v, 0.7)
    k[:, 1] += 1
    v[:, 1] -= 1
    moved = (attend(q, k, v, 0.7) - before).abs().amax((0, 2, 3)) > 1e-3
    assert moved.tolist() == [False] * 3 + [True] * 3


def test_as_many_groups_as_heads_is_multi_head_attention():
    q, k, v = qkv(4, 4, 6, 6)
    one_by_one = [attend(q[:, i : i + 1], k[:, i : i + 1], v[:, i : i + 1], 0.5) for i in range(4)]
    torch.testing.assert_close(attend(q, k, v, 0.5), torch.cat(one_by_one, 1))


def test_two_tokens_on_paper():
    # scores 0 and ln 3 give weights 1/4 and 3/4
    q, k = torch.tensor([[[[0.0], [1.0]]]]), torch.tensor([[[[0.0], [1.0986123]]]])
    v = torch.tensor([[[[0.0], [8.0]]]])
    torch.testing.assert_close(attend(q, k, v, 1.0)[0, 0, :, 0], torch.tensor([0.0, 6.0]))


@pytest.mark.parametrize("n_kv_heads", [6, 2, 1])
@pytest.mark.parametrize("split", range(1, 7))
def test_a_cached_pass_repeats_the_parallel_one_at_every_split(n_kv_heads, split):
    layer, x = tiny(n_kv_heads), inputs()
    cache = KVCache(2, 7, n_kv_heads, 4, dtype=torch.float64)
    first = layer(x[:, :split], turn(0, split), cache)
    rest = layer(x[:, split:], turn(split, 7), cache)
    torch.testing.assert_close(torch.cat([first, rest], 1), layer(x, turn(0, 7)))


def test_the_future_is_invisible():
    layer, x = tiny(), inputs()
    changed = x.clone()
    changed[:, 4:] += 1
    before, after = layer(x, turn(0, 7)), layer(changed, turn(0, 7))
    assert torch.equal(before[:, :4], after[:, :4])
    assert (before[:, 4:] - after[:, 4:]).abs().min() > 1e-6


def test_only_the_distance_between_tokens_counts():
    layer, x = tiny(), inputs()
    torch.testing.assert_close(layer(x, turn(0, 7)), layer(x, turn(30, 37)), atol=1e-5, rtol=1e-5)


def test_but_the_distance_does_count():
    layer, x = tiny(), inputs()
    backwards = torch.cat([x[:, :6].flip(1), x[:, 6:]], 1)
    straight, reversed_ = layer(x, turn(0, 7)), layer(backwards, turn(0, 7))
    assert (straight[:, -1] - reversed_[:, -1]).abs().max() > 1e-2
    # ... and without turning, the order of the past is lost:
    still = Rotary(torch.ones(7, 2), torch.zeros(7, 2))
    torch.testing.assert_close(layer(x, still)[:, -1], layer(backwards, still)[:, -1])


def test_the_mask_lines_up_queries_with_the_end_of_the_past():
    assert causal_mask(2, 4).tolist() == [[True, True, True, False], [True] * 4]


@torch.no_grad()
def test_a_cache_is_kept_where_autocast_narrows_the_products():
    """On a GPU `products("bf16")` is autocast: generating with a cache has to work there, too."""
    config = replace(preset("toy-llama"), vocab=64, context=8)
    model, tokens = Transformer(config).eval(), torch.arange(8)[None]
    with torch.autocast("cpu", torch.bfloat16):
        cache = model.new_cache(1, 8)
        parts = [model(tokens[:, at], cache).logits for at in (slice(5), slice(5, 8))]
        whole = model(tokens).logits
    assert cache.layers[0].keys.dtype == torch.float32
    torch.testing.assert_close(torch.cat(parts, 1), whole, atol=0.02, rtol=0.02)


@pytest.mark.parametrize("masked", [False, True])
def test_two_products_are_attention_to_one_head_whose_keys_are_its_values(masked):
    g = torch.Generator().manual_seed(0)
    q, kept = torch.randn(3, 1, 4, 8, generator=g), torch.randn(3, 1, 9, 8, generator=g)
    mask = torch.rand(3, 1, 1, 9, generator=g) < 0.6 if masked else None
    by_torch = attend_to_one_head(q, kept, 0.3, mask)
    torch.testing.assert_close(in_two_products(q, kept, 0.3, mask), by_torch)
    assert not masked or not torch.allclose(by_torch, in_two_products(q, kept, 0.3), atol=1e-2)


@pytest.mark.parametrize("n_kv", [1, 2, 4])
def test_one_token_with_shared_heads_and_a_mask_attends_as_if_heads_were_copied(n_kv):
    g = torch.Generator().manual_seed(1)
    q = torch.randn(2, 4, 1, 8, generator=g)
    k, v = torch.randn(2, 2, n_kv, 7, 8, generator=g)
    mask = torch.tensor([[True] * 7, [False] * 3 + [True] * 4])[:, None, None]
    copies = (x.repeat_interleave(4 // n_kv, dim=1) for x in (k, v))
    expected = attend_fused(q, *copies, scale=0.3, mask=mask)
    torch.testing.assert_close(attend_fused(q, k, v, scale=0.3, mask=mask), expected)
