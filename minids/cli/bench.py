"""`minids bench`: one row a measurement, ours beside a peer's and beside what the machine could."""

import io
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

import minids
from minids.cli.folders import course_folder
from minids.cli.loading import load_torch
from minids.cli.refusal import refuse, refusing_bad_input


def bench(
    what: Annotated[
        str, typer.Argument(help="train, decode, moe, mla, grpo, growth, import, gpu or course")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="print the rows as JSON")] = False,
    save: Annotated[
        bool, typer.Option("--save", help="also keep them in data/results/bench, for the README")
    ] = False,
) -> None:
    """Measure: median and spread of ours and a peer's, their ratio, and the machine's limit."""
    load_torch()
    from minids.course import bench_table
    from minids.study import bench as study
    from minids.study.provenance import provenance

    if what not in (names := (*study.BENCHES, "course")):
        refuse(f"there is no bench {what!r}; there are: {', '.join(names)}")
    device = _device(what)
    package = Path(minids.__file__).parents[1]
    # What is stored is replaced only where one stands: a call from elsewhere writes nothing there.
    root = course_folder(elsewhere=not save) if save or what == "course" else package
    if save:
        _refuse_unwritable(root / bench_table.FOLDER)
    where = provenance(root, device)
    rows, curves = _measured(what, root)
    text = study.as_json(what, rows, where, [curve._asdict() for curve in curves])
    typer.echo(text if as_json else study.table(rows))
    if save:
        for path in bench_table.store(root, what, text, _drawn(curves) if curves else None):
            typer.echo(f"written: {path}", err=True)


def _device(what: str) -> Any:
    """What is measured on: a CPU, or for the bench of a GPU that GPU, or a refusal without one."""
    if what != "gpu":
        return "cpu"
    from minids.study import bench_gpu

    with refusing_bad_input():
        return bench_gpu.require()


def _measured(what: str, root: Path) -> tuple[list[Any], list[Any]]:
    """Rows, and the curves that they come from where there are any."""
    from minids.study import bench as study

    if what == "growth":
        from minids.study import growth

        curves = growth.curves()
        return growth.rows(curves), curves
    return (_course(root) if what == "course" else study.bench(what)), []


def _course(root: Path) -> list[Any]:
    """The chapters, one line on stderr for each that is done."""
    from minids.course import bench_course, gpu

    with refusing_bad_input():
        paths = bench_course.chapters(root)
    try:
        return bench_course.measure(paths, say=lambda line: typer.echo(line, err=True))
    except gpu.ChapterError as error:
        typer.echo(f"minids: {error}. Nothing was written.", err=True)
        raise typer.Exit(1) from None


def _refuse_unwritable(folder: Path) -> None:
    """Refuse before the measurement what could not be kept after it."""
    with refusing_bad_input():
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()


def _drawn(curves: list[Any]) -> bytes:
    from minids.study.viz_growth import growth

    picture = io.BytesIO()
    growth(curves).savefig(picture, format="png", dpi=110, facecolor="white")
    return picture.getvalue()
