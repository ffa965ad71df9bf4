"""09.simulate: when each chunk of a pipeline starts."""

from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from typing import Any

import torch
from torch import Tensor

from minids.check import Attempt, Claim, checker, close
from minids.check.ch09.common import reals
from minids.check.sizes import draw
from minids.systems.schedules import one_f_one_b

Orders = list[list[tuple[str, int]]]


def _needed(work: str, stage: int, n: int) -> list[tuple[str, int]]:
    """What a chunk waits for: (work, stage)."""
    if work == "F":
        return [("F", stage - 1)] if stage else []
    return [("F", stage)] if stage == n - 1 else [("B", stage + 1)]


def _reference(orders: Orders, forward: float, backward: float) -> list[list[float]]:
    """Start times by recursion; RecursionError or ValueError for orders that cannot run."""
    n, long = len(orders), {"F": forward, "B": backward}

    @cache
    def start(stage: int, place: int) -> float:
        work, micro = orders[stage][place]
        ends = [start(stage, place - 1) + long[orders[stage][place - 1][0]]] if place else [0.0]
        for w, s in _needed(work, stage, n):
            ends.append(start(s, orders[s].index((w, micro))) + long[w])
        return float(max(ends))

    return [[start(stage, p) for p in range(len(order))] for stage, order in enumerate(orders)]


def _of_1f1b(stages: int, micros: int) -> Orders:
    return [[(s[0].work, s[0].micro) for s in order] for order in one_f_one_b(stages, micros)]


UNLIKE: Orders = [
    [("F", 0), ("F", 1), ("B", 0), ("B", 1)],
    [("F", 1), ("B", 1), ("F", 0), ("B", 0)],
]


def _all_forward_first(stages: int, micros: int) -> Orders:
    return [[(w, i) for w in "FB" for i in range(micros)] for _ in range(stages)]


@checker(
    "09.simulate",
    hints=(
        "A chunk starts when its device is free and what it needs is done: the later of the two.",
        "Keep `free` (one time for each device) and `done` (end of each chunk by work, micro, "
        "stage). Go round the devices; run the next chunk of each while its needs are in `done`.",
        "start = max(free[stage], done[need]); done[work, micro, stage] = free[stage] = start + "
        "length",
    ),
)
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    f, b = reals(g, 2)
    b += 1  # never as long as f
    alone = _table(attempt([[("F", 0), ("B", 0), ("F", 1), ("B", 1)]], f, b))
    shape = tuple(alone.shape) == (1, 4)
    yield Claim(
        "there is a list for each device, with a start for each of its chunks",
        shape,
        "return a list of lists of numbers, as many as `orders` has chunks.",
    )
    yield Claim(
        "the first chunk starts at 0",
        abs(float(alone[0, 0])) < 1e-12,
        "return when chunks start, not when they end.",
    )
    yield Claim(
        "one device runs its chunks one after the other",
        close(alone[0], [0, f, f + b, 2 * f + b]),
        "a device is free only when its last chunk has ended; F takes `forward`, B takes "
        "`backward`.",
    )
    two = _table(attempt([[("F", 0), ("B", 0)], [("F", 0), ("B", 0)]], f, b))
    yield Claim(
        "a forward chunk waits for the stage before",
        tuple(two.shape) == (2, 2) and close(two[1, 0], f),
        "F of stage s needs F of stage s - 1, of the same micro-batch.",
    )
    yield Claim(
        "a backward chunk waits for the gradient from the stage after",
        close(two, [[0, 2 * f + b], [f, 2 * f]]),
        "B of stage s needs B of stage s + 1; only the last stage starts from its own F.",
    )
    stages = draw(g, 4, 6)
    orders = _of_1f1b(stages, stages + 2)
    yield from _on(attempt, orders, f, b, "1F1B")
    yield from _on(attempt, _all_forward_first(3, 4), f, b, "all forward first")
    yield Claim(
        "devices may take the micro-batches in different orders",
        _alike(attempt(deepcopy(UNLIKE), f, b), _reference(UNLIKE, f, b)),
        "a chunk needs a chunk of the SAME micro-batch, wherever that stands in the order of the "
        "other device: look it up by work, micro-batch and stage.",
    )
    single: Orders = [[(w, i) for i in range(9) for w in "FB"] for _ in range(4)]
    yield Claim(
        "one micro-batch at a time through all stages and back works, too",
        _alike(attempt(single, f, b), _reference(single, f, b)),
        "a fixed number of rounds over the devices is not enough: go on until nothing changes.",
    )
    deep = _of_1f1b(3, 60)
    yield Claim(
        "a long step works, and a single chunk of each kind on each device",
        all(_alike(attempt(o, f, b), _reference(o, f, b)) for o in (deep, _of_1f1b(4, 1))),
        "nothing may depend on the number of micro-batches.",
    )


def _on(attempt: Any, orders: Orders, f: float, b: float, name: str) -> Iterator[Claim]:
    """Claims about one set of orders: needs are met, and nothing waits longer than it must."""
    got = _table(attempt(orders, f, b))
    expected = torch.tensor(_reference(orders, f, b), dtype=torch.float64)
    same = got.shape == expected.shape
    yield Claim(
        f"with {name} every chunk gets a start",
        same,
        "a fixed number of rounds over the devices is not enough: go on until all have run.",
    )
    yield Claim(
        f"with {name} nothing starts before what it needs is done",
        not bool((got < expected - 1e-4).any()),
        "B needs B of the next stage, F needs F of the one before, and a device does one thing at "
        "a time.",
    )
    yield Claim(
        f"with {name} every chunk starts as soon as it can",
        bool((got <= expected + 1e-4).all()),
        "it starts as soon as its own device is free and its own need is done: other devices do "
        "not hold it up.",
    )


def _alike(out: Any, expected: list[list[float]]) -> bool:
    """Whether an answer is these starts; one with chunks left out is another."""
    got = _table(out)
    return got.shape == (len(expected), len(expected[0])) and close(got, expected)


def _table(out: Any) -> Tensor:
    """The answer as a table; what is none becomes an empty one, which no claim accepts."""
    try:
        table = torch.tensor([[float(x) for x in row] for row in out], dtype=torch.float64)
    except (TypeError, ValueError):
        return torch.zeros(0, 0, dtype=torch.float64)
    return table if table.dim() == 2 else torch.zeros(0, 0, dtype=torch.float64)
