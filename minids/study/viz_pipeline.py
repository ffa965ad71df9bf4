"""Figures of pipelines (chapter 09): what every device does when, how long it idles, what it holds.

Colour is never alone: chunks carry letters, the second way is hatched, lines differ in mark.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from minids.systems.pipeline import Timeline

# Okabe and Ito's colours, which colour-blind readers can tell apart.
CHUNKS = {"F": "#E69F00", "B": "#009E73", "I": "#56B4E9", "W": "#CC79A7"}
NAMES = {
    "F": "F, forward",
    "B": "B, backward",
    "I": "I, backward for inputs",
    "W": "W, backward for weights",
}
STYLES = {
    "GPipe": ("#999999", "x", ":"),
    "1F1B": ("#E69F00", "o", "-"),
    "ZB1P": ("#0072B2", "s", "--"),
    "DualPipe": ("#D55E00", "D", "-."),
}


def gantt(timelines: Mapping[str, Timeline]) -> Figure:
    """Draw every device as a row and every chunk as a box; white is idle time.

    A pair fills one box with two halves, forward above backward. Hatched chunks belong to the way
    that enters at the last device.
    """
    rows = sum(t.n_devices for t in timelines.values())
    figure = Figure(figsize=(10, 1.5 + 0.27 * rows + 0.75 * (len(timelines) - 1)))
    heights = [t.n_devices + 1 for t in timelines.values()]
    panels = figure.subplots(len(timelines), 1, squeeze=False, height_ratios=heights)[:, 0]
    longest = max(float(t.end) for t in timelines.values())
    for axes, (name, timeline) in zip(panels, timelines.items(), strict=True):
        _boxes(axes, timeline, longest)
        idle = float(timeline.bubble)
        axes.set_title(
            f"{name}: ends at {float(timeline.end):g}, bubble {idle:g} "
            f"({100 * idle / float(timeline.end):.0f} %)",
            loc="left",
            fontsize=10,
        )
        axes.set(xlim=(0, longest * 1.005), ylim=(timeline.n_devices - 0.45, -0.55))
        axes.set_yticks(range(timeline.n_devices))
        axes.set_ylabel("device")
        axes.grid(axis="x", alpha=0.3)
        axes.set_axisbelow(True)
    panels[-1].set_xlabel("time, in the unit of the chunks")
    chunks = [c for t in timelines.values() for run in t.ran for c in run.slot]
    works = {chunk.work for chunk in chunks}
    keys = [Patch(facecolor=CHUNKS[w], edgecolor="black", label=NAMES[w]) for w in "FBIW"]
    shown = [key for key, work in zip(keys, "FBIW", strict=True) if work in works]
    if any(chunk.way for chunk in chunks):
        shown.append(Patch(facecolor="white", edgecolor="black", hatch="////", label="other way"))
    figure.tight_layout()
    figure.legend(handles=shown, loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=5, fontsize=9)
    return figure


def _boxes(axes: Axes, timeline: Timeline, longest: float) -> None:
    """Draw all slots, those of a kind at once: work and micro-batch where wide, else the work."""
    spans = defaultdict(list)
    for run in timeline.ran:
        height = 0.86 / len(run.slot)
        start, width = float(run.start), float(run.end - run.start)
        for part, chunk in enumerate(run.slot):
            bottom = run.device - 0.43 + part * height
            spans[chunk.work, chunk.way, bottom, height].append((start, width))
            if width >= longest / 140:
                ground = {"facecolor": CHUNKS[chunk.work], "edgecolor": "none", "pad": 0.5}
                words = f"{chunk.work}{chunk.micro}" if width >= longest / 48 else chunk.work
                axes.text(
                    start + width / 2,
                    bottom + height / 2,
                    words,
                    ha="center",
                    va="center_baseline",
                    fontsize=7 if len(run.slot) == 1 else 6.5,
                    bbox=ground if chunk.way else None,  # hatches would hide the words
                )
    for (work, way, bottom, height), boxes in spans.items():
        axes.broken_barh(
            boxes,
            (bottom, height),
            facecolor=CHUNKS[work],
            edgecolor="black",
            linewidth=0.4,
            hatch="////" if way else None,
            alpha=0.7 if way else 1.0,
        )


def _curves(axes: Axes, x: Sequence[float], curves: Mapping[str, Sequence[float | None]]) -> None:
    for name, values in curves.items():
        colour, mark, line = STYLES[name]
        points = [(a, b) for a, b in zip(x, values, strict=True) if b is not None]
        axes.plot(
            *zip(*points, strict=True),
            linestyle=line,
            color=colour,
            marker=mark,
            markersize=5,
            label=name,
        )


def bubbles(micros: Sequence[int], shares: Mapping[str, Sequence[float | None]]) -> Figure:
    """Draw the share of a step that devices stand idle, by the number of micro-batches."""
    figure = Figure(figsize=(8.4, 3.8))
    axes = figure.subplots()
    _curves(axes, micros, shares)
    axes.set(xscale="log", ylim=(0, None))
    axes.set_xticks(list(micros), [str(m) for m in micros])
    axes.minorticks_off()
    axes.set_xlabel("micro-batches in a step")
    axes.set_ylabel("idle, % of the step")
    axes.set_title("More micro-batches, smaller bubble")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def memory(peaks: Mapping[str, Sequence[int]]) -> Figure:
    """Draw how many micro-batches' activations every device holds at its worst moment."""
    figure = Figure(figsize=(8.4, 3.6))
    axes = figure.subplots()
    devices = range(len(next(iter(peaks.values()))))
    _curves(axes, devices, peaks)
    axes.set(ylim=(0, None))
    axes.set_xticks(list(devices))
    axes.set_xlabel("device")
    axes.set_ylabel("micro-batches held at most\n(activations of one stage)")
    axes.set_title("What the waiting costs in memory")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure
