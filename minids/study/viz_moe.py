"""Figures of mixtures of experts (chapter 03): the cut, losses, who serves what, what is missed.

Colour is never alone: cells carry hatches or numbers, lines and marks differ in shape.
"""

from collections.abc import Mapping, Sequence
from itertools import cycle
from math import comb

from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from torch import Tensor

from minids.study.results import Results

# Okabe and Ito's colours, which colour-blind readers can tell apart.
_BLUE, _ORANGE, _GREEN, _RED, _GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#999999"


def cut(m: int = 4, shared: int = 1, n: int = 16, k: int = 2) -> Figure:
    """Draw `n` experts, `k` of them active, and the same width in pieces `m` times finer.

    ValueError if more would be shared than a token meets.
    """
    if shared >= m * k:
        raise ValueError(f"a token meets {m * k} experts: share fewer than that, not {shared}")
    figure = Figure(figsize=(8.4, 2.9))
    axes = figure.subplots()
    for y, (pieces, kept, chosen) in enumerate(((n, 0, k), (m * n, shared, m * k - shared))):
        width = n / pieces
        for i in range(pieces):
            role = "shared" if i < kept else "chosen" if i < kept + chosen else "idle"
            axes.add_patch(_cell(i * width, 1 - y, width, role))
        ways = comb(pieces - kept, chosen)
        words = f"{kept} shared + {chosen} of {pieces - kept}" if kept else f"{chosen} of {pieces}"
        axes.text(0, 1.78 - y, f"{words}: {ways:,} ways to choose", fontsize=10)
    axes.set(xlim=(-0.1, n + 0.1), ylim=(-0.1, 2.1), yticks=[])
    axes.set_xlabel("width of the feed-forward, in coarse experts")
    axes.set_title("Equal total width, equal active width")
    roles = (
        ("shared", _ORANGE, "//"),
        ("chosen for one token", _BLUE, ".."),
        ("idle", "white", ""),
    )
    handles = [Patch(facecolor=c, hatch=h, edgecolor="black", label=w) for w, c, h in roles]
    axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.28), ncols=3)
    return figure


def _cell(x: float, y: float, width: float, role: str) -> Rectangle:
    face, hatch = {"shared": (_ORANGE, "//"), "chosen": (_BLUE, ".."), "idle": ("white", "")}[role]
    return Rectangle((x, y), width, 0.65, facecolor=face, hatch=hatch, edgecolor="#333333", lw=0.6)


def losses(results: Results, *, metric: str = "loss", title: str = "Loss at equal size") -> Figure:
    """Draw every run of every arm, its mean, and the noise band of the first arm."""
    figure = Figure(figsize=(8.4, 0.62 * len(results.arms) + 1.5))
    axes = figure.subplots()
    band = results.band(metric)
    axes.axvspan(band.low, band.high, color=_ORANGE, alpha=0.2, lw=0)
    axes.text(band.mean, -0.72, "noise band", ha="center", fontsize=9)
    for y, arm in enumerate(results.arms):
        dense = arm.startswith("dense")
        colour, mark = (_RED, "s") if dense else (_BLUE, "o")
        values = results.of(arm, metric)
        axes.plot(values, [y] * len(values), mark, color=colour, alpha=0.45, markersize=6)
        mean = results.mean(arm, metric)
        axes.plot(mean, y, "|", color=colour, markersize=22, markeredgewidth=3)
        axes.text(mean, y - 0.3, f"{mean:.3f}", ha="center", fontsize=9)
    axes.set_yticks(range(len(results.arms)), list(results.arms))
    axes.set(ylim=(len(results.arms) - 0.4, -1.0))
    axes.set_xlabel("held-out loss, nats per character (bar: mean of the seeds)")
    axes.set_title(title)
    axes.grid(axis="x", alpha=0.3)
    return figure


def heat(
    real: Float[Tensor, "d e"], dealt: Float[Tensor, "d e"], names: Sequence[str], title: str = ""
) -> Figure:
    """Draw relative loads by domain and expert, above those under shuffled labels.

    1 is the even share. Experts are put in order of the domain that they serve most.
    """
    order = (real.argmax(0) * 100 - real.amax(0)).argsort()
    figure = Figure(figsize=(9.0, 1.5 + 0.56 * len(names)), layout="constrained")
    most = float(real.max())
    panels = figure.subplots(2, 1, sharex=True)
    for axes, table, words in zip(
        panels, (real, dealt), ("the text as it is", "labels shuffled: chance"), strict=True
    ):
        shown = axes.imshow(
            table[:, order].numpy(), cmap="cividis", vmin=0, vmax=most, aspect="auto"
        )
        axes.set_title(words, fontsize=11)
        axes.set_xticks([])
        axes.set_yticks(range(len(names)), list(names))
        if table.shape[1] <= 16:
            _numbers(axes, table[:, order], most)
    axes.set_xlabel("expert, by the domain it serves most")
    figure.colorbar(shown, ax=panels, label="load, 1 = even share", fraction=0.03, pad=0.02)
    figure.suptitle(title or "Which expert serves which domain")
    return figure


