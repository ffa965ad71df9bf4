"""Numbers of eight bits, and matrices cut into blocks that share a scale.

An FP8 number has a sign, four or five bits of exponent and three or two of mantissa. A matrix fits
into so few numbers after a scale has brought its largest entry to the largest FP8 number. The
fewer entries share a scale, the fewer suffer from one that is very large: DeepSeek-V3 gives a
scale to every 1 x 128 tile of activations and every 128 x 128 block of weights (section 3.3.2).

Left out: V3's E5M6, a format of 12 bits for one kind of stored activation (3.3.3); stochastic
rounding.

axes: m rows, n columns, rb and cb blocks along them, r and c rows and columns of a block;
`...` any axes
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

Block = tuple[int, int] | None
"""Rows and columns that share a scale; None: the whole matrix does."""

SIZE = 128
TILE, SQUARE = (1, SIZE), (SIZE, SIZE)  # of activations, and of weights, in DeepSeek-V3
TINY = 1e-30  # stands in for the largest entry of a block of zeros


@dataclass(frozen=True, kw_only=True)
class Format:
    """How the eight bits are spent. Every value and limit follows from these fields.

    With `infinities` the highest exponent means infinity or NaN; without, only its highest
    mantissa means NaN, and the rest are numbers (arXiv 2209.05433).
    """

    name: str
    exponent_bits: int
    mantissa_bits: int
    infinities: bool
    dtype: torch.dtype

    @property
    def bias(self) -> int:
        """What is subtracted from the stored exponent."""
        return 2 ** (self.exponent_bits - 1) - 1

    @property
    def largest(self) -> float:
        """The largest number: 448 of E4M3, 57,344 of E5M2."""
        top = 2**self.exponent_bits - 1 - self.infinities - self.bias
        last = 1 if self.infinities else 2
        return 2.0**top * (2 - last * 2.0**-self.mantissa_bits)

    @property
    def smallest_normal(self) -> float:
        """The smallest number with all its mantissa bits; below it the steps stay equal."""
        return 2.0 ** (1 - self.bias)

    @property
    def smallest(self) -> float:
        """The smallest number above zero: one step of the subnormal ones."""
        return self.smallest_normal * 2.0**-self.mantissa_bits

    def value(self, code: int) -> float:
        """Return the number that a byte stands for, by the definition."""
        if not 0 <= code < 256:
            raise ValueError(f"a code is one byte, 0 to 255; got {code}")
        exponent, mantissa = divmod(code & 127, 2**self.mantissa_bits)
        sign = -1.0 if code & 128 else 1.0
        if exponent == 2**self.exponent_bits - 1:
            if self.infinities:
                return sign * float("nan" if mantissa else "inf")
            if mantissa == 2**self.mantissa_bits - 1:
                return float("nan")
        share = mantissa * 2.0**-self.mantissa_bits
        if exponent == 0:
            return sign * share * self.smallest_normal
        return sign * (1 + share) * 2.0 ** (exponent - self.bias)


E4M3 = Format(
    name="E4M3", exponent_bits=4, mantissa_bits=3, infinities=False, dtype=torch.float8_e4m3fn
)
E5M2 = Format(
    name="E5M2", exponent_bits=5, mantissa_bits=2, infinities=True, dtype=torch.float8_e5m2
)


class Quantised(NamedTuple):
    """A matrix in FP8, and the factor of each of its blocks."""

    numbers: Float[Tensor, "m n"]  # of an FP8 type
    scale: Float[Tensor, "rb cb"]  # float32


def encode(x: Float[Tensor, "*any"], form: Format = E4M3) -> Float[Tensor, "*any"]:
    """Return the FP8 numbers nearest to `x`, ties to the even one; what is too large saturates.

    torch's own conversion makes infinity, NaN or 448 of it, by format and version: hence the clamp.
    """
    return x.float().clamp(-form.largest, form.largest).to(form.dtype)


def nearest(x: Float[Tensor, "*any"], form: Format = E4M3) -> Float[Tensor, "*any"]:
    """Return the values of `encode(x)` in float32, without a detour through FP8: it is faster.

    The power of two below |x| says how far apart FP8 numbers lie there. Adding 1.5 x 2^23 such
    steps leaves float32 no room for more than whole steps, so it rounds, to even; then subtract.
    """
    x = x.float().clamp(-form.largest, form.largest)
    power = (x.view(torch.int32) & 0x7F800000).view(torch.float32)
    big = power.clamp_min_(form.smallest_normal).mul_(1.5 * 2.0 ** (23 - form.mantissa_bits))
    return (x + big).sub_(big)


def block_scales(
    x: Float[Tensor, "m n"],
    block: Block,
    form: Format = E4M3,
    *,
    power_of_two: bool = False,
    floor: float = TINY,
) -> Float[Tensor, "rb cb"]:
    """Return what each block is divided by: its largest magnitude over the largest FP8 number.

    Blocks at the lower and right edge may be smaller. `power_of_two` rounds scales up to the next
    power of two, which takes eight bits (ue8m0) and multiplies without an error. A block of
    zeros counts as `floor`; DeepSeek's inference code takes 1e-4, too much for gradients.
    """
    return _scales(_cut(x.float(), block), form, power_of_two, floor)


def quantise(
    x: Float[Tensor, "m n"],
    block: Block,
    form: Format = E4M3,
    *,
    power_of_two: bool = False,
    floor: float = TINY,
) -> Quantised:
    """Return `x` in FP8, each block with its own scale, found from `x` as it is (online)."""
    blocks = _cut(x.float(), block)
    scale = _scales(blocks, form, power_of_two, floor)
    return Quantised(_join(encode(blocks / scale[:, None, :, None], form), x.shape), scale)


def dequantise(
    numbers: Float[Tensor, "m n"], scale: Float[Tensor, "rb cb"], block: Block
) -> Float[Tensor, "m n"]:
    """Return FP8 numbers times the scale of their block, in float32."""
    blocks = _cut(numbers.float(), block)
    if scale.shape != (blocks.shape[0], blocks.shape[2]):
        raise ValueError(
            f"scales {tuple(scale.shape)} do not fit a matrix {tuple(numbers.shape)} in blocks "
            f"{block}: {blocks.shape[0]} x {blocks.shape[2]} were expected"
        )
    return _join(blocks * scale.float()[:, None, :, None], numbers.shape)


def through_fp8(
    x: Float[Tensor, "m n"],
    block: Block,
    form: Format = E4M3,
    *,
    power_of_two: bool = False,
) -> Float[Tensor, "m n"]:
    """Return what is left of `x` after `quantise` and `dequantise`, in one go: the simulation."""
    blocks = _cut(x.float(), block)
    scale = _scales(blocks, form, power_of_two, TINY)[:, None, :, None]
    return _join(nearest(blocks / scale, form).mul_(scale), x.shape)


def _cut(x: Float[Tensor, "m n"], block: Block) -> Float[Tensor, "rb r cb c"]:
    """A matrix as blocks, filled up with zeros at its lower and right edge."""
    r, c = block or x.shape
    if min(r, c) < 1:
        raise ValueError(f"a block has at least one row and one column, got {block}")
    below, right = -x.shape[0] % r, -x.shape[1] % c
    if below or right:
        x = F.pad(x, (0, right, 0, below))
    return rearrange(x, "(rb r) (cb c) -> rb r cb c", r=r, c=c)


def _join(blocks: Float[Tensor, "rb r cb c"], shape: torch.Size) -> Float[Tensor, "m n"]:
    whole = rearrange(blocks, "rb r cb c -> (rb r) (cb c)")
    return whole[: shape[0], : shape[1]]


def _scales(
    blocks: Float[Tensor, "rb r cb c"], form: Format, power_of_two: bool, floor: float
) -> Float[Tensor, "rb cb"]:
    scale = blocks.abs().amax((1, 3)).clamp_min(floor) / form.largest
    if not power_of_two:
        return scale
    mantissa, exponent = torch.frexp(scale)  # scale = mantissa x 2^exponent, mantissa from 0.5
    return torch.ldexp(torch.ones_like(scale), exponent - (mantissa == 0.5).int())
