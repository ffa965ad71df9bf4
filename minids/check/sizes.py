"""Sizes of what a learner's function is given, new for every check."""

import torch


def draw(g: torch.Generator, low: int, high: int) -> int:
    """A whole number from `low` to `high`, both included."""
    return int(torch.randint(low, high + 1, (), generator=g))
