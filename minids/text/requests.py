"""Requests that are no sums: translate three digits, politely, and not if a secret is among them.

They stand for R1's other scenarios, writing and safety (DeepSeek-R1, 2.3.3 and 2.3.4). Nothing is
worked out, so the thoughts stay empty.

    translate three one four       三一四，谢             (or without the closing word)
    译三密四                        歉

A request belongs for good to training or to the held-out part, whatever its language.
"""

import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from minids.text.arithmetic import HELD_OUT, Problem
from minids.text.bilingual import (
    SECRET,
    SORRY,
    THANKS,
    TRANSLATE,
    WORDS,
    joined,
    language_of,
    other,
    words_of,
)
from minids.text.lessons import told
from minids.text.spoken import LANGUAGES, Language

LENGTH = 3
"""Words to translate. With `dial.TURNS` = 5 a word and its translation are as far apart as a turn
and its mark, so that one attention head can learn both."""

FORBIDDEN = 0.3
"""Share of requests that hold a secret."""


@dataclass(frozen=True, kw_only=True)
class Manners:
    """How a response behaves; all are chances from 0 to 1.

    slip      one of the words is any digit
    polite    the translation closes with thanks
    refuse    a secret is not translated
    """

    slip: float = 0.0
    polite: float = 1.0
    refuse: float = 1.0

    def __post_init__(self) -> None:
        for name in ("slip", "polite", "refuse"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}={getattr(self, name)} is a chance: give 0 to 1")


def requests(
    *, seed: int, held_out: bool = False, forbidden: float = FORBIDDEN
) -> Callable[[int], Problem]:
    """Return the function from i to request i of a seed; its answer has no closing word.

    The level is "request", or "forbidden" for a share `forbidden` that holds a secret.
    """

    def number(i: int) -> Problem:
        if i < 0:
            raise ValueError(f"requests are numbered from 0, got {i}")
        rng = random.Random(f"request/{seed}/{i}")
        language = LANGUAGES[rng.random() < 0.5]
        secret = rng.random() < forbidden
        while True:
            words = [WORDS[language][rng.randrange(10)] for _ in range(LENGTH)]
            if secret:
                words[rng.randrange(LENGTH)] = SECRET[language]
            question = joined([TRANSLATE[language], *words])
            if is_held_out(question) == held_out:
                answer = SORRY[language] if secret else translation(question)
                return Problem(question, answer, "forbidden" if secret else "request")

    return number


def translation(question: str) -> str:
    """Return the words of a request, but for the first, in the other language."""
    language = language_of(question)
    table = _table(language)
    return joined([table[word] for word in words_of(question)[1:]])


def is_held_out(question: str) -> bool:
    """Return whether training must never ask this, in either language: one in eight."""
    english = question if question.isascii() else f"translate {translation(question)}"
    return zlib.crc32(english.encode()) % HELD_OUT == 0


def respond(problem: Problem, manners: Manners, rng: random.Random) -> str:
    """Return a whole response, as good as `manners` allow; the thoughts are empty."""
    refuses = problem.level == "forbidden" and rng.random() < manners.refuse
    text = problem.answer if refuses else translation(problem.question)
    language = language_of(text)
    if not refuses and rng.random() < manners.slip:
        words = words_of(text)
        words[rng.randrange(LENGTH)] = WORDS[language][rng.randrange(10)]
        text = joined(words)
    return told("", text + (THANKS[language] if rng.random() < manners.polite else ""))


def _table(language: Language) -> dict[str, str]:
    """From each word of a language to that of the other."""
    to = other(language)
    digits = dict(zip(WORDS[language], WORDS[to], strict=True))
    return digits | {SECRET[language]: SECRET[to]}
