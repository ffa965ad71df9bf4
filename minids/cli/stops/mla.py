"""Chapter 04's stop: V3's cache beside MHA's, and one decoding step in several ways."""

from pathlib import Path

import typer

from minids import accounting
from minids.cli.runs import scaled
from minids.presets import preset
from minids.study import tables, viz_latent
from minids.study.latent_decode import step_seconds
from minids.study.widgets import png


def visit(folder: Path) -> list[Path]:
    """Print what V2 and V3 keep for each token, time one step over a growing past, draw it."""
    rows: list[tables.Row] = [
        {
            "model": name,
            "numbers kept": accounting.cache_elements(preset(name)),
            "if it were MHA": accounting.mha_cache_elements(preset(name)),
        }
        for name in ("deepseek-v2-lite", "deepseek-v2", "deepseek-v3")
    ]
    typer.echo(tables.text(rows))
    lengths = scaled().pick(smoke=[16, 32], laptop=[256, 1024, 4096], gpu=[256, 1024, 4096, 16384])
    times = {n: step_seconds(n, device=str(scaled().device)) for n in lengths}
    longest = times[lengths[-1]]
    typer.echo(
        f"\nOne step over {lengths[-1]:,} tokens: keys and values rebuilt "
        f"{1e3 * longest['MLA, rebuilt']:.2f} ms, query carried to the latents "
        f"{1e3 * longest['MLA, carried']:.2f} ms, the same numbers."
    )
    path = folder / "04_mla.png"
    path.write_bytes(png(viz_latent.decode_times(times), dpi=120))
    return [path]
