"""08.explain: which errors average out."""

from collections.abc import Iterator
from typing import Any

import torch

from minids.check import Claim, checker
from minids.check.answers import explains, number_entries


@checker(
    "08.explain",
    takes=dict,
    hints=(
        "Errors of both signs cancel in a sum, the more the longer it is. Errors of one sign do "
        "not.",
        "typical(128, exact=True) / typical(4096, exact=True) says how much rounding shrinks; "
        "typical(4096) / typical(128) how much cutting grows.",
        '"rounding shrinks by": about the root of 4096 / 128',
    ),
)
def claims(attempt: dict[str, Any], g: torch.Generator) -> Iterator[Claim]:
    yield number_entries(attempt, "rounding shrinks by", "sums grow by")
    shrinks, grows = attempt["rounding shrinks by"], attempt["sums grow by"]
    yield Claim(
        "both ratios are above 1",
        shrinks > 1 and grows > 1,
        "how many times smaller, how many times larger: both ratios are above 1.",
    )
    yield Claim(
        "rounding of the factors averages out",
        shrinks > 2,
        "errors of both signs cancel: compare the short sums with the long ones, both exact.",
    )
    yield Claim(
        "and it does so like a root",
        4.5 < shrinks < 7.0,
        "32 times as many terms: a sum of independent errors grows by the root of 32, the sum "
        "itself by 32.",
    )
    yield Claim(
        "cutting off the sums does not average out",
        60 < grows < 250,
        "measure with exact=False and positive numbers: the ratio is above 60.",
    )
    yield from explains(
        attempt,
        (shrinks, round(shrinks, 1), 32**0.5),
        (grows, float(round(grows))),
        says="it says how many times both errors change",
        hint="say what has both signs and what has one, with both numbers of your own.",
    )
