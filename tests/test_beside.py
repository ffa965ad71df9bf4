"""Runs beside the notebook: the same results, later."""

import time

import pytest

from minids.study.beside import beside, meanwhile
from minids.study.compare import compare


def told(seed, by=1.0):
    return {"told": seed * by}


def slow(seed):
    time.sleep(1.0)
    return time.time()


def fail(seed):
    raise ZeroDivisionError("on purpose")


@pytest.mark.parametrize("workers", [0, 2])
def test_it_returns_what_compare_returns(workers):
    arms = {"once": {}, "twice": {"by": 2.0}}
    later = beside(told, arms, range(3), workers=workers)
    assert later.result(timeout=60).values == compare(told, arms, range(3), workers=0).values


def test_it_returns_before_the_runs_are_done_and_keeps_their_order():
    began = time.time()
    first = beside(slow, {"a": {}}, [0])
    then = beside(slow, {"b": {}}, [0], after=first)
    assert time.time() - began < 1.0
    assert then.result(timeout=60).mean("b") >= first.result().mean("a") + 1.0


def test_without_workers_the_runs_are_done_at_once():
    assert beside(told, {"a": {}}, [3], workers=0).done()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_run_that_fails_says_so_when_it_is_asked_for(workers):
    later = beside(fail, {"a": {}}, [5], workers=workers)
    with pytest.raises((RuntimeError, ZeroDivisionError), match="on purpose"):
        later.result(timeout=60)


@pytest.mark.parametrize("workers", [0, 1])
def test_meanwhile_returns_whatever_one_function_does(workers):
    later = meanwhile(lambda seed: {"rows": [seed, "as it is"]}, workers=workers, seed=4)
    assert later.result(timeout=60) == {"rows": [4, "as it is"]}


def test_meanwhile_is_back_before_its_function_is():
    began = time.time()
    later = meanwhile(slow, seed=0)
    assert time.time() - began < 1.0
    assert later.result(timeout=60) >= began + 1.0


@pytest.mark.parametrize("workers", [0, 1])
def test_what_fails_meanwhile_says_so_when_it_is_asked_for(workers):
    later = meanwhile(fail, workers=workers, seed=5)
    with pytest.raises((RuntimeError, ZeroDivisionError), match="on purpose"):
        later.result(timeout=60)
