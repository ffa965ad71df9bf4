"""09.predict: how long devices idle."""

from collections.abc import Iterator
from typing import Any

import torch

from minids.check import Claim, checker, close
from minids.check.answers import numbers_for

_KEYS = ("1F1B", "ZB1P", "DualPipe", "micro-batches")


@checker(
    "09.predict",
    takes=dict,
    hints=(
        "The bubble of each from the report's table; the step is the work plus the bubble.",
        "Work: 48 x (F + B) = 144. Bubbles: 11 x 3, 11 x (3 - 2), 5 x (3 + 2 - 3). In percent of "
        "work + bubble. For the last: 33 / (33 + 3 m) at most 0.1.",
        '"1F1B": 100 * 33 / (33 + 144)',
    ),
)
def claims(attempt: dict[str, Any], g: torch.Generator) -> Iterator[Claim]:
    write = "write numbers, without units. Is every question there?"
    yield numbers_for(attempt, _KEYS, write=write)
    shares = [float(attempt[name]) for name in _KEYS[:3]]
    yield Claim(
        "shares are in percent",
        all(1 < share < 100 for share in shares),
        "19 percent is 19, not 0.19.",
    )
    names = {"1F1B": 33, "ZB1P": 11, "DualPipe": 10}
    hints = {
        "1F1B": "(PP - 1)(F + B) = 33, as a share of the whole step, 144 + 33: not of the work.",
        "ZB1P": "(PP - 1)(F + B - 2W): W counts twice.",
        "DualPipe": "(PP/2 - 1)(F&B + B - 3W): half of the stages, and F&B = 3.",
    }
    for name, bubble in names.items():
        yield Claim(
            f"the idle share of {name}",
            close(float(attempt[name]), 100 * bubble / (bubble + 144), rtol=8e-3),
            hints[name],
        )
    yield Claim(
        "the micro-batches that 1F1B needs",
        attempt["micro-batches"] == 99,
        "the smallest m with 33 / (33 + 3 m) at most 10 %.",
    )
