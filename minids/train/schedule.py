"""Learning rates over a run: functions from the step, counted from 0, to a factor in 0..1.

DeepSeek LLM drops the rate in two steps instead of along a cosine: the loss ends about the same,
and the long first phase can be reused when more data come (arXiv 2401.02954, section 2.3).
V2 drops it earlier (arXiv 2405.04434, section 3.1.2), V3 holds it, lets it fall along a cosine
and holds it twice more (arXiv 2412.19437, section 4.2).

Every schedule begins with a linear warm-up. 2,000 steps are 0.9 % of the 212 thousand steps of
DeepSeek LLM 7B (2.0T tokens in batches of 2304 x 4096), and that share is what None means here.
"""

import math
from collections.abc import Callable, Sequence

Schedule = Callable[[int], float]

WARMUP = 2_000 / 212_000
V1_DROPS = ((0.8, 0.316), (0.9, 0.1))
V2_DROPS = ((0.6, 0.316), (0.9, 0.1))


def multi_step(
    steps: int,
    *,
    warmup: int | None = None,
    drops: Sequence[tuple[float, float]] = V1_DROPS,
) -> Schedule:
    """Return DeepSeek LLM's schedule: 1, after 80 % of the steps 0.316, after 90 % 0.1.

    `drops` are pairs (share of the steps, factor from there on); V2's are `V2_DROPS`. The two
    published factors are 10^-1/2, rounded, and 10^-1.
    """
    ramp = _warm_up(steps, warmup)
    shares = [share for share, _ in drops]
    if shares != sorted(shares) or not all(0 < share < 1 for share in shares):
        raise ValueError(f"drops must happen at rising shares between 0 and 1, got {shares}")

    def factor(i: int) -> float:
        passed = [to for share, to in drops if i / steps >= share]
        return min(ramp(i), passed[-1] if passed else 1.0)

    return factor


def cosine(steps: int, *, warmup: int | None = None, floor: float = 0.1) -> Schedule:
    """Return half a cosine, from 1 after the warm-up down to `floor` at the end."""
    n = _warm_up_steps(steps, warmup)
    ramp = _warm_up(steps, warmup)

    def factor(i: int) -> float:
        return min(ramp(i), _half_cosine((i - n) / max(1, steps - n), floor))

    return factor


def constant_cosine_constant(
    steps: int,
    *,
    warmup: int | None = None,
    trillions: tuple[float, float, float, float] = (10.0, 4.3, 0.333, 0.167),
    floors: tuple[float, float] = (2.2e-5 / 2.2e-4, 7.3e-6 / 2.2e-4),
) -> Schedule:
    """Return V3's schedule: 1 for 10T of its 14.8T tokens, then a cosine, then two low tails.

    `trillions` are the lengths of the four phases (only their ratios count), `floors` the factors
    of the two tails: the cosine ends at the first. ValueError if the cosine has no length.
    """
    if trillions[1] <= 0:
        raise ValueError(f"trillions={trillions}: the second, the cosine's, must be above 0")
    ramp = _warm_up(steps, warmup)
    total = sum(trillions)
    hold, fall, low, _ = (length / total for length in trillions)

    def factor(i: int) -> float:
        done = i / steps
        if done < hold + fall:
            return min(ramp(i), _half_cosine((done - hold) / fall, floors[0]))
        return floors[0] if done < hold + fall + low else floors[1]

    return factor


def constant(steps: int, *, warmup: int | None = None) -> Schedule:
    """Return 1 after the warm-up: what every other schedule is compared with."""
    return _warm_up(steps, warmup)


def _half_cosine(done: float, floor: float) -> float:
    """1 at `done` = 0 and before, `floor` at 1 and after, the mean of both halfway."""
    done = min(max(done, 0.0), 1.0)
    return floor + (1 - floor) * (1 + math.cos(math.pi * done)) / 2


def _warm_up(steps: int, warmup: int | None) -> Schedule:
    n = _warm_up_steps(steps, warmup)
    return lambda i: min(1.0, (i + 1) / n) if n else 1.0


def _warm_up_steps(steps: int, warmup: int | None) -> int:
    if steps < 1:
        raise ValueError(f"steps={steps}: a schedule needs the length of the run, 1 or more")
    n = round(steps * WARMUP) if warmup is None else warmup
    if not 0 <= n <= steps:
        raise ValueError(f"warmup={warmup} must lie between 0 and steps={steps}")
    return n
