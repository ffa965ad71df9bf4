"""08.products: the three products of a layer in eight bits."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from minids.check import Attempt, Claim, checker, close, shaped


def _mark(matrix: Tensor, block: tuple[int, int]) -> Tensor:
    """A rounding that leaves a mark of the axes along which a block lies.

    A matrix and its transpose, each in tiles along the same axis, have the same mark: the axes of
    the exercise are known by their lengths.
    """
    along = sum(math.log2(side) * n for side, n in zip(block, matrix.shape, strict=True))
    return matrix * (1 + 1e-3 * along)


@checker(
    "08.products",
    hints=(
        "Three products, six factors, each through q. Which axis is summed over decides the tile.",
        "y sums over inputs: x in (1, 128), w in (128, 128). dx sums over outputs: g in (1, 128), "
        "the same w. dw sums over tokens: g and the kept x in (128, 1).",
        "dw = q(g, (128, 1)).T @ q(x8, (128, 1)), with x8 = q(x, (1, 128))",
    ),
)
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    x, w, up = (torch.randn(*s, generator=g) for s in ((11, 5), (7, 5), (11, 7)))
    tile, column, square = (1, 128), (128, 1), (128, 128)
    out = attempt(x, w, up, _mark)
    y, dx, dw = out if isinstance(out, tuple | list) and len(out) == 3 else (out, out, out)
    yield shaped(y, (11, 7), like=x, what="the output")
    yield shaped(dx, (11, 5), like=x, what="the gradient of x")
    yield shaped(dw, (7, 5), like=x, what="the gradient of w")
    plain = attempt(x, w, up, lambda matrix, block: matrix)
    yield Claim(
        "without rounding these are the output and the gradients of a linear layer",
        close(plain[0], x @ w.T) and close(plain[1], up @ w) and close(plain[2], up.T @ x),
        "y = x wᵀ, dx = g w, dw = gᵀ x.",
    )
    x8, w8 = _mark(x, tile), _mark(w, square)
    yield Claim(
        "the output is made of x in tiles and w in blocks",
        close(y, x8 @ w8.T, rtol=1e-5),
        "x in (1, 128): 128 channels of a token share a scale; w in (128, 128). The product itself "
        "is not rounded.",
    )
    yield Claim(
        "the gradient of x is made of g in tiles and the same w",
        close(dx, _mark(up, tile) @ w8, rtol=1e-5),
        "g in (1, 128), along the outputs, which are summed over; w as in the output.",
    )
    yield Claim(
        "the gradient of w is made of g and the kept x in tiles along the tokens",
        close(dw, _mark(up, column).T @ _mark(x8, column), rtol=1e-5),
        "tokens are summed over here, so both tiles turn to (128, 1); of x only the rounded copy "
        "was kept, and it is rounded again; g is there unrounded: round it once.",
    )
    small = [m[:1] for m in (x, w, up)]
    got = attempt(small[0], small[1], small[2][:, :1], _mark)
    yield Claim(
        "one token and one output work too",
        tuple(got[0].shape) == (1, 1) and tuple(got[2].shape) == (1, 5),
        "no squeeze: a matrix of one row stays a matrix.",
    )
