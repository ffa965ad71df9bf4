"""Figures of chapter 08: how fine FP8 is, whom an outlier harms, what sums and models lose.

Colour is never alone: lines differ in dash and mark, points in shape.
"""

from collections.abc import Mapping, Sequence
from itertools import cycle

import torch
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm
from matplotlib.figure import Figure
from torch import Tensor

from minids.study.results import Results

# Okabe and Ito's colours, which colour-blind readers can tell apart, each with a mark and a dash.
_LOOKS = (
    ("#0072B2", "D", "-"),
    ("#D55E00", "v", "--"),
    ("#009E73", "s", "-."),
    ("#E69F00", "o", ":"),
    ("#CC79A7", "^", "-"),
    ("#56B4E9", "P", "--"),
)
_GREY = "#666666"


def fineness(
    magnitudes: Float[Tensor, " n"], errors: Mapping[str, Float[Tensor, " n"]], worth: float = 0.5
) -> Figure:
    """Draw the relative rounding error by magnitude, for every format; both axes logarithmic.

    Errors are the largest near each magnitude. 1 means that nothing is left: the line `worth`
    marks where half of a number is gone.
    """
    figure = Figure(figsize=(8.4, 3.8))
    axes = figure.subplots()
    for number, (name, error) in enumerate(errors.items()):
        colour, mark, line = _LOOKS[number]
        axes.plot(
            magnitudes,
            error,
            line,
            color=colour,
            marker=mark,
            markevery=(150 * number, 700),
            markersize=5,
            label=name,
        )
    axes.axhline(worth, color=_GREY, linewidth=1, linestyle=":", label="half of it is gone")
    axes.set(xscale="log", yscale="log", ylim=(1e-3, 2))
    axes.set_xscale("log", base=2)
    axes.set_xlabel("size of a number")
    axes.set_ylabel("largest rounding error,\nas a share of the number")
    axes.set_title("How fine a format is, and where it ends")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", ncols=5, fontsize=9)
    return figure


def by_outlier(
    sizes: Sequence[float],
    errors: Mapping[str, Sequence[float]],
    chosen: float | None = None,
    title: str = "One outlier, and what everybody else pays",
) -> Figure:
    """Draw the error of all other entries over the size of an outlier, for ways to round."""
    figure = Figure(figsize=(8.4, 4.0))
    _error_lines(figure.subplots(), sizes, errors, chosen, title)
    return figure


def _error_lines(
    axes: Axes,
    sizes: Sequence[float],
    errors: Mapping[str, Sequence[float]],
    chosen: float | None,
    title: str,
) -> None:
    for (name, values), (colour, mark, line) in zip(errors.items(), cycle(_LOOKS), strict=False):
        axes.plot(sizes, values, line, color=colour, marker=mark, markersize=5, label=name)
    if chosen is not None:
        axes.axvline(chosen, color=_GREY, linestyle=":", linewidth=1.2)
    axes.set(xscale="log", yscale="log", ylim=(4e-3, 1.5))
    axes.set_xlabel("size of the outlier; the others are about 1")
    axes.set_ylabel("error of the others,\nas a share of their size")
    axes.set_title(title)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize=9)


def who_pays(
    lost: Float[Tensor, "m n"],
    outlier: Bool[Tensor, "m n"],
    sizes: Sequence[float],
    errors: Mapping[str, Sequence[float]],
    chosen: float,
) -> Figure:
    """Draw which entries lose how much of themselves, and the errors by size beside it."""
    figure = Figure(figsize=(9.4, 4.0))
    left, right = figure.subplots(1, 2, width_ratios=(1, 1))
    steps = BoundaryNorm([0, 0.0625, 0.125, 0.25, 0.5, 1], ncolors=256)  # 1/16: what FP8 costs
    shown = left.imshow(lost.clamp(0, 1).numpy(), cmap="cividis", norm=steps, aspect="auto")
    rows, columns = outlier.nonzero(as_tuple=True)
    if len(rows) == 1:
        left.plot(columns, rows, "o", color="#D55E00", fillstyle="none", markersize=12)
    bar = figure.colorbar(shown, ax=left, label="share of an entry that is lost")
    bar.ax.set_yticklabels(["0", "1/16", "1/8", "1/4", "1/2", "1"])
    left.set_xlabel("channel")
    left.set_ylabel("token")
    left.set_title(f"Who pays: {float((lost > 0.5).float().mean()):.1%} lose over half")
    _error_lines(right, sizes, errors, chosen, "What all others pay together")
    figure.tight_layout()
    return figure


