"""Rotary positions: a token's queries and keys are turned by angles that grow with its position.

The score of a query and a key then depends on their distance alone (RoFormer, arXiv 2104.09864).
YaRN stretches the slow angles, so that a model reads further than it was trained to.

axes: t tokens, half pairs of numbers that turn together, d = 2 half; `...` any leading axes
"""

import math
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Num
from torch import Tensor

from minids.config import Llama3RopeConfig, YarnConfig


class Rotary(NamedTuple):
    """Cosine and sine of the angle of every pair at every position."""

    cos: Float[Tensor, "*t half"]
    sin: Float[Tensor, "*t half"]


def frequencies(
    width: int, theta: float, scaling: YarnConfig | Llama3RopeConfig | None = None
) -> Float[Tensor, " half"]:
    """Return radians per position of each pair, fastest first: theta ** (-2i / width)."""
    plain = theta ** (-torch.arange(0, width, 2, dtype=torch.float32) / width)
    if scaling is None:
        return plain
    if isinstance(scaling, YarnConfig):
        return yarn(plain, theta, scaling)
    return llama3(plain, scaling)


def interpolate(plain: Float[Tensor, " half"], factor: float) -> Float[Tensor, " half"]:
    """Return every frequency divided by `factor`: linear position interpolation (2306.15595)."""
    return plain / factor


def ntk_aware(width: int, theta: float, factor: float) -> Float[Tensor, " half"]:
    """Return frequencies of a larger base, chosen so that the slowest pair is slowed by `factor`.

    The fastest pair keeps its pace. width must be at least 4. (YaRN, arXiv 2309.00071, 3.1)
    """
    return frequencies(width, theta * factor ** (width / (width - 2)))


def correction_range(width: int, theta: float, c: YarnConfig) -> tuple[int, int]:
    """Return two pairs: YaRN leaves those up to the first alone, and divides from the second on.

    Pair i makes original / (2 pi) * theta ** (-2i / width) turns within the original context.
    The range runs from the pair that makes `beta_fast` turns to the one that makes `beta_slow`:
    10 and 23 for DeepSeek-V2 and V3.
    """

    def pair_with(turns: float) -> float:
        return width * math.log(c.original / (turns * 2 * math.pi)) / (2 * math.log(theta))

    low, high = math.floor(pair_with(c.beta_fast)), math.ceil(pair_with(c.beta_slow))
    return max(low, 0), min(high, width - 1)


def yarn(plain: Float[Tensor, " half"], theta: float, c: YarnConfig) -> Float[Tensor, " half"]:
    """Return YaRN's frequencies: fast pairs as they were, slow ones divided by the factor.

    Between the two a linear ramp over the index of the pair, as in DeepSeek's code; the paper's
    runs over turns (arXiv 2309.00071, 3.2).
    """
    low, high = correction_range(2 * len(plain), theta, c)
    index = torch.arange(len(plain), dtype=torch.float32, device=plain.device)
    stretched = ((index - low) / max(high - low, 0.001)).clamp(0, 1)
    return interpolate(plain, c.factor) * stretched + plain * (1 - stretched)


def llama3(plain: Float[Tensor, " half"], c: Llama3RopeConfig) -> Float[Tensor, " half"]:
    """Return Llama 3.1's frequencies: like YaRN, with a ramp over turns instead of over pairs."""
    turns = c.original * plain / (2 * math.pi)
    kept = ((turns - c.low_freq) / (c.high_freq - c.low_freq)).clamp(0, 1)
    return plain * kept + interpolate(plain, c.factor) * (1 - kept)


def softmax_factor(scaling: YarnConfig | Llama3RopeConfig | None) -> float:
    """Return the factor on all attention scores that goes with a context extension.

    YaRN divides the softmax temperature by (0.1 mscale ln s + 1)^2 so that attention over a
    longer context stays as sharp: 1.5896 for V2, 1.8739 for V3, 1 without YaRN.
    """
    if not isinstance(scaling, YarnConfig) or scaling.factor <= 1:
        return 1.0
    return (0.1 * scaling.mscale * math.log(scaling.factor) + 1.0) ** 2


def rotary(freqs: Float[Tensor, " half"], positions: Num[Tensor, "*t"]) -> Rotary:
    """Return the rotation of every pair at every position, in fp32."""
    angles = positions[..., None].float() * freqs
    return Rotary(angles.cos(), angles.sin())


def rotate_halves(x: Float[Tensor, "*b t d"], r: Rotary) -> Float[Tensor, "*b t d"]:
    """Return `x` turned, number i together with number i + d/2, as DeepSeek LLM has it.

    So has every Llama in Hugging Face's format; Meta's own code pairs neighbours.

    Lengths stay. ValueError unless there are angles for each of the t tokens.
    """
    cos, sin = r.cos.to(x.dtype), r.sin.to(x.dtype)
    if torch.compiler.is_compiling():  # a compiler makes few passes of the formula by itself
        return rotate_halves_written_out(x, Rotary(cos, sin))
    if cos.shape[-2] != x.shape[-2]:
        raise ValueError(f"{x.shape[-2]} tokens and angles for {cos.shape[-2]}: give one for each")
    return _Turn.apply(x, cos, sin)


def rotate_halves_written_out(x: Float[Tensor, "*b t d"], r: Rotary) -> Float[Tensor, "*b t d"]:
    """Return what `rotate_halves` computes, as the formula of a rotation in the plane."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * r.cos - b * r.sin, b * r.cos + a * r.sin], dim=-1)


def rotate_pairs(x: Float[Tensor, "*b t d"], r: Rotary) -> Float[Tensor, "*b t d"]:
    """Return `x` turned, numbers 2i and 2i + 1 together, as DeepSeek-V2 and V3 have it.

    Lengths stay. A pair is a complex number, and turning it is one complex product.
    """
    if x.dtype not in (torch.float32, torch.float64):
        return rotate_pairs_written_out(x, Rotary(r.cos.to(x.dtype), r.sin.to(x.dtype)))
    cos, sin = r if r.cos.dtype == x.dtype else (part.to(x.dtype) for part in r)
    turn = torch.complex(cos, sin)
    pairs = torch.view_as_complex(x.contiguous().view(*x.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * turn).flatten(-2)


def rotate_pairs_written_out(x: Float[Tensor, "*b t d"], r: Rotary) -> Float[Tensor, "*b t d"]:
    """Return what `rotate_pairs` computes, as the formula of a rotation in the plane."""
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack([a * r.cos - b * r.sin, b * r.cos + a * r.sin], dim=-1).flatten(-2)


class _Turn(torch.autograd.Function):
    """A rotation; its gradient is the rotation back. Few passes over memory, as CPUs like it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        out = x.new_empty(x.shape)  # heads apart: passes over it are three times as fast
        (a, b), (to_a, to_b) = x.chunk(2, dim=-1), out.chunk(2, dim=-1)
        torch.mul(a, cos, out=to_a).addcmul_(b, sin, value=-1)
        torch.mul(b, cos, out=to_b).addcmul_(a, sin)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return _Turn.apply(grads[0], cos, -sin), None, None
