"""The parts that every block shares: a normalisation, a feed-forward, an initialisation.

On a CPU the time that is not matrix products goes into reading and writing memory. So the two
formulas here are written out once for the reader, and once more, with their gradient, in as few
passes over memory as torch allows. The tests hold the two equal.

axes: b batch, t tokens, d model width, ff twice the feed-forward width; `...` any leading axes
"""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from minids.model.products import Linear

FEW = 8192
"""Numbers up to which calling torch takes longer than computing."""

_ZERO = torch.zeros((), device="cpu")  # addcdiv adds to something; it saves a call all the same


class RMSNorm(nn.Module):
    """Scale every vector to root mean square 1, then by a learned gain (arXiv 1910.07467)."""

    def __init__(self, dim: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.eps = eps
        self._least = torch.tensor(math.sqrt(dim * eps), dtype=torch.float32, device="cpu")

    def forward(self, x: Float[Tensor, "... d"]) -> Float[Tensor, "... d"]:
        """Return `x` normalised over its last axis, in the dtype of `x`."""
        gain = self.weight
        if x.is_cpu and x.dtype == gain.dtype:
            # Without gradients a Function is overhead alone: decoding one token is a fifth faster.
            if torch.is_grad_enabled() and x.dtype in (torch.float32, torch.float64):
                return _RMSNorm.apply(x, gain, self.eps)
            if x.numel() <= FEW and x.dtype == torch.float32:
                return rms_norm_in_few_calls(x, gain, self._least)
        return F.rms_norm(x, gain.shape, gain, self.eps)


def rms_norm_written_out(
    x: Float[Tensor, "... d"], gain: Float[Tensor, " d"], eps: float
) -> Float[Tensor, "... d"]:
    """Return what `RMSNorm` computes, as the formula: x / sqrt(mean(x^2) + eps) * gain."""
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * gain


def rms_norm_in_few_calls(
    x: Float[Tensor, "... d"], gain: Float[Tensor, " d"], least: Float[Tensor, ""]
) -> Float[Tensor, "... d"]:
    """Return what `RMSNorm` computes, in four calls: sqrt(d) x / hypot(norm of x, least) * gain.

    `least` is sqrt(d eps), below which no norm falls: sqrt(norm^2 + d eps) is a hypotenuse.
    """
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    unit = torch.addcdiv(_ZERO, x, torch.hypot(norm, least), value=math.sqrt(x.shape[-1]))
    return unit.mul_(gain)


class _RMSNorm(torch.autograd.Function):
    """RMSNorm with a gradient that reads its inputs once."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, gain: Tensor, eps: float) -> Tensor:
        mean_square = torch.linalg.vecdot(x, x).div_(x.shape[-1])
        inverse = mean_square.add_(eps).rsqrt_()[..., None]
        ctx.save_for_backward(x, gain, inverse)
        return (x * inverse).mul_(gain)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        (g,), (x, gain, inverse) = grads, ctx.saved_tensors
        unit = x * inverse
        width = len(gain)
        dgain = torch.linalg.vecdot(g.reshape(-1, width), unit.reshape(-1, width), dim=0)
        inward = g * gain
        along = torch.linalg.vecdot(inward, unit).div_(x.shape[-1])[..., None]
        return inward.addcmul_(unit, along, value=-1).mul_(inverse), dgain, None


class SwiGLU(nn.Module):
    """The gated feed-forward of Llama and DeepSeek: down(silu(gate(x)) * up(x)).

    `gate_up` holds both input matrices, gate rows first, so that one product serves both
    (arXiv 2002.05202).
    """

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.gate_up = Linear(dim, 2 * hidden, bias=False)
        self.down = Linear(hidden, dim, bias=False)

    def forward(self, x: Float[Tensor, "... d"]) -> Float[Tensor, "... d"]:
        """Return the feed-forward of each token; tokens do not see each other."""
        return self.down(gated_silu(self.gate_up(x)))


def gated_silu(gate_up: Float[Tensor, "... ff"]) -> Float[Tensor, "... ff//2"]:
    """Return silu(gate) * up, where the first half of the last axis is the gate."""
    if torch.compiler.is_compiling():  # a compiler makes few passes of the formula by itself
        return gated_silu_written_out(gate_up)
    if torch.is_grad_enabled():
        return _GatedSiLU.apply(gate_up)
    gate, up = gate_up.chunk(2, dim=-1)
    return F.silu(gate).mul_(up)


def gated_silu_written_out(gate_up: Float[Tensor, "... ff"]) -> Float[Tensor, "... ff//2"]:
    """Return what `gated_silu` computes, as the formula; silu(x) = x / (1 + exp(-x))."""
    gate, up = gate_up.chunk(2, dim=-1)
    return gate * gate.sigmoid() * up


class _GatedSiLU(torch.autograd.Function):
    """The gated activation with a gradient that is written straight into place."""

    @staticmethod
    def forward(ctx: Any, gate_up: Tensor) -> Tensor:
        ctx.save_for_backward(gate_up)
        gate, up = gate_up.chunk(2, dim=-1)
        return F.silu(gate).mul_(up)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (g,), (gate_up,) = grads, ctx.saved_tensors
        gate, up = gate_up.chunk(2, dim=-1)
        out = torch.empty_like(gate_up)
        dgate, dup = out.chunk(2, dim=-1)
        torch.mul(g, F.silu(gate), out=dup)
        torch.ops.aten.silu_backward.grad_input(g * up, gate, grad_input=dgate)
        return out


def init_weights(module: nn.Module, std: float, generator: torch.Generator | None = None) -> None:
    """Draw every matrix of `module` from a normal distribution; gains become 1, biases 0.

    DeepSeek's reports use a standard deviation of 0.006 for every matrix (DeepSeek-V3, 4.2).
    """
    for parameter in module.parameters():
        if parameter.dim() >= 2:
            nn.init.normal_(parameter, std=std, generator=generator)
    for part in module.modules():
        if isinstance(part, RMSNorm):
            nn.init.ones_(part.weight)
        elif isinstance(part, nn.Linear) and part.bias is not None:
            nn.init.zeros_(part.bias)
