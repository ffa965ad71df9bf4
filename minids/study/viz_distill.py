"""Figures of chapter 12: one hill for two, the ladder, what lessons cost, what answers cost.

Colours are Okabe and Ito's; every bar also has a hatch, every line a dash of its own.
"""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from minids.presets import preset
from minids.study.distill_cost import Bill, answer
from minids.study.modes import covering, places, seeking, two_hills

BLUE, ORANGE, GREEN, RED, PINK = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7"
GREY = "#666666"

MODELS = {
    "R1": "deepseek-r1",
    "Llama-8B": "r1-distill-llama-8b",
    "Qwen-7B": "r1-distill-qwen-7b",
    "Qwen-1.5B": "r1-distill-qwen-1.5b",
}
"""R1 and those of its students whose configs the course has."""


def hills(distance: float = 10.0, width: float = 1.5, left: float = 0.6) -> Figure:
    """Draw a teacher with two hills, and the nearest hill by each of the two divergences."""
    teacher = two_hills(distance, width, left)
    cover, pick = covering(teacher), seeking(teacher)
    figure = Figure(figsize=(8.4, 3.4), layout="constrained")
    axes = figure.subplots()
    x = places().tolist()
    axes.bar(x, teacher.exp().tolist(), color="#BBBBBB", label="teacher")
    axes.plot(
        x, cover.student.tolist(), "-o", color=BLUE, markersize=3,
        label=f"least KL(teacher || student): mean {cover.mean:.1f}, width {cover.width:.1f}",
    )  # fmt: skip
    axes.plot(
        x, pick.student.tolist(), "--s", color=RED, markersize=3,
        label=f"least KL(student || teacher): mean {pick.mean:.1f}, width {pick.width:.1f}",
    )  # fmt: skip
    top = max(float(teacher.exp().max()), float(pick.student.max()))
    axes.set(xlabel="place (one token each)", ylabel="probability", ylim=(0, 1.45 * top))
    axes.set_title("Two hills, and a student that has one")
    axes.legend(fontsize=8, loc="upper right")
    return figure


def ladder(
    arms: Mapping[str, tuple[Sequence[float], Sequence[float]]], title: str = "The ladder"
) -> Figure:
    """Draw sampled and greedy accuracy of every arm; bars are means, dots the seeds."""
    if not arms:
        raise ValueError("there is no arm to draw")
    figure = Figure(figsize=(9.0, 0.42 * len(arms) + 1.5), layout="constrained")
    axes = figure.subplots()
    for k, (name, colour, hatch) in enumerate((("sampled", BLUE, ""), ("greedy", ORANGE, "//"))):
        for i, both in enumerate(arms.values()):
            at, values = i + 0.38 * k - 0.19, both[k]
            axes.barh(
                at, sum(values) / len(values), 0.36, color=colour, hatch=hatch,
                edgecolor="white", label=name if i == 0 else None,
            )  # fmt: skip
            if len(values) > 1:
                axes.plot(values, [at] * len(values), "k.", markersize=5)
    axes.set_yticks(range(len(arms)), list(arms))
    axes.invert_yaxis()
    axes.set(xlim=(0, 1.02), xlabel="right answers to questions never seen, share", ylabel="model")
    axes.set_title(title)
    axes.grid(axis="x", alpha=0.3)
    axes.legend(loc="upper right", fontsize=8)
    return figure


def bills(each: Mapping[str, Bill]) -> Figure:
    """Draw what the lessons of each arm cost, by what it is for."""
    if not each:
        raise ValueError("there is no bill to draw")
    figure = Figure(figsize=(8.4, 0.45 * len(each) + 1.4), layout="constrained")
    axes = figure.subplots()
    styles = ((BLUE, ""), (ORANGE, "//"), (GREEN, ".."), (PINK, "xx"))
    left = [0.0] * len(each)
    for part, (colour, hatch) in zip(Bill._fields, styles, strict=True):
        values = [getattr(b, part) / 1e9 for b in each.values()]
        axes.barh(
            range(len(each)), values, 0.6, left=left, color=colour, hatch=hatch,
            edgecolor="white", label=part.replace("_", " "),
        )  # fmt: skip
        left = [a + b for a, b in zip(left, values, strict=True)]
    axes.set_yticks(range(len(each)), list(each))
    axes.invert_yaxis()
    axes.set(xlabel="GFLOPs", ylabel="lessons", xlim=(0, 1.3 * max(left)))
    axes.set_title("What the lessons cost")
    axes.legend(fontsize=8, loc="lower right")
    return figure


def thrown_away(right: float = 0.5, size: float = 1.8) -> Figure:
    """Draw the cost of an answer that is learnt from, against the teacher's share of right ones.

    `size` is how many times the student's FLOPs per token the teacher's are.
    """
    if not 0.02 <= right <= 1 or size <= 0:
        raise ValueError("right is a share from 0.02 to 1, and the teacher's size positive")
    shares = [i / 100 for i in range(2, 101)]
    figure = Figure(figsize=(8.4, 3.2), layout="constrained")
    axes = figure.subplots()
    raw = [size + 3.0 for _ in shares]
    kept = [size / q + 3.0 for q in shares]
    axes.plot(shares, raw, "--", color=GREY, label="raw: write, learn")
    axes.plot(shares, kept, "-", color=BLUE, label="verified: write until right, learn")
    axes.plot([right], [size / right + 3.0], "o", color=RED, label=f"{1 - right:.0%} thrown away")
    axes.set(
        xlabel="share of the teacher's answers that are right",
        ylabel="student's passes per token",
        ylim=(0, 1.05 * max(6 * (size + 3), size / right + 3.0)),
    )
    axes.set_title("Equal training is not equal cost")
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    return figure


def answers(length: int = 4096, prompt: int = 256) -> Figure:
    """Draw what one answer costs R1 and its students: FLOPs, and bytes of cache at the end."""
    costs = {n: answer(preset(p), prompt=prompt, length=length) for n, p in MODELS.items()}
    figure = Figure(figsize=(8.4, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes, values, colour, hatch, unit, title in (
        (left, [c.flops / 1e12 for c in costs.values()], BLUE, "", "TFLOPs", "to read and write"),
        (right, [c.cache / 2**20 for c in costs.values()], ORANGE, "//", "MiB, 16 bits a number",
         "cache at its end"),
    ):  # fmt: skip
        drawn = axes.bar(list(costs), values, color=colour, hatch=hatch, edgecolor="white")
        axes.bar_label(drawn, [f"{v:,.0f}" for v in values], fontsize=8)
        axes.set(ylabel=unit, xlabel="model", ylim=(0, 1.15 * max(values)))
        axes.set_title(title)
        axes.tick_params(axis="x", labelsize=8)
    figure.suptitle(f"One answer of {length:,} tokens to a question of {prompt:,}")
    return figure
