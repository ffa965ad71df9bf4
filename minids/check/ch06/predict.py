"""06.predict: routing as V3 does it, in four numbers."""

from collections.abc import Iterator
from typing import Any

import torch

from minids.check import Claim, checker, close
from minids.check.answers import numbers_for
from minids.systems.dispatch import expected_destinations

_PREDICT = ("most nodes", "nodes by chance", "worst MaxVio", "steps")


@checker(
    "06.predict",
    takes=dict,
    hints=(
        "One bound, one average by chance, one extreme, one distance divided by a speed.",
        "By chance: a node is missed if all 8 experts lie on the other 3 nodes, C(96, 8) of "
        "C(128, 8). MaxVio: an expert gets at most one of a token's 8 choices.",
        '"nodes by chance": 4 * (1 - comb(96, 8) / comb(128, 8))',
    ),
)
def claims(attempt: dict[str, Any], g: torch.Generator) -> Iterator[Claim]:
    chance = expected_destinations(128, 4, 8)
    yield numbers_for(attempt, _PREDICT, write="write numbers, without units.")
    yield Claim(
        "the most nodes that a token may visit",
        attempt["most nodes"] == 2,
        "M = 2 nodes are kept; all 8 experts lie on them.",
    )
    yield Claim(
        "by pure chance a node is missed now and then",
        attempt["nodes by chance"] < 3.9,
        "8 experts do not always visit all 4 nodes: some share one, and another has none.",
    )
    yield Claim(
        "the nodes visited by chance, to half a percent",
        close(float(attempt["nodes by chance"]), chance, rtol=5e-3),
        "4 x (1 - the chance that a node is missed); without replacement, as experts differ.",
    )
    yield Claim(
        "the worst MaxVio of 128 experts, 8 chosen",
        attempt["worst MaxVio"] == 128 / 8 - 1,
        "an expert that every token chooses has 1/8 of all choices; the mean is 1/128; minus 1.",
    )
    yield Claim(
        "steps from 0 to 0.4 at speed 0.002",
        close(float(attempt["steps"]), 200.0, rtol=1e-3),
        "every step moves a bias by the speed, whatever the load: distance over speed.",
    )
