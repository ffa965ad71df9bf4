"""The figure of growing cost: tokens a second over batch, context, experts and width.

Colour is never alone: measured points and their line are solid with marks, the counted slope is
dashed, and both slopes are written out.
"""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from minids.study.growth import Curve, power_law

# Okabe and Ito's colours, which colour-blind readers can tell apart.
_MEASURED, _COUNTED = "#0072B2", "#D55E00"

AXES = {
    "batch": ("Batch", "rows in a step"),
    "context": ("Context", "tokens in a row"),
    "experts": ("Experts", "experts in a layer"),
    "width": ("Width", "width of the model"),
}
"""Title and x axis of each panel; a curve of another name is called by its name."""


def growth(curves: Sequence[Curve]) -> Figure:
    """Draw a panel for each curve: points, the line of their slope, and the counted slope.

    Slopes are of seconds: with slope s, twice the size takes 2 ** s times as long. The dashed line
    has the same middle as the solid one, so that only steepness is compared. "At the end" is
    between the two largest sizes.
    """
    high = math.ceil(len(curves) / 2)
    figure = Figure(figsize=(9.4, 0.6 + 3.4 * high))
    for i, curve in enumerate(curves):
        _panel(figure.add_subplot(high, 2, i + 1), curve)
    figure.suptitle(
        "One training step: how the seconds grow (slope 1: twice the size, twice the time)"
    )
    figure.tight_layout(h_pad=1.6, w_pad=1.6)
    return figure


def _panel(axes: Axes, c: Curve) -> None:
    title, unit = AXES.get(c.name, (c.name, c.name))
    speed = [n / seconds for n, seconds in zip(c.tokens, c.medians, strict=True)]
    said = f"seconds measured: {c.slope:.2f}"
    counted = f"operations counted: {c.counted:.2f}"
    axes.plot(c.sizes, _line(c, c.flops), "--", color=_COUNTED, label=counted)
    axes.plot(c.sizes, _line(c, c.medians), "-", color=_MEASURED, label=said)
    axes.plot(c.sizes, speed, "o", color=_MEASURED)
    axes.set(xscale="log", yscale="log", ylim=(min(speed) / 1.6, max(speed) * 1.6))
    axes.xaxis.set_major_locator(FixedLocator(c.sizes))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    digits = (1, 2, 5) if max(speed) > 5 * min(speed) else (1, 2, 3, 4, 6, 8)
    axes.yaxis.set_major_locator(FixedLocator([d * 10**k for k in range(9) for d in digits]))
    axes.yaxis.set_major_formatter("{x:,.0f}")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_formatter("")
        axis.set_minor_locator(FixedLocator([]))
    axes.set_xlabel(f"{unit} ({c.held})")
    axes.set_ylabel("tokens per second")
    slopes = f"slope {c.slope:.2f} (at the end {c.last:.2f}), counted {c.counted:.2f}"
    axes.set_title(f"{title}: {slopes}", fontsize=10)
    axes.grid(alpha=0.3)
    rises = speed[-1] > speed[0]
    axes.legend(title="slope", fontsize=9, loc="lower right" if rises else "lower left")


def _line(c: Curve, values: Sequence[float]) -> list[float]:
    """Tokens a second if the seconds had the slope of `values`, through the measured middle."""
    slope, _ = power_law(c.sizes, values)
    factors = [t / size**slope for size, t in zip(c.sizes, c.medians, strict=True)]
    middle = math.exp(sum(map(math.log, factors)) / len(factors))
    return [n / (middle * size**slope) for size, n in zip(c.sizes, c.tokens, strict=True)]
