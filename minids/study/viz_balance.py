"""Figures of chapter 06: who serves whom, how even the load is, and what that costs.

A square's area and its colour say the same, so that neither is needed alone.

axes: c clusters or domains, e routed experts
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from minids.study import ticks
from minids.study.balancing import LAYERS, curve, served
from minids.study.results import Results
from minids.study.wind_tunnel import Moment
from minids.text.domains import DOMAINS

# Okabe and Ito's colours, which colour-blind readers can tell apart, each with a mark and a line.
_LOOKS = {
    "none": ("#666666", "o", "-"),
    "loss 0.001": ("#56B4E9", "v", ":"),
    "loss 0.01": ("#0072B2", "^", "-."),
    "loss 0.1": ("#009E73", "s", "--"),
    "by sequence": ("#D55E00", "X", "--"),
    "bias, two speeds": ("#000000", "D", "-"),
    "bias 0.01": ("#CC79A7", "P", "--"),
    "bias 0.001": ("#E69F00", "*", "-."),
    "bias 0.0001": ("#A6761D", "<", ":"),
}
_LOSSES = ("none", "loss 0.001", "loss 0.01", "loss 0.1", "by sequence")
_BIASES = ("none", "bias 0.0001", "bias 0.001", "bias 0.01", "bias, two speeds")


def clusters_by_expert(
    counts: Mapping[str, Float[Tensor, "c e"]], notes: Mapping[str, str]
) -> Figure:
    """Draw for each layer how its experts share every cluster: squares whose rows sum to 1.

    Experts stand in the order of the clusters that they serve. `notes` stand below.
    """
    figure = Figure(figsize=(2.4 * len(counts), 3.3))
    panels = figure.subplots(1, len(counts), squeeze=False)[0]
    for axes, (name, seen) in zip(panels, counts.items(), strict=True):
        share = seen / seen.sum(1, keepdim=True)
        number = torch.arange(len(seen), dtype=seen.dtype)[:, None]
        middle = (seen * number).sum(0) / seen.sum(0).clamp(min=1e-9)
        _squares(axes, share[:, middle.argsort(stable=True)], 0.6)
        axes.set_title(name, fontsize=12)
        axes.set_xlabel(f"expert\n{notes[name]}", fontsize=11)
        axes.set_ylabel("cluster, frequent ones on top" if axes is panels[0] else "cluster")
    figure.tight_layout()
    return figure


def experts_by_domain(results: Results, ways: Sequence[str], seed: int = 0) -> Figure:
    """Draw the relative load of each expert on each domain: DeepSeek-V3's figure 9 in miniature."""
    figure = Figure(figsize=(10.5, 1.6 * len(ways) + 0.3))
    grid = figure.subplots(len(ways), LAYERS, squeeze=False)
    for row, way in enumerate(ways):
        for layer in range(LAYERS):
            axes, loads = grid[row][layer], served(results, way, seed, layer)
            first = (loads.argmax(0) - 0.01 * loads.amax(0)).argsort(stable=True)
            _squares(axes, loads[:, first], 6.0)
            most = f"up to {float(loads.max()):.1f} times its even share"
            axes.set_title(f"{way}, layer {layer}: {most}", fontsize=11)
            axes.set_yticks(range(len(DOMAINS)), DOMAINS if layer == 0 else [""] * len(DOMAINS))
            axes.set_ylabel("domain" if layer == 0 else "")
            axes.set_xlabel("routed expert" if row == len(ways) - 1 else "")
    figure.tight_layout()
    return figure


def _squares(axes: Axes, values: Float[Tensor, "c e"], top: float) -> None:
    """A square for each value: area and darkness grow with it, and `top` fills its cell."""
    rows, columns = values.shape
    axes.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5), aspect="equal")
    axes.set(xticks=[], yticks=range(rows))
    for row in range(rows):
        for column in range(columns):
            part = min(1.0, float(values[row, column]) / top)
            side = 0.96 * part**0.5
            colour = (0.75 * (1 - part), 0.85 - 0.55 * part, 0.95 - 0.25 * part)
            corner = (column - side / 2, row - side / 2)
            axes.add_patch(Rectangle(corner, side, side, facecolor=colour, linewidth=0))


