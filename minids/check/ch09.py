"""Checks of chapter 09: orders, a simulator, bytes on two links, and the arithmetic of a bill."""

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import torch
from torch import Tensor

from minids.check import Claim, checker, close
from minids.check.answers import entries, is_whole, numbers_for
from minids.check.sizes import draw
from minids.systems.pipeline import Times, simulate
from minids.systems.schedules import one_f_one_b, zb1p

Orders = list[list[tuple[str, int]]]


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
    base = attempt(1e12, 100.0, 0.0, 2.0)
    yield Claim(
        "a trillion tokens at 100K hours and two dollars cost 200,000 dollars",
        close(base, 2e5),
        "tokens are counted one by one (14.8e12), hours per trillion of them and in thousands: "
        "divide by 1e12, multiply by 1000; each hour costs per_hour.",
    )
    yield Claim(
        "the price counts",
        close(attempt(1e12, 100.0, 0.0, 3 * d), 3e5 * d),
        "multiply the hours by per_hour.",
    )
    yield Claim(
        "the other stages are paid, too",
        close(attempt(1e12, 100.0, 40.0, 1.0), 1.4e5),
        "extra_khours are thousands of hours on top.",
    )
    yield Claim(
        "the other stages are paid once, however many tokens there are",
        close(attempt(7e12, 100.0, 40.0, 1.0), 7.4e5),
        "add extra_khours once, after the hours of the tokens.",
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


def _all_forward_first(stages: int, micros: int) -> Orders:
    return [[(w, i) for w in "FB" for i in range(micros)] for _ in range(stages)]


def _idle(orders: Orders, forward: float, backward: float) -> float:
    """Idle time of device 0; infinite where the orders wait for each other."""
    try:
        starts = _reference(orders, forward, backward)
    except (RecursionError, ValueError):
        return float("inf")
    long = {"F": forward, "B": backward}
    end = max(t + long[o[0]] for r, order in zip(starts, orders, strict=True) for t, o in
              zip(r, order, strict=True))  # fmt: skip
    return end - sum(long[w] for w, _ in orders[0])


def _held(order: list[tuple[str, int]]) -> int:
    """The largest number of micro-batches between their F and their B."""
    count, most = 0, 0
    for work, _ in order:
        count += 1 if work == "F" else -1
        most = max(most, count)
    return most


def _complete(order: Any, micros: int) -> bool:
    """Whether it is a list of pairs that has each chunk once."""
    if not isinstance(order, list | tuple):
        return False
    if any(not isinstance(x, list | tuple) or len(x) != 2 for x in order):
        return False
    every = [(w, i) for w in "BF" for i in range(micros)]
    return sorted((str(w), i) for w, i in order) == every


@checker(
    "09.order",
    hints=(
        "A device starts with one forward chunk for each stage behind it; then F and B in turn; "
        "then the B that are left.",
        "first = min(stages - 1 - device, micros): so many F; then (F, B) micros - first times; "
        "then the last `first` B. Micro-batches count up in both.",
        'for i in range(micros - first): done += [("F", first + i), ("B", i)]',
    ),
)
def _(attempt: Callable[..., Any], g: torch.Generator) -> Iterator[Claim]:
    stages = draw(g, 3, 6)
    micros = stages + draw(g, 1, 5)
    orders: Any = [attempt(device, stages, micros) for device in range(stages)]
    yield Claim(
        "each micro-batch goes once forward and once backward",
        all(_complete(order, micros) for order in orders),
        'return a list of pairs ("F", i) and ("B", i), each i from 0 to micros - 1 once forward '
        "and once backward.",
    )
    orders = [[(str(w), int(i)) for w, i in order] for order in orders]
    in_turn = [[i for w, i in order if w == kind] for order in orders for kind in "FB"]
    yield Claim(
        "the oldest micro-batch is always next",
        all(numbers == list(range(micros)) for numbers in in_turn),
        "forward in the order 0, 1, 2 …, and backward in the same: the oldest one waits longest.",
    )
    yield Claim(
        "no micro-batch goes backward before it went forward",
        all(
            order.index(("F", i)) < order.index(("B", i)) for order in orders for i in range(micros)
        ),
        "its forward chunk comes first.",
    )
    held = [_held(order) for order in orders]
    yield Claim(
        "device d holds at most stages - d micro-batches",
        all(count <= stages - device for device, count in enumerate(held)),
        "it holds more than it needs: only stages - 1 - device forward chunks before F and B take "
        "turns; the last device starts with F, B.",
    )
    f, b = _reals(g, 2)
    yield Claim(
        "the step is as short as 1F1B can be: each device idles (stages - 1)(F + B)",
        close(_idle(orders, f, b), (stages - 1) * (f + b), rtol=1e-9),
        "it idles longer: a device with too few forward chunks in advance starves the stages "
        "behind it.",
    )
    few = [attempt(device, 5, 2) for device in range(5)]
    alone = attempt(0, 1, 3)
    yield Claim(
        "fewer micro-batches than stages work, and one stage alone",
        all(_complete(order, 2) for order in few)
        and [tuple(x) for x in alone] == [(w, i) for i in range(3) for w in "FB"],
        "with fewer micro-batches than stages no device can start with more than `micros` forward "
        "chunks.",
    )


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
    slow_ib = attempt(100, 3, 5, 1.0, 2.0, 10.0, 1e9)
    yield Claim(
        "with a very fast NVLink InfiniBand counts: a token crosses once for each node, out and "
        "back",
        close(slow_ib, 90.0),
        "once for each node, not for each expert; dim numbers of out_bytes out and of back_bytes "
        "back; the slower link counts; bandwidths are bytes per second.",
    )
    slow_nvlink = attempt(100, 3, 5, 1.0, 2.0, 1e9, 10.0)
    yield Claim(
        "with a very fast InfiniBand NVLink counts, once for each expert",
        close(slow_nvlink, 150.0),
        "NVLink hands a copy to each expert's card; the slower of the two links counts.",
    )
    both = attempt(100, 3, 5, 1.0, 2.0, 10.0, 15.0)
    yield Claim(
        "both links work at the same time",
        close(both, 100.0),
        "they work at the same time: take the longer time of the two, not the sum.",
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
            close(float(attempt[name]), 100 * bubble / (bubble + 192), rtol=5e-3),
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
    yield entries(attempt, "claimed", "activated")
    yield Claim(
        "the utilisation that the claim implies",
        close(attempt["claimed"], 6 * 671e9 * 14.8e12 / seconds, rtol=0.01),
        "6 operations for each parameter and token; 2664e3 hours of 3600 seconds; BF16's peak; a "
        "share, so 0.5 is 50 percent.",
    )
    yield Claim(
        "the utilisation by what a token meets",
        close(attempt["activated"], 6 * 37e9 * 14.8e12 / seconds, rtol=0.01),
        "the same with 37e9: the hours of pre-training alone (2664e3) and BF16's peak, as before.",
    )
    words = str(attempt["because"])
    yield Claim(
        "the explanation is a sentence with both numbers",
        len(words.split()) >= 8 and {"671", "37"} <= set(re.findall(r"\d+", words)),
        "say what the 671 billion and the 37 billion are, in a sentence.",
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
    yield Claim(
        "if as many micro-batches as stages do, that is the answer",
        attempt(measured["1F1B"], 2, 0.9) == 2,
        "look before you add.",
    )
