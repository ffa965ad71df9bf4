"""Matrix products and their gradients, other than torch would carry them out on a CPU.

Each class stands for one operation of torch (a linear layer, a grouped product, attention) with the
same result, exactly or with factors rounded to bf16. `products.py` decides when they are used.
Gradients of gradients are refused: what is saved here would make them wrong.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


def has_onednn() -> bool:
    """Return whether this torch has oneDNN, and the two operations of it that are used here."""
    return (
        torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        and hasattr(torch.ops.aten, "mkldnn_linear_backward_weights")
    )


def _onednn(x: Tensor, w: Tensor) -> Tensor:
    """x @ w.T by oneDNN."""
    return torch.ops.mkldnn._linear_pointwise(x, w, None, "none", [], "")


class OneDNNLinear(torch.autograd.Function):
    """x @ w.T whose three products (output, input gradient, weight gradient) go to oneDNN."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor) -> Tensor:
        ctx.save_for_backward(x, w)
        return _onednn(x, w)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, w = ctx.saved_tensors
        g = grads[0].contiguous()
        dx = _onednn(g, w.t()) if ctx.needs_input_grad[0] else None
        dw = None
        if ctx.needs_input_grad[1]:
            weights = torch.ops.aten.mkldnn_linear_backward_weights
            dw = weights(g.to_mkldnn(), x.contiguous().to_mkldnn(), w, False)[0].to_dense()
        return dx, dw


class BF16Linear(torch.autograd.Function):
    """x @ w.T with both factors rounded to bf16 in all three products."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor) -> Tensor:
        x16, w16 = x.bfloat16(), w.bfloat16()
        ctx.save_for_backward(x16, w16)
        return (x16 @ w16.t()).float()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x16, w16 = ctx.saved_tensors
        g16 = grads[0].bfloat16()
        dx = (g16 @ w16).float() if ctx.needs_input_grad[0] else None
        dw = (g16.t() @ x16).float() if ctx.needs_input_grad[1] else None
        return dx, dw


class BF16Grouped(torch.autograd.Function):
    """`F.grouped_mm` with both factors rounded to bf16 in all three products."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, ends: Tensor) -> Tensor:
        x16, w16 = x.bfloat16(), w.bfloat16()
        ctx.save_for_backward(x16, w16, ends)
        return F.grouped_mm(x16, w16.mT, offs=ends).float()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        x16, w16, ends = ctx.saved_tensors
        g16 = grads[0].bfloat16().contiguous()
        dx, dw = F.grouped_mm(g16, w16, offs=ends), F.grouped_mm(g16.t(), x16, offs=ends)
        return dx.float(), dw.float(), None


class OneDNNGrouped(torch.autograd.Function):
    """`F.grouped_mm`, group by group, all products by oneDNN."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, ends: Tensor) -> Tensor:
        ctx.save_for_backward(x, w)
        ctx.counts = ends.diff(prepend=ends.new_zeros(1)).tolist()
        pairs = zip(x.split(ctx.counts), w, strict=True)
        return torch.cat([_onednn(rows, matrix) for rows, matrix in pairs if len(rows)])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        x, w = ctx.saved_tensors
        dx, dw = torch.empty_like(x), torch.zeros_like(w)
        g, rows, out = (t.split(ctx.counts) for t in (grads[0].contiguous(), x, dx))
        for i, count in enumerate(ctx.counts):
            if count:
                out[i].copy_(_onednn(g[i], w[i].t()))
                dw[i] = _onednn(g[i].t().contiguous(), rows[i].t().contiguous())
        return dx, dw, None


class BF16Attention(torch.autograd.Function):
    """Causal attention of short texts with all scores at once, and every factor in bf16.

    Fewer queries than keys are the last ones; several heads may share a key head. torch's own
    kernel never stores the scores, which pays for long texts; its bf16 version is slower on a CPU
    than its fp32 one.
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        ahead = causal_bias(q, k, torch.bfloat16)
        q16 = _bf16(q * scale).view(-1, len(ahead), q.shape[-1])
        k16, v16 = _bf16(k).flatten(0, 1), _bf16(v).flatten(0, 1)
        weights = torch.baddbmm(ahead, q16, k16.mT).softmax(-1)
        ctx.save_for_backward(q16, k16, v16, weights)
        ctx.scale, ctx.shapes = scale, (q.shape, k.shape, v.shape)
        return (weights @ v16).float().view(*q.shape[:-1], v.shape[-1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        q16, k16, v16, weights = ctx.saved_tensors
        g16 = _bf16(grads[0]).view(*q16.shape[:2], v16.shape[-1])
        inward = g16 @ v16.mT
        dscores = torch._softmax_backward_data(inward, weights, -1, torch.bfloat16)
        found = dscores @ k16, dscores.mT @ q16, weights.mT @ g16
        dq, dk, dv = (x.float().view(s) for x, s in zip(found, ctx.shapes, strict=True))
        return dq.mul_(ctx.scale), dk, dv, None


def causal_bias(q: Tensor, k: Tensor, dtype: torch.dtype) -> Tensor:
    """Return what to add to the scores of all queries to one key head: -inf where a key is ahead.

    A line for each query, head after head of those that share the key head; the queries are the
    last of the tokens that have keys.
    """
    (h, t), (g, s) = q.shape[1:3], k.shape[1:3]
    one_head = torch.full((t, s), -torch.inf, dtype=dtype, device=q.device).triu(s - t + 1)
    return one_head.repeat(h // g, 1)


def _bf16(x: Tensor) -> Tensor:
    return x.to(torch.bfloat16, memory_format=torch.contiguous_format)
