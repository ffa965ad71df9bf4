"""A chapter run for what it finds, cell by cell, without Jupyter's window.

    for done in cells(notebook, "04_mla", folder, "gpu"):
        print(done.number, done.seconds)

The cells run in a fresh kernel, as in a build, and the notebooks of the course stay as they are.
What the outputs hold is findings.py's matter.
"""

import json
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any, NamedTuple

from minids.course import files, kernel, source
from minids.study.device_memory import Usage

PROBE = "print(__import__('minids.study.device_memory', fromlist=['x']).as_json({scale!r}))"
NO_ROOM = ("OutOfMemoryError", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED")


class ChapterError(RuntimeError):
    """A chapter that stopped. The message names chapter, cell and reason, and what to do."""


class Done(NamedTuple):
    """One code cell that has run. `usage` is that of the device; None on a CPU."""

    number: int  # of code cells, from 0
    seconds: float
    usage: Usage | None
    outputs: list[Any]


def chapter(name: str, root: Path) -> Path:
    """Return the source of the chapter that is called "04", "4", "04_mla" or "mla".

    ValueError, with the chapters there are, for any other name.
    """
    found = [path for path in files.sources(root) if path.parent.parent.name == "notebooks"]
    asked = name.zfill(2) if name.isdecimal() else name
    for path in found:
        if asked in (path.stem, *path.stem.split("_", 1)):
            return path
    known = ", ".join(path.stem for path in found) or "none yet"
    raise ValueError(f"there is no chapter {name!r}; there are: {known}")


def read(path: Path) -> tuple[Any, list[str]]:
    """Return the notebook of a chapter's source, and a title for each of its code cells."""
    notebook = source.solution(source.read(path))
    return notebook, [title(c.source) for c in notebook.cells if c.cell_type == "code"]


def title(code: str, width: int = 56) -> str:
    """Return the first line that is neither import nor comment, cut to `width` letters."""
    lines = [line for line in code.splitlines() if line.strip()] or ["(empty)"]
    plain = [line for line in lines if not line.startswith(("#", "import ", "from ", "%", "@"))]
    first = (plain or lines)[0].strip()
    return first if len(first) <= width else first[: width - 1] + "…"


def cells(
    notebook: Any, name: str, folder: Path, scale: str, *, seconds: float = 3600.0
) -> Generator[Done, None, None]:
    """Run the code cells of `notebook` in `folder` at a scale, and yield each when it is done.

    `seconds` is the limit for one cell. ChapterError when a cell fails, takes longer, runs out of
    memory or kills its kernel. The kernel ends with the iterator, also when that is closed early.
    """
    import nbformat
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    probe = nbformat.v4.new_code_cell(PROBE.format(scale=scale))
    code = [(i, cell) for i, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    notebook.cells.append(probe)
    runner = kernel.client(notebook, folder.resolve(), seconds)
    with kernel.kernel_settings(MINIDS_SCALE=scale), kernel.started(runner):
        for number, (index, cell) in enumerate(code):
            where = f"{name} stopped in code cell {number} of {len(code)} ({title(cell.source)})"
            try:
                took = _timed(runner, cell, index, number)
            except CellExecutionError as error:
                ran = f"{error.ename}: {error.evalue}"
                usage = _usage(runner, probe)
                raise ChapterError(f"{where}. {_reason(ran, usage, name)}") from None
            except CellTimeoutError:
                raise ChapterError(
                    f"{where}: it took longer than {seconds:.0f} s; allow more with --seconds"
                ) from None
            except DeadKernelError:
                raise ChapterError(
                    f"{where}: its Python ended without a word, as it does when the system has no "
                    "memory left. Close other programs, or take a smaller scale"
                ) from None
            yield Done(number, took, _usage(runner, probe), list(cell.outputs))


def _timed(runner: Any, cell: Any, index: int, number: int) -> float:
    began = time.monotonic()
    runner.execute_cell(cell, index, execution_count=number + 1)
    return time.monotonic() - began


def _usage(runner: Any, probe: Any) -> Usage | None:
    """What the device says, asked in the kernel, which is where its tensors are."""
    runner.execute_cell(probe, len(runner.nb.cells) - 1, store_history=False)
    printed = "".join(output.get("text", "") for output in probe.outputs)
    found = json.loads(printed)
    return None if found is None else Usage(*found)


def _reason(error: str, usage: Usage | None, name: str) -> str:
    """The last line of an error; for a full device what was used, what was free, what to do."""
    if not any(mark in error for mark in NO_ROOM):
        return error.strip().splitlines()[-1]
    if usage is None:
        return f"The memory was full: {error.strip().splitlines()[-1]}. Take a smaller scale"
    held, peak, free, total = (f"{n / 1e9:.1f}" for n in usage)
    return (
        f"The device was full: the chapter used {peak} GB at most and holds {held} GB now, "
        f"{free} of {total} GB are free. Close other programs that use the device, take a larger "
        f"one, or run the chapter without it: minids gpu {name} --scale laptop"
    )
