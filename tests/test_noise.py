"""How far chance reaches: Student's multiples, spreads put together, alarms that are counted."""

import math
from statistics import fmean, stdev

import pytest
import torch

from minids.study.noise import multiple, pooled


def draws(trials: int, arms: int, seeds: int, *, seed: int, shared: float = 0.0) -> torch.Tensor:
    """Runs by trial, arm and seed that differ by chance alone; `shared` is the luck of a seed."""
    g = torch.Generator().manual_seed(seed)
    own = torch.randn(trials, arms, seeds, generator=g, dtype=torch.float64)
    return own + shared * torch.randn(trials, 1, seeds, generator=g, dtype=torch.float64)


def called_different(runs: torch.Tensor) -> torch.Tensor:
    """Whether each arm but the first is called different from it, by trial."""
    n = runs.shape[2]
    reach = torch.tensor([pooled(trial).reach(n, n) for trial in runs.tolist()])
    means = runs.mean(-1)
    return (means[:, 1:] - means[:, :1]).abs() > reach[:, None]


@pytest.mark.parametrize(
    ("df", "expected"),
    # Abramowitz and Stegun, table 26.10, A = 0.95
    [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (8, 2.306), (30, 2.042), (120, 1.980)],
)
def test_multiples_are_those_of_the_printed_table(df, expected):
    assert multiple(df) == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize(("share", "expected"), [(0.9, 2.920), (0.99, 9.925)])
def test_a_larger_share_reaches_further(share, expected):
    assert multiple(2, share) == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize("df", [1, 2, 5, 8])
def test_multiples_hold_95_of_100_of_simulated_cases(df):
    g = torch.Generator().manual_seed(df)
    x = torch.randn(200_000, df + 1, generator=g, dtype=torch.float64)
    t = x.mean(-1) / x.std(-1) * math.sqrt(df + 1)
    assert float((t.abs() <= multiple(df)).double().mean()) == pytest.approx(0.95, abs=0.002)


def test_with_much_known_the_multiple_is_that_of_a_normal():
    assert multiple(10_000) == pytest.approx(1.960, abs=1e-3)


def test_nothing_known_is_refused():
    with pytest.raises(ValueError, match="run more seeds"):
        multiple(0)


def test_spreads_of_arms_are_put_together_by_hand():
    noise = pooled([(1.0, 2.0, 3.0), (10.0, 14.0, 18.0)], paired=False)
    assert noise == (pytest.approx(math.sqrt((1 + 16) / 2)), 4)


def test_what_a_seed_does_to_all_arms_alike_is_no_noise():
    arms = [(1.0, 2.0, 4.0), (1.5, 2.0, 4.4), (0.7, 2.1, 4.1)]
    luck = (5.0, -3.0, 100.0)
    moved = [tuple(x + extra for x, extra in zip(runs, luck, strict=True)) for runs in arms]
    assert pooled(moved).sd == pytest.approx(pooled(arms).sd)
    assert pooled(arms).df == 4
    assert pooled(moved, paired=False).sd > 10 * pooled(arms, paired=False).sd


def test_one_arm_has_its_own_standard_deviation():
    assert pooled([(1.0, 2.0, 6.0)]) == (pytest.approx(stdev([1.0, 2.0, 6.0])), 2)


def test_an_arm_that_broke_says_nothing_and_none_that_is_whole_gives_nan():
    whole = [(1.0, 2.0), (2.0, 2.5)]
    assert pooled([*whole, (1.0, math.nan)]) == pooled(whole)
    assert math.isnan(pooled([(1.0, math.inf)]).reach(2, 2))


def test_one_seed_is_refused():
    with pytest.raises(ValueError, match="one seed has no spread"):
        pooled([(1.0,), (2.0,)])


@pytest.mark.parametrize(
    ("arms", "seeds", "shared"), [(4, 3, 0.0), (4, 3, 3.0), (2, 3, 1.0), (9, 5, 1.0)]
)
def test_one_in_twenty_arms_that_differ_by_nothing_is_called_different(arms, seeds, shared):
    found = called_different(draws(4000, arms, seeds, seed=arms, shared=shared)).double()
    assert float(found.mean()) == pytest.approx(0.05, abs=0.01)


def test_of_three_equal_arms_some_one_is_called_different_in_12_of_100_comparisons():
    found = called_different(draws(4000, 4, 3, seed=1))
    assert float(found.any(-1).double().mean()) == pytest.approx(0.12, abs=0.015)


def test_a_real_difference_of_four_deviations_is_found_nearly_always():
    runs = draws(2000, 4, 3, seed=2, shared=1.0)
    runs[:, 1] += 4
    assert float(called_different(runs)[:, 0].double().mean()) > 0.96


def test_two_deviations_of_three_runs_of_one_arm_would_cry_wolf_in_one_of_seven():
    alarms = [
        abs(fmean(arm) - fmean(first)) > 2 * stdev(first)
        for first, *others in draws(2000, 4, 3, seed=3).tolist()
        for arm in others
    ]
    assert fmean(alarms) == pytest.approx(1 / 7, abs=0.02)


def test_an_arm_far_noisier_than_the_others_is_called_different_too_often():
    runs = draws(2000, 4, 3, seed=4)
    runs[:, 1] *= 4
    assert float(called_different(runs)[:, 0].double().mean()) > 0.1
    assert float(called_different(runs)[:, 1].double().mean()) < 0.02
