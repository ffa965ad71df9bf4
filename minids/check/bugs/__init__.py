"""Right answers and planted mistakes for every exercise, one file per chapter.

A file chNN.py holds two dictionaries:

RIGHT = {"00.count": [f, g]}                       differently written, all correct
WRONG = {"00.count": [("name", f, "words"), …]}    the claim or hint that says these words catches f

They prove the checkers (tests/test_check.py), and some of them hang in a chapter's bug museum.
"""

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from minids.check.engine import examine


class Planted(NamedTuple):
    """One wrong answer. `words` occur in the claim or hint that has to catch it."""

    exercise: str
    mistake: str
    attempt: Callable[..., Any]
    words: str


class Row(NamedTuple):
    """One line of the published table."""

    exercise: str
    mistake: str
    claim: str
    hint: str


def chapters() -> list[str]:
    """Numbers of the chapters with planted mistakes."""
    return sorted(path.stem[2:] for path in Path(__file__).parent.glob("ch[0-9][0-9].py"))


def right() -> dict[str, list[Any]]:
    """All right answers by exercise."""
    found: dict[str, list[Any]] = {}
    for chapter in chapters():
        found |= importlib.import_module(f"{__name__}.ch{chapter}").RIGHT
    return found


def wrong() -> Iterator[Planted]:
    """All planted mistakes."""
    for chapter in chapters():
        planted = importlib.import_module(f"{__name__}.ch{chapter}").WRONG
        for exercise, mistakes in planted.items():
            for mistake, attempt, words in mistakes:
                yield Planted(exercise, mistake, attempt, words)


def traps(exercise: str) -> list[Any]:
    """Answers to one exercise that its check must refuse: the planted ones, else nothing useful."""
    if exercise[:2] not in chapters():
        return [lambda *_, **__: None, object()]
    planted = importlib.import_module(f"{__name__}.ch{exercise[:2]}").WRONG
    return [attempt for _, attempt, _ in planted[exercise]]


def table(seed: int = 0) -> Iterator[Row]:
    """Exercise, mistake, the claim that caught it and its hint, for every planted mistake."""
    for p in wrong():
        verdict = examine(p.exercise, p.attempt, seed=seed)
        caught = verdict.failed or "NOT CAUGHT"
        yield Row(p.exercise, p.mistake, caught, verdict.hint)
