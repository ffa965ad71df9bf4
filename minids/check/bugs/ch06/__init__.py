"""Right answers and planted mistakes for chapter 06; these hang in its museum."""

from minids.check.bugs.ch06.museum import closed_at_zero, leaking_router, nodes
from minids.check.bugs.ch06.nudge import nudge, nudge_in_bfloat16
from minids.check.bugs.ch06.route import by_preference, by_scores

__all__ = [
    "by_preference",
    "by_scores",
    "closed_at_zero",
    "leaking_router",
    "nodes",
    "nudge",
    "nudge_in_bfloat16",
]
