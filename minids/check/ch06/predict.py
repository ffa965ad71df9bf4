"""06.predict: V3's routing in four numbers."""

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
        "By chance: a node is missed if all 8 experts lie on the other 7 nodes, C(224, 8) of "
        "C(256, 8). MaxVio: an expert gets at most one of a token's 8 choices.",
        '"nodes by chance": 8 * (1 - comb(224, 8) / comb(256, 8))',
    ),
)
def claims(attempt: dict[str, Any], g: torch.Generator) -> Iterator[Claim]:
    chance = expected_destinations(256, 8, 8)
    yield numbers_for(attempt, _PREDICT, write="write numbers, without units.")
    yield Claim(
        "the most nodes that a token may visit",
        attempt["most nodes"] == 4,
        "M = 4 nodes are kept; all 8 experts lie on them.",
    )
    yield Claim(
        "by pure chance some nodes are hit twice",
        attempt["nodes by chance"] < 7.9,
        "8 experts on 8 nodes do not visit 8 nodes: some share one.",
    )
    yield Claim(
        "the nodes visited by chance, to half a percent",
        close(float(attempt["nodes by chance"]), chance, rtol=5e-3),
        "8 x (1 - the chance that a node is missed); without replacement, as experts differ.",
    )
    yield Claim(
        "the worst MaxVio of 256 experts, 8 chosen",
        attempt["worst MaxVio"] == 256 / 8 - 1,
        "an expert that every token chooses has 1/8 of all choices; the mean is 1/256; minus 1.",
    )
    yield Claim(
        "steps from 0 to 0.25 at speed 0.001",
        close(float(attempt["steps"]), 250.0, rtol=1e-3),
        "every step moves a bias by the speed, whatever the load: distance over speed.",
    )
