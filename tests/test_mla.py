"""Latent attention: two orders of the same product, a small cache, and what makes both possible."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from minids.config import GQAConfig, MLAConfig, ModelConfig, YarnConfig
from minids.model import mla
from minids.model.attention import causal_mask
from minids.model.cache import Cache, LatentCache
from minids.model.layers import init_weights, rms_norm_written_out
from minids.model.mla import MLA, absorbed, absorbing_pays, carry, expanded, rebuild
from minids.model.rope import Rotary, frequencies, rotary
from minids.model.rope import rotate_pairs_written_out as rotate_pairs
from minids.presets import preset

WIDTHS = MLAConfig(n_heads=3, kv_rank=10, q_rank=7, nope_dim=5, rope_dim=4, value_dim=6)
CONFIG = ModelConfig(
    name="tiny", vocab=11, dim=13, n_layers=2, hidden=5, attention=WIDTHS, context=64
)
DIRECT = replace(CONFIG, attention=replace(WIDTHS, q_rank=None))
TIGHT = {"atol": 1e-12, "rtol": 0}


def tiny(c=CONFIG, seed=0):
    layer = MLA(c)
    init_weights(layer, 0.5, torch.Generator().manual_seed(seed))
    for norm in [m for m in layer.modules() if hasattr(m, "eps")]:  # gains of 1 would hide a loss
        torch.nn.init.uniform_(norm.weight, 0.5, 1.5, torch.Generator().manual_seed(seed))
    return layer.double()


def turn(start, end):
    """The rotation by positions start..end, exact to float64."""
    angles = torch.arange(start, end)[:, None] * frequencies(4, 100.0).double()
    return Rotary(angles.cos(), angles.sin())


def inputs(b=2, t=9, seed=1):
    return torch.randn(b, t, 13, generator=torch.Generator().manual_seed(seed)).double()


def parts(seed=0, b=2, h=3, t=4, s=9, n=5, p=4, r=10, v=6):
    """Random arguments of `expanded` and `absorbed`, in float64."""
    g = torch.Generator().manual_seed(seed)
    shapes = [(b, h, t, n), (b, h, t, p), (b, s, r), (b, s, p), (h, n, r), (h, v, r)]
    return [torch.randn(*shape, generator=g).double() for shape in shapes]


def fused(q_nope, q_rope, latent, k_rope, key_up, value_up):
    """The arguments of `rebuild` and of `carry` that mean the same."""
    kv_up = torch.cat([key_up, value_up], 1).flatten(0, 1)
    joint = torch.cat([latent, k_rope], -1)
    return (q_nope, q_rope, latent, k_rope, kv_up), (q_nope, q_rope, joint, key_up, value_up)


def cache_for(b=2, max_len=9, a=WIDTHS, dtype=torch.float64):
    return LatentCache(b, max_len, a.kv_rank, a.rope_dim, dtype=dtype)


# ---- two ways to one answer


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 9),
    b=st.integers(1, 3),
    h=st.integers(1, 4),
    t=st.integers(1, 5),
    past=st.integers(0, 5),
    n=st.integers(1, 5),
    p=st.sampled_from([2, 4]),
    r=st.integers(1, 11),
    v=st.integers(1, 9),
    masked=st.booleans(),
)
def test_carrying_the_query_and_rebuilding_the_keys_give_the_same(seed, past, t, masked, b, **axes):
    args = parts(seed, b=b, t=t, s=past + t, **axes)
    mask = None
    if masked:  # any mask under which every query sees itself
        g = torch.Generator().manual_seed(seed)
        mask = torch.rand(b, 1, t, past + t, generator=g) > 0.4
        mask[..., past:] |= torch.eye(t, dtype=torch.bool)
    want = expanded(*args, 0.4, mask)
    torch.testing.assert_close(absorbed(*args, 0.4, mask), want, **TIGHT)
    for_rebuild, for_carry = fused(*args)
    torch.testing.assert_close(rebuild(*for_rebuild, 0.4, mask), want, **TIGHT)
    torch.testing.assert_close(carry(*for_carry, 0.4, mask), want, **TIGHT)


@pytest.mark.parametrize("c", [CONFIG, DIRECT], ids=["with query latent", "without"])
def test_the_module_is_the_formula_of_the_paper(c):
    layer, x, r, a = tiny(c), inputs(), turn(0, 9), WIDTHS
    q = x
    if c is CONFIG:
        q = rms_norm_written_out(x @ layer.q_down.weight.T, layer.q_norm.weight, 1e-6)
    q = q @ layer.q_up.weight.T
    down = x @ layer.kv_down.weight.T
    latent = rms_norm_written_out(down[..., :10], layer.kv_norm.weight, 1e-6)
    k_rope = rotate_pairs(down[..., 10:], r)
    heads = []
    for i in range(a.n_heads):
        q_i, up = q[..., 9 * i : 9 * i + 9], layer.kv_up.weight[11 * i : 11 * i + 11]
        k = torch.cat([latent @ up[:5].T, k_rope], -1)
        q_i = torch.cat([q_i[..., :5], rotate_pairs(q_i[..., 5:], r)], -1)
        scores = (q_i @ k.mT / 3).masked_fill(~causal_mask(9, 9), -torch.inf)  # 3 = sqrt(5 + 4)
        heads.append(scores.softmax(-1) @ (latent @ up[5:].T))
    torch.testing.assert_close(layer(x, r), torch.cat(heads, -1) @ layer.out.weight.T, **TIGHT)


def test_one_head_of_width_one_on_paper():
    # query 1, latents 0 and ln 3: weights 1/4 and 3/4. Key map 1, value map 8 / ln 3.
    one, ln3 = torch.ones(1, 1, 1, 1), 1.0986122886681098
    latent = torch.tensor([0.0, ln3]).view(1, 2, 1)
    args = one, torch.zeros(1, 1, 1, 2), latent, torch.zeros(1, 2, 2), one[0], 8 / ln3 * one[0]
    for way in expanded, absorbed:
        torch.testing.assert_close(way(*args, 1.0), torch.full((1, 1, 1, 1), 6.0))


@pytest.mark.parametrize("c", [CONFIG, DIRECT], ids=["with query latent", "without"])
@pytest.mark.parametrize("carrying", [True, False])
@pytest.mark.parametrize("split", range(10))
def test_a_cached_pass_repeats_the_parallel_one_at_every_split(c, carrying, split, monkeypatch):
    monkeypatch.setattr(mla, "absorbing_pays", lambda *_: carrying)
    layer, x, cache = tiny(c), inputs(), cache_for()
    pieces = [(0, split), (split, 9)] if 0 < split < 9 else [(i, i + 1) for i in range(9)]
    got = [layer(x[:, i:j], turn(i, j), cache) for i, j in pieces]
    torch.testing.assert_close(torch.cat(got, 1), layer(x, turn(0, 9)), **TIGHT)


def test_a_rejected_draft_leaves_no_trace():
    layer, x, cache = tiny(), inputs(), cache_for()
    layer(x[:, :5], turn(0, 5), cache)
    layer(inputs(t=4, seed=9), turn(5, 9), cache)
    cache.rewind(5)
    got = layer(x[:, 5:], turn(5, 9), cache)
    torch.testing.assert_close(got, layer(x, turn(0, 9))[:, 5:], **TIGHT)


def test_both_orders_have_the_same_gradients():
    args = [a.requires_grad_() for a in parts()]
    for_rebuild, for_carry = fused(*args)
    ways = (
        expanded(*args, 0.4),
        absorbed(*args, 0.4),
        rebuild(*for_rebuild, 0.4),
        carry(*for_carry, 0.4),
    )
    grads = [torch.autograd.grad(way.sin().sum(), args) for way in ways]
    for other in grads[1:]:
        torch.testing.assert_close(other, grads[0], **TIGHT)


# ---- what is remembered


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_cache_takes_the_bytes_that_the_config_states(dtype):
    layer, cache = tiny().to(dtype), cache_for(max_len=7, dtype=dtype)
    layer(inputs(t=7).to(dtype), Rotary(*(x.to(dtype) for x in turn(0, 7))), cache)
    tensors = [x for x in vars(cache).values() if torch.is_tensor(x)]
    measured = sum(x.untyped_storage().nbytes() for x in tensors)
    assert measured == 2 * 7 * WIDTHS.cached_width * dtype.itemsize == cache.nbytes


def test_deepseek_v3_keeps_70272_bytes_per_token():
    c = preset("deepseek-v3")
    a = c.attention
    layer = LatentCache(1, 1, a.kv_rank, a.rope_dim, dtype=torch.bfloat16)
    layer.append(*(torch.zeros(1, 1, w, dtype=torch.bfloat16) for w in (a.kv_rank, a.rope_dim)))
    assert Cache([layer] * c.n_layers).nbytes == 70_272


def test_what_is_kept_does_not_depend_on_the_number_of_heads():
    few, many = (cache_for(a=replace(WIDTHS, n_heads=h)).kept.shape for h in (1, 128))
    assert few == many


def test_rope_on_the_whole_key_would_break_absorption():
    # The matrix between a query and a latent d tokens back is W_UK turned by d positions. Only
    # an unturned key leaves one matrix for all distances, which can be multiplied out once.
    key_up = parts(n=4)[4]
    turned_by = [
        rotate_pairs(key_up.mT, Rotary(*(x[None] for x in turn(d, d + 1)))) for d in range(9)
    ]
    torch.testing.assert_close(turned_by[0].squeeze(0), key_up.mT)
    change = [float((m - key_up.mT).norm() / key_up.norm()) for m in turned_by]
    assert change[1] > 0.5 and min(change[1:]) > 0.3
    # Carried by W_UK alone, the scores are wrong by as much as they vary:
    q, latent = parts(n=4)[0], parts(n=4)[2]
    keys = torch.einsum("bsr,hnr->bhsn", latent, key_up)
    turned = rotate_pairs(q, turn(5, 9)) @ rotate_pairs(keys, turn(0, 9)).mT
    carried = torch.einsum("bhtn,hnr->bhtr", q, key_up) @ latent.unsqueeze(1).mT
    off = [(carried - turned).diagonal(5 - d, -2, -1).std() / turned.std() for d in range(6)]
    assert off[0] < 1e-12, "no distance, no turn"
    assert min(off[1:]) > 0.4


# ---- positions


def test_only_the_distance_between_tokens_counts():
    layer, x = tiny(), inputs()
    torch.testing.assert_close(layer(x, turn(0, 9)), layer(x, turn(30, 39)), **TIGHT)


def test_but_the_distance_does_count():
    layer, x = tiny(), inputs()
    backwards = torch.cat([x[:, :8].flip(1), x[:, 8:]], 1)
    straight, reversed_ = layer(x, turn(0, 9)), layer(backwards, turn(0, 9))
    assert (straight[:, -1] - reversed_[:, -1]).abs().max() > 1e-2
    # ... and without turning, the order of the past is lost:
    still = Rotary(torch.ones(9, 2).double(), torch.zeros(9, 2).double())
    torch.testing.assert_close(layer(x, still)[:, -1], layer(backwards, still)[:, -1], **TIGHT)


def test_the_future_is_invisible():
    layer, x = tiny(), inputs()
    changed = x.clone()
    changed[:, 4:] += 1
    before, after = layer(x, turn(0, 9)), layer(changed, turn(0, 9))
    assert torch.equal(before[:, :4], after[:, :4])
    assert (before[:, 4:] - after[:, 4:]).abs().amax(-1).min() > 1e-3


def test_yarn_sharpens_every_score():
    c = replace(CONFIG, rope_scaling=YarnConfig(factor=40.0, original=8, mscale=0.707))
    assert MLA(CONFIG).scale == pytest.approx(1 / 3)
    assert MLA(c).scale == pytest.approx(1.5896 / 3, rel=1e-4)


# ---- batches


def padded_batch(layer, lengths, new):
    """Left-padded rows of random tokens, their mask, and each row alone."""
    rows = [inputs(1, n + new, seed=n) for n in lengths]
    longest = max(lengths)
    x = torch.cat(
        [
            F.pad(row, (0, 0, longest - n, 0), value=7.0)
            for n, row in zip(lengths, rows, strict=True)
        ]
    )
    s = longest + new
    pad = torch.tensor([longest - n for n in lengths])
    mask = causal_mask(s, s) & (torch.arange(s) >= pad[:, None, None])
    return x, rows, (mask | torch.eye(s, dtype=torch.bool))[:, None]


@pytest.mark.parametrize("carrying", [True, False])
def test_a_left_padded_batch_gives_what_each_row_gives_alone(carrying, monkeypatch):
    monkeypatch.setattr(mla, "absorbing_pays", lambda *_: carrying)
    layer, lengths = tiny(), (1, 4, 6)
    x, rows, mask = padded_batch(layer, lengths, new=3)
    cache = cache_for(b=3)
    for i, j in ((0, 6), (6, 7), (7, 9)):
        out = layer(x[:, i:j], turn(i, j), cache, mask[:, :, i:j, :j])
        for got, row in zip(out, rows, strict=True):
            new = row.shape[1] - max(0, 9 - j)
            alone = layer(row, turn(0, row.shape[1]))[0, max(0, new - (j - i)) : new]
            torch.testing.assert_close(got[-len(alone) :], alone, atol=1e-6, rtol=1e-6)
    assert torch.isfinite(out).all()


@pytest.mark.parametrize("t", [1, 3])
def test_a_query_that_sees_nothing_spoils_no_other(t):
    args = parts(t=t)
    mask = torch.ones(2, 1, t, 9, dtype=torch.bool)
    mask[0, :, 0] = False
    for_rebuild, for_carry = fused(*args)
    for got in rebuild(*for_rebuild, 0.4, mask), carry(*for_carry, 0.4, mask):
        want = absorbed(*args, 0.4, mask)
        assert torch.isfinite(got).all()
        torch.testing.assert_close(got[1], want[1], **TIGHT)
        torch.testing.assert_close(got[0, :, 1:], want[0, :, 1:], **TIGHT)


# ---- when which order is taken


def test_absorbing_pays_for_few_tokens_on_a_long_past():
    v3 = preset("deepseek-v3").attention
    assert absorbing_pays(1, 1000, v3)
    assert absorbing_pays(170, 10**9, v3) and not absorbing_pays(171, 10**9, v3)
    assert not absorbing_pays(1000, 1000, v3), "a first prompt is rebuilt"
    assert not absorbing_pays(1, 1, v3), "and so is a first token"


def test_a_query_latent_is_only_built_where_the_config_has_one():
    assert {n for n, _ in tiny(CONFIG).named_parameters()} - {
        n for n, _ in tiny(DIRECT).named_parameters()
    } == {"q_down.weight", "q_norm.weight"}


def test_autocast_to_bfloat16_trains():
    layer = tiny().float()
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(inputs().float(), rotary(frequencies(4, 100.0), torch.arange(9)))
    y.float().square().sum().backward()
    exact = layer(inputs().float(), rotary(frequencies(4, 100.0), torch.arange(9)))
    assert (y - exact).norm() / exact.norm() < 0.02
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in layer.parameters())


def test_grouped_widths_are_refused_by_name():
    c = replace(CONFIG, attention=GQAConfig(n_heads=3, n_kv_heads=1, head_dim=4))
    with pytest.raises(TypeError, match="MLA is built from an MLAConfig, got GQAConfig"):
        MLA(c)


def test_the_latent_norms_have_an_eps_of_their_own():
    coarse = replace(CONFIG, norm_eps=0.5)  # 1e-6 in every released model, whatever this says
    assert torch.equal(tiny(coarse)(inputs(), turn(0, 9)), tiny()(inputs(), turn(0, 9)))
