"""Answers to 10.pass, right and wrong: the chance that one of k answers is right."""

import itertools
import math


def passed(n, c, k):
    if k > n:
        raise ValueError(f"k={k} of n={n} samples")
    return 1 - math.comb(n - c, k) / math.comb(n, k)


def passed_by_product(n, c, k):
    if k > n:
        raise ValueError(f"k={k} of n={n} samples")
    all_wrong = 1.0
    for i in range(k):
        all_wrong *= max(0, n - c - i) / (n - i)
    return 1 - all_wrong


def passed_by_logarithms(n, c, k):
    if k > n:
        raise ValueError(f"cannot draw {k} of {n}")
    if n - c < k:
        return 1.0
    log = math.lgamma
    wrong = log(n - c + 1) - log(n - c - k + 1) - log(n + 1) + log(n - k + 1)
    return -math.expm1(wrong)


def passed_by_first_hit(n, c, k):
    if not k <= n:
        raise ValueError("more tries than samples")
    chance, still_wrong = 0.0, 1.0
    for i in range(k):
        chance += still_wrong * c / (n - i)
        still_wrong *= 1 - min(1.0, c / (n - i))
    return chance


def passed_with_putting_back(n, c, k):
    if k > n:
        raise ValueError(k)
    return 1 - (1 - c / n) ** k


def passed_all_right(n, c, k):
    if k > n:
        raise ValueError(k)
    return math.comb(c, k) / math.comb(n, k)


def passed_k_times(n, c, k):
    if k > n:
        raise ValueError(k)
    return min(1.0, k * c / n)


def passed_failures(n, c, k):
    if k > n:
        raise ValueError(k)
    return math.comb(n - c, k) / math.comb(n, k)


def passed_unchecked(n, c, k):
    picks = list(itertools.combinations(range(min(n, 9)), min(k, n)))
    return sum(min(pick) < c for pick in picks) / len(picks)


def passed_any(n, c, k):
    if k > n:
        raise ValueError(k)
    return float(c > 0)


def passed_exactly_once(n, c, k):
    if k > n:
        raise ValueError(f"k={k} of n={n} samples")
    return c * math.comb(n - c, k - 1) / math.comb(n, k)


RIGHT = [passed, passed_by_product, passed_by_logarithms, passed_by_first_hit]

WRONG = [
    ("with putting back", passed_with_putting_back, "without putting back"),
    ("all of them right", passed_all_right, "need not all be right"),
    ("k times the share", passed_k_times, "counts that case twice"),
    ("the chance to fail", passed_failures, "what is left"),
    ("exactly one right", passed_exactly_once, "one, two or all"),
    ("any right sample at all", passed_any, "c / n"),
    ("k is not checked", passed_unchecked, "ValueError when"),
]
