"""Learning rates: the published shares and factors, and what every schedule has in common."""

import pytest

from minids.train.schedule import (
    V2_DROPS,
    constant,
    constant_cosine_constant,
    cosine,
    multi_step,
)

ALL = [multi_step, cosine, constant_cosine_constant, constant]


def test_deepseek_llm_drops_after_80_and_90_percent():
    factor = multi_step(1000, warmup=0)
    assert [factor(i) for i in (0, 799, 800, 899, 900, 999)] == [1, 1, 0.316, 0.316, 0.1, 0.1]


def test_the_factors_are_two_equal_drops():
    factor = multi_step(1000)
    assert factor(850) ** 2 == pytest.approx(factor(950), rel=0.002)


def test_v2_drops_after_60_and_90_percent():
    factor = multi_step(1000, warmup=0, drops=V2_DROPS)
    assert [factor(i) for i in (599, 600, 899, 900)] == [1, 0.316, 0.316, 0.1]


def test_drops_fall_on_the_exact_step_of_short_runs_too():
    factor = multi_step(10, warmup=0)
    assert [factor(i) for i in range(10)] == [1] * 8 + [0.316, 0.1]


@pytest.mark.parametrize("steps", [30, 170, 990])
def test_a_share_of_the_steps_is_exact(steps):
    for tenth in range(1, 10):
        factor = multi_step(steps, warmup=0, drops=[(tenth / 10, 0.5)])
        assert [factor(i) for i in range(steps)].index(0.5) == steps * tenth // 10


def test_seven_billion_parameters_warm_up_for_two_thousand_steps():
    steps = round(2.0e12 / (2304 * 4096))
    factor = multi_step(steps)
    assert factor(1989) < 1
    assert factor(2009) == 1
    assert factor(0) == pytest.approx(1 / 2000, rel=0.01)


def test_a_cosine_of_no_length_is_refused():
    with pytest.raises(ValueError, match="the cosine's, must be above 0"):
        constant_cosine_constant(10, trillions=(1.0, 0.0, 1.0, 1.0))


def test_v3_holds_falls_and_holds_twice_at_the_published_shares():
    trillion = 1000  # steps, so that steps are billions of tokens
    factor = constant_cosine_constant(14_800)
    at = [factor(round(t * trillion) + 5) for t in (1, 9.99, 14.3, 14.62, 14.633, 14.79)]
    assert at == pytest.approx([1, 1, 0.1, 0.1, 0.0332, 0.0332], rel=1e-3)


def test_v3_reaches_the_published_rates():
    factor = constant_cosine_constant(14_800)
    assert 2.2e-4 * factor(5_000) == pytest.approx(2.2e-4)
    assert 2.2e-4 * factor(14_400) == pytest.approx(2.2e-5)
    assert 2.2e-4 * factor(14_700) == pytest.approx(7.3e-6)


def test_v3_is_halfway_down_in_the_middle_of_its_cosine():
    factor = constant_cosine_constant(14_800)
    assert factor(10_000 + 2_150) == pytest.approx(0.55, abs=1e-3)
    assert factor(10_000 + 430) > 0.975  # a cosine begins flat, a line would be at 0.91


def test_a_cosine_goes_from_one_to_its_floor_through_their_mean():
    factor = cosine(1000, warmup=0, floor=0.1)
    assert factor(0) == 1
    assert factor(500) == pytest.approx(0.55)
    assert factor(999) == pytest.approx(0.1, abs=1e-4)


def test_a_cosine_begins_where_the_warm_up_ends():
    factor = cosine(1000, warmup=100)
    assert factor(99) == 1
    assert factor(550) == pytest.approx(0.55)


@pytest.mark.parametrize("schedule", ALL)
def test_every_schedule_warms_up_linearly_and_never_rises_again(schedule):
    factor = schedule(400, warmup=8)
    assert [factor(i) for i in range(8)] == pytest.approx([(i + 1) / 8 for i in range(8)])
    later = [factor(i) for i in range(8, 400)]
    assert later == sorted(later, reverse=True)
    assert min(later) > 0 and max(later) <= 1


@pytest.mark.parametrize("schedule", ALL)
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_short_runs_have_a_rate_at_every_step(schedule, steps):
    factor = schedule(steps)
    assert all(0 < factor(i) <= 1 for i in range(steps))


@pytest.mark.parametrize("schedule", ALL)
def test_a_run_without_steps_or_with_a_longer_warm_up_is_refused(schedule):
    with pytest.raises(ValueError, match="length of the run"):
        schedule(0)
    with pytest.raises(ValueError, match="warmup=11 must lie between"):
        schedule(10, warmup=11)


@pytest.mark.parametrize(
    "drops", [[(0.9, 0.3), (0.8, 0.1)], [(0.0, 0.3)], [(0.8, 0.3), (1.0, 0.1)]]
)
def test_drops_out_of_order_or_outside_the_run_are_refused(drops):
    with pytest.raises(ValueError, match="rising shares"):
        multi_step(10, drops=drops)
