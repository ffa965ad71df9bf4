"""Checks for the exercises.

A learner calls check("06.nudge", my_function) and hint("06.nudge"). The file ch06/nudge.py
states the claims; bugs/ch06/nudge.py proves them by right answers and planted mistakes.
"""

from minids.check.bugs import Row, table
from minids.check.claims import Attempt, Claim, close, shaped
from minids.check.engine import NotYet, Verdict, check, examine, hint
from minids.check.guard import call, raises
from minids.check.registry import chapters, checker, exercises

__all__ = [
    "Attempt",
    "Claim",
    "NotYet",
    "Row",
    "Verdict",
    "call",
    "chapters",
    "check",
    "checker",
    "close",
    "examine",
    "exercises",
    "hint",
    "raises",
    "shaped",
    "table",
]
