"""`minids progress` and `minids board`: who has solved what, here and in the room."""

import json
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from minids.cli.folders import course_folder
from minids.cli.loading import load_torch
from minids.cli.refusal import refuse


def progress(
    folder: Annotated[
        Path | None, typer.Argument(help="where you work; the course's exercises by default")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the results as JSON")] = False,
) -> None:
    """Say which exercises are solved: a bar a chapter, and where you are stuck."""
    load_torch()
    from minids.course import board as look
    from minids.course.roll import roll

    root = course_folder()
    place = folder or root
    if not place.is_dir():
        refuse(f"{place} is not a folder; give the one that holds your notebooks")
    results = look.own(place)
    if as_json:
        typer.echo(json.dumps(results, indent=2))
        return
    typer.echo(look.page(results, roll(root)), nl=False)
    if not results:
        typer.echo("\nnothing checked yet: open a notebook in exercises/ and run its checks")


def board(
    folder: Annotated[Path, typer.Argument(help="a folder a learner, or a file NAME.json each")],
    every: Annotated[
        float | None, typer.Option(help="draw it again after so many seconds; Ctrl-C ends it")
    ] = None,
) -> None:
    """Show the room at a glance: a learner a row, and at which claim people are stuck.

    Reads the small files that checks write. They lie in .minids/ beside the notebooks; where
    MINIDS_BOARD names a folder that everybody can write to, each check also writes one there.
    """
    load_torch()
    from minids.course import board as look
    from minids.course.roll import roll

    if not folder.is_dir():
        refuse(f"{folder} is not a folder; give the one that the learners' files lie in")
    if every is not None and not every >= 0.5:
        refuse(f"--every {every:g} is too often; give half a second or more")
    if every is not None and every > 86_400:
        refuse(f"--every {every:g} is too rare; give a day, 86400, or less")
    known = roll(course_folder())
    try:
        while True:
            seen = look.board(look.room(folder), known, now=datetime.now())
            if every is not None and sys.stdout.isatty():
                typer.echo("\x1b[2J\x1b[H", nl=False)  # clear the terminal
            typer.echo(seen, nl=False)
            if every is None:
                return
            time.sleep(every)
    except KeyboardInterrupt:
        return


def reset(
    word: Annotated[
        str, typer.Argument(help="an exercise such as 02.repeat_kv, or a chapter such as 02")
    ],
    folder: Annotated[
        Path | None, typer.Option(help="where the notebook lies; exercises/ by default")
    ] = None,
) -> None:
    """Give the blank cells of an exercise or chapter back. What was there is kept in a copy."""
    load_torch()
    from minids import course as work

    root = course_folder()
    try:
        done = work.reset(word, root=root, folder=folder)
    except (ValueError, OSError) as error:
        refuse(str(error))
    if done.backup is not None:
        typer.echo(f"what was there: {done.backup}")
    typer.echo(f"{done.notebook}: blank again: {', '.join(done.names)}")
    typer.echo("if it is open in JupyterLab: File, Reload Notebook from Disk")
