"""05.wavelength: how often each pair turns in a row."""

import math
from collections.abc import Iterator

import torch

from minids.check import Attempt, Claim, checker, close, shaped
from minids.check.sizes import draw


@checker(
    "05.wavelength",
    hints=(
        "Pair i turns by theta ** (-2i / width) radians at every token; a turn has 2 pi radians.",
        "exponents 0, 2, 4, ... below width, over width: width / 2 frequencies; times length.",
        "return length * theta ** (-torch.arange(0, width, 2) / width) / (2 * math.pi)",
    ),
)
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    width, theta = 2 * draw(g, 4, 20), float(draw(g, 50, 5000))
    length = draw(g, 30, 900)
    out = attempt(width, theta, length)
    yield shaped(out, (width // 2,), what="the tensor of turns")
    yield Claim(
        "a row twice as long has twice the turns",
        torch.allclose(attempt(width, theta, 2 * length), 2 * out, rtol=1e-4, atol=1e-7),
        "turns are length / wavelength, with the whole length, and not rounded; you may have "
        "returned the wavelength.",
    )
    first = float(out[0])
    yield Claim(
        "the fastest pair turns one radian per token, whatever the base",
        close(first, length / (2 * math.pi)),
        "pair 0 has exponent 0, and a turn has 2 pi radians: length / (2 pi) turns.",
    )
    yield Claim(
        "the fastest pair comes first",
        bool((out[:-1] > out[1:]).all()),
        "frequencies fall with the number of the pair: the exponent is negative.",
    )
    yield Claim(
        "a larger base slows the slowest pair",
        float(attempt(width, 4 * theta, length)[-1]) < 0.9 * float(out[-1]),
        "theta is an argument: write no base of your own.",
    )
    ratios = (out[:-1] / out[1:]).double()
    yield Claim(
        "from pair to pair turns fall by theta ** (2 / width)",
        close(ratios, torch.full_like(ratios, theta ** (2 / width))),
        "the exponent of pair i is 2i / width: two numbers make a pair.",
    )
    yield Claim(
        "a head of one pair, a row of one token",
        close(attempt(2, theta, 1), torch.tensor([1 / (2 * math.pi)])),
        "nothing may be divided by width - 2 or length - 1.",
    )
