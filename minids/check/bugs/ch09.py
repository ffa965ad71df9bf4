"""Right answers and planted mistakes for chapter 09. Three of them hang in its bug museum."""

from functools import cache

# 09.bill


def dollars(tokens, khours_per_trillion, extra_khours, per_hour):
    return (tokens / 1e12 * khours_per_trillion + extra_khours) * 1000 * per_hour


def dollars_in_steps(tokens, khours_per_trillion, extra_khours, per_hour):
    hours = 1000 * extra_khours
    hours += tokens * khours_per_trillion / 1e9
    return per_hour * hours


def dollars_pre_training_only(tokens, khours_per_trillion, extra_khours, per_hour):
    return tokens / 1e12 * khours_per_trillion * 1000 * per_hour


def dollars_without_thousands(tokens, khours_per_trillion, extra_khours, per_hour):
    return (tokens / 1e12 * khours_per_trillion + extra_khours) * per_hour


def dollars_of_single_tokens(tokens, khours_per_trillion, extra_khours, per_hour):
    return (tokens * khours_per_trillion + extra_khours) * 1000 * per_hour


def dollars_extra_for_each_trillion(tokens, khours_per_trillion, extra_khours, per_hour):
    return tokens / 1e12 * (khours_per_trillion + extra_khours) * 1000 * per_hour


def dollars_at_two(tokens, khours_per_trillion, extra_khours, per_hour):
    return dollars(tokens, khours_per_trillion, extra_khours, 2.0)


def dollars_hours_only(tokens, khours_per_trillion, extra_khours, per_hour):
    return dollars(tokens, khours_per_trillion, extra_khours, 1.0)


def dollars_for_pre_training_alone(tokens, khours_per_trillion, extra_khours, per_hour):
    """The hours of the other stages are counted, and nobody is paid for them."""
    return (tokens / 1e12 * khours_per_trillion * per_hour + extra_khours) * 1000


# 09.simulate


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


# 09.alltoall


def seconds(dim, nodes, experts, out_bytes, back_bytes, ib, nvlink):
    return sum(
        max(nodes * dim * b / ib, experts * dim * b / nvlink) for b in (out_bytes, back_bytes)
    )


def seconds_of_the_slower_link(dim, nodes, experts, out_bytes, back_bytes, ib, nvlink):
    size = dim * (out_bytes + back_bytes)
    by_link = [nodes / ib, experts / nvlink]
    return size * max(by_link)


def seconds_one_copy_per_expert(dim, nodes, experts, out_bytes, back_bytes, ib, nvlink):
    return seconds(dim, experts, experts, out_bytes, back_bytes, ib, nvlink)


def seconds_one_link_after_the_other(dim, nodes, experts, out_bytes, back_bytes, ib, nvlink):
    return dim * (out_bytes + back_bytes) * (nodes / ib + experts / nvlink)


def seconds_of_the_faster_link(dim, nodes, experts, out_bytes, back_bytes, ib, nvlink):
    return dim * (out_bytes + back_bytes) * min(nodes / ib, experts / nvlink)


def seconds_out_only(dim, nodes, experts, out_bytes, back_bytes, ib, nvlink):
    return dim * out_bytes * max(nodes / ib, experts / nvlink)


def seconds_fp8_both_ways(dim, nodes, experts, out_bytes, back_bytes, ib, nvlink):
    return seconds(dim, nodes, experts, out_bytes, out_bytes, ib, nvlink)


def seconds_in_bits(dim, nodes, experts, out_bytes, back_bytes, ib, nvlink):
    return 8 * seconds(dim, nodes, experts, out_bytes, back_bytes, ib, nvlink)


def seconds_links_swapped(dim, nodes, experts, out_bytes, back_bytes, ib, nvlink):
    return seconds(dim, nodes, experts, out_bytes, back_bytes, nvlink, ib)


def seconds_of_one_number(dim, nodes, experts, out_bytes, back_bytes, ib, nvlink):
    return seconds(1, nodes, experts, out_bytes, back_bytes, ib, nvlink)


# 09.predict

predicted = {"1F1B": 18.99, "ZB1P": 7.25, "DualPipe": 6.80, "micro-batches": 135}
predicted_by_arithmetic = {
    "1F1B": 100 * 45 / (45 + 192),
    "ZB1P": 100 * 15 / (15 + 192),
    "DualPipe": 100 * 14 / (14 + 192),
    "micro-batches": 135,
}

# 09.explain

explained = {
    "claimed": 6 * 671e9 * 14.8e12 / (2664e3 * 3600 * 989.5e12),
    "activated": 6 * 37e9 * 14.8e12 / (2664e3 * 3600 * 989.5e12),
    "because": "A token meets 37 billion of the 671 billion parameters, so only those work for it.",
}


def _explained_times(factor):
    both = {name: factor * explained[name] for name in ("claimed", "activated")}
    return explained | both


explained_rounded = {
    "claimed": 6.28,
    "activated": 0.346,
    "because": "671B lie in memory, but a token is multiplied with the 37B that its router picks.",
}

# 09.measure


def enough(idle, stages, share):
    micros = stages
    while idle(stages, micros) > share:
        micros += 1
    return micros


