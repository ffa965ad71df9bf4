"""Right answers and planted mistakes for chapter 10; these hang in its museum."""

from minids.check.bugs.ch10.advantage import (
    advantage,
    advantage_batch_deviation,
    advantage_of_batch,
    advantage_with_sample_deviation,
)

__all__ = [
    "advantage",
    "advantage_batch_deviation",
    "advantage_of_batch",
    "advantage_with_sample_deviation",
]
