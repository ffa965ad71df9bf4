"""Right answers and planted mistakes for chapter 01; these hang in its museum."""

from minids.check.bugs.ch01.museum import NormOverBatch, SeesTheFuture, TurnsValues, copied

__all__ = ["NormOverBatch", "SeesTheFuture", "TurnsValues", "copied"]
