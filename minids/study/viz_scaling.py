"""Figures of chapter 01 on scale: equal work at several sizes, and DeepSeek's advice by budget."""

import math
from collections.abc import Mapping, Sequence
from itertools import cycle

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from minids import accounting
from minids.study import ticks
from minids.study.isoflop import Valley
from minids.study.viz_llama import GREY, STYLES


def budgets(
    runs: Mapping[float, Mapping[float, float]], valleys: Mapping[float, Valley], slope: float
) -> Figure:
    """Draw a parabola for each budget, and the best sizes over the budgets.

    `runs`: budget -> {FLOPs per token: bits per byte}; `slope` is the exponent of the fit.
    DeepSeek's exponent is drawn beside it, through the same middle.
    """
    figure = Figure(figsize=(9.6, 4.2))
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    for (budget, row), (color, mark, dash) in zip(runs.items(), cycle(STYLES), strict=False):
        v = valleys[budget]
        ends = math.log(min(row)), math.log(max(row))
        x = [math.exp(ends[0] + (ends[1] - ends[0]) * i / 60) for i in range(61)]
        left.plot(x, [v.at(m) for m in x], color=color, linestyle=dash)
        left.scatter(list(row), list(row.values()), color=color, marker=mark, s=40,
                     label=f"{budget:.2g} FLOPs")  # fmt: skip
        left.plot(v.scale, v.loss, "*", color=color, markersize=15, markeredgecolor="black")
        right.plot(budget, v.scale, "*", color=color, markersize=15, markeredgecolor="black")
    left.set(xscale="log", xlabel="M, training FLOPs per token", ylabel="bits per byte, held out")
    left.set_title("Equal work, four sizes each (star: the bottom)")
    ticks.plain(left.xaxis)
    left.legend(fontsize=9)
    middle = [math.exp(math.fsum(map(math.log, xs)) / len(xs))
              for xs in (list(valleys), [v.scale for v in valleys.values()])]  # fmt: skip
    x = [min(valleys) / 1.5, max(valleys) * 1.5]
    for exponent, words, dash in ((slope, "ours", "-"), (0.524, "DeepSeek's", "--")):
        line = [middle[1] * (c / middle[0]) ** exponent for c in x]
        right.plot(x, line, dash, color=GREY, label=f"{words}: exponent {exponent:.2f}")
    right.set(xscale="log", yscale="log", xlabel="C, training FLOPs")
    right.set(ylabel="best M, FLOPs per token", title="Best size over budget")
    ticks.plain(right.yaxis)
    right.set_xticks(list(valleys), [f"{c:.2g}" for c in valleys])
    right.set_xticks([], minor=True)
    right.legend(fontsize=9, loc="upper left")
    figure.tight_layout()
    return figure


def recipe(
    budget: float, used: Mapping[str, tuple[float, float, float]], fitted: tuple[float, float]
) -> Figure:
    """Draw DeepSeek LLM's advice for learning rate and batch over budgets, one budget marked.

    `used`: model -> (budget, learning rate, batch in tokens); `fitted`: where the fits were made.
    """
    figure = Figure(figsize=(9.6, 3.9))
    rate, batch = figure.subplots(1, 2)
    budgets = [10.0**e for e in range(16, 26)]
    advice = [accounting.scaling_laws(c) for c in budgets]
    here = accounting.scaling_laws(budget)
    _advice(rate, budgets, [a.lr for a in advice], fitted)
    _advice(batch, budgets, [a.batch for a in advice], fitted)
    for (name, (c, lr, tokens)), (color, mark, _) in zip(
        used.items(), cycle(STYLES[1:]), strict=False
    ):
        rate.scatter(c, lr, color=color, marker=mark, s=60, label=f"{name}, as trained", zorder=3)
        batch.scatter(c, tokens, color=color, marker=mark, s=60, zorder=3)
    for axes, value, words, below in (
        (rate, here.lr, f"{here.lr:.3g}", 8),
        (batch, here.batch, f"{here.batch / 1e6:.3g}M", -14),
    ):
        axes.plot(budget, value, "*", color="#E69F00", markersize=15, markeredgecolor="black",
                  label="the chosen budget", linestyle="")  # fmt: skip
        axes.annotate(words, (budget, value), xytext=(8, below), textcoords="offset points")
        axes.set(xlabel="C, training FLOPs", xlim=(3e15, 1e28))
    ticks.plain(rate.yaxis)
    rate.set(ylabel="peak learning rate", title="Learning rate")
    batch.set(ylabel="batch, tokens per step", title="Batch")
    rate.legend(fontsize=8, loc="lower left")
    figure.tight_layout()
    return figure


def _advice(
    axes: Axes, budgets: Sequence[float], values: Sequence[float], fitted: tuple[float, float]
) -> None:
    axes.plot(budgets, values, color=STYLES[0][0], label="fitted formula")
    axes.axvspan(*fitted, color="#BBBBBB", alpha=0.45, label="where it was fitted")
    axes.set(xscale="log", yscale="log")
