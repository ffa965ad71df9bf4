"""Figures of chapter 01: tokens, training, noise, schedules, budgets, and the next token.

Colour is never alone: bars differ in hatching, lines in dashes and marks.
"""

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from minids import accounting
from minids.study.isoflop import Valley
from minids.study.results import Band

# Okabe and Ito's colours; every line also has a mark and a dash of its own.
_STYLES = (
    ("#0072B2", "o", "-"),
    ("#D55E00", "s", "--"),
    ("#009E73", "^", "-."),
    ("#CC79A7", "D", ":"),
    ("#E69F00", "v", (0, (3, 1, 1, 1))),
)
_HATCHES = ("", "//", "..", "xx")
_GREY = "#666666"


def bytes_per_token(table: Mapping[str, Mapping[str, float]]) -> Figure:
    """Draw vocabulary -> kind of text -> bytes per token, as groups of bars with their values."""
    figure = Figure(figsize=(8.4, 4.0))
    axes = figure.subplots()
    kinds = list(next(iter(table.values())))
    width = 0.8 / len(table)
    for i, (name, row) in enumerate(table.items()):
        at = [k + (i - (len(table) - 1) / 2) * width for k in range(len(kinds))]
        heights = [row[kind] for kind in kinds]
        axes.bar(
            at, heights, 0.92 * width, label=name, color=_STYLES[i][0], hatch=_HATCHES[i],
            edgecolor="white",
        )  # fmt: skip
        for x, height in zip(at, heights, strict=True):
            axes.text(x, height + 0.04, f"{height:.1f}", ha="center", fontsize=9)
    axes.set_xticks(range(len(kinds)), kinds)
    axes.set(ylim=(0, 1.3 * max(max(row.values()) for row in table.values())))
    axes.set(xlabel="kind of text, held out", ylabel="bytes of UTF-8 per token")
    axes.set_title("What a token stands for")
    axes.legend(loc="upper right", ncols=len(table), fontsize=9)
    return figure


