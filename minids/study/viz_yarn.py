"""Figures of chapter 05: wavelengths, losses by position, two harms, needles in a grid.

A method has a colour and a mark of its own; hollow marks are without temperature.

axes: half pairs of a rotary head
"""

import math
from collections.abc import Mapping, Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from minids.config import YarnConfig
from minids.model.rope import correction_range, frequencies, interpolate, ntk_aware, yarn

# Okabe and Ito's colours, which colour-blind readers can tell apart.
STYLES = {
    "none": ("#666666", "o", ":"),
    "PI": ("#E69F00", "s", "--"),
    "NTK": ("#009E73", "^", "-."),
    "YaRN": ("#0072B2", "D", "-"),
    "YaRN by turns": ("#CC79A7", "v", "--"),
}
_BLACK = "#222222"


def wavelengths(width: int, theta: float, c: YarnConfig) -> Figure:
    """Draw how long each pair needs for a turn, and by what each method slows it.

    Left: tokens per turn, before and after YaRN, with the trained and the new context. Right: the
    factor by which a pair is slowed, with YaRN's ramp between its two bounds.
    """
    plain = frequencies(width, theta)
    stretched = {
        "PI": interpolate(plain, c.factor),
        "NTK": ntk_aware(width, theta, c.factor),
        "YaRN": yarn(plain, theta, c),
    }
    figure = Figure(figsize=(9.6, 3.9), layout="constrained")
    left, right = figure.subplots(1, 2)
    pairs = range(len(plain))
    for name, freqs in (("none", plain), ("YaRN", stretched["YaRN"])):
        color, mark, line = STYLES[name]
        label = "as trained" if name == "none" else "after YaRN"
        waves = (2 * math.pi / freqs).tolist()
        left.plot(pairs, waves, line, color=color, marker=mark, markersize=4, label=label)
    contexts = (("trained", c.original, "--"), ("new", c.original * c.factor, ":"))
    for words, length, line in contexts:
        label = f"{words} context {length:,.0f}"
        left.axhline(length, color=_BLACK, linewidth=1, linestyle=line, label=label)
    left.set(yscale="log", xlabel="pair, fastest first", ylabel="tokens for one turn")
    left.set_title("Wavelengths")
    left.legend(loc="lower right", fontsize=8)
    for name, freqs in stretched.items():
        color, mark, line = STYLES[name]
        slowed = (plain / freqs).tolist()
        right.plot(pairs, slowed, line, color=color, marker=mark, markersize=4, label=name)
    low, high = correction_range(width, theta, c)
    right.axvspan(low, high, color="#56B4E9", alpha=0.2, label=f"ramp: {low} to {high}")
    right.set(yscale="log", xlabel="pair, fastest first", ylabel="times slower than trained")
    ticks = [t for t in (1, 2, 4, 8, 16, 32, 64, 128) if t <= 1.01 * max(c.factor, 2)]
    right.set_yticks(ticks, [str(t) for t in ticks])
    right.minorticks_off()
    right.set_title(f"Slowed by how much? (s = {c.factor:g}, beta = {c.beta_fast:g})")
    right.legend(fontsize=8)
    for axes in (left, right):
        axes.grid(alpha=0.3)
    return figure


def by_position(
    curves: Mapping[str, Sequence[Sequence[float]]], length: int, trained: int, floor: float
) -> Figure:
    """Draw loss on hay against position: name of a method -> seed -> loss by bin.

    Lines are means over seeds, shades reach from the lowest to the highest seed.
    """
    figure = Figure(figsize=(8.0, 4.2), layout="constrained")
    axes = figure.subplots()
    for name, runs in curves.items():
        color, mark, line = _style(name)
        columns = list(zip(*runs, strict=True))
        places = [length * (i + 0.5) / len(columns) for i in range(len(columns))]
        mean = [sum(column) / len(column) for column in columns]
        axes.plot(places, mean, line, color=color, marker=mark, markersize=5, label=name)
        lowest, highest = [min(c) for c in columns], [max(c) for c in columns]
        axes.fill_between(places, lowest, highest, color=color, alpha=0.15)
    axes.axvline(trained, color=_BLACK, linewidth=0.8, linestyle="--")
    axes.annotate(
        "trained to here", (trained, 1), xycoords=("data", "axes fraction"), xytext=(4, -10),
        textcoords="offset points", fontsize=8,
    )  # fmt: skip
    axes.axhline(floor, color=_BLACK, linewidth=0.8, linestyle=":")
    axes.annotate(
        "best possible", (length, floor), xytext=(-4, -11), textcoords="offset points",
        fontsize=8, ha="right",
    )  # fmt: skip
    axes.set(xlabel="position, tokens", ylabel="loss on hay, nats per token")
    axes.set(xlim=(0, length), ylim=(0.7, None))
    axes.set_title("Near: the rule looks three tokens back, at every position")
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5))
    axes.grid(alpha=0.3)
    return figure


