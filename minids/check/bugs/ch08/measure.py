"""Answers to 08.measure, right and wrong: how large outliers may grow before a format breaks."""

import torch


def damage(rounding, size):
    x = torch.randn(16, 256, generator=torch.Generator().manual_seed(0))
    x[3, 5] = size
    rest = torch.ones_like(x, dtype=torch.bool)
    rest[3, 5] = False
    return float((rounding(x) - x)[rest].norm() / x[rest].norm())


def breaks(rounding):
    for size in (2**i for i in range(21)):
        if damage(rounding, size) > 0.1:
            return size
    return None


def breaks_by_list(rounding):
    harmful = [2**i for i in range(21) if damage(rounding, 2**i) > 0.1]
    return min(harmful, default=None)


def breaks_exponent(rounding):
    found = breaks(rounding)
    return None if found is None else found.bit_length() - 1


def breaks_last_good(rounding):
    found = breaks(rounding)
    return None if found is None else max(1, found // 2)


def breaks_at_a_tenth_more(rounding):
    return next((2**i for i in range(21) if damage(rounding, 2**i) > 0.3), None)


def breaks_a_little_early(rounding):
    return next((2**i for i in range(21) if damage(rounding, 2**i) > 0.095), None)


def breaks_a_little_late(rounding):
    return next((2**i for i in range(21) if damage(rounding, 2**i) > 0.11), None)


def breaks_early_end(rounding):
    return next((2**i for i in range(11) if damage(rounding, 2**i) > 0.1), None)


def breaks_one_size_too_few(rounding):
    return next((2**i for i in range(20) if damage(rounding, 2**i) > 0.1), None)


def breaks_one_size_too_many(rounding):
    return next((2**i for i in range(22) if damage(rounding, 2**i) > 0.1), None)


def breaks_always(rounding):
    found = breaks(rounding)
    return 2**20 if found is None else found


def breaks_from_two(rounding):
    return next((2**i for i in range(1, 21) if damage(rounding, 2**i) > 0.1), None)


def breaks_never(rounding):
    return None


def breaks_by_halves(rounding):
    low, high = 0, 21
    while low < high:
        middle = (low + high) // 2
        if damage(rounding, 2**middle) > 0.1:
            high = middle
        else:
            low = middle + 1
    return 2**low if low < 21 else None


def breaks_asks_the_end_first(rounding):
    return breaks(rounding) if damage(rounding, 2**20) > 0.1 else None


def breaks_doubling_a_float(rounding):
    size = 1.0
    while size <= 2**20:
        if damage(rounding, size) > 0.1:
            return size
        size *= 2
    return None


RIGHT = [breaks, breaks_by_list, breaks_doubling_a_float]

WRONG = [
    ("exponent, not size", breaks_exponent, "not its exponent"),
    ("the last good size", breaks_last_good, "the smallest power of two"),
    ("another limit", breaks_at_a_tenth_more, "more than 0.1 damage"),
    ("a little less than the limit", breaks_a_little_early, "0.099 is none"),
    ("a little more than the limit", breaks_a_little_late, "0.101 is above it"),
    ("an early end", breaks_early_end, "up to 2**20"),
    ("one size too few", breaks_one_size_too_few, "ends with 19"),
    ("one size too many", breaks_one_size_too_many, "range(22) one too late"),
    ("never None", breaks_always, "return None"),
    ("starts at two", breaks_from_two, "start at 2**0"),
    ("by halves", breaks_by_halves, "try every one"),
    ("the end asked first", breaks_asks_the_end_first, "try every one"),
    ("always None", breaks_never, "an int such as 64"),
]
