"""Benches: honest arithmetic, and rows that can be read."""

import json
import time
from dataclasses import replace
from importlib import import_module

import pytest
import torch

from minids import accounting
from minids.model.transformer import Transformer
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


def test_speeds_from_seconds_by_hand():
    row = bench.speed("read", 100, [2.0, 2.0, 2.0], [5.0, 4.0, 3.0], 0.5)
    assert row == Row("read", 50.0, 25.0, "tokens/s", 2.0, 0.25, 0.0)
    alone = bench.speed("read", 100, [1.0, 2.0, 3.0], None, 0.5)
    assert alone == Row("read", 50.0, None, "tokens/s", None, 0.25, 0.5)


def test_a_row_reads_as_text_and_as_json():
    row = Row("train", 1234.0, None, "tokens/s", None, 0.5, 0.02)
    assert "1,234" in table([row]) and "50%" in table([row]) and " - " in table([row])
    read = json.loads(as_json("train", [row], {"machine": "M", "date": "D"}))
    assert (read["bench"], read["machine"], read["date"]) == ("train", "M", "D")
    assert read["rows"][0]["limit"] == 0.5
    assert read["threads"] >= 1
    assert set(read["peers"]) == {"transformers", "trl"}
    assert "points" not in read


def test_the_spread_of_a_slope_is_no_percentage():
    row = Row("seconds over batch", 0.9, 1.0, "slope", None, None, 0.012)
    assert table([row]).endswith(" 0.012") and "%" not in table([row])


def test_an_unknown_bench_lists_the_known_ones():
    with pytest.raises(
        ValueError, match="there are: train, decode, moe, mla, grpo, growth, import"
    ):
        bench.bench("speed")


@pytest.mark.parametrize("what", list(bench.BENCHES))
def test_every_bench_has_a_function_that_measures(what):
    assert callable(import_module(f"minids.study.{bench.BENCHES[what]}").measure)


def test_the_training_bench_measures_ours_and_the_peer():
    from minids.study.bench_train import measure

    rows = measure(repeats=2, dims=(128,), batch=2, compiling=False)
    assert ["fp32" in r.name for r in rows] == [True, False]
    for r in rows:
        assert r.ratio == pytest.approx(r.ours / r.peer)
        assert 0.02 < r.limit < 1.5


def test_the_decode_bench_compares_equal_steps():
    from minids.study.bench_decode import expanding, filled, our_step, peer_step, toy

    model = Transformer(replace(toy(12), init_std=0.1), seed=0).eval()
    cache = filled(model, batch=2, context=11, seed=1)
    step = our_step(model, cache)
    with torch.inference_mode():
        ours = step()
        assert cache.length == 11 and ours.std() > 0.1
        for other in (step, expanding(step), peer_step(model, cache), peer_step(model, cache)):
            torch.testing.assert_close(other(), ours, rtol=1e-4, atol=1e-4)


def test_the_decode_bench_prints_a_row_for_the_peer_and_one_for_our_expanded_path():
    from minids.study.bench_decode import measure

    rows = measure(repeats=2, shapes=[(1, 64), (2, 32)])
    assert [r.name.removeprefix("MLA decode ") for r in rows] == [
        "1 x 64", "1 x 64, against ours expanded", "2 x 32", "2 x 32, against ours expanded",
    ]  # fmt: skip
    for r in rows:
        assert r.ratio == pytest.approx(r.ours / r.peer)
        assert 0 < r.limit < 1


def test_the_decode_bench_counts_every_byte_of_weights_and_cache_but_the_embedding():
    from minids.study.bench_decode import bytes_read, filled, toy

    c = toy(33)
    model = Transformer(c)
    expected = 4 * (accounting.parameters(c).total - c.vocab * c.dim + 3 * 32 * 4 * (32 + 16))
    assert bytes_read(model, filled(model, 3, 32)) == expected


def test_the_import_bench_takes_the_bare_interpreter_off(monkeypatch):
    from minids.study import bench_import

    seconds = {"import torch": 0.03, "": 0.01}
    monkeypatch.setattr(bench_import, "_import", lambda code: time.sleep(seconds.get(code, 0.05)))
    model, above_torch, counting = bench_import.measure(repeats=2)
    assert model.ours == pytest.approx(0.04, abs=0.01)
    assert above_torch.ours == pytest.approx(0.02, abs=0.01)
    assert counting.peer is None


def test_the_shared_step_is_one_step_of_adamw_on_clipped_gradients():
    """By hand: the gradient of a table of logits, and the first step of AdamW, which is +- lr."""
    from minids.study.bench_step import training_step

    model = torch.nn.Embedding(3, 3)
    torch.nn.init.zeros_(model.weight)
    training_step(model, model, torch.tensor([[0, 1, 2]]), "plain")()
    sign = torch.tensor([[-1.0, 1, -1], [-1, -1, 1], [0, 0, 0]])
    torch.testing.assert_close(model.weight.detach(), 1e-3 * sign, rtol=1e-4, atol=1e-9)
    assert model.weight.grad is None
