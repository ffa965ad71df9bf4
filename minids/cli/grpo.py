"""`minids grpo`: a toy teaches itself two-digit addition; Ctrl-C saves, `--resume` goes on."""

from pathlib import Path
from typing import Annotated

import typer

from minids.cli.loading import load_torch
from minids.cli.refusal import refuse, refuse_no_seed, refusing_bad_input


def grpo(
    seed: Annotated[int | None, typer.Option(help="of weights, lessons and samples")] = None,
    scale: Annotated[
        str | None, typer.Option(help="smoke, laptop or gpu; chosen for this machine if not given")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="a JSON object for each step; the last one sums up")
    ] = False,
    resume: Annotated[Path | None, typer.Option(help="go on with the run in this folder")] = None,
    out: Annotated[
        Path | None, typer.Option(help="where to save; runs/zero-SEED if not given")
    ] = None,
    save_every: Annotated[int, typer.Option(help="steps between checkpoints")] = 25,
) -> None:
    """Teach a base model that adds badly to add well, from right and wrong alone (R1-Zero)."""
    if resume is not None and (seed is not None or out is not None):
        refuse("--seed and --out are fixed by the run that you resume; leave them out")
    refuse_no_seed(seed)
    if save_every < 1:
        refuse(f"--save-every {save_every}: give 1 or more")
    load_torch()
    from minids.cli import zero_progress, zero_runs
    from minids.cli.runs import scaled
    from minids.train.world import launched

    with refusing_bad_input():
        on = scaled(scale)
    with launched(on.device) as world:
        with refusing_bad_input():
            if resume is not None:
                run = zero_runs.resumed(resume, scale=scale, world=world)
            else:
                run = zero_runs.fresh(seed=seed or 0, on=on, out=out, world=world)
        code = zero_progress.carry_out(run, as_json=as_json, save_every=save_every)
    raise typer.Exit(code)
