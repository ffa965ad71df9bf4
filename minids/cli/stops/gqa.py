"""Chapter 02's stop: writing with a cache and without, counted and measured."""

from pathlib import Path

import typer

from minids.cli.runs import scaled
from minids.model.transformer import Transformer
from minids.presets import preset
from minids.study import tables, viz_gqa
from minids.study.decode_cost import elapsed, operations
from minids.study.widgets import png

WAYS = {"with a cache": True, "read again": False}


def visit(folder: Path) -> list[Path]:
    """Print what writing ever longer texts costs in both ways, and draw it."""
    on = scaled()
    model = Transformer(preset("toy-llama"), seed=0).to(on.device)
    lengths = on.pick(smoke=[8, 16], laptop=[16, 32, 64, 128], gpu=[64, 128, 256, 512])
    counted = {way: operations(model, lengths, cached=cached) for way, cached in WAYS.items()}
    measured = {
        way: elapsed(model, lengths, cached=cached, repeats=1) for way, cached in WAYS.items()
    }
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
