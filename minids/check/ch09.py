"""Checks of chapter 09: a simulator, bytes on two links, and the arithmetic of a bill."""

import math
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import torch
from torch import Tensor

from minids.check import Claim, checker, close
from minids.check.answers import explains, is_whole, number_entries, numbers_for
from minids.check.sizes import draw
from minids.systems.pipeline import Times, simulate
from minids.systems.schedules import one_f_one_b, zb1p

Orders = list[list[tuple[str, int]]]


def _alike(one: float, other: float) -> bool:
    """Whether two answers of the learner's agree; both may be 0, unlike in `close`."""
    return math.isclose(one, other, rel_tol=1e-4)


def _reals(g: torch.Generator, n: int) -> list[float]:
    return (torch.rand(n, generator=g, dtype=torch.float64) + 0.5).tolist()


@checker(
    "09.bill",
    hints=(
        "Hours first, then money. Two kinds of hours: those that grow with tokens, and the rest.",
        "thousands of hours: trillions of tokens x khours_per_trillion, plus extra_khours; then "
        "x 1000 hours, x dollars.",
        "return (tokens / 1e12 * khours_per_trillion + extra_khours) * 1000 * per_hour",
    ),
)
def _(attempt: Callable[..., Any], g: torch.Generator) -> Iterator[Claim]:
    a, b, c, d = _reals(g, 4)
    pretraining = attempt(1e12, 100.0, 0.0, 1.0)
    more = attempt(1e12, 100.0, 40.0, 1.0) - pretraining
    yield Claim(
        "the other stages make the bill larger",
        more > 0,
        "extra_khours are hours as well: of longer context and of post-training.",
    )
    seven = attempt(7e12, 100.0, 40.0, 1.0) - attempt(7e12, 100.0, 0.0, 1.0)
    yield Claim(
        "by as much for seven trillion tokens as for one",
        abs(seven - more) < 0.05 * more,
        "the other stages happen once, however many tokens were read before.",
    )
    yield Claim(
        "three times the price, three times the bill",
        _alike(attempt(1e12, 100.0, 0.0, 3 * d), 3 * d * pretraining),
        "hours are no dollars yet: an hour costs per_hour.",
    )
    yield Claim(
        "40K hours at a dollar cost 40,000 dollars",
        close(attempt(0.0, 100.0, 40.0, 1.0), 4e4),
        "khours are thousands of hours, and an hour is what has a price: 1000.",
    )
    yield Claim(
        "the other stages have the same price an hour",
        close(attempt(0.0, 100.0, 40.0, d), 4e4 * d),
        "add all hours up first: the price is for each of them, whatever it was spent on.",
    )
    yield Claim(
        "a trillion tokens at 100K hours and two dollars cost 200,000 dollars",
        close(attempt(1e12, 100.0, 0.0, 2.0), 2e5),
        "tokens are counted one by one (14.8e12), hours for each trillion of them.",
    )
    yield Claim(
        "DeepSeek-V3's bill comes out",
        close(attempt(14.8e12, 180.0, 124.0, 2.0), 5.576e6, rtol=1e-9),
        "180K hours for each of 14.8 trillion tokens, 119K + 5K more, 2 dollars an hour.",
    )
    yield Claim(
        "any other bill, too",
        close(attempt(a * 1e13, 100 * b, 10 * c, d), (a * 1e3 * b + 10 * c) * 1000 * d, rtol=1e-9),
        "nothing of V3's numbers may stand in the function.",
    )


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
"""Two devices, of which the second begins with the other micro-batch."""


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
def _(attempt: Callable[..., Any], g: torch.Generator) -> Iterator[Claim]:
    f, b = _reals(g, 2)
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
        tuple(two.shape) == (2, 2) and close(two[1], [f, 2 * f]),
        "F of stage s needs F of stage s - 1, of the same micro-batch.",
    )
    yield Claim(
        "a backward chunk waits for the gradient from the stage after",
        close(two[0], [0, 2 * f + b]),
        "B of stage s needs B of stage s + 1; only the last stage starts from its own F.",
    )
    stages = draw(g, 4, 6)
    orders = _of_1f1b(stages, stages + 2)
    yield from _on(attempt, orders, f, b, "1F1B")
    yield from _on(attempt, _all_forward_first(3, 4), f, b, "all forward first")
    yield Claim(
        "devices may take the micro-batches in different orders",
        close(_table(attempt(UNLIKE, f, b)), _reference(UNLIKE, f, b)),
        "a chunk needs a chunk of the SAME micro-batch, wherever that stands in the order of the "
        "other device: look it up by work, micro-batch and stage.",
    )
    deep = _of_1f1b(3, 60)
    yield Claim(
        "a long step works, and a single chunk of each kind on each device",
        close(_table(attempt(deep, f, b)), _reference(deep, f, b))
        and close(_table(attempt(_of_1f1b(4, 1), f, b)), _reference(_of_1f1b(4, 1), f, b)),
        "nothing may depend on the number of micro-batches.",
    )


