"""Right answers and planted mistakes for chapter 09; these hang in its museum."""

from minids.check.bugs.ch09.alltoall import seconds, seconds_one_copy_per_expert
from minids.check.bugs.ch09.simulate import starts, starts_two_at_once, starts_without_gradient

__all__ = [
    "seconds",
    "seconds_one_copy_per_expert",
    "starts",
    "starts_two_at_once",
    "starts_without_gradient",
]
