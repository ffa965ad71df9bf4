"""10.predict: when a group teaches."""

from collections.abc import Iterator
from typing import Any

import torch

from minids.check import Claim, checker, close
from minids.check.answers import answers_for, explains, is_number

SILENT = {
    "silent at 0.5": (
        2 * 0.5**8,
        "all eight right is silent as well as all eight wrong; as a share: one percent is 0.01.",
    ),
    "silent at 0.01": (0.99**8 + 0.01**8, "all eight are wrong with a chance of 0.99 to the 8."),
    "silent at 0.99": (0.99**8 + 0.01**8, "what is nearly always right teaches no more than that."),
}


@checker(
    "10.predict",
    takes=dict,
    hints=(
        "A group is silent if all of its answers are right, or all are wrong.",
        "silent = p ** 8 + (1 - p) ** 8; the group that is needed: the first g with "
        "p ** g + (1 - p) ** g at most one half.",
        "math.ceil(math.log(0.5) / math.log(0.99))",
    ),
)
def claims(attempt: dict[str, Any], g: torch.Generator) -> Iterator[Claim]:
    yield answers_for(attempt, (*SILENT, "answers needed at 0.01", "because"))
    yield Claim(
        "no share of groups is above 1",
        not any(is_number(attempt[name]) and attempt[name] > 1 for name in SILENT),
        "half of all groups is 0.5, not 50.",
    )
    for name, (share, why) in SILENT.items():
        said = attempt[name]
        yield Claim(f"{name}: the answer is a number", is_number(said), f"you wrote {said!r}.")
        yield Claim(f"{name}: within one percent", close(float(said), share, rtol=0.01), why)
    yield Claim(
        "the smallest group of which half is not silent",
        attempt["answers needed at 0.01"] == 69,
        "how often must 0.99 be multiplied with itself until at most one half is left?",
    )
    why = (
        "which share of groups teaches nothing at 0.01, and what has a base to be able to do? "
        "Write the share in figures, as 0.5 or 50 %."
    )
    yield from explains(attempt, (0.99**8, 100 * 0.99**8), hint=why)
