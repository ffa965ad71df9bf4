"""Figures of chapter 01: tokens, training, noise, schedules, and the next token.

Colour is never alone: bars differ in hatching, lines in dashes and marks.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import cycle

from matplotlib.figure import Figure

from minids.study.results import Band

# Okabe and Ito's colours; every line also has a mark and a dash of its own.
STYLES = (
    ("#0072B2", "o", "-"),
    ("#D55E00", "s", "--"),
    ("#009E73", "^", "-."),
    ("#CC79A7", "D", ":"),
    ("#E69F00", "v", (0, (3, 1, 1, 1))),
)
_HATCHES = ("", "//", "..", "xx")
GREY = "#666666"


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
            at, heights, 0.92 * width, label=name, color=STYLES[i][0], hatch=_HATCHES[i],
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
    axes.plot(x, means, color=STYLES[0][0], label="training text, while it is read")
    axes.plot(end, held_out, "*", color="#000000", markersize=13, label="held-out text, at the end")
    axes.axhline(uniform, color=GREY, linewidth=1)
    axes.text(end, uniform, "all tokens alike", va="bottom", ha="right", fontsize=9, color=GREY)
    for (name, bits), (color, _, dash) in zip(programs.items(), cycle(STYLES[1:]), strict=False):
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
            row + 0.2, after[i], 0.38, color=STYLES[0][0], hatch="//", edgecolor="white",
            label=None if row else "drawn from",
        )  # fmt: skip
        words = f" {after[i]:.2f}" if after[i] > 0 else " cut"
        axes.text(max(before[i], after[i]), row, words, va="center", fontsize=9)
    axes.set_yticks(range(len(order)), [tokens[i] for i in order], family="monospace")
    axes.invert_yaxis()
    axes.set(xlim=(0, 1.12 * max(max(before), max(after))))
    axes.set(xlabel="probability of the next token", ylabel="token")
    axes.set_title(title)
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1))  # bars may fill the axes
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
    for row, (values, (color, mark, _)) in enumerate(
        zip(arms.values(), cycle(STYLES), strict=False)
    ):
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
    for (name, line), (color, _, dash) in zip(factors.items(), cycle(STYLES), strict=False):
        share = [i / len(line) for i in range(len(line))]
        left.plot(share, line, color=color, linestyle=dash, label=name)
    left.set(xlabel="share of the run", ylabel="learning rate, as a share of the peak")
    left.set(title="Schedules", ylim=(0, None))
    left.legend(fontsize=9)
    right.axhline(0, color=GREY, linewidth=1)
    for (name, gap), (color, mark, dash) in zip(gaps.items(), cycle(STYLES[2:]), strict=False):
        right.plot(
            list(gap), list(gap.values()), color=color, linestyle=dash, marker=mark, label=name
        )
    right.set(xlabel="step", ylabel=f"training loss: {names[1]}\nminus {names[0]}, nats")
    right.set_title("Who leads, and when")
    right.legend(fontsize=9)
    figure.tight_layout()
    return figure


def readable(pieces: Sequence[bytes]) -> list[str]:
    """Return every token as one short line: spaces as dots, line ends as \\n, the rest in hex."""
    words = []
    for piece in pieces:
        text = piece.decode(errors="ignore")
        plain = text.isascii() and text.replace(" ", "").replace("\n", "").isprintable()
        shown = text.replace("$", r"\$").replace(" ", "·").replace("\n", r"\n")
        words.append(shown if text and plain else f"<{piece.hex()}>")
    return words
