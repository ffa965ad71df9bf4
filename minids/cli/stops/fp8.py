"""Chapter 08's stop: one outlier, and what everybody else pays with INT8, FP8 and V3's tiles."""

from pathlib import Path

import typer

from minids import bill
from minids.presets import preset
from minids.study import fp8_bytes, fp8_errors, tables, viz_fp8
from minids.study.widgets import png


def visit(folder: Path) -> list[Path]:
    """Print what an outlier costs all others, and what FP8 saves V3; draw the first."""
    sizes = [10.0 ** (i / 2) for i in range(15)]
    errors = fp8_errors.by_size(sizes)
    shown = (0, 6, 10, 12)  # outliers of 1, a thousand, a hundred thousand, a million
    rows: list[tables.Row] = [
        {"rounding": way, **{f"outlier {sizes[i]:,.0f}": f"{values[i]:.1%}" for i in shown}}
        for way, values in errors.items()
    ]
    typer.echo("What all others lose beside one outlier:\n")
    typer.echo(tables.text(rows))
    v3 = preset("deepseek-v3")
    weights = fp8_bytes.weights(v3)
    share = bill.fp8_share(v3, 2048)
    typer.echo(
        f"\nDeepSeek-V3 keeps {weights.fp8 / 1e9:,.0f} GB of weights, not "
        f"{weights.bf16 / 1e9:,.0f}, and takes FP8 for {share:.0%} of its operations."
    )
    path = folder / "08_fp8.png"
    path.write_bytes(png(viz_fp8.by_outlier(sizes, errors), dpi=120))
    return [path]
