"""Answers to 09.measure, right and wrong: how many micro-batches are enough."""

import math


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


def enough_by_one_measurement(idle, stages, share):
    first = idle(stages, stages)
    bubble = stages * first / (1 - first)
    return max(stages, math.ceil(bubble * (1 / share - 1) - 1e-9))


def enough_up_to_ten_times(idle, stages, share):
    some = range(stages, 10 * stages)
    return next((m for m in some if idle(stages, m) <= share), 10 * stages)


def enough_nearest(idle, stages, share):
    return min(range(stages, 50), key=lambda micros: abs(idle(stages, micros) - share))


RIGHT = [enough, enough_by_bisection]

WRONG = [
    ("formula of 1F1B", enough_by_the_formula_of_1f1b, "measure"),
    ("one more", enough_one_more, "smallest"),
    ("the last that is not", enough_the_last_that_is_not, "idle"),
    ("by doubling", enough_by_doubling, "smallest"),
    ("less, not at most", enough_below, "equal is fine"),
    ("always as many as stages", enough_always, "does the limit count"),
    ("one measurement and a formula", enough_by_one_measurement, "not once"),
    ("no more than ten times", enough_up_to_ten_times, "do not give up"),
    ("the nearest share", enough_nearest, "however near"),
    ("from one", enough_from_one, "as stages"),
]
