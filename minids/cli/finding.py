"""What a check of `minids doctor` looks at, and what it finds."""

from collections.abc import Callable
from typing import Literal, NamedTuple


class Finding(NamedTuple):
    """What one check found. A note is worth knowing; broken means that a chapter will fail."""

    state: Literal["ok", "note", "broken"]
    says: str


class Check(NamedTuple):
    """One thing to look at, and what to do where looking itself fails."""

    name: str
    look: Callable[[], Finding]
    otherwise: str
