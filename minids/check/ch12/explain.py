"""12.explain: what verification costs."""

from collections.abc import Iterator
from typing import Any

import torch

from minids.check import Claim, checker, close
from minids.check.answers import explains, number_entries


@checker(
    "12.explain",
    takes=dict,
    hints=(
        "To keep one right answer the teacher writes 1 / 0.4 of them, on average.",
        "raw: 5 to write and 3 to learn. Verified: 5 / 0.4 to write and 3 to learn.",
        '"times": (5 / 0.4 + 3) / (5 + 3)',
    ),
)
def claims(attempt: dict[str, Any], g: torch.Generator) -> Iterator[Claim]:
    yield number_entries(attempt, "written", "times")
    written, times = float(attempt["written"]), float(attempt["times"])
    yield Claim(
        "more answers are written than kept",
        written > 8e5,
        "800,000 are what is left of all that were written, and some were thrown away.",
    )
    yield Claim(
        "how many answers the teacher writes",
        close(written, 2e6, rtol=1e-6),
        "0.4 of all that are written are right, and these are 800,000: divide.",
    )
    yield Claim(
        "it is dearer than raw answers",
        times > 1.01,
        "raw answers are 800,000 as well, right or wrong: nothing is written for nothing there.",
    )
    yield Claim(
        "but not by as much as is written more",
        times < 2.49,
        "thrown away answers are written and not learnt from: only one of the two costs grows.",
    )
    yield Claim(
        "how many times the cost of raw",
        close(times, 1.9375, rtol=5e-3),
        "for each answer that is kept: 5 / 0.4 + 3, against 5 + 3.",
    )
    yield from explains(
        attempt,
        (1_200_000, 1.2),
        says="it says how many answers were thrown away",
        hint="how many answers were written for nothing? Say what was paid for them, and what was "
        "not.",
    )
