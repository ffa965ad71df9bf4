"""The course as files: build notebooks from their sources, cut exercises, find drift, grade.

notebooks/src/NN_name.py  ->  notebooks/NN_name.ipynb   executed, with outputs
solutions/src/NN_name.py  ->  solutions/NN_name.ipynb   executed, with outputs
                          ->  exercises/NN_name.ipynb   cut, never executed
"""

from minids.course.build import BuildError, Built, build, cut
from minids.course.drift import drift
from minids.course.grade import Graded, grade, report
from minids.course.measure import doubled
from minids.course.source import TAGS

__all__ = [
    "TAGS",
    "BuildError",
    "Built",
    "Graded",
    "build",
    "cut",
    "doubled",
    "drift",
    "grade",
    "report",
]