def unevenness(results: Results, steps: int) -> Figure:
    """Draw MaxVio over training: left the losses, right the biases; mean over seeds."""
    figure = Figure(figsize=(10.5, 4.2))
    panels = figure.subplots(1, 2, sharey=True)
    for axes, ways, title in zip(
        panels, (_LOSSES, _BIASES), ("A loss evens the load", "A bias evens the load"), strict=True
    ):
        for way in ways:
            colour, mark, line = _LOOKS[way]
            values = curve(results, way)
            at = [(i + 0.5) * steps / len(values) for i in range(len(values))]
            axes.plot(at, values, line, color=colour, marker=mark, markersize=4, label=way)
        axes.axhline(0.1, color="#666666", linewidth=1, linestyle=(0, (1, 3)))
        axes.set(yscale="log", xlim=(0, steps))
        ticks.plain(axes.yaxis)
        axes.set_xlabel("step")
        axes.set_title(title)
        axes.grid(alpha=0.3)
        axes.legend(loc="lower left", fontsize=9)
    panels[0].set_ylabel("MaxVio of a twentieth of the run,\nmean of seeds (0: even)")
    figure.tight_layout()
    return figure


def load_and_speciality(results: Results) -> Figure:
    """Draw every run by how uneven its load is and by how much its experts specialise."""
    figure = Figure(figsize=(8.4, 4.4))
    axes = figure.subplots()
    for way in results.arms:
        colour, mark, _ = _LOOKS[way]
        points = results.of(way, "max_vio"), results.of(way, "specialisation")
        axes.plot(*points, mark, color=colour, markersize=9, label=way, alpha=0.85)
    axes.axvline(0.1, color="#666666", linewidth=1, linestyle=(0, (1, 3)))
    axes.set(xscale="log", ylim=(0, None))
    ticks.plain(axes.xaxis)
    axes.set_xlabel("MaxVio of the last steps, taken together (0: even)")
    axes.set_ylabel("specialisation by domain\n(0: none, 1: an expert tells the domain)")
    axes.set_title("Every run: an even load, and what the experts know")
    axes.grid(alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=9)
    figure.tight_layout()
    return figure


def losses(results: Results) -> Figure:
    """Draw the held-out loss of every run by way, their means, and the noise band."""
    figure = Figure(figsize=(8.4, 4.0))
    axes = figure.subplots()
    band = results.band("loss")
    axes.axvspan(band.low, band.high, color="#666666", alpha=0.15, linewidth=0)
    for row, way in enumerate(results.arms):
        colour, mark, _ = _LOOKS[way]
        values = results.of(way, "loss")
        axes.plot(values, [row] * len(values), mark, color=colour, alpha=0.6, markersize=7)
        axes.plot(results.mean(way, "loss"), row, "|", color=colour, markersize=22)
    axes.set_yticks(range(len(results.arms)), results.arms)
    axes.invert_yaxis()
    axes.set_xlabel("held-out loss, nats per token (grey: noise band of the means)")
    axes.set_ylabel("way to balance")
    axes.set_title("Losses: marks are runs, a line their mean")
    axes.grid(alpha=0.3, axis="x")
    figure.tight_layout()
    return figure


def moment(history: Sequence[Moment], step: int, *, window: int = 20) -> Figure:
    """Draw one moment of a training: load by expert, bias by expert, MaxVio so far."""
    if not 1 <= step <= len(history):
        raise ValueError(f"step={step} lies outside of 1 … {len(history)}")
    loads = torch.stack([each.load for each in history])
    recent = loads[max(0, step - window) : step].mean(0) * loads.shape[1]
    figure = Figure(figsize=(10.5, 3.4))
    left, middle, right = figure.subplots(1, 3, width_ratios=(4, 4, 5))
    experts = range(loads.shape[1])
    colours = ["#D55E00" if x > 1 else "#0072B2" for x in recent]
    left.bar(experts, recent.tolist(), color=colours, hatch=["//" if x > 1 else "" for x in recent])
    left.axhline(1, color="#000000", linewidth=1)
    left.set(ylim=(0, 3), ylabel="load, in even shares", title=f"load, step {step}")
    middle.bar(experts, history[step - 1].bias.tolist(), color="#E69F00")
    top = max(0.05, max(float(each.bias.abs().max()) for each in history))
    middle.axhline(0, color="#000000", linewidth=1)
    middle.set(ylim=(-1.1 * top, 1.1 * top), ylabel="bias", title="bias")
    for axes in (left, middle):
        axes.set(xlabel="expert", xticks=experts)
    ends = range(1, len(history) + 1)
    uneven = [loads[max(0, end - window) : end].mean(0) for end in ends]
    right.plot(ends, [float(x.max() / x.mean() - 1) for x in uneven], color="#0072B2")
    right.axvline(step, color="#D55E00", linestyle="--")
    right.set(ylim=(0, None), xlabel="step", ylabel="MaxVio (0: even)")
    right.set_title(f"MaxVio of {window} steps")
    right.grid(alpha=0.3)
    figure.tight_layout()
    return figure
