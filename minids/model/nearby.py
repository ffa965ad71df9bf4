"""Routed experts in few passes over memory: one expert after another, all of its work at once.

The grouped product of `moe.py` carries every number of all experts through each operation in turn,
which on a CPU means through the main memory. Here an expert's rows go up, through the
activation and down before the next expert's turn, and its gradients likewise. The sums are
the same.

Used by `moe.py` on a CPU, in float32, where an expert has enough rows to pay for its own calls.

axes: t tokens, d model width, e routed experts, k experts per token, ff twice the hidden width of
an expert, n assignments (t k) in order of their experts, c rows of one expert
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import _get_current_function_mode_stack

from minids.model.multiply import BF16Linear, OneDNNLinear
from minids.model.routing import Routing


class Way(NamedTuple):
    """How the three products of a linear layer are taken."""

    round: Callable[[Tensor], Tensor]  # what factors go through first
    ahead: Callable[[Tensor, Tensor], Tensor]  # (c, i), (o, i) -> (c, o)
    to_input: Callable[[Tensor, Tensor], Tensor]  # (c, o), (o, i) -> (c, i)
    to_weight: Callable[[Tensor, Tensor], Tensor]  # (c, o), (c, i) -> (o, i)


def _onednn(x: Tensor, w: Tensor) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(x, w, None, "none", [], "")


_PLAIN = Way(lambda x: x, lambda x, w: x @ w.t(), torch.matmul, lambda g, x: g.t() @ x)
_BF16 = _PLAIN._replace(round=Tensor.bfloat16)
_ONEDNN = Way(
    lambda x: x, _onednn, lambda g, w: _onednn(g, w.t()), lambda g, x: _onednn(g.t(), x.t())
)


def way_in_use() -> Way | None:
    """Return the way that `products` asks for here, None if some other mode is at work."""
    modes = _get_current_function_mode_stack()
    if not modes:
        return _PLAIN
    linear = getattr(modes[-1], "linear", None) if len(modes) == 1 else None
    return {OneDNNLinear: _ONEDNN, BF16Linear: _BF16}.get(linear)  # type: ignore[arg-type]


def pays(x: Tensor, gate_up: Tensor, routing: Routing) -> bool:
    """Return whether experts one by one are the faster way: float32 on a CPU, and enough rows."""
    plain = x.device.type == "cpu" and x.dtype == gate_up.dtype == torch.float32
    work = 2 * routing.experts.numel() * gate_up[0].numel()
    return plain and not torch.is_autocast_enabled("cpu") and work >= 4e6 * len(gate_up)


def experts_nearby(x: Tensor, gate_up: Tensor, down: Tensor, routing: Routing, way: Way) -> Tensor:
    """Return what `experts_loop` of moe.py returns; shapes as there."""
    flat = routing.experts.flatten()
    order = flat.argsort(stable=True)
    counts = torch.bincount(flat, minlength=len(down)).tolist()
    weights = routing.weights.flatten().index_select(0, order)
    return _Nearby.apply(x, gate_up, down, weights, order, counts, way)


class _Nearby(torch.autograd.Function):
    """All routed experts as one step of autograd."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        gate_up: Tensor,
        down: Tensor,
        weights: Tensor,
        order: Tensor,
        counts: list[int],
        way: Way,
    ) -> Tensor:
        k = len(order) // len(x)
        source, ups, downs = way.round(x), way.round(gate_up), way.round(down)
        y, kept = x.new_empty(len(order), x.shape[1]), []
        parts = (t.split(counts) for t in (y, order // k, weights))
        for e, (out, token, weight) in enumerate(zip(*parts, strict=True)):
            if len(token):
                rows = source.index_select(0, token)
                hidden = way.ahead(rows, ups[e]).float()
                gate, up = hidden.chunk(2, dim=-1)
                active = F.silu(gate).mul_(up).mul_(weight[:, None])
                out.copy_(way.ahead(way.round(active), downs[e]))
                kept += [rows, hidden]
        ctx.save_for_backward(ups, downs, weights, order, *kept)
        ctx.counts, ctx.way = counts, way
        return _summed(y, order, k)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        ups, downs, weights, order, *kept = ctx.saved_tensors
        way, k = ctx.way, len(order) // len(grads[0])
        g, held = way.round(grads[0].contiguous()), iter(kept)
        dx, dweights = g.new_empty(len(order), g.shape[1], dtype=weights.dtype), weights.clone()
        dups, ddowns = (torch.zeros(w.shape) for w in (ups, downs))
        parts = (t.split(ctx.counts) for t in (dx, dweights, order // k, weights))
        for e, (out, dweight, token, weight) in enumerate(zip(*parts, strict=True)):
            if not len(token):
                continue
            rows, hidden, inward = next(held), next(held), g.index_select(0, token)
            gate, up = hidden.chunk(2, dim=-1)
            opened = F.silu(gate)
            active = opened * up
            dactive = way.to_input(inward, downs[e]).float()
            torch.linalg.vecdot(dactive, active, out=dweight)
            ddowns[e] = way.to_weight(inward, way.round(active.mul_(weight[:, None])))
            dactive = dactive.mul_(weight[:, None])
            dhidden = torch.empty_like(hidden)
            dgate, dup = dhidden.chunk(2, dim=-1)
            torch.mul(dactive, opened, out=dup)
            torch.ops.aten.silu_backward.grad_input(dactive.mul_(up), gate, grad_input=dgate)
            dhidden = way.round(dhidden)
            dups[e] = way.to_weight(dhidden, rows)
            out.copy_(way.to_input(dhidden, ups[e]))
        return _summed(dx, order, k), dups, ddowns, dweights, None, None, None


class _Nearby2(torch.autograd.Function):
    """All routed experts as one step of autograd."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        gate_up: Tensor,
        down: Tensor,
        weights: Tensor,
        token: Tensor,
        counts: list[int],
        way: Way,
    ) -> Tensor:
        source, ups, downs = way.round(x), way.round(gate_up), way.round(down)
        y, kept = x.new_empty(len(token), x.shape[1]), []
        parts = (t.split(counts) for t in (y, token, weights))
        for e, (out, tok, weight) in enumerate(zip(*parts, strict=True)):
            if len(tok):
                rows = source.index_select(0, tok)
                hidden = way.ahead(rows, ups[e]).float()
                gate, up = hidden.chunk(2, dim=-1)
                active = F.silu(gate).mul_(up).mul_(weight[:, None])
                out.copy_(way.ahead(way.round(active), downs[e]))
                kept += [rows, hidden]
        ctx.save_for_backward(ups, downs, weights, token, *kept)
        ctx.counts, ctx.way = counts, way
        return y.new_zeros(x.shape).index_add_(0, token, y)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        ups, downs, weights, token, *kept = ctx.saved_tensors
        way = ctx.way
        g, held = way.round(grads[0].contiguous()), iter(kept)
        dx, dweights = g.new_empty(len(token), g.shape[1], dtype=weights.dtype), weights.clone()
        dups, ddowns = (torch.zeros(w.shape) for w in (ups, downs))
        parts = (t.split(ctx.counts) for t in (dx, dweights, token, weights))
        for e, (out, dweight, tok, weight) in enumerate(zip(*parts, strict=True)):
            if not len(tok):
                continue
            rows, hidden, inward = next(held), next(held), g.index_select(0, tok)
            gate, up = hidden.chunk(2, dim=-1)
            opened = F.silu(gate)
            active = opened * up
            dactive = way.to_input(inward, downs[e]).float()
            torch.linalg.vecdot(dactive, active, out=dweight)
            ddowns[e] = way.to_weight(inward, way.round(active.mul_(weight[:, None])))
            dactive = dactive.mul_(weight[:, None])
            dhidden = torch.empty_like(hidden)
            dgate, dup = dhidden.chunk(2, dim=-1)
            torch.mul(dactive, opened, out=dup)
            torch.ops.aten.silu_backward.grad_input(dactive.mul_(up), gate, grad_input=dgate)
            dhidden = way.round(dhidden)
            dups[e] = way.to_weight(dhidden, rows)
            out.copy_(way.to_input(dhidden, ups[e]))
        return dx.new_zeros(grads[0].shape).index_add_(0, token, dx), dups, ddowns, dweights, None, None, None


def _summed(y: Tensor, order: Tensor, k: int) -> Tensor:
    """Return the sum of each token's k rows, which lie in order of their experts."""
    return y.new_zeros(len(order) // k, y.shape[1]).index_add_(0, order // k, y)
