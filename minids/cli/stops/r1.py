"""Chapter 11's stop: four stages in short, and what each does to accuracy, language and manners."""

from pathlib import Path

import typer
from tqdm import tqdm

from minids.cli.progress import interval
from minids.cli.runs import scaled
from minids.rl import r1
from minids.rl.r1_recipe import shortened
from minids.rl.stages import Stage
from minids.study import r1_lab, tables, viz_r1
from minids.study.results import machine
from minids.study.widgets import png

SHOWN = ("sampled", "greedy", "language", "polite", "keeps")


def visit(folder: Path) -> list[Path]:
    """Take a base through the stages, print what it scores after each, and draw it."""
    on = scaled()
    recipe = on.pick(
        smoke=shortened(reading=3, practice=1, examples=8, batch=4, each=1, tested=4),
        laptop=shortened(reading=350, practice=25, examples=600, tested=96),
    )
    base = r1.pretrained(recipe, seed=0, device=on.device)
    stages: list[Stage] = [base]
    training = r1.pipeline(base.model, recipe, seed=0)
    for stage in tqdm(training, total=4, desc="stages", mininterval=interval()):
        stages.append(stage)
    stages.append(r1.zero(base.model, recipe, seed=0))
    rows: list[tables.Row] = []
    for stage in stages:
        shares = stage.scores._asdict()
        rows.append({"model": stage.name, **{name: f"{shares[name]:.0%}" for name in SHOWN}})
    typer.echo(tables.text(rows))
    typer.echo(
        "\nlanguage: words of the thoughts in the language of the question. R1-Zero, which nobody "
        "rewards for it, drifts; R1 keeps to it. polite and keeps: manners, learned last."
    )
    results = r1_lab.of_one(stages, seed=0, machine=machine())
    path = folder / "11_r1.png"
    path.write_bytes(png(viz_r1.stages(results, SHOWN), dpi=120))
    return [path]
