"""Arithmetic worked aloud, in English words or in Chinese, right or with mistakes.

    47+38   seven plus eight is fifteen,four plus three plus one is eight      85
            七加八得十五，四加三加一得八

Sums, differences and products go column by column, ones first, and say what is carried; other
expressions go step by step. A base model is one that has read many such workings with mistakes of
two kinds. A *slip* hits any step at random, so that the most likely step stays the right one. A
*habit* is systematic: the columns are found ones first and written down in that order, so that
85 becomes 58, or signs are worked from left to right. Where a habit leads astray, it does so in the
same way each time, and picking the likeliest answer does not help. A single column has no order, an
expression may come out right from left to right, and countdown has no habit.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from minids.text.arithmetic import Problem
from minids.text.expressions import apply, work_out
from minids.text.spoken import Language, Step, say


@dataclass(frozen=True, kw_only=True)
class Mistakes:
    """How often a working goes wrong; all are chances from 0 to 1.

    slip    a step comes out 1 to 3 too high or too low (a difference: round the ten)
    habit   columns are written in the order found; an expression is worked from left to right
    guess   an answer without working is wrong: mostly by ten, see `guess`
    """

    slip: float = 0.0
    habit: float = 0.0
    guess: float = 0.0

    def __post_init__(self) -> None:
        for name in ("slip", "habit", "guess"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}={getattr(self, name)} is a chance: give 0 to 1")


NONE = Mistakes()


class Working(NamedTuple):
    """The steps of a problem and the answer that they lead to, right or wrong."""

    steps: tuple[Step, ...]
    answer: str

    def aloud(self, language: Language) -> str:
        """Return the steps in words of one language, with commas between them."""
        said = [say(step, language) for step in self.steps]
        return ("，" if language == "chinese" else ",").join(said)


def work(problem: Problem, mistakes: Mistakes = NONE, rng: random.Random | None = None) -> Working:
    """Return the working of a problem; mistakes need an `rng`. Later steps build on wrong ones."""
    if rng is None:
        if mistakes != NONE:
            raise ValueError("mistakes happen by chance: give rng=random.Random(seed)")
        rng = random.Random(0)
    if "=" in problem.question:
        return _solution(problem, mistakes, rng)
    for sign, columns in _COLUMNS.items():
        left, found, right = problem.question.partition(sign)
        if found and left.isdecimal() and right.isdecimal():
            return columns(left, right, mistakes, rng)
    return _in_order(problem.question, mistakes, rng)


def guess(problem: Problem, mistakes: Mistakes, rng: random.Random) -> str:
    """Return the answer as one says it without working: sometimes ten too low or too high.

    In the head a carry is forgotten where there is one, and added where there is none.
    """
    if rng.random() >= mistakes.guess:
        return problem.answer
    if not problem.answer.isdecimal():
        return _one_sign_wrong(problem.answer, rng)
    n = int(problem.answer)
    return str(n - 10 if work(problem).steps[0].value >= 10 and n >= 10 else n + 10)


def _one_sign_wrong(answer: str, rng: random.Random) -> str:
    """An expression of countdown with another sign, drawn until it matters: 3*1 and 3/1 are 3."""
    right = work_out(answer)
    while True:
        at = rng.choice([i for i, letter in enumerate(answer) if letter in "+-*/"])
        other = rng.choice([sign for sign in "+-*/" if sign != answer[at]])
        said = f"{answer[:at]}{other}{answer[at + 1 :]}"
        worked = work_out(said)
        if worked is None or right is None or worked.value != right.value:
            return said


def _slipped(value: int, mistakes: Mistakes, rng: random.Random) -> int:
    if rng.random() >= mistakes.slip:
        return value
    return rng.choice([v for d in (1, 2, 3) for v in (value - d, value + d) if v >= 0])


def _added(left: str, right: str, mistakes: Mistakes, rng: random.Random) -> Working:
    return _columns(left, right, "+", mistakes, rng)


def _multiplied(left: str, right: str, mistakes: Mistakes, rng: random.Random) -> Working:
    return _columns(left, right, "*", mistakes, rng)


def _columns(left: str, right: str, sign: str, mistakes: Mistakes, rng: random.Random) -> Working:
    """Ones first; what a column has beyond nine is carried to the next."""
    width = len(left) if sign == "*" else max(len(left), len(right))
    steps, carried = [], 0
    for column in range(width):
        other = int(right) if sign == "*" else _digit(right, column)
        parts: tuple[int | str, ...] = (_digit(left, column), sign, other)
        if carried:
            parts = (*parts, "+", carried)
        value = _slipped(_value(parts), mistakes, rng)
        steps.append(Step(parts, value))
        carried = value // 10
    return Working(tuple(steps), _written(steps, mistakes, rng))


def _subtracted(left: str, right: str, mistakes: Mistakes, rng: random.Random) -> Working:
    """Ones first; a column that is too small borrows ten from the next."""
    steps, borrowed = [], 0
    for column in range(len(left)):
        top, bottom = _digit(left, column), _digit(right, column)
        lacks = top < bottom + borrowed
        parts: tuple[int | str, ...] = (top + (10 if lacks else 0), "-", bottom)
        if borrowed:
            parts = (*parts, "-", 1)
        steps.append(Step(parts, _slipped(_value(parts), mistakes, rng) % 10))
        borrowed = int(lacks)
    return Working(tuple(steps), _written(steps, mistakes, rng))


def _written(steps: list[Step], mistakes: Mistakes, rng: random.Random) -> str:
    """The answer from its columns, or the columns as they were found: the habit."""
    digits = [step.value % 10 for step in steps[:-1]] + [steps[-1].value]
    if rng.random() < mistakes.habit:
        return "".join(map(str, digits))
    return str(sum(digit * 10**column for column, digit in enumerate(digits)))


_COLUMNS: dict[str, Callable[[str, str, Mistakes, random.Random], Working]] = {
    "+": _added,
    "-": _subtracted,
    "*": _multiplied,
}


def _in_order(question: str, mistakes: Mistakes, rng: random.Random) -> Working:
    """Step by step; a slip is carried into every later step that uses the value."""
    if rng.random() < mistakes.habit:
        question = question.replace("(", "").replace(")", "")
        first, sign, second, other, third = list(question)
        question = f"({first}{sign}{second}){other}{third}"

    def said(left: Fraction, sign: str, right: Fraction) -> Fraction:
        value = int(apply(left, sign, right)) if right or sign != "/" else 0
        return Fraction(_slipped(max(0, value), mistakes, rng))

    worked = work_out(question, said)
    assert worked is not None
    steps = [Step((int(a), sign, int(b)), int(value)) for a, sign, b, value in worked.operations]
    return Working(tuple(steps), str(steps[-1].value))


def _solution(problem: Problem, mistakes: Mistakes, rng: random.Random) -> Working:
    """The steps of one right expression; the answer is the expression itself."""
    working = _in_order(problem.answer, Mistakes(slip=mistakes.slip), rng)
    return Working(working.steps, problem.answer)


def _value(parts: tuple[int | str, ...]) -> int:
    """Work numbers and signs from left to right: times comes first in all that is said here."""
    total = Fraction(int(parts[0]))
    for sign, other in zip(parts[1::2], parts[2::2], strict=True):
        total = apply(total, str(sign), Fraction(int(other)))
    return int(total)


def _digit(text: str, column: int) -> int:
    """The digit of a column, counted from the right; 0 where there is none."""
    return int(text[-1 - column]) if column < len(text) else 0
