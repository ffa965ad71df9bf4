"""What more than one check of chapter 09 asks."""

import math

import torch


def alike(one: float, other: float) -> bool:
    """Whether two answers of the learner's agree; both may be 0, unlike in `close`."""
    return math.isclose(one, other, rel_tol=1e-4)


def reals(g: torch.Generator, n: int) -> list[float]:
    return (torch.rand(n, generator=g, dtype=torch.float64) + 0.5).tolist()
