"""11.weigh: what a second reward pushes."""

from collections.abc import Iterator
from typing import Any

import torch

from minids.check import Claim, checker
from minids.check.answers import answers_for, explains, is_number

WEIGHED: dict[str, tuple[float, str]] = {
    "right and mixed, accuracy alone": (
        1.0,
        "rewards 1, 1, 0, 0: mean 1/2, deviation 1/2. Nobody looks at the language.",
    ),
    "right and pure, language at 1": (
        0.7 / 0.29**0.5,
        "rewards 2, 1.6, 1, 0.6: mean 1.3, deviation 0.539.",
    ),
    "right and mixed, language at 1": (
        0.3 / 0.29**0.5,
        "1.6 lies 0.3 above the mean of 1.3: a right answer still, and pushed about half as hard.",
    ),
    "wrong and pure, language at 1": (
        -0.3 / 0.29**0.5,
        "its reward is 1, below the mean of the group: good language alone does not pay.",
    ),
    "weight at which wrong and pure equals right and mixed": (
        2.5,
        "1 + 0.6 w = 0 + w.",
    ),
}


@checker(
    "11.weigh",
    takes=dict,
    hints=(
        "First the four rewards, then how many deviations each lies above their mean.",
        "accuracy + w times consistency; mean; population deviation, which divides by 4; "
        "(reward - mean) / deviation.",
        "with w = 1: 2, 1.6, 1, 0.6, mean 1.3, deviation 0.539",
    ),
)
def claims(attempt: dict[str, Any], g: torch.Generator) -> Iterator[Claim]:
    yield answers_for(attempt, (*WEIGHED, "because"))
    for name, (expected, why) in WEIGHED.items():
        told = attempt[name]
        yield Claim(
            f"{name}: the answer is a number",
            is_number(told),
            f"you wrote {told!r}: write a plain number, such as 0.5.",
        )
        yield Claim(f"{name}, within 2 %", bool(abs(told - expected) <= 0.02 * abs(expected)), why)
    why = (
        "from which weight on do wrong answers in one language earn more than right mixed ones? "
        "Write the number in figures, as 0.5."
    )
    yield from explains(attempt, (2.5,), hint=why)
