"""Figures of chapter 11: the drift of the language, what each stage adds, what the harvest dropped.

Colours are Okabe and Ito's; every line and bar also has a marker or a hatch of its own.
"""

from collections.abc import Mapping, Sequence
from itertools import cycle

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from minids.rl.advantages import group_advantages
from minids.study.results import Results
from minids.study.tables import read

BLUE, ORANGE, GREEN, RED, PINK = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7"
GREY = "#666666"
STYLES = ((RED, "-", "o"), (BLUE, "--", "s"), (GREEN, ":", "^"), (ORANGE, "-.", "D"))

STAGES = ("base", "R1-Zero", "Dev1", "Dev2", "Dev3", "R1")
SCORES = {
    "sampled": "sums right, sampled",
    "greedy": "sums right, greedy",
    "form": "in form",
    "language": "words in the question's language",
    "requests": "requests right",
    "polite": "requests closed politely",
    "keeps": "secrets kept",
    "refuses": "good requests refused",
}
"""The scores that are drawn, and what they are shares of."""


def drift(histories: Mapping[str, Sequence[Mapping[str, float]]]) -> Figure:
    """Draw runs of reinforcement, by name: right answers, and words in the question's language."""
    if not histories or not all(histories.values()):
        raise ValueError("there are no steps to draw yet")
    figure = Figure(figsize=(9.0, 3.6), layout="constrained")
    panels = (("accuracy", "share of answers"), ("language", "share of words"))
    for axes, (name, unit) in zip(figure.subplots(1, 2), panels, strict=True):
        for (run, steps), (colour, dash, mark) in zip(
            histories.items(), cycle(STYLES), strict=False
        ):
            values = _words(steps) if name == "language" else [step[name] for step in steps]
            axes.plot(
                range(1, len(values) + 1), values, dash, color=colour, marker=mark,
                markersize=4, markevery=max(1, len(values) // 10), label=run,
            )  # fmt: skip
        title = {"accuracy": "right answers", "language": "words in the question's language"}
        axes.set(xlabel="step", ylabel=unit, title=title[name], ylim=(0, 1.05))
        axes.grid(alpha=0.3)
    figure.axes[0].legend(fontsize=8, loc="lower right")
    return figure


def _words(steps: Sequence[Mapping[str, float]]) -> list[float]:
    """Consistency among responses that show working: those without count as 0 in a step's mean."""
    return [step["language"] / max(step["worked"], 1e-9) for step in steps]


def stages(results: Results, names: Sequence[str] = tuple(SCORES)[:4]) -> Figure:
    """Draw scores by stage: bars are means over the seeds, dots the seeds."""
    unknown = [name for name in names if name not in SCORES]
    if unknown or not names:
        raise ValueError(f"there are no scores {unknown}; there are: {', '.join(SCORES)}")
    figure = Figure(figsize=(9.0, 3.8), layout="constrained")
    axes = figure.subplots()
    width = 0.84 / len(names)
    colours = (BLUE, ORANGE, GREEN, PINK, RED, GREY, BLUE, ORANGE)
    hatches = ("", "//", "..", "xx", "\\\\", "--", "oo", "++")
    arms = [stage for stage in STAGES if stage in results.arms]
    for k, name in enumerate(names):
        places = [i + (k - (len(names) - 1) / 2) * width for i in range(len(arms))]
        axes.bar(
            places, [results.mean(arm, name) for arm in arms], 0.94 * width, color=colours[k],
            hatch=hatches[k], edgecolor="white", label=SCORES[name],
        )  # fmt: skip
        for place, arm in zip(places, arms, strict=True):
            seeds = results.of(arm, name)
            axes.plot([place] * len(seeds), seeds, "k.", markersize=4)
    axes.set_xticks(range(len(arms)), arms)
    axes.set(ylim=(0, 1.28), yticks=[i / 5 for i in range(6)])
    axes.set(ylabel="share, 0 to 1", xlabel="model")
    axes.set_title("What each stage adds (held-out questions; dots are seeds)")
    axes.legend(ncols=2, fontsize=8, loc="upper left")
    return figure


def beside_paper(results: Results, score: str = "sampled", benchmark: str = "AIME 2024") -> Figure:
    """Draw one score of the toy by stage beside one benchmark of the paper's Table 2."""
    rows = {str(row["benchmark"]): row for row in read("r1_stages")}
    if benchmark not in rows or score not in SCORES:
        known = f"{', '.join(SCORES)}; {', '.join(rows)}"
        raise ValueError(f"no score {score!r} or benchmark {benchmark!r}; there are: {known}")
    arms = STAGES[1:]
    columns = [arm.lower().replace("-", "_") for arm in arms]
    published = [float(rows[benchmark][column] or 0) for column in columns]
    figure = Figure(figsize=(9.0, 3.4), layout="constrained")
    ours, theirs = figure.subplots(1, 2)
    _line(ours, arms, [results.mean(arm, score) for arm in arms], BLUE, "o")
    for i, arm in enumerate(arms):
        seeds = results.of(arm, score)
        ours.plot([i] * len(seeds), seeds, "k.", markersize=4)
    ours.set(ylabel="share, 0 to 1", title=f"toy: {SCORES[score]}", ylim=(0, 1.05))
    _line(theirs, arms, published, RED, "s")
    theirs.set(ylabel="score", title=f"DeepSeek-R1: {benchmark}")
    theirs.set_ylim(0, 1.15 * max(published))
    return figure


def _line(
    axes: Axes, names: Sequence[str], values: Sequence[float], colour: str, mark: str
) -> None:
    axes.plot(range(len(names)), values, "-", color=colour, marker=mark, markersize=7)
    axes.set_xticks(range(len(names)), names)
    axes.set_xlabel("model")
    axes.grid(alpha=0.3)


def dropped(counts: Mapping[str, int]) -> Figure:
    """Draw how many samples the harvest kept, and how many it dropped for which reason."""
    if not counts:
        raise ValueError("there are no samples to count")
    figure = Figure(figsize=(7.6, 2.6), layout="constrained")
    axes = figure.subplots()
    names = list(counts)[::-1]
    colours = [GREEN if name == "kept" else ORANGE for name in names]
    bars = axes.barh(names, [counts[name] for name in names], color=colours, edgecolor="white")
    for bar, name in zip(bars, names, strict=True):
        bar.set_hatch("" if name == "kept" else "//")
        axes.annotate(
            f" {counts[name]}", (counts[name], bar.get_y() + bar.get_height() / 2), va="center"
        )
    axes.set(xlabel="samples", ylabel="verdict", title="Rejection sampling")
    axes.set_xlim(0, 1.12 * max(counts.values()))
    return figure


def group(weight: float = 1.0, mixed: float = 0.5) -> Figure:
    """Draw the rewards and advantages of four answers under a reward for language.

    Two are right and two wrong, one of each pair pure; of the others a share `mixed` of the words
    is in the question's language.
    """
    names = ("right, pure", "right, mixed", "wrong, pure", "wrong, mixed")
    accuracy, language = (1.0, 1.0, 0.0, 0.0), (1.0, mixed, 1.0, mixed)
    figure = Figure(figsize=(8.4, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    words = [weight * share for share in language]
    left.bar(names, accuracy, color=BLUE, edgecolor="white", label="accuracy")
    left.bar(names, words, bottom=accuracy, color=ORANGE, hatch="//", edgecolor="white",
             label="weight x consistency")  # fmt: skip
    left.set(ylabel="reward", title="reward", ylim=(0, 1.3 * (1 + weight)))
    left.legend(fontsize=8)
    total = torch.tensor([[a + w for a, w in zip(accuracy, words, strict=True)]])
    right.bar(names, group_advantages(total)[0].tolist(), color=GREEN, edgecolor="white")
    right.axhline(0, color=GREY, linewidth=0.8)
    right.set(ylabel="deviations of the group", title="advantage", ylim=(-2, 2))
    for axes in (left, right):
        axes.tick_params(axis="x", labelrotation=20)
        axes.set_xlabel("answer")
    return figure
