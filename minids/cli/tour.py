"""`minids tour`: the course in two minutes in a terminal, one stop a chapter."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from minids.cli.folders import refuse_unwritable
from minids.cli.loading import load_torch
from minids.cli.refusal import refusing_bad_input


class Stop(NamedTuple):
    """One chapter's stop: `visit(folder)` prints, and returns the figures that it wrote there."""

    chapter: str
    title: str
    visit: Callable[[Path], list[Path]]


def stops() -> tuple[Stop, ...]:
    """Return every stop in the order of the chapters; a new chapter adds one here."""
    from minids.cli.stops import (
        balance,
        cost,
        distill,
        fp8,
        gqa,
        grpo,
        llama,
        map,
        mla,
        moe,
        mtp,
        r1,
        yarn,
    )

    return (
        Stop("00", "What changed from V1 to R1, in numbers?", map.visit),
        Stop("01", "Does the V1 starting point learn?", llama.visit),
        Stop("02", "What does sharing keys and values save?", gqa.visit),
        Stop("03", "Why many small experts and one that always works?", moe.visit),
        Stop("04", "How does a 70 kB cache replace 4 MB?", mla.visit),
        Stop("05", "How does a 4K model read 128K?", yarn.visit),
        Stop("06", "How can experts share the load?", balance.visit),
        Stop("07", "Can one forward pass predict two tokens?", mtp.visit),
        Stop("08", "What does training in 8 bits cost?", fp8.visit),
        Stop("09", "Why 5.576 million dollars?", cost.visit),
        Stop("10", "Can a model teach itself to add?", grpo.visit),
        Stop("11", "Why cold start, and what are the four stages?", r1.visit),
        Stop("12", "Is it better to learn from a teacher or to practise alone?", distill.visit),
    )


def tour(
    out: Annotated[Path, typer.Option(help="the folder for the figures")] = Path("tour"),
) -> None:
    """Count the real models, train a small one on real text, and see what it writes."""
    load_torch()
    from minids.cli.runs import scaled

    with refusing_bad_input():
        refuse_unwritable(out)
        out.mkdir(parents=True, exist_ok=True)
        (out / ".writable").touch()
        (out / ".writable").unlink()
        scaled()  # refuses a MINIDS_SCALE that is none
    start, figures = time.monotonic(), []
    for stop in stops():
        typer.echo(f"\n{stop.chapter}  {stop.title}\n")
        figures += stop.visit(out)
    typer.echo(f"\nThat took {time.monotonic() - start:.0f} s. The figures:\n")
    for path in figures:
        typer.echo(f"  {path}")
    typer.echo("\nThe chapters show how all of this works: make lab")
