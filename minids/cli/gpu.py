"""`minids gpu CHAPTER`: a chapter at its largest size, in a terminal; figures and a row of JSON."""

from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from minids.cli.folders import course_folder, refuse_unwritable
from minids.cli.loading import load_torch
from minids.cli.refusal import refuse, refuse_no_time, refusing_bad_input

SCALES = ("gpu", "laptop", "smoke")


def gpu(
    chapter: Annotated[str, typer.Argument(help="such as 04, 04_mla or mla")],
    scale: Annotated[str, typer.Option(help="gpu, or laptop or smoke to try it here")] = "gpu",
    out: Annotated[
        Path | None, typer.Option(help="the folder; data/results/SCALE/CHAPTER if not given")
    ] = None,
    seconds: Annotated[float, typer.Option(help="limit for one cell")] = 3600.0,
    details: Annotated[bool, typer.Option(help="where a cell fails, show its traceback")] = False,
) -> None:
    """Run a chapter on a GPU without Jupyter; write its figures and a row of JSON."""
    load_torch()
    from minids.course import findings
    from minids.course import gpu as work
    from minids.study.provenance import provenance

    root = course_folder()
    with refusing_bad_input():
        path = work.chapter(chapter, root)
    refuse_no_time(seconds)
    device, out = _device(scale), out or root / "data" / "results" / scale / path.stem
    with refusing_bad_input():
        refuse_unwritable(out)
    try:
        done = _played(path, scale, seconds)
    except work.ChapterError as error:
        typer.echo(f"\nminids: {error}. Nothing was written.", err=True)
        if details:
            typer.echo(error.details, err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        typer.echo("\nminids: interrupted; nothing was written.", err=True)
        raise typer.Exit(130) from None
    try:
        row = findings.write(out, path.stem, scale, done, provenance(root, device))
    except OSError as error:
        typer.echo(f"minids: {out} could not be written: {error}", err=True)
        _report(findings.verdicts(done), done, "nothing was kept")
        raise typer.Exit(1) from None
    _report(findings.verdicts(done), done, row)


def _played(path: Path, scale: str, seconds: float) -> list[Any]:
    """The cells of a chapter, run; a line on stderr for each."""
    from minids.course import gpu as work

    codes, done = work.read(path), []
    typer.echo(f"{path.stem} at scale {scale}: {len(codes)} cells", err=True)
    with closing(work.cells(codes, path.stem, path.parents[1], scale, seconds=seconds)) as running:
        for number, code in enumerate(codes):
            line = f"{number:4} of {len(codes)}  {work.title(code):57}"
            typer.echo(line, nl=False, err=True)
            done.append(next(running))
            typer.echo(_cost(done[-1]), err=True)
    return done


def _device(scale: str) -> str:
    """The device that a scale runs on, or a refusal where it is missing."""
    if scale not in SCALES:
        refuse(f"there is no scale {scale!r}; there are: {', '.join(SCALES)}")
    if scale == "smoke":
        return "cpu"
    import torch

    from minids.study.scale import Scale

    if scale == "laptop":
        return Scale.auto({"MINIDS_SCALE": "laptop"}).device.type
    if not torch.cuda.is_available():
        refuse(
            "torch sees no CUDA device: run this on a machine with a GPU, or try the command "
            "here with --scale smoke"
        )
    return "cuda"


def _cost(done: Any) -> str:
    peak = f"{done.usage.peak / 1e9:8.2f} GB" if done.usage else ""
    return f"{done.seconds:8.1f} s{peak}"


def _report(verdicts: list[Any], done: list[Any], row: Path | str) -> None:
    """Say what was found; exit code 1 if a claim does not hold."""
    broken = [verdict for verdict in verdicts if not verdict.holds]
    total = sum(cell.seconds for cell in done)
    typer.echo(
        f"{total:.0f} s; {len(verdicts) - len(broken)} of {len(verdicts)} claims hold; "
        f"{sum(len(cell.figures) for cell in done)} figures"
    )
    for verdict in broken:
        typer.echo(f"does not hold, cell {verdict.cell}: {verdict.text}", err=True)
    typer.echo(row)
    if broken:
        raise typer.Exit(1)