def _on(attempt: Any, orders: Orders, f: float, b: float, name: str) -> Iterator[Claim]:
    """Claims about one set of orders: needs are met, and nothing waits longer than it must."""
    got = _table(attempt(orders, f, b))
    expected = torch.tensor(_reference(orders, f, b), dtype=torch.float64)
    same = got.shape == expected.shape
    early = same and bool((got < expected - 1e-9).any())
    yield Claim(
        f"with {name} nothing starts before what it needs is done",
        same and not early,
        "B needs B of the next stage, F needs F of the one before, and a device does one thing at "
        "a time.",
    )
    yield Claim(
        f"with {name} every chunk starts as soon as it can",
        bool((got <= expected + 1e-9).all()),
        "it starts as soon as its own device is free and its own need is done: other devices do "
        "not hold it up.",
    )


def _table(out: Any) -> Tensor:
    """The answer as a table; what is none becomes an empty one, which no claim accepts."""
    try:
        table = torch.tensor([[float(x) for x in row] for row in out], dtype=torch.float64)
    except (TypeError, ValueError):
        return torch.zeros(0, 0, dtype=torch.float64)
    return table if table.dim() == 2 else torch.zeros(0, 0, dtype=torch.float64)


@checker(
    "09.alltoall",
    hints=(
        "Each way: how long is InfiniBand busy, how long NVLink? They work side by side.",
        "one way: max(nodes x dim x bytes / ib, experts x dim x bytes / nvlink). There and back, "
        "with out_bytes and back_bytes.",
        "max(nodes * dim * out_bytes / ib, experts * dim * out_bytes / nvlink) + the same back",
    ),
)
def _(attempt: Callable[..., Any], g: torch.Generator) -> Iterator[Claim]:
    a, b = _reals(g, 2)
    both = attempt(100, 3, 5, 1.0, 2.0, 10.0, 15.0)
    yield Claim(
        "a token of twice as many numbers takes twice as long",
        _alike(attempt(200, 3, 5, 1.0, 2.0, 10.0, 15.0), 2 * both),
        "what travels is a token: dim numbers, not one.",
    )
    slow_ib, slow_nvlink = [(100, 3, 5, 1.0, 2.0, *x) for x in ((10.0, 1e9), (1e9, 10.0))]
    by_ib, by_nvlink = attempt(*slow_ib), attempt(*slow_nvlink)
    yield Claim(
        "a faster NVLink does not help while all wait for InfiniBand",
        _alike(attempt(*slow_ib[:-1], 2e9), by_ib),
        "the token has arrived when the slower link is done, not when the faster one is.",
    )
    yield Claim(
        "where NVLink is slow, it does not matter how many nodes there are",
        _alike(attempt(100, 4, *slow_nvlink[2:]), by_nvlink),
        "which link works inside a node, and which between nodes? NVLink hands out to experts.",
    )
    yield Claim(
        "where InfiniBand is slow, it does not matter how many experts there are",
        _alike(attempt(100, 3, 7, *slow_ib[3:]), by_ib),
        "a token crosses once for each node: in there NVLink makes the copies for its experts.",
    )
    yield Claim(
        "both links work at the same time",
        _alike(both, max(by_ib, attempt(100, 3, 5, 1.0, 2.0, 1e9, 15.0))),
        "nobody waits for both links in turn: the longer of the two times hides the shorter.",
    )
    out = attempt(100, 3, 5, 1.0, 0.0, 10.0, 1e9)
    yield Claim(
        "what weighs twice as much on the way back takes twice as long there",
        _alike(by_ib - out, 2 * out),
        "results come back, too, and a number of them weighs back_bytes.",
    )
    yield Claim(
        "300 bytes at 10 bytes a second take 30 seconds",
        close(out, 30.0),
        "bandwidths are bytes per second here, and sizes are bytes: no bits.",
    )
    yield Claim(
        "the same by NVLink: 500 bytes take 50 seconds",
        close(attempt(100, 3, 5, 1.0, 0.0, 1e9, 10.0), 50.0),
        "a copy for each expert, out and back.",
    )
    yield Claim(
        "a token that stays in its node needs no InfiniBand",
        close(attempt(50, 0, 4, a, b, 10.0, 20.0), 50 * 4 * (a + b) / 20),
        "with nodes = 0 only NVLink is left.",
    )
    v3 = [attempt(7168, 4, n, 1.03125, 2.0, 50e9, 160e9) for n in (8, 12, 14)]
    yield Claim(
        "with V3's links and 4 nodes, 12 experts cost no more than 8, and 14 do",
        close(v3[1], v3[0]) and v3[2] > 1.05 * v3[0],
        "up to 4 x 160 / 50 = 12.8 experts InfiniBand is the slower link.",
    )
    nodes, experts, dim = draw(g, 1, 6), draw(g, 1, 20), draw(g, 10, 90)
    ways = max(nodes / (3 * a), experts / (10 * b))
    yield Claim(
        "any other cluster, too",
        close(attempt(dim, nodes, experts, a, b, 3 * a, 10 * b), dim * (a + b) * ways),
        "nothing of V3's numbers may stand in the function.",
    )


