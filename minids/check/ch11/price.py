"""11.price: what consistency costs, in standard errors."""

from collections.abc import Iterator

import torch

from minids.check import Attempt, Claim, checker, close
from minids.check.sizes import draw


@checker(
    "11.price",
    hints=(
        "Pair the runs of one seed: they share the base. What does each lose, and is the mean loss "
        "larger than chance makes it?",
        "lost = alone - rewarded, seed by seed; its mean; how many are above 0; and whether |mean| "
        "<= multiple(n - 1) standard errors. A standard error is stdev(lost) by the root of n.",
        "inside = abs(mean) <= multiple(n - 1) * statistics.stdev(lost) / n**0.5",
    ),
)
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    n = draw(g, 3, 5)
    alone = (0.9 + 0.01 * torch.rand(n, generator=g)).tolist()
    lost = (0.2 + 0.1 * torch.rand(n, generator=g)).tolist()
    lost[1], lost[2] = -lost[1] / 10, 0.0
    found = attempt(alone, _less(alone, lost))
    yield Claim(
        "the answer names mean, positive and inside",
        isinstance(found, dict) and set(found) == {"mean", "positive", "inside"},
        'return {"mean": …, "positive": …, "inside": …}.',
    )
    yield Claim(
        "the mean price is what accuracy alone has more",
        close(found["mean"], sum(lost) / n, rtol=1e-6),
        "alone minus rewarded, averaged over the seeds: a price is positive where something is "
        "lost. Do not round it.",
    )
    yield Claim(
        "positive counts the seeds that lose something",
        found["positive"] == n - 2,
        "seed by seed: how many differences are above 0? Not whether the mean is. Whoever is as "
        "good as before loses nothing.",
    )
    level = [0.499, 0.5, 0.502]
    yield Claim(
        "a price of 0.2 in three seeds that are alike is outside",
        not attempt(level, _less(level, [0.2, 0.201, 0.199]))["inside"],
        "inside is True where the size of the mean is at most what chance reaches, and False where "
        "it is more: no number.",
    )
    wide = [0.1, 0.5, 0.9]
    yield Claim(
        "a price of 0.2 in every seed is outside, however unlike the seeds are",
        not attempt(wide, _less(wide, [0.2, 0.201, 0.199]))["inside"],
        "a hard seed is hard for both: the noise is the spread of the differences, and not that of "
        "`alone`.",
    )
    yield Claim(
        "chance reaches 0.248 for prices that spread by 0.1 in three seeds: 0.26 is outside",
        not attempt(wide, _less(wide, [0.16, 0.26, 0.36]))["inside"],
        "a mean of n is steadier than one run: divide the deviation by the root of n.",
    )
    yield Claim(
        "and 0.24 is inside",
        bool(attempt(wide, _less(wide, [0.14, 0.24, 0.34]))["inside"]),
        "three seeds know little of their own noise: multiple(n - 1), which is 4.30 and not 2, "
        "times statistics.stdev and not pstdev, by the root of n and not by n.",
    )
    five, spread = [0.1, 0.5, 0.9, 0.3, 0.7], torch.tensor([-0.2, -0.1, 0.0, 0.1, 0.2])
    far, near = (attempt(five, _less(five, (spread + x).tolist())) for x in (0.25, 0.19))
    yield Claim(
        "five seeds know more: with prices from -0.2 to 0.2 around it 0.25 is outside, 0.19 inside",
        not far["inside"] and bool(near["inside"]),
        "how far chance reaches depends on the number of seeds: multiple(n - 1) with n = "
        "len(alone), which is 2.78 for five.",
    )
    eight = [0.1, 0.5, 0.9, 0.3, 0.7, 0.2, 0.4, 0.6]
    ladder = [0.6 * i / 7 - 0.3 for i in range(8)]
    far, near = (attempt(eight, _less(eight, [x + y for y in ladder])) for x in (0.185, 0.167))
    yield Claim(
        "eight seeds: with prices from -0.3 to 0.3 around it 0.185 is outside, 0.167 inside",
        not far["inside"] and bool(near["inside"]),
        "4.3 and 2.8 are two examples: multiple(n - 1) knows every number of seeds, and says 2.36 "
        "for eight.",
    )
    gains = [-0.5 - 0.01 * i for i in range(n)]  # not all alike: their deviation is above 0
    better = attempt(alone, _less(alone, gains))
    yield Claim(
        "a gain is a negative price, and outside as well",
        better["mean"] < 0 and better["positive"] == 0 and not better["inside"],
        "keep the sign of the mean, and compare its size with the noise.",
    )


def _less(alone: list[float], lost: list[float]) -> list[float]:
    return [a - b for a, b in zip(alone, lost, strict=True)]
