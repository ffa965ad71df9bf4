"""Figures of chapter 10: the advantages of a group, the clip, a run of practice, before and after.

Colours are Okabe and Ito's; every line also has a marker or a dash of its own.

axes: r rollouts of one group
"""

from collections.abc import Mapping, Sequence
from itertools import cycle

import torch
from matplotlib.figure import Figure

from minids.rl.advantages import over_tokens
from minids.rl.policy_loss import policy_loss
from minids.rl.variants import DAPO, GRPO, Variant, dr_grpo

BLUE, ORANGE, GREEN, RED, PINK = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7"
GREY = "#666666"
LOOKS = {"GRPO": (BLUE, ""), "Dr. GRPO": (ORANGE, "//"), "DAPO": (GREEN, "..")}
"""Colour and hatch of a variant, the same whoever stands beside it."""


def token_weights(
    rewards: Sequence[float], lengths: Sequence[int], variant: Variant
) -> tuple[list[float], list[float]]:
    """Return the advantage of each rollout, and how strongly each of its tokens is pushed.

    The push is minus the gradient of the loss at one token, times the number of rollouts, so that
    a rollout of length 1 and advantage 1 is pushed by 1 under GRPO.
    """
    if len(rewards) != len(lengths) or not rewards:
        raise ValueError(f"{len(rewards)} rewards and {len(lengths)} lengths: pair them up")
    if min(lengths) < 1:
        raise ValueError("a rollout has at least one token")
    advantages = variant.advantages(torch.tensor([list(rewards)], dtype=torch.float32))[0]
    mask = torch.arange(max(lengths))[None] < torch.tensor(list(lengths))[:, None]
    logp = torch.zeros(mask.shape, requires_grad=True)
    told = policy_loss(
        logp,
        torch.zeros(mask.shape),
        over_tokens(advantages, mask),
        mask,
        clip=variant.clip,
        average=variant.average,
    )
    told.loss.backward()
    assert logp.grad is not None
    return advantages.tolist(), (-logp.grad[:, 0] * len(rewards)).tolist()


def group(
    rewards: Sequence[float],
    lengths: Sequence[int],
    variants: Sequence[Variant] | None = None,
) -> Figure:
    """Draw one group: rewards and lengths, advantages, and the push on each token."""
    variants = variants or (GRPO, dr_grpo(max(lengths)), DAPO)
    found = {v.name: token_weights(rewards, lengths, v) for v in variants}
    figure = Figure(figsize=(9.0, 5.2), layout="constrained")
    top, middle, bottom = figure.subplots(3, 1, sharex=True)
    at = range(len(rewards))
    top.bar(at, rewards, color=GREY)
    for i, n in zip(at, lengths, strict=True):
        length = f"{n} token{'s' if n > 1 else ''}"
        top.annotate(length, (i, rewards[i]), ha="center", va="bottom", fontsize=8)
    top.set(
        ylabel="reward",
        title="One question, one group of answers",
        ylim=(0, 1.25 * max(*rewards, 1.0)),
    )
    width = 0.8 / len(variants)
    for k, v in enumerate(variants):
        colour, hatch = LOOKS.get(v.name, (PINK, "xx"))
        advantages, pushes = found[v.name]
        places = [i + (k - (len(variants) - 1) / 2) * width for i in at]
        how = {"color": colour, "hatch": hatch, "edgecolor": "white", "label": v.name}
        middle.bar(places, advantages, width, **how)
        bottom.bar(places, pushes, width, **how)
    middle.set(ylabel="advantage")
    bottom.set(ylabel="push on a token", xlabel="answer")
    bottom.set_xticks(list(at))
    for axes in (middle, bottom):
        axes.axhline(0, color=GREY, linewidth=0.8)
    low, high = middle.get_ylim()
    middle.set_ylim(low, high + 0.3 * (high - low))  # room for the legend
    middle.legend(ncols=len(variants), fontsize=8, loc="upper right")
    return figure


