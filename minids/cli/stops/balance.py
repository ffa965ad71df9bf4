"""Chapter 06's stop: one layer of experts in the wind tunnel, without balancing and with a bias."""

from pathlib import Path
from typing import Any

import torch
import typer

from minids.cli.runs import scaled
from minids.model.balance import max_violation
from minids.study import tables, viz_balance, wind_tunnel
from minids.study.served import specialisation
from minids.study.widgets import png


def visit(folder: Path) -> list[Path]:
    """Print load, error and knowledge of the experts of three trainings; draw who serves whom."""
    steps = scaled().pick(smoke=6, laptop=300)
    ways: dict[str, dict[str, Any]] = {
        "no balancing": {},
        "a bias": {"speed": (0.01, 0.002)},
        "a loss within texts": {"by_sequence": 0.1},
    }
    rows: list[tables.Row] = []
    counts, notes = {}, {}
    for name, way in ways.items():
        layer = wind_tunnel.layer(seed=0)
        loads = [m.load for m in wind_tunnel.train(layer, 0, steps=steps, **way)]
        exam = wind_tunnel.examine(layer, 0)
        vio = float(max_violation(torch.stack(loads[-50:]).mean(0)))
        known = specialisation(exam.counts)
        rows.append(
            {
                "way to balance": name,
                "busiest expert, even shares": f"{1 + vio:.2f}",
                "error": f"{exam.error:.3f}",
                "an expert tells the cluster": f"{known:.2f}",
            }
        )
        counts[name], notes[name] = exam.counts, f"knows {known:.2f}"
    typer.echo(tables.text(rows))
    typer.echo("\nOne run each. A bias evens the load and lets experts specialise; scope decides.")
    path = folder / "06_balance.png"
    path.write_bytes(png(viz_balance.clusters_by_expert(counts, notes), dpi=120))
    return [path]
