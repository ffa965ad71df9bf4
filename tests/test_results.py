"""What is said about numbers: bands, differences and verdicts, with sums one can do on paper."""

import json
import math

import pytest

from minids.study.noise import pooled
from minids.study.results import Difference, Results, machine

RESULTS = Results(
    seeds=(0, 1, 2),
    values={
        "base": {"loss": (1.0, 1.1, 1.2), "seconds": (5.0, 5.0, 5.0)},
        "better": {"loss": (0.5, 0.6, 0.8), "seconds": (5.0, 5.0, 5.0)},
        "alike": {"loss": (1.1, 1.1, 1.3), "seconds": (6.0, 4.0, 5.0)},
    },
    machine="a machine",
)


def test_mean_and_sample_standard_deviation_by_hand():
    assert RESULTS.mean("base") == pytest.approx(1.1)
    assert RESULTS.sd("base") == pytest.approx(0.1)


def test_the_band_around_the_baseline_has_the_reach_of_the_noise_of_all_arms():
    band = RESULTS.band()
    # By hand, without the means of seeds 26/30, 28/30, 33/30: each arm strays by 0, 1/30 and -1/30.
    sd = math.sqrt(6 / 900 / 4)
    reach = 2.7764 * sd * math.sqrt(2 / 3)  # Student's multiple for 4 degrees of freedom
    assert (band.sd, band.df) == pytest.approx((sd, 4))
    assert (band.low, band.high) == pytest.approx((1.1 - reach, 1.1 + reach), rel=1e-4)
    says = "(95 % of means of 3 runs; sd of a run 0.041, 4 degrees of freedom)"
    assert str(band) == f"1.007 to 1.193 {says}"


def test_an_arm_is_inside_if_its_mean_lies_in_the_band():
    for arm in RESULTS.arms:
        band, mean = RESULTS.band(), RESULTS.mean(arm)
        assert RESULTS.difference(arm).inside == (band.low <= mean <= band.high)
        assert RESULTS.difference(arm).reach == band.reach


def test_one_more_run_strays_further_than_a_mean_and_brings_a_seed_of_its_own():
    one = RESULTS.band(runs=1)
    alone = pooled([RESULTS.of(RESULTS.arms[0])], paired=False)
    assert one.reach == pytest.approx(alone.reach(3, 1)) and one.df == 2
    assert one.reach > 2 * RESULTS.band().reach
    assert "95 % of single runs" in str(one)


def test_two_arms_are_compared_as_pairs():
    values = {"a": {"x": (1.0, 5.0, 3.0)}, "b": {"x": (1.2, 5.3, 3.4)}}
    results = Results(seeds=(0, 1, 2), values=values, machine="")
    # differences 0.2, 0.3, 0.4: mean 0.3, sd 0.1, standard error 0.0577, times 4.303
    assert results.difference("b").reach == pytest.approx(0.2484, abs=1e-4)
    assert results.difference("b").verdict == "outside, above in 3 of 3"


def test_differences_are_taken_seed_by_seed():
    difference = RESULTS.difference("better")
    assert difference.each == pytest.approx((-0.5, -0.5, -0.4))
    assert difference.mean == pytest.approx(-1.4 / 3)


def test_verdicts_name_the_band_and_the_sign():
    assert RESULTS.difference("better").verdict == "outside, below in 3 of 3"
    assert RESULTS.difference("alike").verdict == "inside the band, above in 2 of 3"
    assert RESULTS.difference("base").verdict == "inside the band, equal"


def test_the_edge_of_the_band_lies_inside():
    assert Difference(0.5, (0.4, 0.6), 0.5).inside and Difference(-0.5, (-0.5,), 0.5).inside
    assert not Difference(0.501, (0.4, 0.602), 0.5).inside
    assert not Difference(-0.501, (-0.501,), 0.5).inside


def test_every_metric_can_be_asked_for_and_the_first_is_meant_otherwise():
    assert RESULTS.metrics == ["loss", "seconds"]
    assert RESULTS.of("alike") == RESULTS.of("alike", "loss")
    assert RESULTS.mean("alike", "seconds") == 5


def test_an_unknown_arm_or_metric_is_refused_with_the_choices():
    with pytest.raises(ValueError, match="no 'accuracy' of arm 'base'; arms: base, better, alike"):
        RESULTS.mean("base", "accuracy")
    with pytest.raises(ValueError, match="arm 'worse'"):
        RESULTS.difference("worse")


def test_one_seed_has_no_band():
    single = Results(seeds=(0,), values={"a": {"x": (1.0,)}, "b": {"x": (2.0,)}}, machine="")
    with pytest.raises(ValueError, match="one seed has no spread"):
        single.band()
    assert single.table().splitlines()[1:] == [
        "a     1.000  1.000   -          baseline, one run",
        "b     2.000  2.000   -  +1.000  one run",
    ]


def test_the_table_shows_every_number_and_the_verdict():
    assert RESULTS.table(digits=2).splitlines() == [
        "arm     seed 0  seed 1  seed 2  mean    sd   diff",
        "base      1.00    1.10    1.20  1.10  0.10         baseline",
        "better    0.50    0.60    0.80  0.63  0.15  -0.47  outside, below in 3 of 3",
        "alike     1.10    1.10    1.30  1.17  0.12  +0.07  inside the band, above in 2 of 3",
    ]


def test_what_is_saved_is_what_is_loaded(tmp_path):
    path = tmp_path / "results.json"
    RESULTS.save(path)
    assert Results.load(path) == RESULTS
    assert json.loads(path.read_text())["machine"] == "a machine"


def test_a_run_that_broke_shows_as_nan_and_lies_outside():
    values = {"base": {"x": (1.0, 1.1)}, "broken": {"x": (1.0, math.nan)}}
    results = Results(seeds=(0, 1), values=values, machine="")
    assert "nan" in results.table()
    assert not results.difference("broken").inside


def test_a_run_that_broke_leaves_the_verdicts_on_the_other_arms_alone():
    values = {"base": {"x": (1.0, 1.1)}, "like": {"x": (1.1, 1.0)}}
    before = Results(seeds=(0, 1), values=values, machine="").difference("like")
    broken = values | {"broken": {"x": (1.0, math.inf)}}
    assert Results(seeds=(0, 1), values=broken, machine="").difference("like") == before


def test_the_machine_is_named_in_a_line():
    line = machine()
    assert "\n" not in line
    assert "cores" in line and "torch 2" in line and "Python 3" in line
