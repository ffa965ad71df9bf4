"""Figures of the map (chapter 00): a generation is a point, a change of one number four bars.

Colour is never alone: marks differ in shape, bars carry their values.
"""

from collections.abc import Sequence
from dataclasses import replace

from matplotlib.figure import Figure

from minids import accounting
from minids.accounting import Convention
from minids.config import GQAConfig, ModelConfig
from minids.presets import preset
from minids.study import ticks

# Okabe and Ito's colours, which colour-blind readers can tell apart.
_KINDS = {"MHA": ("#E69F00", "o"), "GQA": ("#009E73", "s"), "MLA": ("#0072B2", "D")}
_GREY = "#666666"

CHANGES = (
    "layers",
    "width",
    "query heads",
    "key heads or latent",
    "routed experts",
    "experts per token",
    "expert width",
    "vocabulary",
)
"""What `vary` can change, one at a time."""


def kind(config: ModelConfig) -> str:
    """Return the kind of attention: "MHA", "GQA" or "MLA"."""
    a = config.attention
    if not isinstance(a, GQAConfig):
        return "MLA"
    return "MHA" if a.n_kv_heads == a.n_heads else "GQA"


def evolution(*lines: Sequence[str], convention: Convention = "head only") -> Figure:
    """Draw models by activated parameters and cache per token; the bubble is the total.

    Each line names models in order of time, and is drawn in its own style. Both axes are
    logarithmic; the area of a bubble is proportional to the parameters.
    """
    figure = Figure(figsize=(8.4, 5.0))
    axes = figure.subplots()
    points: dict[tuple[float, float], list[ModelConfig]] = {}
    for names, style in zip(lines, ("-", "--", ":", "-."), strict=False):
        configs = [preset(name) for name in names]
        at = [_place(c, convention) for c in configs]
        axes.plot(*zip(*at, strict=True), style, color=_GREY, linewidth=1, zorder=1)
        for c, place in zip(configs, at, strict=True):
            points.setdefault(place, []).append(c)
    labelled: set[str] = set()
    for place, models in points.items():
        c = models[0]
        color, mark = _KINDS[kind(c)]
        total = accounting.parameters(c).total / 1e9
        axes.scatter(*place, s=4 * total, color=color, alpha=0.25, zorder=2)
        label = None if kind(c) in labelled else kind(c)
        labelled.add(kind(c))
        axes.scatter(*place, s=40, color=color, marker=mark, zorder=3, label=label)
        words = f"{', '.join(m.name.removeprefix('deepseek-') for m in models)}\n{total:,.3g} B"
        axes.annotate(
            words, place, xytext=(10, -4), textcoords="offset points", va="top", fontsize=9
        )
    x, y = zip(*points, strict=True)
    axes.set(xscale="log", yscale="log", xlim=(min(x) / 1.8, max(x) * 2.6))
    axes.set(ylim=(min(y) / 2.2, max(y) * 2.2))
    ticks.plain(axes.xaxis, [1, 2, 5, 10, 20, 50, 100])
    ticks.plain(axes.yaxis, [20, 50, 100, 200, 500])
    axes.set_xlabel(f"parameters that a token passes through ({convention}), billions")
    axes.set_ylabel("cache per token at 16 bits, kB")
    axes.set_title("From V1 to R1 (bubble area: parameters in total)")
    axes.legend(title="attention", loc="upper left")
    axes.grid(alpha=0.3, which="major")
    return figure


def _place(c: ModelConfig, convention: Convention) -> tuple[float, float]:
    return accounting.activated(c, convention) / 1e9, accounting.cache_bytes(c) / 1e3


