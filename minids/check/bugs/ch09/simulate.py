"""Answers to 09.simulate, right and wrong: when each chunk of a pipeline starts."""

from functools import cache

import torch


def starts(orders, forward, backward, needs=None, busy=True):
    """Start times by going round until nothing moves; the flags break it."""
    n = len(orders)
    long = {"F": forward, "B": backward}
    done, free, begun = {}, [0] * n, [[] for _ in orders]
    moved = True
    while moved:
        moved = False
        for stage, todo in enumerate(orders):
            while len(begun[stage]) < len(todo):
                work, micro = todo[len(begun[stage])]
                waits = (needs or what_is_needed)(work, stage, n)
                if any((w, micro, s) not in done for w, s in waits):
                    break
                start = max([free[stage] if busy else 0, *(done[w, micro, s] for w, s in waits)])
                done[work, micro, stage] = free[stage] = start + long[work]
                begun[stage].append(start)
                moved = True
    return begun


def what_is_needed(work, stage, n):
    if work == "F":
        return [("F", stage - 1)] if stage else []
    return [("F", stage)] if stage == n - 1 else [("B", stage + 1)]


def starts_by_sweeps(orders, forward, backward):
    """Every device moves its chunks back, as often as there are devices."""
    n = len(orders)
    long = {"F": forward, "B": backward}
    begun = {(*c, s): 0 for s, todo in enumerate(orders) for c in todo}
    for _ in range(n):
        for stage, todo in enumerate(orders):
            free = 0
            for work, micro in todo:
                ends = [begun[w, micro, s] + long[w] for w, s in what_is_needed(work, stage, n)]
                begun[work, micro, stage] = max([free, *ends])
                free = begun[work, micro, stage] + long[work]
    return [[begun[*c, s] for c in todo] for s, todo in enumerate(orders)]


def starts_by_recursion(orders, forward, backward):
    n = len(orders)
    long = {"F": forward, "B": backward}

    @cache
    def end(stage, place):
        work, micro = orders[stage][place]
        return start(stage, place) + long[work]

    @cache
    def start(stage, place):
        work, micro = orders[stage][place]
        earlier = [end(stage, place - 1)] if place else [0]
        for w, s in what_is_needed(work, stage, n):
            earlier.append(end(s, orders[s].index((w, micro))))
        return max(earlier)

    return [[start(stage, place) for place in range(len(o))] for stage, o in enumerate(orders)]


def starts_in_float32(orders, forward, backward):
    return starts(orders, torch.tensor(forward), torch.tensor(backward))


def starts_two_at_once(orders, forward, backward):
    return starts(orders, forward, backward, busy=False)


def starts_without_gradient(orders, forward, backward):
    def needs(work, stage, n):
        return what_is_needed(work, stage, n) if work == "F" else [("F", stage)]

    return starts(orders, forward, backward, needs)


def starts_without_input(orders, forward, backward):
    def needs(work, stage, n):
        return [] if work == "F" else what_is_needed(work, stage, n)

    return starts(orders, forward, backward, needs)


def starts_from_the_last_stage(orders, forward, backward):
    def needs(work, stage, n):
        return [("B", n - 1)] if work == "B" and stage < n - 1 else what_is_needed(work, stage, n)

    return starts(orders, forward, backward, needs)


def _starts_waiting_for(other, works="F"):
    """The chunk that is waited for belongs to a micro-batch that `other` picks.

    other(micro, nth, theirs): of the n-th chunk of a work, with the micro-batches of the stage
    that is waited for, in their order.
    """

    def attempt(orders, forward, backward):
        long = {"F": forward, "B": backward}

        def micros(stage, work):
            return [micro for w, micro in orders[stage] if w == work]

        @cache
        def start(stage, place):
            work, micro = orders[stage][place]
            before = orders[stage][place - 1][0]
            earlier = [start(stage, place - 1) + long[before]] if place else [0]
            for w, s in what_is_needed(work, stage, len(orders)):
                wanted = micro
                if work in works and s != stage:
                    wanted = other(micro, micros(stage, work).index(micro), micros(s, w))
                earlier.append(start(s, orders[s].index((w, wanted))) + long[w])
            return max(earlier)

        return [[start(stage, place) for place in range(len(o))] for stage, o in enumerate(orders)]

    return attempt


def starts_by_one_clock(orders, forward, backward):
    """One chunk after the other, whichever device it is on."""
    right = starts(orders, forward, backward)
    long = {"F": forward, "B": backward}
    queue = sorted((t, d, p) for d, row in enumerate(right) for p, t in enumerate(row))
    now, out = 0, [list(row) for row in right]
    for _, d, p in queue:
        out[d][p] = now
        now += long[orders[d][p][0]]
    return out


def starts_equally_long(orders, forward, backward):
    return starts(orders, forward, forward)


def starts_are_ends(orders, forward, backward):
    long = {"F": forward, "B": backward}
    right = starts(orders, forward, backward)
    return [
        [t + long[w] for t, (w, _) in zip(row, o, strict=True)]
        for row, o in zip(right, orders, strict=True)
    ]


def starts_at_zero(orders, forward, backward):
    return [[0 * forward for _ in o] for o in orders]


def starts_in_so_many_rounds(orders, forward, backward):
    """Each round runs the next chunk of every device that can; the rest is left out."""
    n, long = len(orders), {"F": forward, "B": backward}
    done, free, found = {}, [0.0] * n, [[] for _ in orders]
    for _ in range(2 * n + 2):
        for stage, todo in enumerate(orders):
            if len(found[stage]) == len(todo):
                continue
            work, micro = todo[len(found[stage])]
            needs = [(w, micro, s) for w, s in what_is_needed(work, stage, n)]
            if all(need in done for need in needs):
                begun = max([free[stage], *(done[need] for need in needs)])
                found[stage].append(begun)
                done[work, micro, stage] = free[stage] = begun + long[work]
    return found


RIGHT = [starts, starts_by_recursion, starts_in_float32]

WRONG = [
    ("two chunks at once", starts_two_at_once, "one after the other"),
    ("does not wait for the gradient", starts_without_gradient, "gradient"),
    ("does not wait for the input", starts_without_input, "stage before"),
    ("gradient of the last stage", starts_from_the_last_stage, "next stage"),
    ("one clock for all", starts_by_one_clock, "as soon as"),
    ("so many rounds", starts_in_so_many_rounds, "until all have run"),
    ("as many sweeps as devices", starts_by_sweeps, "go on until nothing changes"),
    (
        "the first micro-batch",
        _starts_waiting_for(lambda micro, nth, theirs: 0),
        "SAME micro-batch",
    ),
    (
        "the micro-batch before",
        _starts_waiting_for(lambda micro, nth, theirs: max(micro - 1, 0)),
        "SAME micro-batch",
    ),
    (
        "the same place",
        _starts_waiting_for(lambda micro, nth, theirs: theirs[nth]),
        "SAME micro-batch",
    ),
    (
        "the same place, of gradients",
        _starts_waiting_for(lambda micro, nth, theirs: theirs[nth], works="B"),
        "SAME micro-batch",
    ),
    ("backward as long as forward", starts_equally_long, "one after the other"),
    ("ends, not starts", starts_are_ends, "starts at 0"),
    ("all at zero", starts_at_zero, "one after the other"),
]
