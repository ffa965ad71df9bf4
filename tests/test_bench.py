"""Benches: honest arithmetic, and rows that can be read."""

import json
import time

import pytest

from minids.study import bench
from minids.study.bench import Row, as_json, in_turns, spread, table


def test_actions_take_turns_after_two_warm_ups():
    log = []
    seconds = in_turns({"a": lambda: log.append("a"), "b": lambda: log.append("b")}, 3)
    assert log == ["a", "a", "b", "b"] + ["a", "b"] * 3
    assert {name: len(s) for name, s in seconds.items()} == {"a": 3, "b": 3}


def test_seconds_are_seconds():
    median = sorted(in_turns({"nap": lambda: time.sleep(0.02)}, 3)["nap"])[1]
    assert 0.02 <= median < 0.2


def test_the_spread_is_half_the_quartile_distance_over_the_median():
    assert spread([1.0, 2.0, 3.0]) == 0.5
    assert spread([2.0, 2.0, 2.0, 2.0]) == 0


def test_a_row_reads_as_text_and_as_json():
    row = Row("train", 1234.0, None, "tokens/s", None, 0.5, 0.02)
    assert "1,234" in table([row]) and "50%" in table([row]) and " - " in table([row])
    read = json.loads(as_json([row]))
    assert read["rows"][0]["limit"] == 0.5
    assert read["machine"]["threads"] >= 1


def test_an_unknown_bench_lists_the_known_ones():
    with pytest.raises(ValueError, match="there are: train, import, grpo"):
        bench.bench("speed")


def test_the_training_bench_measures_ours_and_the_peer():
    from minids.study.bench_train import measure

    rows = measure(repeats=2, dims=(128,), batch=2)
    assert ["fp32" in r.name for r in rows] == [True, False]
    for r in rows:
        assert r.ratio == pytest.approx(r.ours / r.peer)
        assert 0.02 < r.limit < 1.5


def test_the_import_bench_takes_the_bare_interpreter_off(monkeypatch):
    from minids.study import bench_import

    seconds = {"import torch": 0.03, "": 0.01}
    monkeypatch.setattr(bench_import, "_import", lambda code: time.sleep(seconds.get(code, 0.05)))
    model, above_torch, counting = bench_import.measure(repeats=2)
    assert model.ours == pytest.approx(0.04, abs=0.01)
    assert above_torch.ours == pytest.approx(0.02, abs=0.01)
    assert counting.peer is None
