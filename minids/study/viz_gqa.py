"""Figures of chapter 02: losses beside their noise, what writing costs, what a cache weighs."""

from collections.abc import Mapping, Sequence
from itertools import cycle

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from minids import accounting
from minids.config import GQAConfig, ModelConfig
from minids.study import ticks
from minids.study.results import Results

# Okabe and Ito's colours; every line also has a mark and a dash of its own.
_STYLES = (
    ("#E69F00", "o", "-"),
    ("#009E73", "s", "--"),
    ("#CC79A7", "^", "-."),
    ("#0072B2", "D", ":"),
)

_PAPER = {"facecolor": "white", "edgecolor": "none", "pad": 1}  # words that lines run behind


def who_reads_whom(n_heads: int, ways: Sequence[int]) -> Figure:
    """Draw which key head each query head reads, a panel for each number of key heads."""
    figure = Figure(figsize=(9.6, 2.6), layout="constrained")
    for axes, n in zip(figure.subplots(1, len(ways), squeeze=False)[0], ways, strict=True):
        share = n_heads // n
        for i in range(n_heads):
            color, mark, dash = _STYLES[i // share % len(_STYLES)]
            key = (i // share + 0.5) * share - 0.5  # in the middle of its group
            axes.plot([i, key], [1, 0], color=color, linestyle=dash)
            axes.plot(i, 1, marker="o", color=color, markersize=9)
            if i % share == 0:
                axes.plot(key, 0, marker="s", color=color, markersize=12)
                words = {"color": "white", "ha": "center", "va": "center", "size": 9}
                axes.annotate(f"{i // share}", (key, 0), **words)
        axes.set_yticks([0, 1], ["key heads", "query heads"])
        axes.set_xticks(range(n_heads))
        axes.set(ylim=(-0.35, 1.3), xlim=(-0.7, n_heads - 0.3), xlabel="query head i")
        if axes.get_subplotspec().is_first_col():
            axes.set_ylabel("kind of head")
        kind = {n_heads: "MHA", 1: "MQA"}.get(n, f"GQA-{n}")
        axes.set_title(f"{kind}: {_key_heads(n)}")
    return figure


def losses(results: Results, cache_bytes: Mapping[str, int]) -> Figure:
    """Draw the loss of every seed over the cache per token, and the noise band of the first arm."""
    figure = Figure(figsize=(8.0, 4.2))
    axes = figure.subplots()
    band = results.band()
    axes.axhspan(band.low, band.high, color="#BBBBBB", alpha=0.4, label=f"noise: {band.holds}")
    for arm, (color, mark, _) in zip(results.arms, cycle(_STYLES), strict=False):
        x, values = cache_bytes[arm], results.of(arm)
        axes.scatter([x] * len(values), values, color=color, marker=mark, s=36, alpha=0.6)
        axes.scatter(x, results.mean(arm), color=color, marker="_", s=900, linewidth=2.5)
    axes.set(xscale="log", xlim=(min(cache_bytes.values()) / 1.6, 1.6 * max(cache_bytes.values())))
    names = [f"{x:,}\n{arm}" for arm, x in cache_bytes.items()]
    axes.set_xticks(list(cache_bytes.values()), names, minor=False)
    axes.minorticks_off()
    axes.margins(y=0.18)
    axes.set_xlabel("cache per token, bytes (logarithmic)")
    axes.set_ylabel("loss on held-out text, nats per token")
    axes.set_title("Equal parameters: loss against cache (marks: seeds, bars: means)")
    axes.legend(loc="best", fontsize=8)
    return figure


def writing(
    tokens: Sequence[int],
    operations: Mapping[str, Sequence[float]],
    seconds: Mapping[str, Sequence[float]],
) -> Figure:
    """Draw what writing so many tokens takes in total: operations counted, and seconds."""
    figure = Figure(figsize=(9.6, 3.9), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes, values in ((left, operations), (right, seconds)):
        for (way, y), (color, mark, dash) in zip(values.items(), cycle(_STYLES[::3]), strict=False):
            axes.plot(tokens, y, color=color, marker=mark, linestyle=dash, label=way)
        _log_log(axes, tokens)
        axes.set_xlabel("tokens written")
        axes.legend()
    left.set_ylabel("floating-point operations, in total")
    left.set_title("Counted")
    ticks.plain(right.yaxis)
    right.set_ylabel("seconds, in total")
    right.set_title("Measured here")
    return figure


def one_step(
    context: Sequence[int],
    seconds: Mapping[int, Sequence[float]],
    cache_bytes: Mapping[int, Sequence[int]],
    batch: int,
) -> Figure:
    """Draw tokens per second and cache over the context, a line for each number of key heads."""
    figure = Figure(figsize=(9.6, 3.9), layout="constrained")
    left, right = figure.subplots(1, 2)
    for (heads, y), (color, mark, dash) in zip(cache_bytes.items(), cycle(_STYLES), strict=False):
        style = {"color": color, "marker": mark, "linestyle": dash, "label": _key_heads(heads)}
        left.plot(context, [b / 1e6 for b in y], **style)
        right.plot(context, [batch / s for s in seconds[heads]], **style)
    for axes in (left, right):
        _log_log(axes, context)
        axes.set_xlabel("tokens in the cache")
    left.set_ylabel(f"cache of {batch} texts, MB")
    left.set_title("Kept")
    left.legend()
    ticks.plain(right.yaxis)
    right.set_ylabel("tokens per second")
    right.set_title("Decode speed, measured here")
    return figure


def cache_size(config: ModelConfig, key_heads: int, context: int, batch: int) -> Figure:
    """Draw the cache over the context for every way to share, beside the weights, at 16 bits.

    ValueError where `key_heads` does not divide the query heads of the model.
    """
    a = config.attention
    if not isinstance(a, GQAConfig):
        raise ValueError(f"{config.name} keeps latents (chapter 04): take a model with key heads")
    if a.n_heads % key_heads:
        raise ValueError(
            f"{config.name} has {a.n_heads} query heads: {key_heads} do not divide them"
        )
    per_token = 2 * a.head_dim * config.n_layers * 2 * batch / 1e9  # GB of one key head
    weights = 2 * accounting.parameters(config).total / 1e9
    figure = Figure(figsize=(8.4, 4.4))
    axes = figure.subplots()
    ends = (256, 131_072)
    divisors = [n for n in range(1, a.n_heads + 1) if a.n_heads % n == 0]
    for n in divisors:
        y = [n * per_token * x for x in ends]
        chosen = n == key_heads
        axes.plot(
            ends, y, color="#0072B2" if chosen else "#BBBBBB", linewidth=2.4 if chosen else 0.9
        )
        axes.annotate(f" {n}", (ends[1], y[1]), va="center", fontsize=8, annotation_clip=False)
    axes.axhline(weights, color="#D55E00", linestyle="--")
    axes.annotate(f"weights {weights:,.4g} GB", (300, weights), xytext=(0, 6),
                  textcoords="offset points", color="#A34700", bbox=_PAPER)  # fmt: skip
    here = key_heads * per_token * context
    axes.scatter(context, here, s=70, color="#0072B2", marker="D", zorder=3)
    words = f"{here:,.0f} GB" if here >= 100 else f"{here:.3g} GB"
    side = "right" if context > 16_384 else "left"  # away from the border
    axes.annotate(words, (context, here), xytext=(-10 if side == "right" else 10, 0), ha=side,
                  va="bottom" if side == "right" else "top", textcoords="offset points",
                  fontweight="bold", bbox=_PAPER)  # fmt: skip
    _log_log(axes, [256, 1024, 4096, 16_384, 65_536])
    axes.set(xlim=(230, 131_072))
    axes.margins(y=0.1)
    axes.set_xlabel("context, tokens")
    axes.set_ylabel("GB at 16 bits")
    kind = {a.n_heads: "MHA", 1: "MQA"}.get(key_heads, f"GQA-{key_heads}")
    axes.set_title(
        f"{config.name}: {a.n_heads} query heads, {_key_heads(key_heads)} ({kind}), batch {batch}\n"
        "(grey: the other ways to share, by key heads)"
    )
    axes.grid(alpha=0.3)
    return figure


def _key_heads(n: int) -> str:
    return f"{n} key head{'s' if n > 1 else ''}"


def _log_log(axes: Axes, at: Sequence[int]) -> None:
    """Two logarithmic axes, the lower one with plain numbers."""
    axes.set(xscale="log", yscale="log")
    ticks.plain(axes.xaxis, at)
    axes.tick_params(axis="x", which="minor", length=0)
    axes.grid(alpha=0.3)
