"""The course as files: build notebooks from their sources, cut exercises, find drift, grade.

notebooks/src/NN_name.py  ->  notebooks/NN_name.ipynb   executed, with outputs
solutions/src/NN_name.py  ->  solutions/NN_name.ipynb   executed, with outputs
                          ->  exercises/NN_name.ipynb   cut, never executed
"""

from minids.course.build import BuildError, Built, build, cut
from minids.course.catch_up import catch_up
from minids.course.drift import drift
from minids.course.grade import Graded, grade
from minids.course.measure import doubled
from minids.course.report import Report, report, write_pages
from minids.course.reset import Reset, reset
from minids.course.source import TAGS

__all__ = [
    "TAGS",
    "BuildError",
    "Built",
    "Graded",
    "Report",
    "Reset",
    "build",
    "catch_up",
    "cut",
    "doubled",
    "drift",
    "grade",
    "report",
    "reset",
    "write_pages",
]
