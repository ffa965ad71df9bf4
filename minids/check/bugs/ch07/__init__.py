"""Right answers and planted mistakes for chapter 07; these hang in its museum."""

from minids.check.bugs.ch07.accept import accept, resamples_from_p
from minids.check.bugs.ch07.museum import read_what_is_asked, spread
from minids.check.bugs.ch07.write import write, write_without_rewind

__all__ = [
    "accept",
    "read_what_is_asked",
    "resamples_from_p",
    "spread",
    "write",
    "write_without_rewind",
]