def clipping(low: float = 0.2, high: float = 0.2, ratio: float = 1.5) -> Figure:
    """Draw what the loss maximises against the ratio, for a good and for a bad token."""
    ratios = torch.linspace(0.2, 2.0, 181)[:, None].log()
    figure = Figure(figsize=(8.4, 3.4), layout="constrained")
    for axes, advantage in zip(figure.subplots(1, 2), (1.0, -1.0), strict=True):
        values = [_objective(r, advantage, (low, high)) for r in ratios]
        axes.plot(ratios.exp().flatten().tolist(), values, color=BLUE, label="min(plain, clipped)")
        axes.plot([0.2, 2.0], [0.2 * advantage, 2 * advantage], "--", color=GREY, label="plain")
        axes.axvspan(1 - low, 1 + high, color=GREEN, alpha=0.12, label="inside the clip")
        here = _objective(torch.tensor([ratio]).log(), advantage, (low, high))
        flat = (advantage > 0 and ratio > 1 + high) or (advantage < 0 and ratio < 1 - low)
        axes.plot([ratio], [here], "o", color=RED, label="no gradient" if flat else "gradient")
        axes.set(xlabel="ratio: probability now / when sampled", ylabel="objective")
        axes.set_title(f"advantage {advantage:+.0f}")
        axes.legend(fontsize=8)
        axes.grid(alpha=0.3)
    return figure


def _objective(log_ratio: torch.Tensor, advantage: float, clip: tuple[float, float]) -> float:
    mask = torch.ones(1, 1, dtype=torch.bool)
    old, gain = torch.zeros(1, 1), torch.full((1, 1), advantage)
    return -float(policy_loss(log_ratio.view(1, 1), old, gain, mask, clip=clip).loss)


PANELS = (
    (("accuracy", "worked"), "share of answers"),
    (("length",), "tokens"),
    (("kl", "entropy"), "nats per token"),
    (("clipped", "flat_groups"), "share"),
)


def practice(steps: Sequence[Mapping[str, float]], title: str = "A run of GRPO") -> Figure:
    """Draw a run so far, from the `parts` of its steps: four panels over the steps."""
    if not steps:
        raise ValueError("there are no steps to draw yet")
    figure = Figure(figsize=(9.0, 5.2), layout="constrained")
    styles = ((BLUE, "-", "o"), (ORANGE, "--", "s"))
    words = {"kl": "KL", "flat_groups": "flat groups"}
    for axes, (names, unit) in zip(figure.subplots(2, 2).flat, PANELS, strict=True):
        for name, (colour, dash, mark) in zip(names, cycle(styles), strict=False):
            values = [step[name] for step in steps]
            axes.plot(
                range(1, len(steps) + 1), values, dash, color=colour, marker=mark,
                markersize=3, markevery=max(1, len(steps) // 12), linewidth=1,
                label=words.get(name, name),
            )  # fmt: skip
        axes.set(xlabel="step", ylabel=unit, title=" and ".join(words.get(n, n) for n in names))
        axes.set_ylim(bottom=0)
        axes.legend(fontsize=8)
        axes.grid(alpha=0.3)
    figure.suptitle(title)
    return figure


def before_and_after(
    before: Sequence[Mapping[str, float]], after: Sequence[Mapping[str, float]]
) -> Figure:
    """Draw exams of several seeds before and after: bars are means, dots the seeds."""
    names = ("pass_at_1", "greedy", "majority", "pass_at_k", "worked")
    words = ("sampled", "greedy", "majority", "once in k", "shows work")
    figure = Figure(figsize=(8.4, 3.6), layout="constrained")
    axes = figure.subplots()
    for k, (exams, colour, hatch, label) in enumerate(
        ((before, ORANGE, "//", "before"), (after, BLUE, "", "after"))
    ):
        places = [i + 0.4 * k - 0.2 for i in range(len(names))]
        means = [sum(e[name] for e in exams) / len(exams) for name in names]
        axes.bar(places, means, 0.38, color=colour, hatch=hatch, edgecolor="white", label=label)
        for place, name in zip(places, names, strict=True):
            axes.plot([place] * len(exams), [e[name] for e in exams], "k.", markersize=5)
    axes.set_xticks(range(len(names)), words)
    axes.set(ylim=(0, 1.25), yticks=[i / 5 for i in range(6)])
    axes.set(ylabel="share", xlabel="how it was asked")
    axes.set_title("Held-out sums, before and after practice")
    axes.legend(ncols=2)
    return figure
