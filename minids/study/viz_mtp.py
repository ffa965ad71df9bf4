"""Figures of chapter 07: who predicts what, losses with and without modules, drafts and speed.

Colour is never alone: marks, dashes and hatches differ too.
"""

from collections.abc import Mapping, Sequence
from itertools import cycle

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from minids.study.results import Results

# Okabe and Ito's colours, each with a mark, a dash and a hatch of its own.
_STYLES = (
    ("#0072B2", "o", "-", ""),
    ("#E69F00", "s", "--", "//"),
    ("#009E73", "^", "-.", ".."),
    ("#CC79A7", "D", ":", "xx"),
)


def who_predicts_what(words: Sequence[str], depth: int = 2) -> Figure:
    """Draw, for each place of a text, which token the model and its modules read and predict."""
    if depth < 1 or depth + 1 >= len(words):
        raise ValueError(f"{len(words)} words leave no place for {depth} modules: use fewer")
    figure = Figure(figsize=(9.2, 0.75 * depth + 2.2), layout="constrained")
    axes = figure.subplots()
    for k in range(depth + 1):
        color = _STYLES[k % len(_STYLES)][0]
        for i in range(len(words) - 1 - k):
            if k:
                axes.annotate(
                    "",
                    (i, k - 0.22),
                    (i, k - 0.78),
                    arrowprops={"arrowstyle": "->", "color": "#666666"},
                )
            box = {"boxstyle": "round", "fc": "white", "ec": color, "lw": 2}
            reads = f"+ {words[i + k]}" if k else words[i]
            said = f"{reads}\n→ {words[i + k + 1]}"
            axes.text(i, k, said, ha="center", va="center", bbox=box, fontsize=10)
    names = ["model", *(f"module {k}" for k in range(1, depth + 1))]
    axes.set_yticks(range(depth + 1), names)
    axes.set_xticks(range(len(words) - 1))
    axes.set(xlim=(-0.6, len(words) - 1.4), ylim=(-0.5, depth + 0.5))
    axes.set_xlabel("place in the text")
    axes.set_ylabel("depth")
    axes.set_title("What is read (above) and predicted (→) at each place")
    return figure


def main_loss(results: Results) -> Figure:
    """Draw the model's own loss of every run; the means, and the noise band of the first."""
    figure = Figure(figsize=(7.6, 2.9), layout="constrained")
    axes = figure.subplots()
    band = results.band()
    axes.axvspan(band.low, band.high, color="#BBBBBB", alpha=0.4)
    for row, arm in enumerate(results.arms):
        color, mark, *_ = _STYLES[row]
        axes.plot(results.of(arm), [row] * len(results.seeds), mark, color=color, markersize=9)
        axes.plot([results.mean(arm)] * 2, [row - 0.25, row + 0.25], color=color, linewidth=2)
    axes.set_yticks(range(len(results.arms)), results.arms)
    axes.set_ylim(len(results.arms) - 0.5, -0.5)
    axes.set_xlabel("the model's own held-out loss, nats per token")
    axes.set_ylabel("trained")
    axes.set_title(f"The main loss, {len(results.seeds)} seeds; grey, noise: {band.holds}")
    return figure


def acceptance(shares: Mapping[str, Mapping[str, float]]) -> Figure:
    """Draw the share of drafts that were kept, by text, one bar for each kind of draft."""
    figure = Figure(figsize=(9.2, 3.8), layout="constrained")
    axes = figure.subplots()
    kinds = list(next(iter(shares.values())))
    width = 0.8 / len(kinds)
    for number, kind in enumerate(kinds):
        color, _, _, hatch = _STYLES[number]
        for place, by_kind in enumerate(shares.values()):
            at = place + (number - (len(kinds) - 1) / 2) * width
            axes.bar(at, by_kind[kind], 0.92 * width, color=color, hatch=hatch, edgecolor="white")
            label = f"{by_kind[kind]:.2f}".removeprefix("0")
            axes.text(at, by_kind[kind] + 0.01, label, ha="center", fontsize=8)
    axes.set_xticks(range(len(shares)), list(shares))
    axes.set(ylim=(0, 1.3), yticks=[i / 5 for i in range(6)])
    axes.set_xlabel("text")
    axes.set_ylabel("share of drafts kept")
    axes.set_title("How often a draft is kept, if those before it were")
    handles = [
        Patch(facecolor=_STYLES[i][0], hatch=_STYLES[i][3], edgecolor="white", label=kind)
        for i, kind in enumerate(kinds)
    ]
    axes.legend(handles=handles, loc="upper center", ncols=len(handles))
    return figure


def speed(
    points: Mapping[str, Sequence[tuple[float, float]]], costs: Mapping[str, float]
) -> Figure:
    """Draw measured speed-ups over tokens per round, beside the line tokens / cost of each arm.

    Every point is one text: (tokens per round, times as fast as plain writing).
    """
    figure = Figure(figsize=(8.0, 4.4), layout="constrained")
    axes = figure.subplots()
    most = max(x for pairs in points.values() for x, _ in pairs)
    axes.axhline(1, color="#444444", linewidth=1)
    axes.text(1.05 * most, 0.985, "as fast as writing plainly", ha="right", va="top", fontsize=9)
    for number, (arm, pairs) in enumerate(points.items()):
        color, mark, dash, _ = _STYLES[number % len(_STYLES)]
        ends = (1.0, 1.05 * most)
        line = [x / costs[arm] for x in ends]
        words = f"{arm}: a round costs {costs[arm]:.2f} steps"
        axes.plot(ends, line, dash, color=color, label=words)
        axes.plot(*zip(*pairs, strict=True), mark, color=color, markersize=8)
    axes.set_xlabel("tokens that a round brings (1: every draft is dropped)")
    axes.set_ylabel("times as fast as plain writing")
    axes.set_title("Speed of drafting, measured (marks) and by tokens / cost (lines)")
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left")
    return figure


def cost_model(layers: float, drafts: int, extra: float, marks: Mapping[str, float]) -> Figure:
    """Draw the speed-up over acceptance for a model so many times as heavy as a module.

    `extra` is what reading a further token costs, as a share of a step; `marks` are acceptances.
    """
    if layers <= 0 or drafts < 1 or extra < 0:
        raise ValueError(f"no such drafting: {layers} layers, {drafts} drafts, {extra} extra")
    figure = Figure(figsize=(8.0, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.axhline(1, color="#444444", linewidth=1)
    shares = [i / 100 for i in range(101)]
    for n in range(1, drafts + 1):
        cost = 1 + n * (1 / layers + extra)
        color, mark, dash, _ = _STYLES[(n - 1) % len(_STYLES)]
        gain = [sum(a**j for j in range(n + 1)) / cost for a in shares]
        words = f"{n} draft{'s' if n > 1 else ''}: a round costs {cost:.2f} steps"
        axes.plot(shares, gain, dash, color=color, label=words)
        for a in marks.values():
            axes.plot(a, sum(a**j for j in range(n + 1)) / cost, mark, color=color)
    for (name, a), dash in zip(marks.items(), cycle((":", "--", "-.")), strict=False):
        axes.axvline(a, color="#666666", linestyle=dash, linewidth=1, label=name)
    axes.set(xlim=(0, 1), ylim=(0, 1.05 * (drafts + 1)))
    axes.set_xlabel("share of drafts kept, a")
    axes.set_ylabel("times as fast as plain writing")
    axes.set_title(f"(1 + a + a² + …) / cost, for a model {layers:g} times as heavy as a module")
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left", fontsize=9)
    return figure
