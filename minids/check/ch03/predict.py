"""03.predict: in how many ways experts can be chosen."""

import math
from collections.abc import Iterator
from typing import Any

import torch

from minids.check import Claim, checker, close
from minids.check.answers import numbers_for

_PREDICT = {
    "2 of 16": math.comb(16, 2),
    "8 of 64": math.comb(64, 8),
    "7 of 63": math.comb(63, 7),
    "16B, share active": 8 / 66,
}


@checker(
    "03.predict",
    takes=dict,
    hints=(
        "The order in which experts are chosen does not matter, and none is chosen twice.",
        "n! / (k! (n - k)!), which is math.comb(n, k). A token of the 16B model meets 6 + 2 of "
        "64 + 2 experts of one width.",
        '"2 of 16": 16 * 15 / 2',
    ),
)
def claims(attempt: dict[str, Any], g: torch.Generator) -> Iterator[Claim]:
    yield numbers_for(attempt, _PREDICT)
    yield Claim(
        "2 of 16: 120 ways",
        attempt["2 of 16"] == _PREDICT["2 of 16"],
        "16 x 15 ordered pairs; first and second place do not matter: halve them.",
    )
    yield Claim(
        "8 of 64 are far more than four times as many ways as 2 of 16",
        attempt["8 of 64"] > 1000 * 4 * _PREDICT["2 of 16"],
        "cutting each expert in four does not give four times as many ways: ways multiply.",
    )
    yield Claim(
        "8 of 64, exactly",
        attempt["8 of 64"] == _PREDICT["8 of 64"],
        "no expert is chosen twice, and order does not matter: so it is not 64 ** 8.",
    )
    yield Claim(
        "7 of 63, once one expert is shared",
        attempt["7 of 63"] == _PREDICT["7 of 63"],
        "the shared expert is not chosen: it leaves the pool and the choice.",
    )
    yield Claim(
        "the share of its experts that a token of DeepSeekMoE 16B meets",
        close(float(attempt["16B, share active"]), _PREDICT["16B, share active"], rtol=5e-3),
        "shared experts count above and below the line: (6 + 2) / (64 + 2).",
    )
