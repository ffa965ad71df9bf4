"""Answers to 04.measure, right and wrong: the number of queries at which carrying stops to pay."""

import math

import torch
from torch.utils.flop_counter import FlopCounterMode


def _flops(attend, new, total, c):
    with FlopCounterMode(display=False) as counter, torch.device("meta"):
        attend(
            torch.empty(1, c.n_heads, new, c.nope_dim),
            torch.empty(1, c.n_heads, new, c.rope_dim),
            torch.empty(1, total, c.kv_rank),
            torch.empty(1, total, c.rope_dim),
            torch.empty(c.n_heads, c.nope_dim, c.kv_rank),
            torch.empty(c.n_heads, c.value_dim, c.kv_rank),
            1.0,
        )
    return counter.get_total_flops()


def stops_paying(carry, rebuild, total, c):
    new = 1
    while _flops(carry, new, total, c) < _flops(rebuild, new, total, c):
        new += 1
    return new


def stops_paying_by_halves(carry, rebuild, total, c):
    low, high = 0, total
    while high - low > 1:
        middle = (low + high) // 2
        pays = _flops(carry, middle, total, c) < _flops(rebuild, middle, total, c)
        low, high = (middle, high) if pays else (low, middle)
    return high


def last_that_pays(carry, rebuild, total, c):
    return stops_paying(carry, rebuild, total, c) - 1


def by_formula(carry, rebuild, total, c):
    up = c.kv_rank * (c.nope_dim + c.value_dim)
    more = total * (2 * c.kv_rank - c.nope_dim - c.value_dim) + up
    return math.ceil(total * up / more)


def without_the_past(carry, rebuild, total, c):
    return stops_paying(carry, rebuild, 300, c)


def goes_on_at_a_tie(carry, rebuild, total, c):
    new = 1
    while _flops(carry, new, total, c) <= _flops(rebuild, new, total, c):
        new += 1
    return new


def swapped(carry, rebuild, total, c):
    return stops_paying(rebuild, carry, total, c)


def one_too_many(carry, rebuild, total, c):
    return stops_paying(carry, rebuild, total, c) + 1


def as_a_share(carry, rebuild, total, c):
    return stops_paying(carry, rebuild, total, c) / total


def from_two(carry, rebuild, total, c):
    new = 2
    while _flops(carry, new, total, c) < _flops(rebuild, new, total, c):
        new += 1
    return new


RIGHT = [stops_paying, stops_paying_by_halves]

WRONG = [
    ("the last that pays", last_that_pays, "the last number for which it pays"),
    ("a formula", by_formula, "a formula of the widths"),
    ("the past ignored", without_the_past, "`total` counts"),
    ("the two swapped", swapped, "comes first"),
    ("one too many", one_too_many, "for one fewer it still pays"),
    ("goes on at a tie", goes_on_at_a_tie, "< and not <="),
    ("from two", from_two, "begin with one new token"),
    ("a share", as_a_share, "a whole number"),
]
