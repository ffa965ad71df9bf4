"""Execute scripts into notebooks with outputs, and cut exercises from solutions.

A notebook is written only when it has run from top to bottom, in one step; whatever happens
before that leaves the old file as it was.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from minids.course import files, install_cell, kernel, measure, source


class BuildError(RuntimeError):
    """A cell failed. The message names the notebook and the cell."""


class Built(NamedTuple):
    """What one build did.

    claims_broken: printed claims that do not hold; grew: cells that cost twice what they did.
    """

    name: str
    seconds: float
    peak_mb: int
    claims_broken: tuple[str, ...]
    grew: tuple[str, ...]


def build(
    names: Sequence[str] | None = None,
    execute: bool = True,
    *,
    root: Path = Path("."),
    threads: int | None = None,
    seconds: float = 600.0,
) -> list[Built]:
    """Build notebooks and solutions, all or those in `names`, and cut the exercises of the latter.

    threads: OMP_NUM_THREADS of the kernels (None: as it is); seconds: limit for one cell.
    Without `execute` only sources change and outputs are dropped. Raises BuildError.
    """
    return [
        _build_one(path, root, execute, threads, seconds) for path in files.sources(root, names)
    ]


def cut(names: Sequence[str] | None = None, *, root: Path = Path(".")) -> list[Path]:
    """Write exercises/*.ipynb from solutions/src; the paths written."""
    written = []
    only = "exercises are cut from solutions/00_map and so on"
    for path in files.of_kind("solutions", root, names, otherwise=only):
        target = files.exercise_of(path)
        notebook = source.exercise(source.read(path), path.stem)
        files.write(target, files.as_text(install_cell.put(notebook, target, root)))
        written.append(target)
    return written


def _build_one(path: Path, root: Path, execute: bool, threads: int | None, limit: float) -> Built:
    notebook = source.solution(source.read(path))
    notebook = install_cell.put(notebook, files.target(path), root)
    costs: list[measure.Cost] = []
    if execute:
        settings = {} if threads is None else {"OMP_NUM_THREADS": str(threads)}
        with kernel.kernel_settings(**settings):
            notebook, costs = _run(notebook, path, limit)
    files.write(files.target(path), files.as_text(notebook))
    if path.parent.parent.name == "solutions":
        cut([files.label(path)], root=root)
    name, before = files.label(path), measure.stored(root)
    if execute:
        measure.store(root, name, costs)
    return Built(
        name,
        sum(cost.seconds for cost in costs),
        max((cost.mb for cost in costs), default=0),
        tuple(_broken(notebook)),
        tuple(measure.doubled(before, {name: costs})),
    )


def _run(notebook: Any, path: Path, limit: float) -> tuple[Any, list[measure.Cost]]:
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    runner = kernel.client(notebook, path.parent.parent.resolve(), limit)
    costs: list[measure.Cost] = []
    try:
        with kernel.started(runner), measure.Meter(runner.km.provisioner.pid) as meter:
            for index, cell in enumerate(notebook.cells):
                if cell.cell_type == "code":
                    meter.start()
                    runner.execute_cell(cell, index, execution_count=len(costs) + 1)
                    spent, mb = meter.stop()
                    costs.append(measure.Cost(len(costs), round(spent, 2), mb))
            runner.set_widgets_metadata()
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        raise BuildError(
            f"{files.label(path)} stopped in code cell {len(costs)} (counted from 0). {error}"
        ) from None
    return kernel.settle(notebook), costs


def _broken(notebook: Any) -> list[str]:
    """Printed claims that do not hold."""
    lines = [
        line
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        for line in output.get("text", "").splitlines()
    ]
    return [line for line in lines if line.startswith("DOES NOT HOLD")]
