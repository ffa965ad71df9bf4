"""A matrix product of FP8 factors: how exactly the sums are kept, simulated and real.

A tensor core of the H800 multiplies 32 pairs at a time and adds the products to what it has so
far. It first shifts all of them to the exponent of the largest, and keeps about 14 bits
(DeepSeek-V3, 3.3.2 and 3.5.2). Behind a large sum small products lose their last bits, or all.
V3 therefore takes the sum out every 128 products and adds it up in fp32: promotion.

The report leaves details open. Here what lies beyond the 14 bits is cut off, towards zero, and
the sum so far is shifted together with the products.

axes: m and n rows of the two factors, k the axis that is summed over, s terms of one step,
rb, cb, kb blocks
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from minids.model.fp8_formats import SIZE, SQUARE, TILE, Block, Format, Quantised, quantise

BITS = 14  # of a sum inside a tensor core of the H800
STEP = 32  # products that are added at a time


def cut_sum(terms: Float[Tensor, "m n s"], bits: int = BITS) -> Float[Tensor, "m n"]:
    """Return the sum over the last axis as a tensor core forms it: fixed point, `bits` wide.

    The largest term decides what the last bit is worth; what lies below is cut off each term,
    and off the sum.
    """
    total = _cut_off(terms, terms.abs().amax(-1, keepdim=True), bits).sum(-1)
    return _cut_off(total, total, bits)


def limited_product(
    a: Float[Tensor, "m k"],
    b: Float[Tensor, "n k"],
    *,
    bits: int = BITS,
    promote: int | None = None,
) -> Float[Tensor, "m n"]:
    """Return a b^T with sums of so many bits; every `promote` terms the sum moves on to fp32.

    A small matrix takes a large one's time: all products of a step are written out.
    """
    if promote is not None and (promote < STEP or promote % STEP):
        raise ValueError(f"promote={promote}: a sum can be taken out every {STEP}, 64, 96 … terms")
    total = a.new_zeros(len(a), len(b))
    inside = torch.zeros_like(total)
    for start in range(0, a.shape[1], STEP):
        if promote and start and start % promote == 0:
            total, inside = total + inside, torch.zeros_like(total)
        products = a[:, None, start : start + STEP] * b[None, :, start : start + STEP]
        inside = cut_sum(torch.cat([products, inside[..., None]], dim=-1), bits)
    return total + inside


def tiled_product(
    a: Quantised,
    b: Quantised,
    *,
    block_a: tuple[int, int],
    block_b: tuple[int, int],
    bits: int | None = None,
) -> Float[Tensor, "m n"]:
    """Return a b^T block by block along k: a partial product, times both scales, added in fp32.

    This is how V3's kernels do it, so that scales cost one multiplication per partial sum.
    `bits` limits the partial sums; None keeps them exact to fp32.
    """
    size = block_a[1]
    if size != block_b[1]:
        raise ValueError(f"blocks {block_a} and {block_b} differ along the axis of the sum")
    m, n = len(a.numbers), len(b.numbers)
    of_a, of_b = _by_row(a.scale, block_a[0], m), _by_row(b.scale, block_b[0], n)
    total = torch.zeros(m, n, device=a.scale.device)
    for i, start in enumerate(range(0, a.numbers.shape[1], size)):
        left, right = (x.numbers[:, start : start + size].float() for x in (a, b))
        part = left @ right.T if bits is None else limited_product(left, right, bits=bits)
        total += part * of_a[:, i, None] * of_b[None, :, i]
    return total


def has_fp8(device: torch.device | str, block: Block) -> bool:
    """Return whether `real_product` runs there: a GPU with FP8, and torch 2.10 or later.

    Scales for 1 x 128 entries need a Hopper GPU (H100, H200, H800), one scale for a matrix any
    GPU from Ada on; other tiles are always simulated.
    """
    device = torch.device(device)
    if device.type != "cuda" or not hasattr(F, "scaled_mm") or torch.version.hip is not None:
        return False
    if block not in (None, TILE):
        return False
    capability = torch.cuda.get_device_capability(device)
    return capability >= (8, 9) if block is None else capability == (9, 0)


def real_product(
    a: Float[Tensor, "m k"],
    b: Float[Tensor, "n k"],
    *,
    block_a: Block,
    block_b: Block,
    form_a: Format,
    form_b: Format,
    power_of_two: bool = False,
) -> Float[Tensor, "m n"]:
    """Return a b^T with both factors in FP8, by `torch.nn.functional.scaled_mm`, in float32.

    Sides are filled up with zeros to multiples of 128. The library promotes sums, as V3 does.
    """
    recipes = {None: "TensorWise", TILE: "BlockWise1x128", SQUARE: "BlockWise128x128"}
    if block_a not in (None, TILE) or block_b not in recipes:
        raise ValueError(f"scaled_mm knows tiles of 1 x {SIZE} for a, not {block_a} and {block_b}")
    kinds = [getattr(F.ScalingType, recipes[block]) for block in (block_a, block_b)]
    m, n = len(a), len(b)
    left = quantise(_filled(a), block_a, form_a, power_of_two=power_of_two)
    right = quantise(_filled(b), block_b, form_b, power_of_two=power_of_two)
    scales = [_laid_out(q.scale, block) for q, block in ((left, block_a), (right, block_b))]
    out = F.scaled_mm(
        left.numbers.contiguous(),
        right.numbers.contiguous().t(),
        scales[0],
        kinds[0],
        scales[1],
        kinds[1],
        output_dtype=torch.float32,
    )
    return out[:m, :n]


def _cut_off(x: Tensor, largest: Tensor, bits: int) -> Tensor:
    """Whole steps of `x`, towards zero, where a step is the last of the `bits` of `largest`."""
    _, exponent = torch.frexp(largest)
    least = exponent.new_tensor(-149)  # of a step that float32 can hold
    step = torch.ldexp(torch.ones_like(exponent, dtype=x.dtype), (exponent - bits).maximum(least))
    return (x / step).trunc() * step


def _by_row(scale: Float[Tensor, "rb kb"], rows: int, m: int) -> Float[Tensor, "m kb"]:
    """The scale of every row."""
    return scale.repeat_interleave(rows, 0)[:m]


def _filled(x: Tensor) -> Tensor:
    return F.pad(x, (0, -x.shape[1] % SIZE, 0, -x.shape[0] % SIZE))


def _laid_out(scale: Float[Tensor, "rb kb"], block: Block) -> Tensor:
    """Scales as scaled_mm reads them: along the rows first; of squares, k in fours and first."""
    if block is None:
        return scale.reshape(())
    if block == SQUARE:
        return F.pad(scale, (0, -scale.shape[1] % 4)).t()
    return scale.t().contiguous().t()
