"""Right answers and planted mistakes for chapter 02; these hang in its museum."""

from minids.check.bugs.ch02.cache_step import (
    step,
    step_keeping_before_the_turn,
    step_keeping_copies,
    step_restarting,
    step_tiled,
)

__all__ = [
    "step",
    "step_keeping_before_the_turn",
    "step_keeping_copies",
    "step_restarting",
    "step_tiled",
]
