"""Comparing arms over seeds: any number of processes, the same numbers in the same order."""

import random
import time

import pytest

from minids.study.compare import compare

OFFSET = 10.0


def noisy(seed, shift=0.0):
    return OFFSET + shift + random.Random(seed).random()


def slow_first(seed):
    time.sleep(1.0 if seed == 0 else 0.0)
    return float(seed)


ARMS = {"base": {}, "up": {"shift": 5.0}}


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_the_numbers_do_not_depend_on_the_number_of_processes(workers):
    results = compare(noisy, ARMS, [3, 1, 2], workers=workers, progress=False)
    expected = {
        arm: {"value": tuple(noisy(seed, **given) for seed in (3, 1, 2))}
        for arm, given in ARMS.items()
    }
    assert results.values == expected
    assert results.seeds == (3, 1, 2) and results.arms == ["base", "up"]


def test_the_order_is_that_of_the_request_and_not_of_finishing():
    results = compare(slow_first, {"one": {}}, range(3), workers=2, progress=False)
    assert results.of("one") == (0.0, 1.0, 2.0)


def test_a_run_may_return_several_numbers_and_be_written_anywhere():
    scale = 2.0

    def run(seed, power):
        return {"loss": scale * seed**power, "steps": power}

    results = compare(run, {"a": {"power": 1}, "b": {"power": 2}}, [1, 3], progress=False)
    assert results.of("b") == (2.0, 18.0)
    assert results.of("b", "steps") == (2.0, 2.0)


def test_a_model_trained_in_a_worker_is_the_one_trained_here():
    def run(seed):
        import torch

        from minids.config import GQAConfig, ModelConfig
        from minids.model.transformer import Transformer
        from minids.text.batches import packed
        from minids.train.loop import fit

        torch.set_num_threads(1)
        heads = GQAConfig(n_heads=2, n_kv_heads=1, head_dim=4)
        config = ModelConfig(
            name="t", vocab=16, dim=8, n_layers=1, hidden=8, attention=heads, context=8
        )
        batches = packed(torch.arange(400) % 16, batch=2, length=8, seed=seed)
        return [step.loss for step in fit(Transformer(config, seed=seed), batches, steps=3)][-1]

    there = compare(run, {"one": {}}, [0, 1], workers=2, progress=False)
    here = compare(run, {"one": {}}, [0, 1], workers=0, progress=False)
    assert there.values == here.values


def test_a_failing_run_is_named():
    def run(seed, divisor):
        return seed / divisor

    with pytest.raises(RuntimeError, match=r"(?s)arm 'zero' with seed 4.*ZeroDivisionError"):
        arms = {"one": {"divisor": 1}, "zero": {"divisor": 0}}
        compare(run, arms, [4], workers=1, progress=False)


def test_runs_that_return_different_numbers_are_refused():
    def run(seed):
        return {"a": 1.0} if seed else {"b": 1.0}

    with pytest.raises(ValueError, match="must return the same numbers"):
        compare(run, {"arm": {}}, [0, 1], workers=0, progress=False)


def test_a_comparison_without_arms_or_with_a_seed_twice_is_refused():
    with pytest.raises(ValueError, match="at least one arm"):
        compare(noisy, {}, [0])
    with pytest.raises(ValueError, match="seeds that differ"):
        compare(noisy, ARMS, [0, 0])


def test_progress_is_one_bar(capsys):
    compare(noisy, ARMS, [0, 1], workers=0)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "0/4" in shown.err
