"""Checks for the exercises.

A learner calls check("02.gqa", my_function) and hint("02.gqa"). A chapter's file, chNN.py,
states the claims; bugs/chNN.py proves them by right answers and planted mistakes.
"""

from minids.check.bugs import Row, table
from minids.check.claims import Claim, close, shaped
from minids.check.engine import NotYet, Verdict, check, examine, hint
from minids.check.guard import call, raises
from minids.check.registry import chapters, checker, exercises

__all__ = [
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
