"""05.predict: what moves when one setting of YaRN is changed."""

from collections.abc import Iterator
from typing import Any

import torch

from minids.check import Claim, checker
from minids.check.answers import what_moves

PREDICTED: dict[str, tuple[frozenset[str], str]] = {
    "twice the factor": (
        frozenset({"temperature"}),
        "which pairs are slow depends on the trained context alone; how much they are slowed, and "
        "the temperature, on the factor.",
    ),
    "twice the trained context": (
        frozenset({"low", "high"}),
        "every pair makes twice the turns, so both bounds move to slower pairs.",
    ),
    "beta 16 instead of 32": (
        frozenset({"low"}),
        "beta says how many turns leave a pair alone: the lower bound.",
    ),
    "alpha 2 instead of 1": (
        frozenset({"high"}),
        "alpha says at how few turns a pair is stretched in full: the upper bound.",
    ),
    "base 100,000 instead of 10,000": (
        frozenset({"low", "high"}),
        "a larger base slows all pairs but the first: fewer of them make so many turns.",
    ),
    "mscale 0.707 instead of 1": (
        frozenset({"temperature"}),
        "mscale is the slope of the temperature; frequencies do not know it.",
    ),
}


@checker(
    "05.predict",
    takes=dict,
    hints=(
        "Ask where each setting occurs: in the turns of a pair, in a bound on turns, or in the "
        "logarithm of the temperature.",
        "turns = context / (2 pi) * base ** (-2i / width); low is where they are beta, high where "
        "they are alpha; temperature = (0.1 mscale ln factor + 1) squared.",
        "correction_range(64, 1e4, YarnConfig(...)) and softmax_factor(YarnConfig(...)) answer.",
    ),
)
def claims(attempt: dict[str, Any], g: torch.Generator) -> Iterator[Claim]:
    yield from what_moves(attempt, PREDICTED, words=("low", "high", "temperature"))
