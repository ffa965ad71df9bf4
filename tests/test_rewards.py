"""Rewards by rule: every text gets a score, and only a right answer in the right form gets one."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from minids.rl.rewards import (
    R1_ZERO,
    accuracy,
    consistency,
    form,
    is_right,
    overlong,
    read,
    speaks,
    worked,
)
from minids.text.arithmetic import Problem, problems
from minids.text.lessons import told
from minids.text.tokenizer import SPECIAL

SUM = Problem("47+38", "85", "add-2")
MAKE = Problem("24=1,3,4,6", "6/(1-3/4)", "countdown")
RIGHT = "<think></think><answer>85</answer>"

PIECES = st.sampled_from(
    [*SPECIAL, "85", "8", "5", " ", "\n", "<", ">", "</", "think", "answer", "八", "٨٥", "８５",
     "<Think>", "< think>", "＜think＞", "<think/>", "</answer >", "\u200b", "\x00", "8 5", "+85"]
)  # fmt: skip
NEARLY = st.lists(PIECES, max_size=9).map("".join)


@given(st.one_of(st.text(), NEARLY))
@example("\ud800")
def test_no_text_raises_and_every_score_lies_between_0_and_1(text):
    for problem in (SUM, MAKE):
        for rule in (form, accuracy, worked, speaks("english"), speaks("chinese")):
            assert 0.0 <= rule(problem, text) <= 1.0


@given(st.one_of(st.text(), NEARLY))
def test_outside_the_form_nothing_earns_the_accuracy_reward(text):
    # A reader of its own, without regular expressions: the four tags, each once, in order.
    tags = ("<think>", "</think>", "<answer>", "</answer>")
    inside = text.removesuffix("<|end|>")
    kept = all(inside.count(tag) == 1 for tag in tags) and inside.count("<") == 4
    kept = (
        kept
        and inside.count(">") == 4
        and list(map(inside.find, tags)) == sorted(map(inside.find, tags))
    )
    if not kept:
        assert accuracy(SUM, text) == 0 and form(SUM, text) == 0


@given(NEARLY, NEARLY)
def test_words_around_a_right_response_cost_it_everything(before, after):
    text = before + RIGHT + after
    if before.strip(" \n") or after.removesuffix("<|end|>").strip(" \n"):
        assert accuracy(SUM, text) == 0


def test_a_right_answer_in_the_form_earns_both_rewards():
    for text in (RIGHT, RIGHT + "<|end|>", told("seven", "85"), told("", " 85\n"),
                 "<think>\n</think>\n<answer>85</answer>\n"):  # fmt: skip
        assert form(SUM, text) == accuracy(SUM, text) == 1


@pytest.mark.parametrize(
    "text",
    [
        "85",
        "<answer>85</answer>",
        "<think></think>85",
        "<think><answer>85</answer></think>",
        "<think></think><answer>85</answer><answer>85</answer>",
        "<think></think><think></think><answer>85</answer>",
        "<think></think><answer>12</answer><answer>85</answer>",
        "<think><think></think></think><answer>85</answer>",
        "<answer>85</answer><think></think>",
        "<think></think><answer>85",
        "<THINK></THINK><ANSWER>85</ANSWER>",
        "＜think＞＜/think＞＜answer＞85＜/answer＞",
        "<think></think><answer>85</answer>!",
        "<think></think>85<answer>85</answer>",
        "<|end|><think></think><answer>85</answer>",
        "<think></think><answer>85</answer><|end|><|end|>",
        "<think></think><answer>85<|end|></answer>",
        "<think>\u200b</think>\u00a0<answer>85</answer>",
    ],
)
def test_what_looks_like_the_form_and_is_not_earns_nothing(text):
    assert form(SUM, text) == accuracy(SUM, text) == 0


@pytest.mark.parametrize(
    "answer",
    ["085", "+85", "85.0", "8 5", "٨٥", "８５", "85²", "eighty five", "八十五", "85,", "84+1", "",
     "0x55", "8_5", "85 or 84", "\u200b85", "1e1000", "9" * 5000],
)  # fmt: skip
def test_only_plain_digits_are_a_right_answer(answer):
    assert form(SUM, told("", answer)) == 1 and accuracy(SUM, told("", answer)) == 0


@given(st.integers(0, 300))
def test_a_number_is_right_exactly_if_it_is_the_answer(n):
    assert is_right(SUM, str(n)) == (n == 85)


@pytest.mark.parametrize("level", ["add-2", "subtract-2", "multiply-2", "expression", "countdown"])
def test_the_answer_of_every_problem_is_right(level):
    ask = problems(level, seed=0)
    for i in range(15):
        assert accuracy(ask(i), told("", ask(i).answer)) == 1


@pytest.mark.parametrize(
    "answer, right",
    [("6/(1-3/4)", True), ("(6/(1-(3/4)))", True), ("24", False), ("4*6", False),
     ("4*6*1", False), ("4*6+3-3", False), ("6/(1-3/4)+1-1", False), ("(1+3)*6", False),
     ("6*4*(3-1-1)", False), ("6*4*1**3", False), ("print(24)", False), ("6/(1-3/4", False),
     ("06/(1-3/4)", False)],
)  # fmt: skip
def test_a_countdown_needs_all_numbers_once_and_the_target(answer, right):
    assert is_right(MAKE, answer) is right


def test_nothing_that_is_written_is_run(monkeypatch):
    for name in ("eval", "exec", "compile", "__import__"):
        monkeypatch.setattr(f"builtins.{name}", lambda *a, **k: pytest.fail("code was run"))
    for text in ("__import__('os').system('x')", "exit()", "24 if True else 0", "9**9**9**9"):
        assert accuracy(MAKE, told("", text)) == 0


def test_empty_thoughts_are_no_working():
    assert worked(SUM, told("", "85")) == 0 and worked(SUM, told(" ", "85")) == 0
    assert worked(SUM, told("seven", "58")) == 1 and worked(SUM, "seven") == 0


@pytest.mark.parametrize(
    "think, english, chinese",
    [("seven plus eight", 1, 0), ("七加八", 0, 1), ("seven 加 eight", 2 / 3, 1 / 3),
     ("7+8=15", 0, 0), ("", 0, 0), ("sieben é", 1 / 2, 0), ("七 plus 八", 1 / 3, 2 / 3)],
)  # fmt: skip
def test_consistency_is_the_share_of_words_in_the_language(think, english, chinese):
    assert consistency(think, "english") == pytest.approx(english)
    assert consistency(think, "chinese") == pytest.approx(chinese)
    assert speaks("english")(SUM, told(think, "1")) == pytest.approx(english)


def test_a_language_that_is_not_there_is_refused_at_once():
    with pytest.raises(ValueError, match="'french' is no language here"):
        speaks("french")


def test_r1_zero_weighs_accuracy_and_form_alike_and_working_not_at_all():
    assert {name: w.weight for name, w in R1_ZERO.items()} == {
        "accuracy": 1.0,
        "form": 1.0,
        "worked": 0.0,
    }


def test_dapos_punishment_of_long_answers_at_its_own_numbers():
    longest, soft = 20_480, 4_096
    assert overlong(16_384, longest, soft) == 0
    assert overlong(18_432, longest, soft) == -0.5
    assert overlong(20_480, longest, soft) == overlong(30_000, longest, soft) == -1
    with pytest.raises(ValueError, match="soft=0"):
        overlong(1, 10, 0)


def test_thoughts_and_answer_are_read_apart():
    assert read(told("a b", "5")) == ("a b", "5")
    assert read("5") is None
