"""Answers to 05.wavelength, right and wrong: how often each pair turns in a row."""

import math

import torch


def turns(width, theta, length):
    return length * theta ** (-torch.arange(0, width, 2) / width) / (2 * math.pi)


def turns_pair_by_pair(width, theta, length):
    waves = [2 * math.pi * theta ** (2 * i / width) for i in range(width // 2)]
    return torch.tensor([length / wave for wave in waves])


def turns_by_exponentials(width, theta, length):
    return torch.exp(-torch.arange(0, width, 2) / width * math.log(theta)) * length / math.tau


def turns_by_products(width, theta, length):
    found = [length / math.tau]
    while len(found) < width // 2:
        found.append(found[-1] / theta ** (2 / width))
    return torch.tensor(found)


def radians(width, theta, length):
    return 2 * math.pi * turns(width, theta, length)


def waves(width, theta, length):
    return length / turns(width, theta, 1) / length


def turns_half_exponent(width, theta, length):
    return length * theta ** (-torch.arange(width // 2) / width) / (2 * math.pi)


def turns_to_the_base(width, theta, length):
    return length * theta ** (-torch.linspace(0, 1, width // 2)) / (2 * math.pi)


def turns_from_one(width, theta, length):
    return turns(width, theta, length) * theta ** (-2 / width)


def turns_growing(width, theta, length):
    return turns(width, theta, length) ** -1 * (length / (2 * math.pi)) ** 2


def turns_fixed_base(width, theta, length):
    return turns(width, 10_000.0, length)


def turns_for_every_number(width, theta, length):
    return turns(width, theta, length).repeat_interleave(2)


def turns_of_zeros(width, theta, length):
    return torch.zeros(width // 2)


def turns_rounded(width, theta, length):
    return turns(width, theta, length).round()


def turns_of_the_gaps(width, theta, length):
    return turns(width, theta, length - 1)


RIGHT = [turns, turns_pair_by_pair, turns_by_exponentials, turns_by_products]

WRONG = [
    ("radians, not turns", radians, "a turn has 2 pi radians"),
    ("wavelengths, not turns", waves, "you may have returned the wavelength"),
    ("rounded", turns_rounded, "not rounded"),
    ("one token less", turns_of_the_gaps, "with the whole length"),
    ("i over width", turns_half_exponent, "two numbers make a pair"),
    ("down to the base itself", turns_to_the_base, "two numbers make a pair"),
    ("pairs counted from one", turns_from_one, "pair 0 has exponent 0"),
    ("the slowest first", turns_growing, "the exponent is negative"),
    ("always base 10,000", turns_fixed_base, "no base of your own"),
    ("zeros", turns_of_zeros, "length / (2 pi) turns"),
    ("one for every number of the head", turns_for_every_number, "expected shape"),
]
