"""Chapter 03's stop: a small mixture learns four domains, and shows which expert serves which."""

from pathlib import Path

import typer

from minids.cli.runs import scaled
from minids.model.transformer import Transformer
from minids.study import viz_moe
from minids.study.mixtures import balanced, controlled, examine, toy
from minids.study.served import relative_load, specialisation
from minids.study.specialise import by_chance, by_domain, shuffled
from minids.study.widgets import png
from minids.train.loop import fit


def visit(folder: Path) -> list[Path]:
    """Train top-2 of 16 experts for some seconds; print and draw who serves what."""
    scale = scaled()
    steps = scale.pick(smoke=3, laptop=200, gpu=400)
    texts = controlled()
    model = Transformer(toy("top-2 of 16")).to(scale.device)
    for _ in fit(
        model,
        texts.batches(0).batches,
        steps=steps,
        lr=8e-3,
        extra_losses=balanced(0.01),
        products=scale.products,
    ):
        pass
    marks, labels = examine(model, texts), texts.exam()[1]
    names, routing = tuple(texts.train), marks.routings[0]
    counts = by_domain(routing, labels, len(names))
    for name, row in zip(names, relative_load(counts), strict=True):
        busiest, share = int(row.argmax()), float(row.max())
        typer.echo(f"{name:11} expert {busiest:2} serves it most: {share:.1f} times the even share")
    told, chance = specialisation(counts), by_chance(routing, labels, len(names))
    typer.echo(
        f"\nThe expert tells {100 * told:.0f} % of what there is to know about the domain; with "
        f"shuffled labels {100 * chance:.1f} %. Nobody told the router about domains."
    )
    dealt = by_domain(routing, shuffled(labels, 0), len(names))
    path = folder / "03_moe.png"
    heat = viz_moe.heat(relative_load(counts), relative_load(dealt), names)
    path.write_bytes(png(heat, dpi=120))
    return [path]
