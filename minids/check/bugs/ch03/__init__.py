"""Right answers and planted mistakes for chapter 03; these hang in its museum."""

from minids.check.bugs.ch03.gates import gates, renormalised
from minids.check.bugs.ch03.layer import layer, shared_behind_a_gate
from minids.check.bugs.ch03.museum import balance, counts_alone
from minids.check.bugs.ch03.segment import keeps_the_width, segment

__all__ = [
    "balance",
    "counts_alone",
    "gates",
    "keeps_the_width",
    "layer",
    "renormalised",
    "segment",
    "shared_behind_a_gate",
]
