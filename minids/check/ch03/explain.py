"""03.explain: why a router with a constant gate stands still."""

from collections.abc import Iterator
from typing import Any

import torch

from minids.check import Claim, checker, close
from minids.check.answers import number_entries, sentence


@checker(
    "03.explain",
    takes=dict,
    hints=(
        "Write the output as gate times expert, and differentiate the gate by the first logit.",
        "d softmax_1 / d logit_1 = p (1 - p). What is p / p?",
        '"renormalised": 0, because 0.8 / 0.8 is 1 whatever the logits are',
    ),
)
def claims(attempt: dict[str, Any], g: torch.Generator) -> Iterator[Claim]:
    yield number_entries(attempt, "raw", "renormalised", "second gate")
    raw = float(attempt["raw"])
    yield Claim(
        "raw: a larger logit makes the output larger",
        raw > 0,
        "the gate grows with its logit, and the expert returns 3, not -3: which sign is left?",
    )
    yield Claim(
        "raw: the gate is a softmax, which flattens towards 1",
        raw < 3 * 0.8,
        "a softmax does not grow as fast as its logit: differentiate it, dp / dlogit = p (1 - p).",
    )
    yield Claim(
        "raw: what the expert returns is a factor of the slope",
        not close(raw, 0.16, rtol=5e-3),
        "that is the slope of the gate alone, and the output is 3 p.",
    )
    yield Claim(
        "the slope with the raw gate",
        close(raw, 0.48, rtol=5e-3),
        "the other logit shares the softmax: with p = 0.8, p (1 - p) and not p p; times 3.",
    )
    yield Claim(
        "the value of the second gate",
        close(float(attempt["second gate"]), 1.0),
        "one expert is chosen, so the sum of the chosen gates is its own gate: divide by that.",
    )
    yield Claim(
        "the slope with the renormalised gate",
        attempt["renormalised"] == 0,
        "over one expert the gate is p / p: what is its derivative?",
    )
    yield sentence(attempt)
