"""Problems of arithmetic without end, from 3+4 to "make 24 from 1, 3, 7, 8".

Problem i is a function of (level, seed, i). Every problem belongs for good either to training or
to the held-out part, whatever its seed: what is decided is its content (7+5 goes where 5+7 goes).
So nothing that a test asks was ever practised. How a problem is worked aloud is in working.py.
"""

import random
import re
import zlib
from collections.abc import Callable
from typing import NamedTuple

from minids.text.expressions import reach, work_out

HELD_OUT = 8
"""One problem in so many is held out."""

TARGET = 24


class Problem(NamedTuple):
    """A question and its answer, as texts, and the level it belongs to."""

    question: str  # "47+38", "(3+4)*5", or "24=1,3,7,8" for countdown
    answer: str  # "85"; for countdown one of many right expressions
    level: str


class Level(NamedTuple):
    """A kind of problem: what it is, in words, and how one is drawn."""

    says: str
    draw: Callable[[random.Random], tuple[str, str]]


def problems(level: str, *, seed: int, held_out: bool = False) -> Callable[[int], Problem]:
    """Return the function from i to problem i: held-out ones, or those of training.

    `LEVELS` lists the levels from easy to hard; ValueError for another name.
    """
    if level not in LEVELS:
        raise ValueError(f"there is no level {level!r}; there are: {', '.join(LEVELS)}")

    def number(i: int) -> Problem:
        if i < 0:
            raise ValueError(f"problems are numbered from 0, got {i}")
        rng = random.Random(f"{level}/{seed}/{i}")
        while True:
            problem = Problem(*LEVELS[level].draw(rng), level)
            if is_held_out(problem) == held_out:
                return problem

    return number


def is_held_out(problem: Problem) -> bool:
    """Return whether training must never see this problem, decided by its content alone."""
    return zlib.crc32(_content(problem).encode()) % HELD_OUT == 0


def _content(problem: Problem) -> str:
    """The problem without the order of what is added or multiplied, which makes no difference."""
    question = problem.question
    if "=" in question:
        target, numbers = question.split("=")
        return f"{target}={sorted(map(int, numbers.split(',')))}"
    for sign in "+*":
        left, found, right = question.partition(sign)
        if found and left.isdecimal() and right.isdecimal():
            small, large = sorted((int(left), int(right)))
            return f"{small}{sign}{large}"
    several, signs = re.findall(r"\d+", question), re.sub(r"[0-9()]", "", question)
    if len(several) > 2:  # what the same numbers and signs make, in any order, stays together
        return f"{sorted(map(int, several))}{sorted(signs)}"
    return question


def _number(rng: random.Random, digits: int) -> int:
    """A number of so many digits; of one digit, 0 is among them."""
    return rng.randrange(0 if digits == 1 else 10 ** (digits - 1), 10**digits)


def _add(digits: int) -> Callable[[random.Random], tuple[str, str]]:
    def draw(rng: random.Random) -> tuple[str, str]:
        a, b = _number(rng, digits), _number(rng, digits)
        return f"{a}+{b}", str(a + b)

    return draw


def _subtract(digits: int) -> Callable[[random.Random], tuple[str, str]]:
    def draw(rng: random.Random) -> tuple[str, str]:
        b, a = sorted((_number(rng, digits), _number(rng, digits)))
        return f"{a}-{b}", str(a - b)

    return draw


def _multiply(digits: int) -> Callable[[random.Random], tuple[str, str]]:
    def draw(rng: random.Random) -> tuple[str, str]:
        a, b = _number(rng, digits), rng.randrange(2, 10)
        return f"{a}*{b}", str(a * b)

    return draw


_FORMS = ("{}+{}*{}", "{}*{}+{}", "({}+{})*{}", "{}*({}+{})", "{}+{}-{}", "{}*{}-{}", "{}*{}*{}")


def _expression(rng: random.Random) -> tuple[str, str]:
    """Three one-digit numbers and two signs, so that no step goes below zero."""
    while True:
        text = rng.choice(_FORMS).format(*(rng.randrange(1, 10) for _ in range(3)))
        worked = work_out(text)
        assert worked is not None
        if worked.value >= 0:
            return text, str(worked.value)


def _countdown(rng: random.Random) -> tuple[str, str]:
    """Four numbers from 1 to 10 that can make 24."""
    while True:
        numbers = tuple(rng.randrange(1, 11) for _ in range(4))
        found = reach(TARGET, tuple(sorted(numbers)))
        if found is not None:
            return f"{TARGET}={','.join(map(str, numbers))}", found[1:-1]


LEVELS = {
    "add-1": Level("sums of two digits", _add(1)),
    "add-2": Level("sums of two-digit numbers", _add(2)),
    "add-3": Level("sums of three-digit numbers", _add(3)),
    "subtract-2": Level("differences of two-digit numbers, not negative", _subtract(2)),
    "multiply-1": Level("products of two digits", _multiply(1)),
    "multiply-2": Level("products of a two-digit number and a digit", _multiply(2)),
    "expression": Level("three digits, two signs, brackets", _expression),
    "countdown": Level("24 from four numbers, each used once", _countdown),
}
"""What can be asked, from easy to hard."""
