"""`minids count`: what a model weighs, computes and remembers, from its config alone."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from minids import accounting
from minids.cli.refusal import refusing_bad_input
from minids.config import GQAConfig, ModelConfig
from minids.hf_files import read_config
from minids.presets import PRESETS, preset
from minids.study import tables

CONVENTIONS: tuple[accounting.Convention, ...] = ("head only", "both tables", "no table")


def count(
    model: Annotated[
        str,
        typer.Argument(
            help="a preset such as deepseek-v3 (a wrong one lists all), or a config.json"
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
    context: Annotated[
        int | None, typer.Option(help="tokens attended to, for the FLOPs; 4096 where it fits")
    ] = None,
    bits: Annotated[float, typer.Option(help="bits per cached number")] = 16,
) -> None:
    """Count a model: parameters, activated parameters, cache, FLOPs."""
    with refusing_bad_input():
        config = find(model)
        at = min(4096, config.context) if context is None else context
        if at >= 10**18:
            raise ValueError(f"--context {str(at)[:9]}…: give a number of at most 18 digits")
        if not 0 < bits <= 64:
            raise ValueError(f"--bits {bits}: a cached number takes more than 0 bits, 64 at most")
        counted = figures(config, context=at, bits=bits)
    typer.echo(json.dumps(counted, indent=2) if as_json else report(config, counted))


def find(model: str) -> ModelConfig:
    """Return the config that `model` names: a preset, or a file in Hugging Face's format."""
    if model in PRESETS:
        return preset(model)
    path = Path(model)
    if not path.exists():
        if path.suffix == ".json" or path.parent != Path():
            raise ValueError(f"{model} does not exist; give a preset or a config.json")
        raise ValueError(f"there is no preset {model!r}; there are: {', '.join(PRESETS)}")
    if path.is_dir():
        raise ValueError(f"{model} is a folder; give the config.json inside it")
    return read_config(path, name=path.stem)


def figures(config: ModelConfig, *, context: int, bits: float = 16) -> dict[str, Any]:
    """Return every count of one model; published figures, in billions, are None where unknown."""
    parts = accounting.parameters(config)
    published = config.name in PRESETS and config == preset(config.name)  # not just its name
    named = {row["model"]: row for row in tables.read("models")}
    known = named.get(config.name, {}) if published else {}
    plain = accounting.mha_cache_elements(config)
    return {
        "model": config.name,
        "parameters": {
            "total": parts.total,
            "activated": {way: accounting.activated(config, way) for way in CONVENTIONS},
            "by_part": {part: n for part, n in parts._asdict().items() if part != "mtp"},
            "mtp_outside_total": parts.mtp,
        },
        "published": {
            "total_b": known.get("total_b"),
            "activated_b": known.get("activated_b"),
            "convention": known.get("convention"),
            "source": known.get("source"),
        },
        "cache_per_token": {
            "numbers": accounting.cache_elements(config),
            "bits": bits,
            "bytes": accounting.cache_bytes(config, bits),
            "numbers_if_mha": plain,
        },
        "flops_per_token": {
            "context": context,
            "train": accounting.flops_per_token(config, context, "train"),
            "prefill": accounting.flops_per_token(config, context, "prefill"),
            "decode": accounting.flops_per_token(config, context, "decode"),
        },
    }


def report(config: ModelConfig, counted: dict[str, Any]) -> str:
    """Return the counts as text."""
    parameters, cache, flops = (
        counted[key] for key in ("parameters", "cache_per_token", "flops_per_token")
    )
    lines = [f"{config.name}: {shape(config)}", "", f"{'parameters':24}{'counted':>12}   published"]
    lines.append(_published_line("total", parameters["total"], counted["published"]["total_b"]))
    for way, n in parameters["activated"].items():
        # A report gives one activated figure; it stands beside the convention that comes nearest.
        fits = counted["published"]["convention"] == way
        beside = counted["published"]["activated_b"] if fits else None
        lines.append(_published_line(f"activated, {way}", n, beside))
    if parameters["mtp_outside_total"]:
        lines.append(_published_line("MTP, outside the total", parameters["mtp_outside_total"]))
    if counted["published"]["source"]:
        lines.append(f"  published: {counted['published']['source']}")
    lines += ["", "where the parameters are"]
    for part, n in sorted(parameters["by_part"].items(), key=lambda item: -item[1]):
        if n:
            lines.append(f"  {part:22}{humanly(n):>12}   {n / parameters['total']:6.1%}")
    times = cache["numbers_if_mha"] / cache["numbers"]
    lines += [
        "",
        "cache per token",
        f"  {cache['numbers']:,} numbers, {cache['bytes']:,.0f} bytes at {cache['bits']:g} bits",
        f"  plain multi-head attention with the same heads keeps {times:.1f} times as many",
        "",
        f"FLOPs per token that attends to {flops['context']:,} tokens",
        *(f"  {mode:22}{flops[mode]:>12.3e}" for mode in ("train", "prefill", "decode")),
    ]
    return "\n".join(lines)


def shape(config: ModelConfig) -> str:
    """Return one line on how the model is built."""
    a, moe = config.attention, config.moe
    if isinstance(a, GQAConfig):
        heads = f"{a.n_heads} heads" + (
            f" on {a.n_kv_heads} key heads" if a.n_kv_heads < a.n_heads else ""
        )
    else:
        heads = f"{a.n_heads} heads on a latent of {a.kv_rank} + {a.rope_dim}"
    feed = "dense" if moe is None else f"{moe.n_shared}+{moe.n_routed} experts, {moe.top_k} chosen"
    return f"{config.n_layers} layers of width {config.dim}, {heads}, {feed}"


def humanly(n: float) -> str:
    """Return a count with its unit: 671.026 B, 1.234 M, 567."""
    for unit, size in (("B", 1e9), ("M", 1e6), ("K", 1e3)):
        if n >= size:
            return f"{n / size:.3f} {unit}"
    return f"{n:.0f}  "


def _published_line(label: str, n: int, billions: float | None = None) -> str:
    beside = "" if billions is None else f"   {billions:g} B"
    return f"  {label:22}{humanly(n):>12}{beside}"