def training(
    losses: Sequence[float],
    *,
    tokens_per_step: int,
    bits_per_nat: float,
    uniform: float,
    held_out: float,
    programs: Mapping[str, float],
) -> Figure:
    """Draw a run in bits per byte over tokens read, beside programs that compress.

    `bits_per_nat` turns a loss into bits per byte; all other numbers are bits per byte. Training
    losses are drawn as means over a fiftieth of the run.
    """
    figure = Figure(figsize=(8.4, 4.4))
    axes = figure.subplots()
    n = max(1, len(losses) // 50)
    cuts = range(0, len(losses) - n + 1, n)
    x = [tokens_per_step * (i + n / 2) for i in cuts]
    means = [bits_per_nat * math.fsum(losses[i : i + n]) / n for i in cuts]
    end = tokens_per_step * len(losses)
    axes.plot(x, means, color=_STYLES[0][0], label="training text, while it is read")
    axes.plot(end, held_out, "*", color="#000000", markersize=13, label="held-out text, at the end")
    axes.axhline(uniform, color=_GREY, linewidth=1)
    axes.text(end, uniform, "all tokens alike", va="bottom", ha="right", fontsize=9, color=_GREY)
    for (name, bits), (color, _, dash) in zip(programs.items(), _STYLES[1:], strict=False):
        axes.axhline(bits, color=color, linestyle=dash, label=f"{name}, held-out text")
    axes.set(xlim=(0, 1.03 * end), ylim=(0, 1.08 * max(uniform, *means)))
    axes.set(xlabel="tokens read", ylabel="bits per byte (lower is better)")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_title("A model that predicts text is a program that compresses it")
    axes.legend(loc="upper right", bbox_to_anchor=(1, 0.9), fontsize=9)
    return figure


def next_token(
    tokens: Sequence[str],
    before: Sequence[float],
    after: Sequence[float],
    *,
    title: str,
    shown: int = 12,
) -> Figure:
    """Draw the likeliest tokens: what the model says, and what is drawn from after the cut.

    `before` and `after` are probabilities of all tokens. A token that is cut has no second bar.
    """
    order = sorted(range(len(before)), key=lambda i: -before[i])[:shown]
    figure = Figure(figsize=(8.4, 4.2))
    axes = figure.subplots()
    for row, i in enumerate(order):
        axes.barh(row - 0.2, before[i], 0.38, color="#BBBBBB", label=None if row else "the model")
        axes.barh(
            row + 0.2, after[i], 0.38, color=_STYLES[0][0], hatch="//", edgecolor="white",
            label=None if row else "drawn from",
        )  # fmt: skip
        words = f" {after[i]:.2f}" if after[i] > 0 else " cut"
        axes.text(max(before[i], after[i]), row, words, va="center", fontsize=9)
    axes.set_yticks(range(len(order)), [tokens[i] for i in order], family="monospace")
    axes.invert_yaxis()
    axes.set(xlim=(0, 1.12 * max(max(before), max(after))))
    axes.set(xlabel="probability of the next token", ylabel="token")
    axes.set_title(title)
    axes.legend(loc="lower right")
    return figure


def noise(
    arms: Mapping[str, Sequence[float]], band: Band, *, unit: str = "bits per byte"
) -> Figure:
    """Draw every run of every arm as a mark, the mean as a bar, and the band of the noise."""
    figure = Figure(figsize=(8.4, 1.5 + 0.55 * len(arms)))
    axes = figure.subplots()
    axes.axvspan(
        band.low, band.high, color="#BBBBBB", alpha=0.45,
        label=f"noise: {band.holds}",
    )  # fmt: skip
    for row, (values, (color, mark, _)) in enumerate(zip(arms.values(), _STYLES, strict=False)):
        axes.scatter(values, [row] * len(values), color=color, marker=mark, s=45, zorder=3)
        mean = math.fsum(values) / len(values)
        axes.plot([mean, mean], [row - 0.3, row + 0.3], color=color, linewidth=2.5, zorder=2)
    axes.set_yticks(range(len(arms)), list(arms))
    axes.set_ylim(len(arms) - 0.4, -0.6)
    axes.margins(x=0.12)
    axes.set(xlabel=f"{unit} of held-out text (lower is better)", ylabel="arm")
    axes.set_title("Marks: runs with different seeds. Bars: their means")
    axes.legend(loc="upper right", fontsize=9)
    return figure


def schedules(
    factors: Mapping[str, Sequence[float]], gaps: Mapping[str, Mapping[int, float]]
) -> Figure:
    """Draw learning rates over the run, and how far one schedule is behind another meanwhile.

    `factors`: schedule -> share of the peak by step; `gaps`: name -> {step: loss of the second
    schedule minus that of the first, in nats}.
    """
    figure = Figure(figsize=(9.6, 3.8))
    left, right = figure.subplots(1, 2)
    names = list(factors)
    for (name, line), (color, _, dash) in zip(factors.items(), _STYLES, strict=False):
        share = [i / len(line) for i in range(len(line))]
        left.plot(share, line, color=color, linestyle=dash, label=name)
    left.set(xlabel="share of the run", ylabel="learning rate, as a share of the peak")
    left.set(title="Schedules", ylim=(0, None))
    left.legend(fontsize=9)
    right.axhline(0, color=_GREY, linewidth=1)
    for (name, gap), (color, mark, dash) in zip(gaps.items(), _STYLES[2:], strict=False):
        right.plot(
            list(gap), list(gap.values()), color=color, linestyle=dash, marker=mark, label=name
        )
    right.set(xlabel="step", ylabel=f"training loss: {names[1]}\nminus {names[0]}, nats")
    right.set_title("Who leads, and when")
    right.legend(fontsize=9)
    figure.tight_layout()
    return figure


def budgets(
    runs: Mapping[float, Mapping[float, float]], valleys: Mapping[float, Valley], slope: float
) -> Figure:
    """Draw a parabola for each budget, and the best sizes over the budgets.

    `runs`: budget -> {FLOPs per token: bits per byte}; `slope` is the exponent of the fit.
    DeepSeek's exponent is drawn beside it, through the same middle.
    """
    figure = Figure(figsize=(9.6, 4.2))
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    for (budget, row), (color, mark, dash) in zip(runs.items(), _STYLES, strict=False):
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
    _plain_ticks(left.xaxis)
    left.legend(fontsize=9)
    middle = [math.exp(math.fsum(map(math.log, xs)) / len(xs))
              for xs in (list(valleys), [v.scale for v in valleys.values()])]  # fmt: skip
    x = [min(valleys) / 1.5, max(valleys) * 1.5]
    for exponent, words, dash in ((slope, "ours", "-"), (0.524, "DeepSeek's", "--")):
        line = [middle[1] * (c / middle[0]) ** exponent for c in x]
        right.plot(x, line, dash, color=_GREY, label=f"{words}: exponent {exponent:.2f}")
    right.set(xscale="log", yscale="log", xlabel="C, training FLOPs", ylabel="best M")
    right.set_title("Best size over budget")
    _plain_ticks(right.yaxis)
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
    for (name, (c, lr, tokens)), (color, mark, _) in zip(used.items(), _STYLES[1:], strict=False):
        rate.scatter(c, lr, color=color, marker=mark, s=60, label=f"{name}, as trained", zorder=3)
        batch.scatter(c, tokens, color=color, marker=mark, s=60, zorder=3)
    for axes, value, words in (
        (rate, here.lr, f"{here.lr:.3g}"),
        (batch, here.batch, f"{here.batch:,.0f}"),
    ):
        axes.plot(budget, value, "*", color="#E69F00", markersize=15, markeredgecolor="black")
        axes.annotate(words, (budget, value), xytext=(8, 8), textcoords="offset points")
        axes.set(xlabel="C, training FLOPs")
    rate.set(ylabel="peak learning rate", title="Learning rate")
    batch.set(ylabel="batch, tokens per step", title="Batch")
    rate.legend(fontsize=8, loc="lower left")
    figure.tight_layout()
    return figure


def _advice(
    axes: Axes, budgets: Sequence[float], values: Sequence[float], fitted: tuple[float, float]
) -> None:
    axes.plot(budgets, values, color=_STYLES[0][0], label="fitted formula")
    axes.axvspan(*fitted, color="#BBBBBB", alpha=0.45, label="where it was fitted")
    axes.set(xscale="log", yscale="log")


def readable(pieces: Sequence[bytes]) -> list[str]:
    """Return every token as one short line: spaces as dots, line ends as \\n, the rest in hex."""
    words = []
    for piece in pieces:
        text = piece.decode(errors="ignore")
        plain = text.isascii() and text.replace(" ", "").replace("\n", "").isprintable()
        shown = text.replace("$", r"\$").replace(" ", "·").replace("\n", r"\n")
        words.append(shown if text and plain else f"<{piece.hex()}>")
    return words


def _plain_ticks(axis: Axis) -> None:
    """Write 50,000 and 100,000 on a logarithmic axis, not powers of ten."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter("{x:,.0f}")
    axis.set_minor_formatter("")
