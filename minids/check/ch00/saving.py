"""00.saving: the share of a cache that is saved, in percent."""

from collections.abc import Iterator

import torch

from minids.check import Attempt, Claim, checker, close
from minids.check.sizes import draw


@checker(
    "00.saving",
    hints=(
        "A cache has a size in bytes: numbers kept, times bits for each, over 8.",
        "new = elements * bits; old = old_elements * old_bits; the 8 cancels.",
        "return 100 * (1 - elements * bits / (old_elements * old_bits))",
    ),
)
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    n, bits = 2 * draw(g, 50, 499) + 1, 2 * draw(g, 1, 7) + 1  # odd: no whole number of bytes
    yield Claim(
        "a cache of the same size saves nothing",
        abs(attempt(n, bits, n, bits)) < 1e-9,
        "100 % of the old size remains, so 0 % is saved: subtract from one.",
    )
    half = attempt(n, bits, 2 * n, bits)
    yield Claim(
        "a smaller cache saves something",
        half > 0,
        "the saving is positive when the new cache is the smaller one: one minus new over old.",
    )
    yield Claim(
        "a cache ten times smaller saves less than all of it",
        attempt(n, bits, 10 * n, bits) < 100,
        "divide by the OLD cache: it is what you compare with.",
    )
    yield Claim(
        "half the numbers at equal bits save 50",
        close(half, 50.0, rtol=0.05),
        "the answer is in percent, so 50 and not 0.5."
        if half < 1
        else "half of the bytes remain: multiply numbers by bits first, and compare after that.",
    )
    yield Claim(
        "half the bits at equal numbers save 50 too",
        close(attempt(n, bits, n, 2 * bits), 50.0, rtol=0.05),
        "bytes are numbers times bits: both caches need their own bits.",
    )
    yield Claim(
        "half the numbers at half the bits save 75",
        close(attempt(n, bits, 2 * n, 2 * bits), 75.0, rtol=0.05),
        "savings do not add up: multiply numbers by bits first, and compare after that.",
    )
    yield Claim(
        "a cache that grew saves less than nothing",
        attempt(2 * n, bits, n, bits) < 0,
        "no abs and no max: where the new cache is larger, the saving is negative.",
    )
    old_n, old_bits = 8 * draw(g, 125, 1249), draw(g, 16, 32)
    expected = 100 * (1 - n * bits / (old_n * old_bits))
    yield Claim(
        "numbers and bits together, to the last digit",
        close(attempt(n, bits, old_n, old_bits), expected, rtol=1e-6),
        "do not round, not even to whole bytes (//): the reader rounds.",
    )
