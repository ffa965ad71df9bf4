"""Numbers along a logarithmic axis, written as one would say them."""

from collections.abc import Sequence

from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator, LogLocator


def plain(axis: Axis, at: Sequence[float] | None = None) -> None:
    """Write 20,000 and 0.5 on a logarithmic `axis`, not powers of ten, and no ticks between.

    `at` says where; without it three numbers to each power of ten, enough for an axis of three.
    """
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)) if at is None else FixedLocator(list(at)))
    axis.set_major_formatter("{x:,.10g}")
    axis.set_minor_formatter("")
