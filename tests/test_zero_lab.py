"""Chapter 10's rule with a hole: what it calls right, and where practice under it ends."""

from types import SimpleNamespace

import pytest

from minids.rl.grpo import Settings
from minids.rl.zero import LONGEST, Recipe
from minids.study import zero_lab
from minids.text.alphabet import alphabet
from minids.text.arithmetic import Problem
from minids.text.lessons import Lessons, lesson

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


def test_a_recipe_leaves_room_for_the_longest_working_of_its_level():
    lessons = Lessons(level="countdown", worked=1.0)
    with pytest.raises(ValueError, match="countdown takes up to 40 tokens"):
        Recipe(lessons=lessons)
    recipe = Recipe(lessons=lessons, settings=Settings(max_new=LONGEST["countdown"]))
    text = lesson(recipe.lessons, seed=0)
    long = [[len(alphabet().encode(part, special=True)) for part in text(i)] for i in range(500)]
    assert (
        Recipe().settings.max_new < max(response for _, response in long) <= recipe.settings.max_new
    )
    assert max(map(sum, long)) <= recipe.config.context + 1  # the last token is only a target
