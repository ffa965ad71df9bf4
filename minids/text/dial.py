"""Sums on a dial, asked and worked in English words or in Chinese: what R1's toy reasons about.

A dial has ten marks, 0 to 9, and nought follows nine. A question names the mark where it stands and
the turns; the working names the mark after each turn; the answer is the last one, as a figure.

    three eight seven two    one eight zero    0
    三八七二                  一八零             0

The working should have the language of its question. A question belongs for good either to training
or to the held-out part; its content decides, so that 三八 goes where "three eight" goes.
"""

import random
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from minids.text.arithmetic import HELD_OUT, Problem
from minids.text.bilingual import WORDS, digits_of, joined, language_of, other
from minids.text.spoken import LANGUAGES, Language

MARKS, TURNS, FURTHEST = 10, 5, 5
SWITCHED = 0.35
"""Chance of each word to be in the other language, in a working that switches."""


@dataclass(frozen=True, kw_only=True)
class Faults:
    """What is wrong with workings; all are chances from 0 to 1.

    slip      of a mark: it is any of the ten
    habit     of a turn past nine: nought is left out, always the same mistake
    switch    of a working: it goes to and fro between the languages, right or wrong as others
    guess     of an answer: it comes without working, and is any of the ten
    untidy    of a response: its thoughts begin with the wrong tag
    """

    slip: float = 0.0
    habit: float = 0.0
    switch: float = 0.0
    guess: float = 0.0
    untidy: float = 0.0

    def __post_init__(self) -> None:
        for name in ("slip", "habit", "switch", "guess", "untidy"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}={getattr(self, name)} is a chance: give 0 to 1")


TIDY = Faults()


class Worked(NamedTuple):
    """The words of a working, and the answer they lead to, right or wrong."""

    think: str
    answer: str


def sums(*, seed: int, held_out: bool = False) -> Callable[[int], Problem]:
    """Return the function from i to question i of a seed: of training, or held out."""

    def number(i: int) -> Problem:
        if i < 0:
            raise ValueError(f"questions are numbered from 0, got {i}")
        rng = random.Random(f"dial/{seed}/{i}")
        language = LANGUAGES[rng.random() < 0.5]
        while True:
            turns = [rng.randint(1, FURTHEST) for _ in range(TURNS)]
            digits = [rng.randrange(MARKS), *turns]
            if is_held_out(digits) == held_out:
                return asked_for(digits, language)

    return number


def asked_for(digits: Sequence[int], language: Language) -> Problem:
    """Return the question with these digits, and its right answer."""
    words = joined([WORDS[language][digit] for digit in digits])
    return Problem(words, str(sum(digits) % MARKS), "dial")


def is_held_out(digits: Sequence[int]) -> bool:
    """Return whether training must never ask this, whatever the language: one in eight."""
    return zlib.crc32(f"dial/{list(digits)}".encode()) % HELD_OUT == 0


def work(problem: Problem, faults: Faults, rng: random.Random) -> Worked:
    """Return a working of a question, with its faults; later marks build on wrong ones."""
    language = language_of(problem.question)
    switches = rng.random() < faults.switch

    def turn(mark: int, number: int) -> int:
        passed = mark + number >= MARKS
        to = mark + number + (passed and rng.random() < faults.habit)
        return rng.randrange(MARKS) if rng.random() < faults.slip else to % MARKS

    marks = list(accumulate(digits_of(problem.question), turn))[1:]
    spoken = [other(language) if switches and rng.random() < SWITCHED else language for _ in marks]
    words = [WORDS[lang][mark] for lang, mark in zip(spoken, marks, strict=True)]
    return Worked(joined(words), str(marks[-1]))


def respond(problem: Problem, faults: Faults, rng: random.Random) -> str:
    """Return a whole response: thoughts and answer in their tags, as good as `faults` allow."""
    guessed = rng.random() < faults.guess
    worked = work(problem, faults, rng)
    think, answer = ("", str(rng.randrange(MARKS))) if guessed else worked
    opening = "<answer>" if rng.random() < faults.untidy else "<think>"
    return f"{opening}{think}</think><answer>{answer}</answer><|end|>"
