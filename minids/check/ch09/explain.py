"""09.explain: which of the published figures is too good."""

import math
from collections.abc import Iterator
from typing import Any

import torch

from minids.check import Claim, checker
from minids.check.answers import explains, number_entries


@checker(
    "09.explain",
    takes=dict,
    hints=(
        "Useful operations over what the cards could have done. Which parameters work for a token?",
        "6 x parameters x tokens / (hours x 3600 x peak), once with 671e9, once with 37e9.",
        '"claimed": 6 * 671e9 * 14.8e12 / (2664e3 * 3600 * 989.5e12)',
    ),
)
def claims(attempt: dict[str, Any], g: torch.Generator) -> Iterator[Claim]:
    seconds = 2664e3 * 3600 * 989.5e12
    yield number_entries(attempt, "claimed", "activated")
    claimed, activated = float(attempt["claimed"]), float(attempt["activated"])
    all_of_them, by_token = (6 * n * 14.8e12 / seconds for n in (671e9, 37e9))

    def is_times(factor: float) -> bool:
        """Whether both shares are so many times what they should be."""
        pairs = ((claimed, all_of_them), (activated, by_token))
        return all(math.isclose(x, factor * y, rel_tol=0.01) for x, y in pairs)

    yield Claim(
        "the two shares are as far apart as 671 and 37",
        math.isclose(37 * claimed, 671 * activated, rel_tol=0.02),
        "do the same division twice: once with 671e9 parameters, once with 37e9.",
    )
    yield Claim(
        "what tokens really meet is done in less than all of the time",
        0 < activated < 1,
        "a share of the peak, so 0.5 is 50 percent. The peak is of a second: an hour has 3600.",
    )
    yield Claim(
        "six operations for each parameter and token",
        not is_times(1 / 3),
        "forward takes two operations, a product and a sum; backward takes twice as many again.",
    )
    yield Claim(
        "the peak is that of BF16",
        not is_times(1 / 2),
        "989.5e12 operations a second, as the blog says: FP8's peak is twice that.",
    )
    yield Claim(
        "the hours are those in which tokens were read",
        not is_times(2664 / 2788),
        "pre-training took 2664e3 hours; the bill has hours of other stages as well.",
    )
    yield Claim(
        "both shares, within a percent",
        is_times(1),
        "6 x parameters x tokens / (hours x 3600 x peak): 14.8e12 tokens, 2664e3 hours.",
    )
    yield from explains(
        attempt,
        (671, 671e9),
        (37, 37e9),
        says="it says what the 671 billion and the 37 billion are",
        hint="name both numbers of parameters: which lie in memory, and which work for a token?",
    )
