"""Notebooks that no longer say what their sources say, or show code as it was."""

import json
from pathlib import Path
from typing import Any

from minids.course import files, install_cell, shown, source


def drift(*, root: Path = Path(".")) -> list[str]:
    """A sentence for each notebook that differs from its source, lacks it, or lacks a build.

    And for each cell that shows code of the package as it no longer is.
    """
    found = []
    expected = set()
    for path in files.sources(root):
        built = files.target(path)
        expected.add(built)
        wanted = install_cell.put(source.solution(source.read(path)), built, root)
        found += _differs(built, wanted, files.label(path))
        if path.parent.parent.name == "solutions":
            exercise = files.exercise_of(path)
            expected.add(exercise)
            wanted = source.exercise(source.read(path), path.stem)
            wanted = install_cell.put(wanted, exercise, root)
            found += _differs(exercise, wanted, f"exercises/{path.stem}", whole=True)
    for kind in (*files.KINDS, "exercises"):
        orphans = sorted(set((root / kind).glob("*.ipynb")) - expected)
        found += [f"{kind}/{path.stem} has no source" for path in orphans]
    return found


def _differs(built: Path, wanted: Any, name: str, whole: bool = False) -> list[str]:
    if not built.exists():
        return [f"{name} has not been built"]
    have = json.loads(built.read_text(encoding="utf-8"))
    want = json.loads(files.as_text(wanted))
    if _cells(have) != _cells(want) and _bare(have) == _bare(want):
        return [f"{name} has not this course's install cell: minids course publish"]
    if whole:
        return [] if have == want else [f"{name} differs from solutions/src: cut it again"]
    for number, (a, b) in enumerate(zip(_cells(have), _cells(want), strict=False)):
        if a != b:
            return [f"{name}, cell {number}, differs from its source: build it again"]
    if len(_cells(have)) != len(_cells(want)):
        return [f"{name} has {len(_cells(have))} cells, its source {len(_cells(want))}"]
    return shown.outdated(have, name)


def _bare(notebook: dict[str, Any]) -> list[tuple[str, str, str, tuple[str, ...]]]:
    return [cell for cell in _cells(notebook) if install_cell.TAG not in cell[3]]


def _cells(notebook: dict[str, Any]) -> list[tuple[str, str, str, tuple[str, ...]]]:
    return [
        (
            cell["id"],
            cell["cell_type"],
            "".join(cell["source"]),
            tuple(sorted(cell["metadata"].get("tags", []))),
        )
        for cell in notebook["cells"]
    ]
