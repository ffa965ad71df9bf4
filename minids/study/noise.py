"""How far the seed alone moves a mean: the spread of all arms together, and Student's multiple.

The deviation of three runs is itself a matter of luck. A rule that takes it from the baseline's
three runs, and calls a mean that lies twice as far away different, is wrong in one of seven
comparisons of a thing with itself, where one in twenty was meant. Two things mend that. The
runs of every arm say something about noise, so they are put together; and the multiple grows as
they get fewer (Student, "The probable error of a mean", 1908).

Left out: arms that spread unlike. One that is far noisier than the others is called different too
often, and a quiet one too rarely.
"""

import math
from collections.abc import Sequence
from functools import cache
from statistics import fmean
from typing import NamedTuple

SHARE = 0.95
"""What is called noise: as far as chance alone goes in so many of all cases."""


class Noise(NamedTuple):
    """The standard deviation of one run, and how many numbers it rests on."""

    sd: float
    df: int  # degrees of freedom: deviations that were free to differ

    def reach(self, *runs: int) -> float:
        """Return how far apart two means of so many `runs` lie at most, 95 times in 100."""
        return multiple(self.df) * self.sd * math.sqrt(sum(1 / n for n in runs))


def pooled(arms: Sequence[Sequence[float]], *, paired: bool = True) -> Noise:
    """Return what is left to chance in runs by arm and seed, from all arms together.

    `paired`: a seed that is lucky in every arm alike does not blur their differences, so the mean
    of each seed is taken out first. That costs a degree of freedom for each seed but one. An arm
    with a number that is not finite says nothing. ValueError if there is one seed.
    """
    if any(len(runs) < 2 for runs in arms):
        raise ValueError("one seed has no spread: run at least two, better three")
    whole = [runs for runs in arms if all(map(math.isfinite, runs))]
    if not whole:
        return Noise(math.nan, 1)
    n, paired = len(whole[0]), paired and len(whole) > 1
    seeds = [fmean(column) if paired else 0.0 for column in zip(*whole, strict=True)]
    left = [[run - seed for run, seed in zip(runs, seeds, strict=True)] for runs in whole]
    squares = math.fsum((x - fmean(row)) ** 2 for row in left for x in row)
    df = (len(whole) - paired) * (n - 1)
    return Noise(math.sqrt(squares / df), df)


@cache
def multiple(df: int, share: float = SHARE) -> float:
    """Return how many standard errors hold `share` of all differences that are chance alone.

    4.30 with 2 degrees of freedom, 2.31 with 8, 1.96 with very many: the less is known of the
    noise, the further it may reach.
    """
    if df < 1:
        raise ValueError(f"{df} degrees of freedom: nothing is known of the noise; run more seeds")
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, df) < share else (low, middle)
    return math.sqrt(df) * math.tan(low)


def _within(angle: float, df: int) -> float:
    """The chance that Student's t lies within +-sqrt(df) tan(angle).

    Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3 (odd) and 26.7.4 (even).
    """
    odd = df % 2
    term, total = (math.cos(angle) if odd else 1.0), 0.0
    for k in range(2 + odd, df + 1, 2):
        total += term
        term *= math.cos(angle) ** 2 * (k - 1) / k
    share = math.sin(angle) * total
    return (angle + share) * 2 / math.pi if odd else share
