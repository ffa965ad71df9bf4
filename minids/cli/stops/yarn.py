"""Chapter 05's stop: which rotary pairs V3 stretches, and by how much attention sharpens."""

from pathlib import Path

import typer

from minids.config import YarnConfig
from minids.model.rope import correction_range, softmax_factor
from minids.presets import preset
from minids.study import tables, viz_yarn
from minids.study.widgets import png


def visit(folder: Path) -> list[Path]:
    """Print the YaRN numbers of V2 and V3 from their configs, and draw V3's wavelengths."""
    rows: list[tables.Row] = []
    for name in ("deepseek-v2", "deepseek-v3"):
        c = preset(name)
        assert isinstance(c.rope_scaling, YarnConfig)
        low, high = correction_range(c.attention.rotary_width, c.rope_theta, c.rope_scaling)
        rows.append(
            {
                "model": name,
                "trained on": c.rope_scaling.original,
                "stretched by": c.rope_scaling.factor,
                "pairs left alone": f"0 to {low}",
                "pairs stretched in full": f"{high} to {c.attention.rotary_width // 2 - 1}",
                "scores times": round(softmax_factor(c.rope_scaling), 4),
            }
        )
    typer.echo(tables.text(rows))
    path = folder / "05_yarn.png"
    assert isinstance(c.rope_scaling, YarnConfig)
    figure = viz_yarn.wavelengths(c.attention.rotary_width, c.rope_theta, c.rope_scaling)
    path.write_bytes(png(figure, dpi=120))
    return [path]
