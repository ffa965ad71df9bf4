"""The bench of latent attention: a peer that computes the same, and operations that were done."""

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from minids.config import MLAConfig
from minids.model.transformer import Transformer
from minids.study import bench_mla as b

SMALL = MLAConfig(n_heads=3, kv_rank=10, q_rank=14, nope_dim=6, rope_dim=4, value_dim=8)
CONFIG = b.config  # some tests put a smaller one in its place


def drawn(context=9):
    return Transformer(replace(CONFIG(context, SMALL, dim=20), init_std=0.3), seed=1)


def test_the_peer_computes_what_our_layer_computes_and_learns_the_same():
    pytest.importorskip("transformers", reason="the peer is Hugging Face's")
    model = drawn()
    g = torch.Generator().manual_seed(0)
    mine, theirs = b.ours(model), b.peer(model)
    x = torch.randn(2, 9, 20, generator=g)
    found = {}
    for name, side in (("ours", mine), ("peer", theirs)):
        into = x.clone().requires_grad_()
        out = side.learn(into)
        out.square().sum().backward()
        found[name] = (out.detach(), side.read(x).detach(), into.grad)
    assert found["ours"][0].std() > 0.1
    for ours, peers in zip(found["ours"], found["peer"], strict=True):
        torch.testing.assert_close(ours, peers, rtol=1e-4, atol=1e-4)


def test_both_sides_are_causal():
    pytest.importorskip("transformers", reason="the peer is Hugging Face's")
    model = drawn()
    x = torch.randn(1, 9, 20, generator=torch.Generator().manual_seed(0))
    other = x.clone()
    other[:, 5:] += 1
    for side in (b.ours(model), b.peer(model)):
        for run in (side.learn, side.read):
            same = (run(x) - run(other)).abs().amax(-1)[0] < 1e-5
            assert same.tolist() == 5 * [True] + 4 * [False]


def test_operations_are_those_that_torch_counts_less_the_masked_half():
    """torch counts every pair of tokens."""
    model, a = drawn(), SMALL
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        b.ours(model).learn(torch.zeros(2, 9, 20))
    masked = a.n_heads * (a.nope_dim + a.rope_dim + a.value_dim) * (9 - 1) / 2
    assert counter.get_total_flops() == b.flops(model.c, 2, 9) + 2 * 2 * 9 * masked


def test_a_tiny_run_has_four_rows_and_ratios_in_speed(monkeypatch):
    monkeypatch.setattr(b, "config", lambda context: drawn(context).c)
    rows = b.measure(repeats=2, rows=2, length=8, prompt=16)
    assert ["train 2 x 8" in r.name for r in rows] == [True, True, False, False]
    assert ["fp32" in r.name for r in rows] == [True, False, True, False]
    for r in rows:
        assert r.ratio == pytest.approx(r.ours / r.peer)
        assert 0 < r.limit < 1


def test_without_the_peer_a_row_has_none(monkeypatch):
    monkeypatch.setattr(b, "config", lambda context: drawn(context).c)
    monkeypatch.setattr(b, "peer", lambda model: None)
    rows = b.measure(repeats=2, rows=2, length=8, prompt=16)
    assert [(r.peer, r.ratio) for r in rows] == 4 * [(None, None)]