def _numbers(axes: Axes, table: Float[Tensor, "d e"], most: float) -> None:
    for y, row in enumerate(table.tolist()):
        for x, value in enumerate(row):
            colour = "black" if value > 0.6 * most else "white"
            axes.text(x, y, f"{value:.1f}", ha="center", va="center", color=colour, fontsize=9)


def growth(curves: Mapping[str, Mapping[int, Sequence[float]]], chance: float) -> Figure:
    """Draw specialisation over training, by name: step -> one value for each seed."""
    figure = Figure(figsize=(8.4, 3.6))
    axes = figure.subplots()
    looks = ((_BLUE, "o", "-"), (_GREEN, "s", "--"), (_RED, "^", "-."))
    for (name, values), (colour, mark, line) in zip(curves.items(), cycle(looks), strict=False):
        steps = list(values)
        for seed in range(len(values[steps[0]])):
            axes.plot(steps, [values[s][seed] for s in steps], line, color=colour, alpha=0.35, lw=1)
        means = [sum(values[s]) / len(values[s]) for s in steps]
        axes.plot(steps, means, line, color=colour, marker=mark, lw=2, label=f"{name}, mean")
    axes.axhline(chance, color=_GREY, linestyle=":")
    axes.text(0, chance + 0.01, " by chance (labels shuffled)", fontsize=9, color="#555555")
    axes.set(ylim=(0, None))
    axes.set_xlabel("training steps")
    axes.set_ylabel("specialisation,\n0 nothing to 1 all")
    axes.set_title("How much an expert's number tells about the domain")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


LEAST = 1e-4
"""What a logarithmic axis begins with; marks of less, and of a gain, stand there."""


def missed(costs: Mapping[str, Sequence[float]], title: str) -> Figure:
    """Draw what each intervention adds to the loss, by seed, on a logarithmic axis."""
    figure = Figure(figsize=(8.4, 0.6 * len(costs) + 1.5))
    axes = figure.subplots()
    marks = "osD^vP"
    for y, values in enumerate(costs.values()):
        shown = [max(v, LEAST) for v in values]
        axes.plot(shown, [y] * len(shown), marks[y % 6], color=_BLUE, alpha=0.6, markersize=8)
        mean = sum(values) / len(values)
        axes.text(max(shown) * 1.25, y, f"{mean:+.3f}", va="center", fontsize=10)
    axes.set(xscale="log", ylim=(len(costs) - 0.5, -0.5))
    low, high = axes.get_xlim()
    axes.set_xlim(low, high * 2.5)
    axes.set_yticks(range(len(costs)), list(costs))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel(
        f"added to the loss, nats per character (marks: seeds, {LEAST:g} or less; number: mean)"
    )
    axes.set_title(title)
    axes.grid(axis="x", alpha=0.3)
    return figure


def evened(loads: Mapping[str, Sequence[float]], n_devices: int) -> Figure:
    """Draw the load of every expert, over the even share, device by device, one panel a loss."""
    figure = Figure(figsize=(9.2, 2.9))
    panels = figure.subplots(1, len(loads), sharey=True)
    shades, hatches = (_BLUE, _ORANGE, _GREEN, _RED), ("", "//", "..", "\\\\")
    for axes, (name, load) in zip(panels, loads.items(), strict=True):
        n = len(load)
        for i, share in enumerate(load):
            d = i * n_devices // n
            look = {"color": shades[d % 4], "hatch": hatches[d % 4], "edgecolor": "white"}
            axes.bar(i, share * n, **look)
        axes.axhline(1, color="black", lw=1, linestyle="--")
        axes.set_title(name, fontsize=11)
        axes.set_xlabel("expert (colour and hatch: device)")
        axes.set_xticks([])
    panels[0].set_ylabel("load, 1 = even share")
    figure.tight_layout()
    return figure
