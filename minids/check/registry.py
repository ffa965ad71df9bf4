"""The list of exercises: each has a checker, which is imported when it is first asked for."""

import importlib
import importlib.util
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from minids.check.claims import Claim

Claims = Callable[[Any, torch.Generator], Iterator[Claim]]


@dataclass(frozen=True, kw_only=True)
class Checker:
    """One exercise. `takes` is None for a function or class, else the type of the answer."""

    name: str
    claims: Claims
    hints: tuple[str, str, str]
    takes: type | tuple[type, ...] | None = None
    seconds: float = 60.0


CHECKERS: dict[str, Checker] = {}


def checker(
    name: str,
    *,
    hints: tuple[str, str, str],
    takes: type | tuple[type, ...] | None = None,
    seconds: float = 60.0,
) -> Callable[[Claims], Claims]:
    """Register a generator `claims(attempt, g)` as the checker of exercise `name` ("06.nudge").

    hints: the idea, the plan of shapes, one line of code; `seconds`: a time limit for all claims.
    """
    if len(hints) != 3 or not all(hints):
        raise ValueError(f"{name}: three hints are needed (idea, plan, one line), got {hints!r}")

    def register(claims: Claims) -> Claims:
        CHECKERS[name] = Checker(
            name=name, claims=claims, hints=hints, takes=takes, seconds=seconds
        )
        return claims

    return register


def chapters() -> list[str]:
    """Numbers of the chapters that have exercises, as in "02"."""
    return sorted(path.name[2:] for path in Path(__file__).parent.glob("ch[0-9][0-9]"))


def exercises(chapter: str | None = None) -> list[str]:
    """Names of all exercises, or of those of one chapter."""
    wanted = chapters() if chapter is None else [chapter]
    for number in wanted:
        _load(number)
    return sorted(name for name in CHECKERS if name[:2] in wanted)


def find(name: str) -> Checker:
    """The checker of an exercise. Unknown names: ValueError with the names that exist."""
    if name not in CHECKERS:
        _load(name[:2])
    if name not in CHECKERS:
        known = exercises(name[:2]) or exercises()
        raise ValueError(f"there is no exercise {name!r}; known: {', '.join(known) or 'none'}")
    return CHECKERS[name]


def _load(chapter: str) -> None:
    """Import the checkers of a chapter: ours, else checks_NN.py, a file of the teacher's own."""
    if chapter in chapters():
        package = importlib.import_module(f"minids.check.ch{chapter}")
        for file in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            importlib.import_module(file.name)
    elif importlib.util.find_spec(f"checks_{chapter}"):
        importlib.import_module(f"checks_{chapter}")