def sums(ks: Sequence[int], errors: Mapping[str, Sequence[float]], report: float) -> Figure:
    """Draw the largest error of sums over their length; `report` is a level to compare with."""
    figure = Figure(figsize=(8.4, 4.0))
    axes = figure.subplots()
    for (name, values), (colour, mark, line) in zip(errors.items(), cycle(_LOOKS), strict=False):
        axes.plot(ks, values, line, color=colour, marker=mark, label=name)
    axes.axhline(report, color=_GREY, linewidth=1, linestyle=":")
    axes.text(ks[0], report * 1.1, " reported for K = 4096", fontsize=9)
    axes.set(yscale="log")
    axes.set_xscale("log", base=2)
    axes.set_xticks(list(ks), [f"{k:,}" for k in ks])
    axes.set_xlabel("terms of a sum, K")
    axes.set_ylabel("largest error,\nas a share of a sum's size")
    axes.set_title("Sums of 14 bits, with and without promotion every 128 terms")
    axes.grid(alpha=0.3)
    axes.legend(loc="center left", fontsize=9)
    return figure


def gaps(clean: Results, spoiled: Results, bound: float) -> Figure:
    """Draw how far each run lies from the bf16 run of its seed, in per cent of the loss.

    Left: without outliers, on a plain scale, with the band +-`bound`. Right: with planted ones.
    """
    figure = Figure(figsize=(9.4, 3.8))
    axes = figure.subplots(1, 2)
    titles = ("Without outliers", "With planted outliers")
    looks = dict(zip(clean.arms, cycle(_LOOKS), strict=False))
    for panel, results, title in zip(axes, (clean, spoiled), titles, strict=True):
        base = results.arms[0]
        for row, arm in enumerate(results.arms):
            pairs = zip(results.of(arm), results.of(base), strict=True)
            gap = [100 * (value / reference - 1) for value, reference in pairs]
            colour, mark, _ = looks[arm]
            panel.plot(gap, [row] * len(gap), mark, color=colour, alpha=0.5, markersize=8)
            mean = sum(gap) / len(gap)
            panel.plot([mean] * 2, [row - 0.3, row + 0.3], color=colour, linewidth=2.5)
        words = f"within {bound:g} %, as reported"
        panel.axvspan(-bound, bound, color=_GREY, alpha=0.15, linewidth=0, label=words)
        panel.set_yticks(range(len(results.arms)), results.arms)
        panel.set_ylim(len(results.arms) - 0.5, -0.5)
        panel.set_xlabel("loss against bf16 of the same seed, %")
        panel.set_ylabel("how it multiplies")
        panel.set_title(title)
        panel.grid(alpha=0.3, axis="x")
    axes[1].set_xscale("symlog", linthresh=1)  # straight up to 1 %, logarithmic beyond
    axes[1].set_xlim(-2, 50)
    axes[1].set_xticks([-1, 0, 1, 10, 40], ["-1", "0", "1", "10", "40"])
    axes[1].minorticks_off()
    axes[1].set_xlabel("loss against bf16 of the same seed, %\n(logarithmic beyond 1)")
    axes[1].legend(loc="lower left", fontsize=9)
    figure.tight_layout()
    return figure


def largest_nearby(rounding_error: Float[Tensor, " n"], window: int = 151) -> Float[Tensor, " n"]:
    """Return the running maximum, so that a saw-tooth becomes the line of its tips."""
    padded = torch.nn.functional.pad(rounding_error[None], (window // 2, window // 2))
    return torch.nn.functional.max_pool1d(padded, window, stride=1)[0]
