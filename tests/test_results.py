"""What is said about numbers: bands, differences and verdicts, with sums one can do on paper."""

import json
import math

import pytest

from minids.study.results import Band, Results, machine

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


def test_the_band_is_two_standard_deviations_to_either_side():
    band = RESULTS.band()
    assert (band.low, band.high) == pytest.approx((0.9, 1.3))
    assert str(band) == "0.9 to 1.3 (mean +- 2 sd of 3 seeds)"


def test_differences_are_taken_seed_by_seed():
    difference = RESULTS.difference("better")
    assert difference.each == pytest.approx((-0.5, -0.5, -0.4))
    assert difference.mean == pytest.approx(-1.4 / 3)


def test_verdicts_name_the_band_and_the_sign():
    assert RESULTS.difference("better").verdict == "outside, below in 3 of 3"
    assert RESULTS.difference("alike").verdict == "inside the band, above in 2 of 3"
    assert RESULTS.difference("base").verdict == "inside the band, equal"


def test_the_edge_of_the_band_lies_inside():
    values = {"base": {"x": (0.0, 2.0, 4.0)}, "edge": {"x": (4.0, 6.0, 8.0)}}
    results = Results(seeds=(0, 1, 2), values=values, machine="")
    assert results.difference("edge").inside
    values["edge"] = {"x": (4.0, 6.0, 8.003)}
    assert not Results(seeds=(0, 1, 2), values=values, machine="").difference("edge").inside


def test_a_band_of_more_seeds_can_be_lent():
    assert RESULTS.difference("better", band=Band(1.0, 0.3, 5)).inside
    assert not RESULTS.difference("alike", band=Band(1.0, 0.01, 5)).inside


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


def test_the_machine_is_named_in_a_line():
    line = machine()
    assert "\n" not in line
    assert "cores" in line and "torch 2" in line and "Python 3" in line
