"""Chapter 12's stop: taught by a teacher, or practising alone; and what an answer then costs."""

from pathlib import Path

import typer

from minids import accounting
from minids.presets import preset
from minids.study import distill_lab, tables, viz_distill
from minids.study.distill_arms import ARMS
from minids.study.distill_cost import answer
from minids.study.widgets import png


def visit(folder: Path) -> list[Path]:
    """Print and draw what five stored runs found, and what R1's students cost; nothing trains."""
    many = distill_lab.stored()
    typer.echo(f"Right answers of a toy, sampled and greedy, mean of {len(many.seeds)} seeds:")
    for arm in ARMS:
        typer.echo(f"  {arm:17} {many.mean(arm):4.0%} {many.mean(arm, 'greedy'):4.0%}")
    rows: list[tables.Row] = []
    for name, label in viz_distill.MODELS.items():
        config = preset(label)
        cost = answer(config, prompt=256, length=4096)
        rows.append(
            {
                "model": name,
                "parameters, B": f"{accounting.parameters(config).total / 1e9:.1f}",
                "TFLOPs": f"{cost.flops / 1e12:.0f}",
                "cache, MiB": f"{cost.cache / 2**20:.0f}",
            }
        )
    typer.echo("\nAn answer of 4,096 tokens by R1, and by three of its students:")
    typer.echo(tables.text(rows))
    shown = {arm: (many.of(arm, "pass_at_1"), many.of(arm, "greedy")) for arm in ARMS}
    path = folder / "12_distill.png"
    path.write_bytes(png(viz_distill.ladder(shown, "Taught, or alone: dots are seeds"), dpi=120))
    return [path]
