"""`minids train`: a toy learns from text; Ctrl-C saves, and `--resume` goes on bit for bit."""

from pathlib import Path
from typing import Annotated, Any

import typer

from minids.cli.loading import load_torch
from minids.cli.refusal import refuse, refuse_no_seed, refusing_bad_input


def train(
    model: Annotated[
        str | None, typer.Argument(help="a preset such as toy-llama or toy-v3, or a config.json")
    ] = None,
    text: Annotated[
        Path | None, typer.Option(help="a text of yours (UTF-8); else what Python carries")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="length of the whole run; 400 on a laptop if not given")
    ] = None,
    resume: Annotated[Path | None, typer.Option(help="go on with the run in this folder")] = None,
    out: Annotated[Path | None, typer.Option(help="where to save; runs/MODEL if not given")] = None,
    scale: Annotated[
        str | None, typer.Option(help="smoke, laptop or gpu; chosen for this machine if not given")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="of weights and batches; 0 if not given")] = None,
    batch: Annotated[int | None, typer.Option(help="rows of a batch")] = None,
    length: Annotated[int | None, typer.Option(help="tokens of a row")] = None,
    lr: Annotated[float | None, typer.Option(help="learning rate at its highest")] = None,
    save_every: Annotated[int, typer.Option(help="steps between checkpoints")] = 100,
    compiled: Annotated[
        bool,
        typer.Option(
            "--compile", help="let torch compile it: a dense toy, one process, a long run"
        ),
    ] = False,
) -> None:
    """Train a model on text, with a checkpoint every so often, and show what it writes."""
    fixed: dict[str, Any] = {
        "text": text,
        "seed": seed,
        "batch": batch,
        "length": length,
        "lr": lr,
        "out": out,
        "compile": compiled or None,
    }
    _check(model, resume, fixed, steps=steps, save_every=save_every)
    load_torch()
    from minids.cli import progress, runs
    from minids.train.world import launched

    with refusing_bad_input():
        on = runs.scaled(scale)
    with launched(on.device) as world:
        with refusing_bad_input():
            if resume is not None:
                run = runs.resumed(resume, model=model, steps=steps, world=world)
            else:
                given: dict[str, Any] = {
                    name: value for name, value in fixed.items() if value is not None
                }
                run = runs.fresh(str(model), steps=steps, on=on, world=world, **given)
        if world.leads:
            typer.echo(runs.introduction(run))
        code = progress.carry_out(run, save_every=save_every)
    raise typer.Exit(code)


def _check(
    model: str | None, resume: Path | None, fixed: dict[str, Any], **counts: int | None
) -> None:
    """Refuse what can be refused without loading torch."""
    if model is None and resume is None:
        refuse("say what to train, such as: minids train toy-llama; or give --resume FOLDER")
    taken = [f"--{name}" for name, value in fixed.items() if value is not None]
    if resume is not None and taken:
        refuse(f"{', '.join(taken)}: this is fixed by the run that you resume; leave it out")
    refuse_no_seed(fixed["seed"])
    for name, value in (*counts.items(), ("batch", fixed["batch"]), ("length", fixed["length"])):
        if value is not None and value < 1:
            refuse(f"--{name.replace('_', '-')} {value}: give 1 or more")
    if fixed["lr"] is not None and not 0 < fixed["lr"] < 1:
        refuse(f"--lr {fixed['lr']}: give a learning rate between 0 and 1, such as 0.003")
