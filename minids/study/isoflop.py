"""How large a model should be for a budget: equal work, several sizes, the bottom of each curve.

A budget C of training FLOPs buys D tokens of a model that costs M FLOPs a token: C = M D. Too small
a model learns little from many tokens, too large a one sees too few. Between them a parabola in
ln M has its bottom, and the bottoms of several budgets give the exponent a in M = const C^a; the
tokens then grow with 1 - a (DeepSeek LLM, arXiv 2401.02954, section 3.2).

axes: c budgets, s sizes tried for each
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from minids import accounting
from minids.config import ModelConfig


class Valley(NamedTuple):
    """The parabola through the losses of one budget: loss + bend (ln M - ln scale)^2."""

    scale: float  # M at the bottom, in FLOPs per token
    loss: float  # there
    bend: float  # above 0; 0 where there is no valley, and the bottom is the best size tried

    def at(self, scale: float) -> float:
        """Return the loss that the parabola has at another M."""
        return self.loss + self.bend * float(np.log(scale / self.scale)) ** 2


def flops_per_token(config: ModelConfig) -> int:
    """Return M: training FLOPs of one token in rows as long as the context, the head included.

    DeepSeek leaves the head out. In a toy it is half of the work, and time is spent on it.
    """
    return accounting.flops_per_token(config, config.context)


def steps_for(config: ModelConfig, *, budget: float, batch: int) -> int:
    """Return how many steps of `batch` rows the budget pays for, 1 or more."""
    return max(1, round(budget / (flops_per_token(config) * batch * config.context)))


def valley(scales: Sequence[float], losses: Sequence[float]) -> Valley:
    """Return the least-squares parabola in ln M through three sizes or more."""
    if len(scales) < 3:
        raise ValueError(f"a parabola needs three sizes or more, got {len(scales)}")
    x = np.log(scales)
    if len(set(scales)) < 3 or not np.isfinite([*x, *losses]).all():
        raise ValueError(
            f"a parabola needs three sizes that differ, and finite losses: {scales}, {losses}"
        )
    bend, slope, start = np.polyfit(x, losses, 2)
    if bend * np.ptp(x) ** 2 <= 1e-9 * max(1.0, float(np.ptp(losses))):  # a line, but for rounding
        best = int(np.argmin(losses))
        return Valley(float(scales[best]), float(losses[best]), 0.0)
    bottom = -slope / (2 * bend)
    return Valley(float(np.exp(bottom)), float(start - bend * bottom**2), float(bend))


def exponent(budgets: Sequence[float], scales: Sequence[float]) -> float:
    """Return a of the least-squares fit M = const C^a to the bottoms of several budgets."""
    if len(budgets) < 2:
        raise ValueError("one budget has no slope: give two or more")
    return float(np.polyfit(np.log(budgets), np.log(scales), 1)[0])


def exponent_range(
    budgets: Sequence[float],
    scales: Sequence[Sequence[float]],
    losses: Sequence[Sequence[float]],
    *,
    sd: float,
    draws: int = 400,
    seed: int = 0,
) -> tuple[float, float]:
    """Return where 9 of 10 exponents lie when every loss is redrawn with the noise of a seed.

    `sd` is the standard deviation of the loss between seeds. Other errors (which sizes, which
    learning rates, what M counts) are not in the range.
    """
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(draws):
        redrawn = [[loss + sd * rng.standard_normal() for loss in row] for row in losses]
        valleys = [valley(row, new) for row, new in zip(scales, redrawn, strict=True)]
        found.append(exponent(budgets, [v.scale for v in valleys]))
    low, high = np.quantile(found, [0.05, 0.95])
    return float(low), float(high)
