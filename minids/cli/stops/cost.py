"""Chapter 09's stop: V3's bill, how busy its cards were, and DualPipe drawn to scale."""

from pathlib import Path

import typer

from minids import accounting, bill
from minids.presets import preset
from minids.study import tables, viz_pipeline
from minids.study.widgets import png
from minids.systems.pipeline import Times, simulate
from minids.systems.schedules import dualpipe, one_f_one_b, zb1p


def visit(folder: Path) -> list[Path]:
    """Print the bill, the utilisation that it implies and the bubbles of three schedules."""
    typer.echo(tables.text(tables.read("cost"), ["stage", "h800_khours", "dollars_m"]))
    flops = accounting.training_flops(preset("deepseek-v3"), 14.8e12, 2048)
    typer.echo(
        f"\n14.8 trillion tokens are {flops:.1e} operations: "
        f"{100 * bill.mfu(flops, bill.V3.pre_training):.0f} % of what the cards could do in BF16.\n"
    )
    times = Times(forward=1, backward=2, weights=1)
    lines = {
        "1F1B": simulate(one_f_one_b(4, 10), times),
        "ZB1P": simulate(zb1p(4, 10), times),
        "DualPipe": simulate(dualpipe(4, 10), times),
    }
    for name, line in lines.items():
        share = 100 * float(line.bubble) / float(line.end)
        typer.echo(f"{name:8}  4 devices, 10 micro-batches: idle {share:.0f} % of the step")
    path = folder / "09_cost.png"
    path.write_bytes(png(viz_pipeline.gantt(lines), dpi=100))
    return [path]
