"""Chapter 00's stop: the published models counted from their configs, beside what was published."""

from pathlib import Path

import typer

from minids import accounting
from minids.presets import preset
from minids.study import tables, viz_map
from minids.study.widgets import png


def visit(folder: Path) -> list[Path]:
    """Print the counts of every published model, and draw V1 to R1."""
    typer.echo(tables.text(rows()))
    typer.echo("\nB is 10^9 parameters; the cache is what decoding keeps per token, at 16 bits.")
    lines = (
        ["deepseek-llm-7b", "deepseek-llm-67b", "deepseek-v2", "deepseek-v3"],
        ["deepseek-moe-16b", "deepseek-v2-lite"],
    )
    path = folder / "00_map.png"
    path.write_bytes(png(viz_map.evolution(*lines), dpi=120))
    return [path]


def rows() -> list[tables.Row]:
    """Return one row a model: counted total and activated parameters, published ones, cache."""
    found: list[tables.Row] = []
    for published in tables.read("models"):
        config = preset(str(published["model"]))
        # A report without a convention counts a dense model, which activates everything.
        way = published["convention"] or "both tables"
        activated = accounting.activated(config, way)  # type: ignore[arg-type]
        found.append(
            {
                "model": config.name,
                "total B": round(accounting.parameters(config).total / 1e9, 1),
                "published": published["total_b"],
                "activated B": round(activated / 1e9, 1),
                "published ": published["activated_b"] or "all",
                "cache kB": round(accounting.cache_bytes(config) / 1e3, 1),
            }
        )
    return found
