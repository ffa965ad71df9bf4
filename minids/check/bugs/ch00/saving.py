"""Answers to 00.saving, right and wrong: the share of a cache that is saved, in percent."""

import math
from typing import Any


def saving(elements: float, bits: float, old_elements: float, old_bits: float) -> float:
    return 100 * (1 - elements * bits / (old_elements * old_bits))


def saving_in_bytes(elements: float, bits: float, old_elements: float, old_bits: float) -> float:
    new, old = elements * bits / 8, old_elements * old_bits / 8
    return (old - new) / old * 100


def saving_factor_by_factor(elements, bits, old_elements, old_bits):
    return (1 - elements / old_elements * bits / old_bits) * 100


def saving_by_logarithms(elements, bits, old_elements, old_bits):
    return -100 * math.expm1(math.log(elements * bits) - math.log(old_elements * old_bits))


def what_remains(elements: float, bits: float, old_elements: float, old_bits: float) -> float:
    return 100 * elements * bits / (old_elements * old_bits)


def saving_upside_down(elements: float, bits: float, old_elements: float, old_bits: float) -> float:
    return 100 * (1 - old_elements * old_bits / (elements * bits))


def saving_of_the_new(elements: float, bits: float, old_elements: float, old_bits: float) -> float:
    return 100 * (old_elements * old_bits / (elements * bits) - 1)


def saving_as_fraction(elements: float, bits: float, old_elements: float, old_bits: float) -> float:
    return 1 - elements * bits / (old_elements * old_bits)


def saving_without_bits(
    elements: float, bits: float, old_elements: float, old_bits: float
) -> float:
    return 100 * (1 - elements / old_elements)


def saving_with_bits_swapped(
    elements: float, bits: float, old_elements: float, old_bits: float
) -> float:
    return 100 * (1 - elements * old_bits / (old_elements * bits))


def saving_rounded(elements: float, bits: float, old_elements: float, old_bits: float) -> float:
    return round(saving(elements, bits, old_elements, old_bits))


def saving_in_whole_bytes(elements, bits, old_elements, old_bits):
    return 100 * (1 - (elements * bits // 8) / (old_elements * old_bits // 8))


def saving_without_sign(elements, bits, old_elements, old_bits):
    return abs(saving(elements, bits, old_elements, old_bits))


def saving_never_negative(elements, bits, old_elements, old_bits):
    return max(0, saving(elements, bits, old_elements, old_bits))


def saving_summed(elements, bits, old_elements, old_bits):
    return 100 * (1 - elements / old_elements) + 100 * (1 - bits / old_bits)


RIGHT: list[Any] = [saving, saving_in_bytes, saving_factor_by_factor, saving_by_logarithms]

WRONG: list[tuple[str, Any, str]] = [
    ("what remains, not what is saved", what_remains, "so 0 % is saved"),
    ("old over new", saving_upside_down, "one minus new over old"),
    ("compared with the new cache", saving_of_the_new, "divide by the OLD cache"),
    ("a fraction", saving_as_fraction, "in percent"),
    ("bits forgotten", saving_without_bits, "both caches need their own bits"),
    ("bits swapped", saving_with_bits_swapped, "half the bits"),
    ("two savings summed", saving_summed, "savings do not add up"),
    ("no sign", saving_without_sign, "no abs and no max"),
    ("never negative", saving_never_negative, "no abs and no max"),
    ("rounded", saving_rounded, "do not round"),
    ("whole bytes", saving_in_whole_bytes, "not even to whole bytes"),
]
