"""01.predict: six numbers, and the reason for one."""

import math
from collections.abc import Iterator
from typing import Any

import torch

from minids.check import Claim, checker, close
from minids.check.answers import answers_for, explains, is_number

_BLOCK = 4 * 4096**2 + 3 * 4096 * 11008 + 2 * 4096

PREDICTED: dict[str, tuple[float, str]] = {
    "first loss": (
        math.log(102_400),
        "before training every token is as likely as every other: ln(vocab), in nats.",
    ),
    "length": (
        64.0,
        "the root mean square is 1, so the squares sum to the width: the length is its root.",
    ),
    "bits per byte": (
        2 / math.log(2) / 3,
        "divide by ln 2 for bits, and by the bytes that a token stands for.",
    ),
    "block": (
        float(_BLOCK),
        "four square matrices of attention, three of the feed-forward, two norms.",
    ),
    "learning rate": (10_000**-0.1250, "the rate falls with the budget, to the power -0.125."),
    "batch": (10_000**0.3271, "the batch grows with the budget, to the power 0.3271."),
}


@checker(
    "01.predict",
    takes=dict,
    hints=(
        "None of the six needs a computer with more than a logarithm and a root.",
        "ln of the vocabulary; root of the width; nats over ln 2 over bytes; 4 d d + 3 d h + 2 d; "
        "the factor to the power of the exponent, twice.",
        "bits = 2 / math.log(2) / 3",
    ),
)
def claims(attempt: dict[str, Any], g: torch.Generator) -> Iterator[Claim]:
    yield answers_for(attempt, (*PREDICTED, "because"), says="all six have an answer, and a reason")
    for name, (expected, why) in PREDICTED.items():
        said = attempt[name]
        yield Claim(
            f"{name}: the answer is a number",
            is_number(said),
            f"you wrote {said!r}: write a plain number.",
        )
        yield Claim(f"{name}: within one percent", close(float(said), expected, rtol=0.01), why)
    why = "say how large the first loss has to be, and what a first loss far below it would mean."
    ways = PREDICTED["first loss"][0], float(attempt["first loss"])
    yield from explains(attempt, ways, hint=why)
