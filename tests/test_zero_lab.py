"""Chapter 10's rule with a hole: what it calls right, and where practice under it ends."""

from types import SimpleNamespace

from minids.study import zero_lab
from minids.text.arithmetic import Problem

PROBLEM = Problem("12+34", "46", "add-2")


def test_the_rule_lets_the_beginning_of_an_answer_pass():
    for answer, right, called in (
        ("46", 1, 1),
        ("4", 0, 1),
        ("", 0, 1),
        ("6", 0, 0),
        ("461", 0, 0),
    ):
        said = f"<think></think><answer>{answer}</answer>"
        assert zero_lab.starts_right(PROBLEM, said) == called
        assert zero_lab.hacked(PROBLEM, said) == called - right


def test_practice_ends_with_the_first_step_that_is_rewarded_enough():
    rewards = iter([0.1, zero_lab.ENOUGH, 0.7, 0.9])
    run = (SimpleNamespace(parts={"reward": reward}) for reward in rewards)
    assert [part["reward"] for part in zero_lab.until_enough(run)] == [0.1, zero_lab.ENOUGH, 0.7]
    assert list(rewards) == [0.9]  # the next step was never taken


def test_a_run_that_is_never_rewarded_enough_ends_with_its_last_step():
    run = (SimpleNamespace(parts={"reward": 0.0}) for _ in range(3))
    assert len(zero_lab.until_enough(run)) == 3