_KEYS = ("1F1B", "ZB1P", "DualPipe", "micro-batches")


@checker(
    "09.predict",
    takes=dict,
    hints=(
        "The bubble of each from the report's table; the step is the work plus the bubble.",
        "Work: 64 x (F + B) = 192. Bubbles: 15 x 3, 15 x (3 - 2), 7 x (3 + 2 - 3). In percent of "
        "work + bubble. For the last: 45 / (45 + 3 m) at most 0.1.",
        '"1F1B": 100 * 45 / (45 + 192)',
    ),
)
def _(attempt: dict[str, Any], g: torch.Generator) -> Iterator[Claim]:
    write = "write numbers, without units. Is every question there?"
    yield numbers_for(attempt, _KEYS, write=write)
    shares = [float(attempt[name]) for name in _KEYS[:3]]
    yield Claim(
        "shares are in percent",
        all(1 < share < 100 for share in shares),
        "19 percent is 19, not 0.19.",
    )
    names = {"1F1B": 45, "ZB1P": 15, "DualPipe": 14}
    hints = {
        "1F1B": "(PP - 1)(F + B) = 45, as a share of the whole step, 192 + 45: not of the work.",
        "ZB1P": "(PP - 1)(F + B - 2W): W counts twice.",
        "DualPipe": "(PP/2 - 1)(F&B + B - 3W): half of the stages, and F&B = 3.",
    }
    for name, bubble in names.items():
        yield Claim(
            f"the idle share of {name}",
            close(float(attempt[name]), 100 * bubble / (bubble + 192), rtol=8e-3),
            hints[name],
        )
    yield Claim(
        "the micro-batches that 1F1B needs",
        attempt["micro-batches"] == 135,
        "the smallest m with 45 / (45 + 3 m) at most 10 %.",
    )


@checker(
    "09.explain",
    takes=dict,
    hints=(
        "Useful operations over what the cards could have done. Which parameters work for a token?",
        "6 x parameters x tokens / (hours x 3600 x peak), once with 671e9, once with 37e9.",
        '"claimed": 6 * 671e9 * 14.8e12 / (2664e3 * 3600 * 989.5e12)',
    ),
)
def _(attempt: dict[str, Any], g: torch.Generator) -> Iterator[Claim]:
    seconds = 2664e3 * 3600 * 989.5e12
    yield number_entries(attempt, "claimed", "activated")
    claimed, activated = float(attempt["claimed"]), float(attempt["activated"])
    all_of_them, by_token = (6 * n * 14.8e12 / seconds for n in (671e9, 37e9))

    def is_times(factor: float) -> bool:
        """Whether both shares are so many times what they should be."""
        pairs = ((claimed, all_of_them), (activated, by_token))
        return all(math.isclose(x, factor * y, rel_tol=0.01) for x, y in pairs)

    yield Claim(
        "the two shares are as far apart as 671 and 37",
        math.isclose(37 * claimed, 671 * activated, rel_tol=0.02),
        "do the same division twice: once with 671e9 parameters, once with 37e9.",
    )
    yield Claim(
        "what tokens really meet is done in less than all of the time",
        0 < activated < 1,
        "a share of the peak, so 0.5 is 50 percent. The peak is of a second: an hour has 3600.",
    )
    yield Claim(
        "six operations for each parameter and token",
        not is_times(1 / 3),
        "forward takes two operations, a product and a sum; backward takes twice as many again.",
    )
    yield Claim(
        "the peak is that of BF16",
        not is_times(1 / 2),
        "989.5e12 operations a second, as the blog says: FP8's peak is twice that.",
    )
    yield Claim(
        "the hours are those in which tokens were read",
        not is_times(2664 / 2788),
        "pre-training took 2664e3 hours; the bill has hours of other stages as well.",
    )
    yield Claim(
        "both shares, within a percent",
        is_times(1),
        "6 x parameters x tokens / (hours x 3600 x peak): 14.8e12 tokens, 2664e3 hours.",
    )
    yield from explains(
        attempt,
        (671, 671e9),
        (37, 37e9),
        says="it says what the 671 billion and the 37 billion are",
        hint="name both numbers of parameters: which lie in memory, and which work for a token?",
    )


def _share(schedule: Callable[[int, int], Any], times: Times) -> Callable[[int, int], float]:
    def idle(stages: int, micros: int) -> float:
        if micros < stages:
            raise ValueError(f"give at least as many micro-batches as stages, got {micros}")
        timeline = simulate(schedule(stages, micros), times)
        return float(timeline.bubble) / float(timeline.end)

    return idle


@checker(
    "09.measure",
    hints=(
        "Start with as many micro-batches as stages. Measure. If devices idle too much, one more.",
        "idle(stages, micros) gives the share of a step. It falls as micro-batches are added.",
        "while idle(stages, micros) > share: micros += 1",
    ),
)
def _(attempt: Callable[..., Any], g: torch.Generator) -> Iterator[Claim]:
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
        "if as many micro-batches as stages do, that is the answer",
        attempt(measured["1F1B"], 2, 0.9) == 2,
        "look before you add.",
    )
