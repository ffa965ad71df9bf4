"""The bench of experts: peers that do the same work, and the same numbers."""

import pytest
import torch

from minids import accounting
from minids.model.layers import SwiGLU
from minids.model.moe import MoE
from minids.model.transformer import Transformer
from minids.study import bench_moe as b


def test_the_dense_peer_does_as_many_operations_as_the_experts_of_a_token():
    c = b.config()
    m = c.moe
    dense = sum(p.numel() for p in SwiGLU(c.dim, m.top_k * m.hidden).parameters())
    one = sum(p[0].numel() for p in MoE(c).experts.parameters())
    assert dense == m.top_k * one
    assert (c.dim, m.n_routed, m.top_k, m.hidden, m.n_shared) == (512, 64, 6, 128, 0)


def test_the_loop_computes_what_the_layer_computes():
    layer = MoE(b.config())
    x = torch.randn(1, 50, b.config().dim, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(b.one_by_one(layer, x), layer(x)[0][0], rtol=1e-4, atol=1e-6)


def test_the_toy_has_the_shape_of_v3():
    c = b.toy()
    assert (c.n_layers, c.dim, c.moe.n_routed, c.moe.top_k, c.mtp_depth) == (4, 128, 16, 4, 0)
    assert c.moe.biased
    assert c.moe.scores == "sigmoid"
    assert accounting.parameters(c).total == sum(p.numel() for p in Transformer(c).parameters())


def test_the_peer_computes_our_logits():
    pytest.importorskip("transformers", reason="the peer is Hugging Face's")
    c = b.toy(16)
    tokens = torch.arange(32).view(2, 16)
    with torch.no_grad():
        ours = Transformer(c)(tokens).logits
        theirs = b.peer_model(c)(input_ids=tokens).logits
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_ratios_are_in_speed_and_without_the_peer_there_is_none(monkeypatch):
    monkeypatch.setattr(b, "peer_model", lambda c: None)
    rows = b.measure(repeats=2, n_tokens=32, rows=2, length=8)
    assert [r.peer is None for r in rows] == (len(rows) - 2) * [False] + [True, True]
    assert all(0 < r.limit < 1 for r in rows)
    for r in rows[:2]:
        assert r.ratio == pytest.approx(r.ours / r.peer)