def two_harms(panels: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]]) -> Figure:
    """Draw panels of (needles found, loss on hay) for each method and seed.

    The best place is the upper left. Hollow marks are without temperature.
    """
    figure = Figure(figsize=(4.2 * len(panels) + 2, 4.0), layout="constrained")
    drawn = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
    for axes, (title, methods) in zip(drawn, panels.items(), strict=True):
        for name, points in methods.items():
            color, mark, _ = _style(name)
            face = color if "sharper" in name else "white"
            needles, losses = zip(*points, strict=True)
            axes.scatter(
                losses, needles, s=46, marker=mark, facecolor=face, edgecolor=color, label=name,
                linewidth=1.4,
            )  # fmt: skip
        axes.set(xlabel="near: loss on hay, nats per token", title=title, ylim=(-0.03, 1.06))
        axes.set_ylabel("share of needles found")
        axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure


def attention_paid(weights: Mapping[str, Sequence[tuple[float, float]]], trained: float) -> Figure:
    """Draw the attention on the needle, without and with temperature: method -> seed -> pair."""
    figure = Figure(figsize=(7.2, 3.6), layout="constrained")
    axes = figure.subplots()
    for row, (name, pairs) in enumerate(weights.items()):
        color, mark, _ = _style(name)
        for i, (without, with_it) in enumerate(pairs):
            y = row + 0.16 * (i - (len(pairs) - 1) / 2)
            axes.annotate(
                "", (with_it, y), (without, y), arrowprops={"arrowstyle": "-", "color": color}
            )
            axes.plot(without, y, mark, color=color, markerfacecolor="white", markersize=7)
            axes.plot(with_it, y, mark, color=color, markersize=7)
    axes.plot([], [], "o", color=_BLACK, markerfacecolor="white", label="without temperature")
    axes.plot([], [], "o", color=_BLACK, label="with temperature")
    axes.axvline(trained, color=_BLACK, linestyle="--", linewidth=0.8, label="trained length")
    axes.set_yticks(range(len(weights)), list(weights))
    axes.invert_yaxis()
    axes.set(xlim=(0, 1.02), xlabel="share of attention on the needle's value", ylabel="method")
    axes.set_title("Dilution, and what undoes it (a mark for each seed)")
    axes.legend(fontsize=8, loc="center left")
    axes.grid(alpha=0.3, axis="x")
    return figure


def needle_grids(
    grids: Mapping[str, Sequence[Sequence[float]]],
    lengths: Sequence[int],
    depths: Sequence[float],
    target: int,
) -> Figure:
    """Draw grids of needles found: title -> length -> depth, with the values written.

    A line is drawn behind `target`, the longest row that the stretching was made for.
    """
    figure = Figure(figsize=(5.0 * len(grids), 3.9), layout="constrained")
    drawn = figure.subplots(1, len(grids), squeeze=False)[0]
    for axes, (title, values) in zip(drawn, grids.items(), strict=True):
        picture = axes.imshow(values, vmin=0, vmax=1, cmap="cividis", aspect="auto")
        _values(axes, values)
        axes.set_xticks(range(len(depths)), [f"{d:g}" for d in depths], fontsize=8)
        axes.set_yticks(range(len(lengths)), [f"{n:,}" for n in lengths])
        axes.set(xlabel="depth of the needle (0: start, far)", ylabel="length of the row, tokens")
        axes.set_title(title)
        if target in lengths:
            axes.axhline(lengths.index(target) + 0.5, color="white", linewidth=3)
            axes.axhline(
                lengths.index(target) + 0.5, color="#D55E00", linewidth=1.4, linestyle="--"
            )
    percent = PercentFormatter(1.0, decimals=0, symbol="")
    figure.colorbar(picture, ax=drawn, label="needles found, percent", format=percent)
    return figure


def learning(lessons: Mapping[int, tuple[Sequence[float], Sequence[float]]]) -> Figure:
    """Draw training: seed -> (losses on all tokens, losses at values that can be known)."""
    figure = Figure(figsize=(8.0, 3.4), layout="constrained")
    axes = figure.subplots()
    lines = ((0, "-", "#0072B2", "all tokens"), (1, "--", "#D55E00", "values that can be known"))
    for which, line, color, words in lines:
        for i, (_, curves) in enumerate(lessons.items()):
            label = words if i == 0 else None
            axes.plot(curves[which], line, color=color, linewidth=1.2, alpha=0.8, label=label)
    axes.set(xlabel="step", ylabel="loss, nats per token", ylim=(0, None))
    axes.set_title("Training on short rows (a line for each seed)")
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    return figure


def _style(name: str) -> tuple[str, str, str]:
    """Colour, mark and line of a method, whatever is said behind its name."""
    known = [method for method in STYLES if name.startswith(method)]
    return STYLES[max(known, key=len)]


def _values(axes: Axes, values: Sequence[Sequence[float]]) -> None:
    table = torch.tensor(values)
    for row, column in torch.cartesian_prod(*(torch.arange(n) for n in table.shape)).tolist():
        value = float(table[row, column])
        ink = "black" if value > 0.5 else "white"
        text = f"{100 * value:.0f}"
        axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=8)
