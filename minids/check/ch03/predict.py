"""03.predict: in how many ways experts can be chosen."""

import math
from collections.abc import Iterator
from typing import Any

import torch

from minids.check import Claim, checker, close
from minids.check.answers import numbers_for

_PREDICT = {
    "3 of 24": math.comb(24, 3),
    "12 of 96": math.comb(96, 12),
    "11 of 95": math.comb(95, 11),
    "16B, share active": 8 / 66,
}


@checker(
    "03.predict",
    takes=dict,
    hints=(
        "The order in which experts are chosen does not matter, and none is chosen twice.",
        "n! / (k! (n - k)!), which is math.comb(n, k). A token of the 16B model meets 6 + 2 of "
        "64 + 2 experts of one width.",
        '"3 of 24": 24 * 23 * 22 / 6',
    ),
)
def claims(attempt: dict[str, Any], g: torch.Generator) -> Iterator[Claim]:
    yield numbers_for(attempt, _PREDICT)

    def exactly(name: str, otherwise: str) -> Claim:
        near = abs(attempt[name] - _PREDICT[name]) < 1e-2 * _PREDICT[name]
        hint = (
            f"exactly is a whole number, and {attempt[name]!r} is near it: math.comb, or // for /."
        )
        return Claim(
            f"{name}, exactly", attempt[name] == _PREDICT[name], hint if near else otherwise
        )

    yield Claim(
        "3 of 24: 2,024 ways",
        attempt["3 of 24"] == _PREDICT["3 of 24"],
        "24 x 23 x 22 in order; each choice was counted in all 6 orders of its three.",
    )
    yield Claim(
        "12 of 96 are far more than four times as many ways as 3 of 24",
        attempt["12 of 96"] > 1000 * 4 * _PREDICT["3 of 24"],
        "cutting each expert in four does not give four times as many ways: ways multiply.",
    )
    yield exactly(
        "12 of 96",
        "no expert is chosen twice, and order does not matter: so it is not 96 ** 12.",
    )
    yield exactly(
        "11 of 95",
        "the shared expert is not chosen: it leaves the pool and the choice.",
    )
    yield Claim(
        "the share of its experts that a token of DeepSeekMoE 16B meets",
        close(float(attempt["16B, share active"]), _PREDICT["16B, share active"], rtol=0.015),
        "a share, 0 to 1; shared experts count above and below the line: (6 + 2) / (64 + 2).",
    )
