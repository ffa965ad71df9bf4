"""Chapter 02's stop: writing with a cache and without, counted and measured."""

from functools import partial
from pathlib import Path

import typer

from minids.cli.runs import scaled
from minids.model.transformer import Transformer
from minids.presets import preset
from minids.study import tables, viz_gqa
from minids.study.decode_cost import operations, seconds, write
from minids.study.widgets import png

WAYS = {"with a cache": True, "read again": False}


def visit(folder: Path) -> list[Path]:
    """Print what writing ever longer texts costs in both ways, and draw it."""
    on = scaled()
    model = Transformer(preset("toy-llama"), seed=0).to(on.device)
    lengths = on.pick(smoke=[8, 16], laptop=[16, 32, 64, 128], gpu=[64, 128, 256, 512])
    counted: dict[str, list[float]] = {way: [] for way in WAYS}
    measured: dict[str, list[float]] = {way: [] for way in WAYS}
    for n in lengths:
        for way, cached in WAYS.items():
            writing = partial(write, model, n, cached=cached)
            counted[way].append(operations(writing))
            measured[way].append(seconds(writing, repeats=1))
    rows: list[tables.Row] = [
        {"tokens": n}
        | {f"{way}, MFLOP": round(counted[way][i] / 1e6) for way in WAYS}
        | {f"{way}, s": round(measured[way][i], 2) for way in WAYS}
        for i, n in enumerate(lengths)
    ]
    typer.echo(tables.text(rows))
    path = folder / "02_gqa.png"
    path.write_bytes(png(viz_gqa.writing(lengths, counted, measured), dpi=120))
    return [path]
