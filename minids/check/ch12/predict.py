"""12.predict: where the hill of a student will stand."""

import math
from collections.abc import Iterator
from typing import Any

import torch

from minids.check import Claim, checker, close
from minids.check.answers import numbers_for

_PREDICT = ("covering mean", "covering width", "seeking mean", "seeking width")


@checker(
    "12.predict",
    takes=dict,
    hints=(
        "The best covering hill has mean and deviation of the whole teacher; the best seeking one "
        "is one of its hills.",
        "mean = 0.75 * -6 + 0.25 * 6; variance = 1.5^2 + the variance of the two means.",
        '"covering width": (1.5**2 + 0.75 * 0.25 * 12**2) ** 0.5',
    ),
)
def claims(attempt: dict[str, Any], g: torch.Generator) -> Iterator[Claim]:
    yield numbers_for(attempt, _PREDICT)
    yield Claim(
        "the covering hill stands between the two of the teacher",
        -5.9 < attempt["covering mean"] < 5.9,
        "not on a hill: whoever must expect everything cannot leave one of them out.",
    )
    yield Claim(
        "it stands at the teacher's mean",
        close(float(attempt["covering mean"]), -3.0, rtol=0.02),
        "not in the middle: 0.75 of the teacher is at -6, 0.25 at 6.",
    )
    yield Claim(
        "and is as wide as both hills together",
        close(float(attempt["covering width"]), math.sqrt(29.25), rtol=0.03),
        "a deviation: the root of the variance within a hill plus the variance of their means, "
        "0.75 * 0.25 * 12^2.",
    )
    yield Claim(
        "the seeking hill stands on one of the teacher's",
        math.isclose(abs(attempt["seeking mean"]), 6.0, rel_tol=0.02),
        "where the teacher gives nothing the seeking student must not go: it picks one hill.",
    )
    yield Claim(
        "and on the larger one",
        attempt["seeking mean"] < 0,
        "both would do for a while: where is most of the teacher, at -6 or at 6?",
    )
    yield Claim(
        "and is as wide as that one",
        close(float(attempt["seeking width"]), 1.5, rtol=0.05),
        "the picked hill itself has a deviation of 1.5.",
    )
