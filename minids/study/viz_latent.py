"""Figures of latent attention (chapter 04): what is kept against what it costs.

Colour is never alone: marks and lines differ in shape, bars carry their values.
"""

from collections.abc import Mapping, Sequence
from itertools import cycle

from matplotlib.figure import Figure

from minids.study import ticks
from minids.study.results import Results

# Okabe and Ito's colours, which colour-blind readers can tell apart, each with a mark and a line.
_STYLES = {
    "MHA": ("#E69F00", "o", "-"),
    "GQA": ("#009E73", "s", "--"),
    "MQA": ("#CC79A7", "^", ":"),
    "MLA": ("#0072B2", "D", "-"),
    "MLA, rebuilt": ("#D55E00", "v", "-."),
}
_GREY = "#666666"


def _style(name: str) -> tuple[str, str, str]:
    """Colour, mark and line of a kind; GQA-4 looks like GQA, and "MLA, carried" like MLA."""
    return _STYLES.get(name) or _STYLES[name[:3]]


def position_errors(errors: Mapping[str, Sequence[float]]) -> Figure:
    """Draw the error of a carried score by the distance of its two tokens, for ways to turn keys.

    Errors are relative to the size of a score. What is exactly 0 is drawn at 1e-17.
    """
    figure = Figure(figsize=(8.4, 3.8))
    axes = figure.subplots()
    looks = (("#D55E00", "v", "-"), ("#0072B2", "D", "--"))
    for (name, values), (colour, mark, line) in zip(errors.items(), cycle(looks), strict=False):
        shown = [max(value, 1e-17) for value in values]
        axes.plot(shown, line, color=colour, marker=mark, markersize=4, markevery=4, label=name)
    axes.set(yscale="log", ylim=(1e-18, 30))
    axes.set_xlabel("distance of query and key, tokens")
    axes.set_ylabel("error of the score,\nas a share of its size")
    axes.set_title("Carrying the query over a key: right or wrong by distance")
    axes.grid(alpha=0.3)
    axes.legend(loc="center right")
    return figure


def loss_by_cache(results: Results, kept: Mapping[str, int]) -> Figure:
    """Draw every run by what it keeps of a token and its loss, means joined for the GQA family.

    The band is the baseline's: 95 of 100 means of arms that differ by nothing lie inside.
    """
    figure = Figure(figsize=(8.4, 4.4))
    axes = figure.subplots()
    band = results.band()
    axes.axhspan(band.low, band.high, color="#E69F00", alpha=0.15, linewidth=0)
    axes.text(
        0.01, band.mean, " noise band of MHA", transform=axes.get_yaxis_transform(), fontsize=9
    )
    family = sorted((arm for arm in results.arms if arm != "MLA"), key=kept.__getitem__)
    axes.plot(
        [kept[arm] for arm in family],
        [results.mean(arm) for arm in family],
        color=_GREY,
        linewidth=1,
        label="mean, fewer and fewer key heads",
    )
    for arm in results.arms:
        colour, mark, _ = _style(arm)
        losses = results.of(arm)
        axes.plot([kept[arm]] * len(losses), losses, mark, color=colour, alpha=0.45, markersize=6)
        axes.plot(kept[arm], results.mean(arm), mark, color=colour, markersize=11)
        axes.annotate(
            arm,
            (kept[arm], results.mean(arm)),
            xytext=(12, 6 if arm != "MLA" else -14),
            textcoords="offset points",
            fontsize=10,
        )
    axes.set(xscale="log", xlim=(min(kept.values()) / 1.6, max(kept.values()) * 1.7))
    ticks.plain(axes.xaxis, sorted(set(kept.values())))
    axes.set_xlabel("numbers kept for each token and layer")
    axes.set_ylabel("held-out loss, nats per token")
    axes.set_title("Loss against cache, at equal parameters")
    axes.grid(alpha=0.3)
    axes.legend(loc="upper right")
    return figure


def decode_times(seconds: Mapping[int, Mapping[str, float]]) -> Figure:
    """Draw the milliseconds of one decode step by context, for every kind of attention."""
    figure = Figure(figsize=(8.4, 4.2))
    axes = figure.subplots()
    contexts = list(seconds)
    for name in seconds[contexts[0]]:
        colour, mark, line = _style(name)
        times = [1e3 * seconds[context][name] for context in contexts]
        axes.plot(contexts, times, line, color=colour, marker=mark, label=name)
    axes.set(xscale="log", yscale="log")
    ticks.plain(axes.xaxis, contexts)
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("tokens in the cache")
    axes.set_ylabel("one step, milliseconds")
    axes.set_title("One new token: the attention of one layer, measured here")
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left")
    return figure


def budget(
    ranks: Sequence[int],
    errors: Mapping[str, Sequence[float]],
    kept: Mapping[str, int],
    *,
    kv_rank: int,
    rope_dim: int,
) -> Figure:
    """Draw how well a latent of any width gives back keys and values, and what it costs to keep.

    `errors` has a curve over `ranks` by name, `kept` the numbers of other kinds for comparison.
    """
    if kv_rank not in ranks:
        raise ValueError(f"there is no measurement for kv_rank={kv_rank}; there are {list(ranks)}")
    figure = Figure(figsize=(8.4, 3.9))
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    looks = (("#0072B2", "D", "-"), ("#999999", "o", "--"))
    for (name, values), (colour, mark, line) in zip(errors.items(), cycle(looks), strict=False):
        left.plot(ranks, values, line, color=colour, marker=mark, markersize=4, label=name)
        lost = values[list(ranks).index(kv_rank)]
        left.plot(kv_rank, lost, "o", color=colour, markersize=12, fillstyle="none")
        left.annotate(f"{lost:.2f}", (kv_rank, lost), xytext=(8, 6), textcoords="offset points")
    left.axvline(kv_rank, color=_GREY, linestyle=":", linewidth=1)
    left.set(xlim=(None, 1.2 * ranks[-1]), ylim=(-0.05, 1.08))
    left.set_xlabel("kv_rank: numbers in the latent")
    left.set_ylabel("error of keys and values\n(1: nothing comes back)")
    left.set_title("What the latent gives back")
    left.grid(alpha=0.3)
    left.legend(loc="upper right", fontsize=9)
    right.barh(0, kv_rank, color="#0072B2", label="latent")
    right.barh(0, rope_dim, left=kv_rank, color="#56B4E9", hatch="//", label="rotary key")
    right.text(kv_rank + rope_dim, 0, f" {kv_rank + rope_dim}", va="center", fontsize=9)
    for row, (name, numbers) in enumerate(kept.items(), 1):
        right.barh(row, numbers, color=_style(name)[0], alpha=0.8)
        right.text(numbers, row, f" {numbers}", va="center", fontsize=9)
    right.set_yticks(range(len(kept) + 1), ["MLA", *kept])
    right.invert_yaxis()
    right.set_xlim(0, 1.25 * max(kv_rank + rope_dim, *kept.values()))
    right.set_xlabel("numbers kept, token and layer")
    right.set_ylabel("attention")
    right.set_title("What it costs to keep")
    right.legend(loc="lower right", fontsize=9)
    figure.tight_layout()
    return figure