def enough_by_bisection(idle, stages, share):
    low, high = stages, stages
    while idle(stages, high) > share:
        low, high = high + 1, 2 * high
    while low < high:
        middle = (low + high) // 2
        if idle(stages, middle) > share:
            low = middle + 1
        else:
            high = middle
    return low


def enough_by_the_formula_of_1f1b(idle, stages, share):
    micros = stages
    while (stages - 1) / (stages - 1 + micros) > share:
        micros += 1
    return micros


def enough_one_more(idle, stages, share):
    return enough(idle, stages, share) + 1


def enough_the_last_that_is_not(idle, stages, share):
    return max(enough(idle, stages, share) - 1, stages)


def enough_by_doubling(idle, stages, share):
    micros = stages
    while idle(stages, micros) > share:
        micros *= 2
    return micros


def enough_below(idle, stages, share):
    micros = stages
    while idle(stages, micros) >= share:
        micros += 1
    return micros


def enough_always(idle, stages, share):
    return stages


def enough_from_one(idle, stages, share):
    micros = 1
    while idle(stages, micros) > share:
        micros += 1
    return micros


RIGHT = {
    "09.bill": [dollars, dollars_in_steps],
    "09.simulate": [starts, starts_by_recursion],
    "09.alltoall": [seconds, seconds_of_the_slower_link],
    "09.predict": [predicted, predicted_by_arithmetic],
    "09.explain": [explained, explained_rounded],
    "09.measure": [enough, enough_by_bisection],
}
WRONG = {
    "09.bill": [
        ("forgets the other stages", dollars_pre_training_only, "extra_khours"),
        ("takes K for one", dollars_without_thousands, "1000"),
        ("counts single tokens", dollars_of_single_tokens, "trillion"),
        ("extra for each trillion", dollars_extra_for_each_trillion, "once"),
        ("other stages for nothing", dollars_for_pre_training_alone, "add all hours up first"),
        ("always two dollars", dollars_at_two, "per_hour"),
        ("hours for dollars", dollars_hours_only, "per_hour"),
    ],
    "09.simulate": [
        ("two chunks at once", starts_two_at_once, "one after the other"),
        ("does not wait for the gradient", starts_without_gradient, "gradient"),
        ("does not wait for the input", starts_without_input, "stage before"),
        ("gradient of the last stage", starts_from_the_last_stage, "next stage"),
        ("one clock for all", starts_by_one_clock, "as soon as"),
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
    ],
    "09.alltoall": [
        ("one copy for each expert", seconds_one_copy_per_expert, "once for each node"),
        ("one link after the other", seconds_one_link_after_the_other, "in turn"),
        ("the faster link", seconds_of_the_faster_link, "slower"),
        ("no way back", seconds_out_only, "come back"),
        ("FP8 both ways", seconds_fp8_both_ways, "back_bytes"),
        ("bits", seconds_in_bits, "bytes per second"),
        ("links swapped", seconds_links_swapped, "which link works inside"),
        ("one number", seconds_of_one_number, "dim"),
    ],
    "09.predict": [
        ("share of the work", predicted | {"1F1B": 100 * 45 / 192}, "whole step"),
        ("PP for PP - 1", predicted | {"1F1B": 100 * 48 / 240}, "PP - 1"),
        ("one W only", predicted | {"ZB1P": 100 * 30 / 222}, "2W"),
        ("PP - 1 for DualPipe", predicted | {"DualPipe": 100 * 30 / 222}, "PP/2"),
        ("one too few", predicted | {"micro-batches": 134}, "at most 10 %"),
        (
            "fractions",
            {"1F1B": 0.19, "ZB1P": 0.0725, "DualPipe": 0.068, "micro-batches": 135},
            "percent",
        ),
        ("one missing", {"1F1B": 18.99, "ZB1P": 7.25, "DualPipe": 6.8}, "every question"),
    ],
    "09.explain": [
        ("two for six", _explained_times(1 / 3), "backward takes twice"),
        ("hours for seconds", _explained_times(3600), "3600"),
        ("in percent", _explained_times(100), "0.5 is 50 percent"),
        ("FP8's peak", _explained_times(1 / 2), "peak is twice that"),
        ("the whole bill", _explained_times(2664 / 2788), "2664e3"),
        ("the tokens of V2", _explained_times(8.1 / 14.8), "14.8e12 tokens"),
        ("the same twice", explained | {"activated": explained["claimed"]}, "37e9"),
        (
            "no numbers",
            explained | {"because": "Most experts sleep while a token passes by."},
            "name both numbers",
        ),
        ("a word", explained | {"because": "671 37 sparsity"}, "sentence"),
    ],
    "09.measure": [
        ("formula of 1F1B", enough_by_the_formula_of_1f1b, "measure"),
        ("one more", enough_one_more, "smallest"),
        ("the last that is not", enough_the_last_that_is_not, "idle"),
        ("by doubling", enough_by_doubling, "smallest"),
        ("less, not at most", enough_below, "equal is fine"),
        ("always as many as stages", enough_always, "does the limit count"),
        ("from one", enough_from_one, "as stages"),
    ],
}
