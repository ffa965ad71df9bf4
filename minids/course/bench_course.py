"""How long each chapter takes, every cell of it, in a fresh Python.

Left out: starting that Python, sliders (study/shown.py), and the solutions. The chapters run in a
folder of their own that is deleted afterwards, and the executed notebooks of the course stay as
they are.
"""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from minids.course import gpu
from minids.study.bench import Row


def chapters(root: Path, names: Sequence[str] | None = None) -> list[Path]:
    """Return the sources of the chapters in their order, or of those named as in "09".

    ValueError for chapters that do not exist.
    """
    if names is not None:
        return [gpu.chapter(name, root) for name in names]
    return gpu.chapters(root)


def measure(
    paths: Sequence[Path],
    *,
    scale: str = "laptop",
    say: Callable[[str], object] = lambda line: None,
) -> list[Row]:
    """Return the seconds of each of these chapters, run once, and of all together.

    `say` gets a line when a chapter is done. ChapterError (gpu.py) when one stops.
    """
    rows: list[Row] = []
    for number, path in enumerate(paths, 1):
        rows.append(_row(path.stem, seconds(path, scale)))
        say(f"{number:4} of {len(paths)}  {path.stem:14}{rows[-1].ours:8.1f} s")
    return [*rows, _row(f"together, at {scale}", sum(row.ours for row in rows))]


def seconds(path: Path, scale: str) -> float:
    """Return the seconds that all code cells of a chapter's source take."""
    codes = gpu.read(path)
    with tempfile.TemporaryDirectory(prefix="minids-bench-") as folder:
        return sum(done.seconds for done in gpu.cells(codes, path.stem, Path(folder), scale))


def _row(name: str, taken: float) -> Row:
    """A row without a peer; a chapter runs once, so there is no spread."""
    return Row(name, taken, None, "s", None, None, 0.0)
