"""09.measure: how many micro-batches are enough."""

from collections.abc import Callable, Iterator
from typing import Any

import torch

from minids.check import Attempt, Claim, checker
from minids.check.answers import is_whole
from minids.check.sizes import draw
from minids.systems.pipeline import Times, simulate
from minids.systems.schedules import one_f_one_b, zb1p


def _share(schedule: Callable[[int, int], Any], times: Times) -> Callable[[int, int], float]:
    def idle(stages: int, micros: int) -> float:
        if micros < stages:
            raise ValueError(f"give at least as many micro-batches as stages, got {micros}")
        timeline = simulate(schedule(stages, micros), times)
        return float(timeline.bubble) / float(timeline.end)

    return idle


def _like_a_root(stages: int, micros: int) -> float:
    return 1 / float(2 + micros - stages) ** 0.5


@checker(
    "09.measure",
    hints=(
        "Start with as many micro-batches as stages. Measure. If devices idle too much, one more.",
        "idle(stages, micros) gives the share of a step. It falls as micro-batches are added.",
        "while idle(stages, micros) > share: micros += 1",
    ),
)
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    times = Times(forward=draw(g, 2, 4), backward=draw(g, 6, 8), weights=draw(g, 1, 2))
    measured = {name: _share(s, times) for name, s in (("1F1B", one_f_one_b), ("ZB1P", zb1p))}
    stages = draw(g, 3, 4)
    limit = (stages - 1) / (stages - 1 + 3.3 * stages)  # 1F1B needs 3.3 for each stage
    found = {name: attempt(idle, stages, limit) for name, idle in measured.items()}
    yield Claim(
        "the answers are whole numbers, at least as large as the number of stages",
        all(is_whole(n) and n >= stages for n in found.values()),
        "start with as many micro-batches as stages: fewer are refused.",
    )
    loose = attempt(measured["1F1B"], stages, 0.9)
    yield Claim(
        "whoever may idle less needs more micro-batches",
        found["1F1B"] > loose,
        "as many as stages is where the search begins, not where it ends: does the limit count?",
    )
    steps = attempt(lambda stages, micros: 0.05 if micros > 10 else 0.101, 4, 0.1)
    yield Claim(
        "of the shares 0.101 and 0.05 the first, which is nearer to 0.1, is above it",
        steps != 4,
        "the share may be at most the limit: what lies above it is too much, however near it is.",
    )
    yield Claim(
        "with so many 1F1B is idle for at most that share",
        measured["1F1B"](stages, found["1F1B"]) <= limit,
        "ask idle(stages, micros) until the share is no longer above the limit.",
    )
    smaller = found["1F1B"] - 1
    yield Claim(
        "it is the smallest such number",
        smaller < stages or measured["1F1B"](stages, smaller) > limit,
        "with one micro-batch fewer it should still be too much: the smallest number is asked.",
    )
    expected = stages
    while measured["ZB1P"](stages, expected) > limit:
        expected += 1
    yield Claim(
        "another schedule needs another number",
        found["ZB1P"] == expected,
        "measure what you are given: a formula of 1F1B cannot know what really runs.",
    )
    just = measured["1F1B"](stages, found["1F1B"])
    yield Claim(
        "exactly that share is allowed",
        attempt(measured["1F1B"], stages, just) == found["1F1B"],
        "at most means that equal is fine: > or >=?",
    )
    yield Claim(
        "a schedule that no formula knows: idle(4, micros) = 1 / (micros - 2) ** 0.5",
        attempt(_like_a_root, 4, 0.2) == 27,
        "you do not know which schedule it is: measure with more micro-batches, too, and not once.",
    )
    yield Claim(
        "a schedule that needs many: 196 micro-batches for four stages",
        attempt(lambda stages, micros: stages / (micros + stages), 4, 0.02) == 196,
        "do not give up: go on until devices idle little enough, however many it takes.",
    )
    yield Claim(
        "if as many micro-batches as stages do, that is the answer",
        attempt(measured["1F1B"], 2, 0.9) == 2,
        "look before you add.",
    )
