"""Figures of the bill (chapter 09): seconds of sending, seconds of a step, hours of a run.

Colour is never alone: parts are hatched, bars carry their values.
"""

from collections.abc import Mapping
from itertools import cycle
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from minids.study import ticks


def journeys(costs: Mapping[str, tuple[float, float]]) -> Figure:
    """Draw microseconds per token and layer, out and back, for several ways to send."""
    figure = Figure(figsize=(8.4, 0.9 + 0.55 * len(costs)))
    axes = figure.subplots()
    for row, (out, back) in enumerate(costs.values()):
        axes.barh(row, out, color="#56B4E9", edgecolor="black", label="out to the experts")
        axes.barh(row, back, left=out, color="#E69F00", edgecolor="black", hatch="//", label="back")
        axes.text(out + back, row, f" {out + back:.2f}", va="center", fontsize=9)
    axes.set_yticks(range(len(costs)), list(costs))
    axes.invert_yaxis()
    axes.set_xlim(0, 1.15 * max(map(sum, costs.values())))
    axes.set_xlabel("microseconds for each token and layer, at least")
    axes.set_ylabel("how tokens are sent")
    axes.set_title("To the experts and back")
    figure.tight_layout()
    figure.legend(**_once(axes), loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=2, fontsize=9)
    return figure


def parts(rows: Mapping[str, Mapping[str, float]]) -> Figure:
    """Draw rows of stacked parts, in seconds: what DeepSeek measured, and what we compute."""
    figure = Figure(figsize=(9.4, 1.5 + 0.6 * len(rows)))
    axes = figure.subplots()
    looks = (
        ("#E69F00", ""),
        ("#56B4E9", "//"),
        ("#CC79A7", ".."),
        ("#009E73", ""),
        ("#FFFFFF", "xx"),
        ("#999999", ""),
    )
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    for at, row in enumerate(rows.values()):
        left = 0.0
        for name, (colour, hatch) in zip(names, cycle(looks), strict=False):
            wide = row.get(name, 0.0)
            axes.barh(at, wide, left=left, color=colour, hatch=hatch, edgecolor="black", label=name)
            if wide > 0.9:
                axes.text(
                    left + wide / 2,
                    at,
                    f"{wide:.2f}",
                    ha="center",
                    va="center",
                    fontsize=9,
                    bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
                )
            left += wide
        axes.text(left, at, f" {left:.1f}", va="center", fontsize=9)
    axes.set_yticks(range(len(rows)), list(rows))
    axes.invert_yaxis()
    axes.set_xlim(0, 1.08 * max(sum(row.values()) for row in rows.values()))
    axes.set_xlabel("seconds of one training step")
    axes.set_ylabel("source")
    axes.set_title("One step of DeepSeek-V3 on 2048 cards")
    figure.tight_layout()
    figure.legend(**_once(axes), loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=6, fontsize=9)
    return figure


def hours(khours: Mapping[str, float]) -> Figure:
    """Draw thousands of GPU hours on a logarithmic axis, with each bar's ratio to the first."""
    figure = Figure(figsize=(8.8, 0.9 + 0.5 * len(khours)))
    axes = figure.subplots()
    base = next(iter(khours.values()))
    for row, value in enumerate(khours.values()):
        axes.barh(row, value, color="#0072B2" if row == 0 else "#D55E00", height=0.65)
        axes.text(value, row, f" {value:,.0f}K, x {value / base:.2f}", va="center", fontsize=9)
    axes.set_yticks(range(len(khours)), list(khours))
    axes.invert_yaxis()
    axes.set(xscale="log", xlim=(base / 2, 6 * max(khours.values())))
    ticks.plain(axes.xaxis)
    axes.set_xlabel("thousands of H800 hours for 14.8T tokens, logarithmic")
    axes.set_ylabel("one thing changed")
    axes.set_title("What pre-training would cost without one of the ideas")
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    figure.tight_layout()
    return figure


def _once(axes: Axes) -> dict[str, Any]:
    """Handles and labels of a legend, each label once."""
    handles, labels = axes.get_legend_handles_labels()
    found = dict(zip(labels, handles, strict=True))
    return {"handles": list(found.values()), "labels": list(found)}
