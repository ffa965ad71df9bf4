"""Right answers and planted mistakes for every exercise, a file for each.

A file such as ch06/nudge.py holds two lists:

RIGHT = [f, g]                       differently written, all correct
WRONG = [("name", f, "words"), …]    the claim or hint that says these words catches f

They prove the checkers (tests/test_check.py), and some of them hang in a chapter's bug museum. A
file whose name begins with _ is no exercise: its neighbours take what it holds.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from minids.check.engine import Verdict, examine


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


def _files() -> dict[str, str]:
    """The modules of answers by exercise: "06.nudge" is in ch06/nudge.py, "10.pass" in pass_.py."""
    found = {}
    for chapter in pkgutil.iter_modules(__path__):
        package = importlib.import_module(f"{__name__}.{chapter.name}") if chapter.ispkg else None
        for file in pkgutil.iter_modules(package.__path__ if package else []):
            if file.name != "museum" and not file.name.startswith("_"):
                exercise = f"{chapter.name[2:]}.{file.name.rstrip('_')}"
                found[exercise] = f"{__name__}.{chapter.name}.{file.name}"
    return found


def right() -> dict[str, list[Any]]:
    """All right answers by exercise."""
    return {name: importlib.import_module(file).RIGHT for name, file in _files().items()}


def wrong() -> Iterator[Planted]:
    """All planted mistakes."""
    for exercise, file in _files().items():
        for mistake, attempt, words in importlib.import_module(file).WRONG:
            yield Planted(exercise, mistake, attempt, words)


def traps(exercise: str) -> list[Any]:
    """Answers to one exercise that its check must refuse: the planted ones, else nothing useful."""
    file = _files().get(exercise)
    if file is None:
        return [lambda *_, **__: None, object()]
    return [attempt for _, attempt, _ in importlib.import_module(file).WRONG]


def table(seed: int = 0) -> Iterator[Row]:
    """Exercise, mistake, the claim that caught it and its hint, for every planted mistake."""
    for planted in wrong():
        yield row(planted, examine(planted.exercise, planted.attempt, seed=seed))


def row(planted: Planted, verdict: Verdict) -> Row:
    """Return the row of a planted mistake, given what its check says of it."""
    return Row(planted.exercise, planted.mistake, verdict.failed or "NOT CAUGHT", verdict.hint)
