"""09.bill: hours and dollars of a training run."""

from collections.abc import Iterator

import torch

from minids.check import Attempt, Claim, checker, close
from minids.check.ch09.common import alike, reals


@checker(
    "09.bill",
    hints=(
        "Hours first, then money. Two kinds of hours: those that grow with tokens, and the rest.",
        "thousands of hours: trillions of tokens x khours_per_trillion, plus extra_khours; then "
        "x 1000 hours, x dollars.",
        "return (tokens / 1e12 * khours_per_trillion + extra_khours) * 1000 * per_hour",
    ),
)
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    a, b, c, d = reals(g, 4)
    pretraining = attempt(1e12, 100.0, 0.0, 1.0)
    more = attempt(1e12, 100.0, 40.0, 1.0) - pretraining
    yield Claim(
        "the other stages make the bill larger",
        more > 0,
        "extra_khours are hours as well: of longer context and of post-training.",
    )
    seven = attempt(7e12, 100.0, 40.0, 1.0) - attempt(7e12, 100.0, 0.0, 1.0)
    yield Claim(
        "by as much for seven trillion tokens as for one",
        abs(seven - more) < 0.05 * more,
        "the other stages happen once, however many tokens were read before.",
    )
    yield Claim(
        "three times the price, three times the bill",
        alike(attempt(1e12, 100.0, 0.0, 3 * d), 3 * d * pretraining),
        "hours are no dollars yet: an hour costs per_hour.",
    )
    yield Claim(
        "40K hours at a dollar cost 40,000 dollars",
        close(attempt(0.0, 100.0, 40.0, 1.0), 4e4),
        "khours are thousands of hours, and an hour is what has a price: 1000.",
    )
    yield Claim(
        "the other stages have the same price an hour",
        close(attempt(0.0, 100.0, 40.0, d), 4e4 * d),
        "add all hours up first: the price is for each of them, whatever it was spent on.",
    )
    yield Claim(
        "a trillion tokens at 100K hours and two dollars cost 200,000 dollars",
        close(attempt(1e12, 100.0, 0.0, 2.0), 2e5),
        "tokens are counted one by one (14.8e12), hours for each trillion of them.",
    )
    yield Claim(
        "DeepSeek-V3's bill comes out",
        close(attempt(14.8e12, 180.0, 124.0, 2.0), 5.576e6, rtol=1e-6),
        "180K hours for each of 14.8 trillion tokens, 119K + 5K more, 2 dollars an hour.",
    )
    yield Claim(
        "any other bill, too",
        close(attempt(a * 1e13, 100 * b, 10 * c, d), (a * 1e3 * b + 10 * c) * 1000 * d, rtol=1e-5),
        "nothing of V3's numbers may stand in the function.",
    )
