"""05.yarn: the ramp from pairs that stay to pairs that are slowed."""

from collections.abc import Iterator

import torch
from torch import Tensor

from minids.check import Attempt, Claim, checker, close, shaped
from minids.check.sizes import draw


def _ramp(plain: Tensor, factor: float, low: int, high: int) -> Tensor:
    """YaRN's frequencies, pair by pair."""
    found = []
    for i, f in enumerate(plain.tolist()):
        share = 0.0 if i <= low else 1.0 if i >= high else (i - low) / (high - low)
        found.append(f * (1 - share) + f / factor * share)
    return torch.tensor(found)


@checker(
    "05.yarn",
    hints=(
        "Each pair is a mixture of two frequencies: as it was, and divided by the factor. How much "
        "of each depends on the number of the pair.",
        "share [half] = (index - low) / (high - low), held between 0 and 1; then "
        "plain * (1 - share) + plain / factor * share.",
        "share = ((torch.arange(len(plain)) - low) / max(high - low, 0.001)).clamp(0, 1)",
    ),
)
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    half, factor = draw(g, 12, 30), 2 + 6 * float(torch.rand((), generator=g))
    plain = torch.rand(half, generator=g).sort(descending=True).values + 0.1
    low = draw(g, 1, 3)
    high = low + 2 * draw(g, 2, 3)
    out = attempt(plain, factor, low, high)
    yield shaped(out, (half,), like=plain, what="the tensor of frequencies")
    yield Claim(
        "no pair turns faster than before",
        bool((out <= plain * (1 + 1e-6)).all()),
        "a longer context needs slower pairs: frequencies are divided, and a share of stretching "
        "is never below 0.",
    )
    yield Claim(
        "fast pairs, up to low, turn as before",
        close(out[: low + 1], plain[: low + 1], rtol=1e-5),
        "the first pairs are the fast ones and carry near distances: their share of stretching is "
        "0.",
    )
    yield Claim(
        "slow pairs, from high on, are divided by the factor",
        close(out[high:], plain[high:] / factor, rtol=1e-5),
        "the last pairs are the slow ones: their share is 1, never above and not a little below: "
        "max(high - low, 0.001) adds nothing to a width above 0.",
    )
    middle = (low + high) // 2
    half_way = plain[middle] * (1 + 1 / factor) / 2
    yield Claim(
        "half way up the ramp it is the mean of both frequencies",
        close(out[middle], half_way, rtol=1e-5),
        "the ramp is linear in the number of the pair, and it mixes frequencies, not wavelengths. "
        "Its share is 0 at low and 1 at high, which is high - low steps away.",
    )
    yield Claim(
        "every pair between follows the ramp",
        close(out, _ramp(plain, factor, low, high), rtol=1e-5),
        "the ramp begins at low and ends at high: (index - low) / (high - low).",
    )
    yield Claim(
        "a ramp without a width is a step",
        close(attempt(plain, factor, 4, 4)[[3, 5]], plain[[3, 5]] / torch.tensor([1, factor])),
        "low may equal high: divide by something small instead of 0.",
    )
    yield Claim(
        "a head of a single pair",
        close(attempt(plain[:1], factor, 0, 3), plain[:1], rtol=1e-5),
        "the number of pairs is len(plain), not high.",
    )