def vary(config: ModelConfig, change: str, factor: float) -> ModelConfig:
    """Return `config` with one number multiplied by `factor`; ValueError where it has none."""
    a, m = config.attention, config.moe
    if change == "layers":
        return replace(config, n_layers=_times(config.n_layers, factor))
    if change == "width":
        return replace(config, dim=_times(config.dim, factor))
    if change == "vocabulary":
        return replace(config, vocab=_times(config.vocab, factor))
    if change == "query heads":
        heads = _times(a.n_heads, factor)
        if isinstance(a, GQAConfig) and a.n_kv_heads == a.n_heads:  # MHA: a key head for each
            return replace(config, attention=replace(a, n_heads=heads, n_kv_heads=heads))
        return replace(config, attention=replace(a, n_heads=heads))
    if change == "key heads or latent":
        if isinstance(a, GQAConfig):
            keys = _times(a.n_kv_heads, factor)
            return replace(config, attention=replace(a, n_kv_heads=keys))
        return replace(config, attention=replace(a, kv_rank=_times(a.kv_rank, factor)))
    if change not in CHANGES:
        raise ValueError(f"{change!r} is not one of {', '.join(CHANGES)}")
    if m is None:
        raise ValueError(f"{config.name} is dense: it has no experts to change")
    field = {"routed experts": "n_routed", "experts per token": "top_k", "expert width": "hidden"}
    new = {field[change]: _times(getattr(m, field[change]), factor)}
    return replace(config, moe=replace(m, **new))  # type: ignore[arg-type]


def one_number(config: ModelConfig, changed: ModelConfig, context: int = 4096) -> Figure:
    """Draw what a change does to four sizes, as multiples of before, with the values written."""
    figure = Figure(figsize=(8.4, 3.0))
    axes = figure.subplots()
    pairs = list(zip(_sizes(config, context), _sizes(changed, context), strict=True))
    for row, ((_, before, unit), (_, after, _unit)) in enumerate(pairs):
        axes.barh(row, after / before, color="#0072B2" if after != before else "#BBBBBB")
        words = f" {before:,.4g} → {after:,.4g} {unit}"
        axes.text(max(1, after / before), row, words, va="center", fontsize=9)
    axes.axvline(1, color=_GREY, linestyle="--", linewidth=1)
    axes.set_yticks(range(len(pairs)), [name for (name, _, _), _ in pairs])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.75 * max(after / before for (_, before, _), (_, after, _) in pairs))
    axes.set_xlabel("times the published model")
    axes.set_ylabel("size")
    axes.set_title(f"{config.name}: one number changed")
    return figure


def parts(config: ModelConfig) -> Figure:
    """Draw where the parameters are, and which of them a token passes through."""
    p, m = accounting.parameters(config), config.moe
    share = m.top_k / m.n_routed if m else 1.0
    order = ("routed", "attention", "shared", "dense", "embedding", "head", "router", "norms")
    names = [part for part in order if getattr(p, part)]
    total = [getattr(p, part) / 1e9 for part in names]
    shares = {"routed": share, "embedding": 0.0}
    active = [shares.get(n, 1.0) * t for n, t in zip(names, total, strict=True)]
    figure = Figure(figsize=(8.4, 3.6))
    axes = figure.subplots()
    rows = range(len(names))
    axes.barh([r - 0.2 for r in rows], total, 0.38, color="#BBBBBB", label="there")
    axes.barh(
        [r + 0.2 for r in rows], active, 0.38, color="#0072B2", hatch="//", label="met by a token"
    )
    for row, (there, met) in enumerate(zip(total, active, strict=True)):
        axes.text(max(there, 5e-4), row - 0.2, f" {there:,.3g}", va="center", fontsize=8)
        axes.text(max(met, 5e-4), row + 0.2, f" {met:,.3g}", va="center", fontsize=8)
    axes.set(xscale="log", xlim=(5e-4, 3 * max(total)))
    ticks.plain(axes.xaxis, [0.001, 0.01, 0.1, 1, 10, 100, 1000])
    axes.set_yticks(rows, names)
    axes.invert_yaxis()
    axes.set_xlabel("parameters, billions")
    axes.set_ylabel("part of the model")
    axes.set_title(f"{config.name}: where the parameters are")
    axes.legend(loc="lower right")
    return figure


def _sizes(c: ModelConfig, context: int) -> list[tuple[str, float, str]]:
    return [
        ("total", accounting.parameters(c).total / 1e9, "B"),
        ("activated", accounting.activated(c) / 1e9, "B"),
        ("cache per token", accounting.cache_bytes(c) / 1e3, "kB"),
        (
            f"FLOPs per token\nat {context:,}",
            accounting.flops_per_token(c, context, "prefill") / 1e9,
            "GFLOP",
        ),
    ]


def _times(number: int, factor: float) -> int:
    return max(1, round(number * factor))
