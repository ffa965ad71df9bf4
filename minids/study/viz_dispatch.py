"""Figures of chapter 06 on travelling: how many places tokens visit, how busy devices are.

axes: n number of places visited, d devices
"""

from collections.abc import Mapping, Sequence
from itertools import cycle

from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor


def visits(
    panels: Mapping[str, Mapping[str, Float[Tensor, " n"]]], places: Sequence[str]
) -> Figure:
    """Draw the share of tokens by number of places visited, for choices beside each other.

    `panels` has for each title a distribution by name; `places` says what each panel counts.
    """
    figure = Figure(figsize=(5.2 * len(panels), 3.6))
    grid = figure.subplots(1, len(panels), squeeze=False)[0]
    looks = (("#999999", ""), ("#0072B2", "//"), ("#E69F00", ".."))
    for axes, (title, shares), what in zip(grid, panels.items(), places, strict=True):
        width = 0.8 / len(shares)
        for i, ((name, share), (colour, hatch)) in enumerate(
            zip(shares.items(), cycle(looks), strict=False)
        ):
            at = [n + (i - (len(shares) - 1) / 2) * width for n in range(len(share))]
            axes.bar(at, (share * 100).tolist(), width, color=colour, hatch=hatch, label=name)
        axes.set(xlim=(0.4, len(next(iter(shares.values()))) - 0.4), ylim=(0, 105))
        axes.set_xlabel(f"{what} that a token visits")
        axes.set_ylabel("tokens, percent")
        axes.set_title(title)
        axes.grid(alpha=0.3, axis="y")
        axes.legend(loc="upper right", fontsize=9)
    figure.tight_layout()
    return figure


def device_loads(loads: Mapping[str, Float[Tensor, " d"]]) -> Figure:
    """Draw how busy every device is, busiest first, in even shares."""
    figure = Figure(figsize=(8.4, 3.6))
    axes = figure.subplots()
    looks = (("#D55E00", "o", "--"), ("#0072B2", "D", "-"))
    for (name, load), (colour, mark, line) in zip(loads.items(), cycle(looks), strict=False):
        sorted_ = (load / load.mean()).sort(descending=True).values
        axes.plot(range(1, len(load) + 1), sorted_, line, color=colour, marker=mark, label=name)
        axes.annotate(
            f"{float(sorted_[0]):.2f}", (1, float(sorted_[0])), xytext=(8, 4),
            textcoords="offset points",
        )  # fmt: skip
    axes.axhline(1, color="#666666", linewidth=1)
    axes.set(ylim=(0, 1.15 * max(float(load.max() / load.mean()) for load in loads.values())))
    axes.set_xlabel("device, busiest first")
    axes.set_ylabel("load, in even shares")
    axes.set_title("The busiest device sets the pace")
    axes.grid(alpha=0.3)
    axes.legend(loc="upper right")
    figure.tight_layout()
    return figure
