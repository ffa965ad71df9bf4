"""`minids course build | cut | check` and `minids grade`: the notebooks and who solved them."""

import json
from pathlib import Path
from typing import Annotated

import typer

from minids.cli.folders import course_folder, refuse_unwritable
from minids.cli.loading import load_torch
from minids.cli.refusal import refuse, refuse_no_time, refusing_bad_input

course = typer.Typer(no_args_is_help=True, help="Build, cut and check the notebooks.")
Names = Annotated[
    list[str] | None,
    typer.Argument(help="such as 00, 00_map or solutions/00_map; all if none is given"),
]


@course.command()
def build(names: Names = None) -> None:
    """Execute chapters and solutions from their sources, write the notebooks, cut the exercises."""
    load_torch()
    from minids import course as work
    from minids.course import files

    root, held = course_folder(), True
    with refusing_bad_input():
        scripts = files.sources(root, names or None)
    for script in scripts:
        try:
            [done] = work.build([files.label(script)], root=root)
        except work.BuildError as error:
            refuse(str(error))
        typer.echo(f"{done.name}: {done.seconds:.0f} s, {done.peak_mb} MB")
        for claim in done.claims_broken:
            held = False
            typer.echo(f"  {claim}", err=True)
        for cell in done.grew:
            typer.echo(f"  grew: {cell}", err=True)
    if not held:
        raise typer.Exit(1)


@course.command()
def cut(names: Names = None) -> None:
    """Write the exercises: the solutions without what stands between the markers."""
    load_torch()
    from minids import course as work

    with refusing_bad_input():
        for path in work.cut(names or None, root=course_folder()):
            typer.echo(path)


@course.command()
def check() -> None:
    """Say which notebooks, exercises and tables are older than what they come from."""
    load_torch()
    from minids import course as work
    from minids.course import minutes

    late = work.drift(root=course_folder()) + minutes.stale(course_folder())
    for line in late:
        typer.echo(line, err=True)
    if late:
        typer.echo("rebuild with: minids course build", err=True)
        raise typer.Exit(1)
    typer.echo("every notebook and exercise agrees with its source")


def grade(
    folder: Annotated[Path, typer.Argument(help="a folder of submitted notebooks")],
    out: Annotated[Path | None, typer.Option(help="also write every result to this CSV")] = None,
    pages: Annotated[
        Path | None, typer.Option(help="also write a page for each learner into this folder")
    ] = None,
    seconds: Annotated[float, typer.Option(help="limit for one submission")] = 120,
    workers: Annotated[
        int | None, typer.Option(min=1, help="how many are graded at once [one for every core]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the results as JSON")] = False,
) -> None:
    """Grade a folder of submissions. It RUNS their code with your rights: this is no sandbox."""
    load_torch()
    from minids import course as work
    from minids.course import files

    if not folder.is_dir():
        refuse(f"{folder} is not a folder; give the one that holds the submitted notebooks")
    if not any(folder.rglob("*.ipynb")):
        refuse(f"{folder} holds no notebook; submissions end in .ipynb")
    if out is not None and (not out.parent.is_dir() or out.is_dir()):
        refuse(f"--out {out}: name a file, in a folder that exists")
    if pages is not None and pages.exists() and not pages.is_dir():
        refuse(f"--pages {pages} is a file; name a folder")
    refuse_no_time(seconds)
    with refusing_bad_input():  # now, and not after an hour of grading
        if out is not None:
            refuse_unwritable(out.parent, "name another file with --out")
        if pages is not None:
            refuse_unwritable(pages, "name another folder with --pages")
    graded = work.grade(
        folder,
        root=course_folder(),
        seconds=seconds,
        workers=workers,
        say=lambda line: typer.echo(line, err=True),
    )
    report, lost = work.report(graded), None
    try:  # first: whoever reads what is printed may have gone
        if out is not None:
            files.write(out, report.csv)
        if pages is not None:
            work.write_pages(report.pages, pages)
    except OSError as error:
        lost = error
    if as_json:
        typer.echo(json.dumps([row._asdict() for row in graded], indent=2))
    else:
        typer.echo(report.markdown, nl=False)
    if lost is not None:
        typer.echo(f"minids: graded, but not all of it could be written: {lost}", err=True)
        raise typer.Exit(1)
