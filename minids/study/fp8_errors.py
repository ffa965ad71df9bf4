"""How much rounding to FP8 costs, by how large an outlier is and who shares a scale with it.

Errors are relative: root mean square of what changed over root mean square of what was there. The
outliers themselves do not count: they are always rounded well, and would hide all others.

Left out: outliers of trained models, which this only imitates.

axes: m rows (tokens), n columns (channels), k terms of a sum
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from minids.model.fp8_formats import E4M3, E5M2, Block, Format, nearest, through_fp8
from minids.model.fp8_gemm import limited_product

Rounding = Callable[[Tensor], Tensor]


class Planted(NamedTuple):
    """A random matrix with outliers, and where they are."""

    x: Float[Tensor, "m n"]
    outlier: Bool[Tensor, "m n"]


def planted(
    size: float, where: str = "entry", *, rows: int = 64, columns: int = 512, seed: int = 0
) -> Planted:
    """Return normal numbers with outliers of `size`: one entry, one token or one channel.

    The signs of the outliers are those of the numbers they replace.
    """
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, columns, generator=g)
    outlier = torch.zeros_like(x, dtype=torch.bool)
    row, column = rows // 2, columns // 3
    places = {
        "entry": (slice(row, row + 1), slice(column, column + 1)),
        "token": (slice(row, row + 1), slice(None)),
        "channel": (slice(None), slice(column, column + 1)),
    }
    if where not in places:
        raise ValueError(f"where={where!r} is none of {', '.join(places)}")
    outlier[places[where]] = True
    return Planted(torch.where(outlier, size * x.sign(), x), outlier)


def error_of_the_rest(rounding: Rounding, p: Planted) -> float:
    """Return the relative error of all entries but the outliers."""
    rest = ~p.outlier
    off = (rounding(p.x) - p.x)[rest]
    return float(off.double().norm() / p.x[rest].double().norm())


def fp8(block: Block, form: Format = E4M3) -> Rounding:
    """Return a rounding to FP8 with a scale for every block."""
    return lambda x: through_fp8(x, block, form)


def int8(x: Float[Tensor, "m n"]) -> Float[Tensor, "m n"]:
    """Return `x` as 8-bit whole numbers with one scale: equal steps, from -127 to 127."""
    scale = x.abs().max() / 127
    return (x / scale).round() * scale


WAYS: dict[str, Rounding] = {
    "INT8, one scale": int8,
    "E4M3, one scale": fp8(None),
    "E5M2, one scale": fp8(None, E5M2),
    "E4M3, 1 x 128 tiles": fp8((1, 128)),
}


def by_size(
    sizes: Sequence[float], where: str = "entry", *, seed: int = 0
) -> dict[str, list[float]]:
    """Return for every way the errors of the rest, by the size of the outliers."""
    inputs = [planted(size, where, seed=seed) for size in sizes]
    return {name: [error_of_the_rest(way, p) for p in inputs] for name, way in WAYS.items()}


class SumError(NamedTuple):
    """How far sums are off, relative to the root mean square of the exact ones."""

    largest: float
    typical: float  # root mean square


def sum_error(
    k: int,
    *,
    positive: bool = False,
    promote: int | None = None,
    seed: int = 0,
    rows: int = 64,
    exact: bool = False,
) -> SumError:
    """Return the error of a product of two random matrices with 14-bit sums of `k` terms.

    Factors are FP8 numbers from the start, so that only sums are inexact. With `exact` sums are
    exact, and the error is that of rounding the factors. `positive` draws from 0 to 1 instead of
    from a normal distribution.
    """
    g = torch.Generator().manual_seed(seed)
    draw = torch.rand if positive else torch.randn
    a, b = (draw(rows, k, generator=g) for _ in range(2))
    if exact:
        truth = a.double() @ b.double().T
        got = nearest(a).double() @ nearest(b).double().T
    else:
        a, b = nearest(a), nearest(b)
        truth, got = a.double() @ b.double().T, limited_product(a, b, promote=promote)
    off, size = (got - truth).abs(), truth.square().mean().sqrt()
    return SumError(float(off.max() / size), float(off.square().mean().sqrt() / size))
