"""`minids course minutes | slides | nbgrader | bundle | publish`: what a teacher takes along."""

import subprocess
from pathlib import Path
from typing import Annotated

import typer

from minids.cli.course import Names
from minids.cli.folders import course_folder, refuse_unwritable
from minids.cli.loading import load_torch
from minids.cli.refusal import refuse, refusing_bad_input


def minutes() -> None:
    """Write the measured running times into the tables of README and TEACHING."""
    load_torch()
    from minids.course import minutes as work

    changed = work.write(course_folder())
    typer.echo(f"written: {', '.join(path.name for path in changed) or 'nothing had changed'}")


def slides(
    out: Annotated[Path, typer.Argument(help="a folder for the pages")],
    names: Names = None,
    reveal: Annotated[str | None, typer.Option(help="where reveal.js is, when shown")] = None,
    code: Annotated[bool, typer.Option(help="show the code, too")] = True,
) -> None:
    """Make slides of the executed chapters, by nbconvert. Showing them needs reveal.js."""
    load_torch()
    from minids.course import slides as work

    with refusing_bad_input():
        where = reveal or work.REVEAL
        for path in work.slides(out, names or None, root=course_folder(), reveal=where, code=code):
            typer.echo(path)


def nbgrader(
    folder: Annotated[Path, typer.Argument(help="nbgrader's course folder")],
    names: Names = None,
    points: Annotated[int, typer.Option(help="for each check that passes")] = 1,
) -> None:
    """Write the exercises as assignments for nbgrader, into FOLDER/source."""
    load_torch()
    from minids.course import nbgrader as work

    with refusing_bad_input():
        for path in work.export(folder, names or None, root=course_folder(), points=points):
            typer.echo(path)


def bundle(
    out: Annotated[Path, typer.Argument(help="the archive, such as dist/minids.zip")],
    torch: Annotated[str, typer.Option(help="version of torch")],
    torch_from: Annotated[str, typer.Option(help="options of pip for getting torch")] = "",
) -> None:
    """Pack wheels and course into one archive that installs without a network."""
    load_torch()
    from minids.course import bundle as work

    if out.suffix != ".zip":
        refuse(f"{out} should end in .zip")
    with refusing_bad_input():
        refuse_unwritable(out.parent, "name another archive")
        if out.is_dir():
            raise ValueError(f"{out} is a folder: name another archive")
        out.parent.mkdir(parents=True, exist_ok=True)
    root, more = course_folder(), tuple(torch_from.split())
    try:
        done = work.bundle(out, root=root, torch=torch, torch_from=more)
    except subprocess.CalledProcessError as error:
        refuse(f"pip could not get every wheel (exit code {error.returncode}); see above")
    typer.echo(f"{done.path}: {done.nbytes / 1e6:.0f} MB, {done.wheels} wheels, {done.files} files")
    typer.echo("on each laptop: unpack it, then `python3 install.py` in its folder")


def publish(
    repository: Annotated[
        str | None, typer.Argument(help="OWNER/NAME on GitHub; as before if not given")
    ] = None,
) -> None:
    """Write the course's public address into its notebooks, and badges into README. Sends nothing.

    The notebooks are not executed: only the cell that installs what is missing changes.
    """
    load_torch()
    from minids.course import publish as work

    root = course_folder()
    with refusing_bad_input():
        changed = work.publish(repository, root=root)
    for path in changed:
        typer.echo(path.relative_to(root))
    typer.echo("nothing had changed" if not changed else f"{len(changed)} files written")
