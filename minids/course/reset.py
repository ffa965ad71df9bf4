"""Give a learner the blank cells back. What stood there is kept, whatever happens."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from minids.check import progress
from minids.course import files, install_cell, roll, source

KEPT = Path(".minids") / "backup"


class Reset(NamedTuple):
    """What a reset did: the notebook, where its copy lies (None: there was none), the exercises."""

    notebook: Path
    backup: Path | None
    names: tuple[str, ...]


def reset(word: str, *, root: Path, folder: Path | None = None) -> Reset:
    """Blank the cells of an exercise or of a whole chapter ("02.repeat_kv", "02") again.

    The notebook is looked for in `folder` (root/exercises by default). It is copied first; other
    cells stay as they are. A chapter's notebook that is missing or cannot be read is written
    anew. What the progress file says of these exercises is forgotten.
    Raises ValueError for unknown words, and for one exercise of an unreadable notebook.
    """
    stem, names = roll.chosen(word, roll.roll(root))
    path = (folder or root / "exercises") / f"{stem}.ipynb"
    if folder is not None and not folder.is_dir():
        raise ValueError(f"there is no folder {folder}; give the one that your notebook lies in")
    fresh = source.exercise(source.read(roll.scripts(root)[stem]), stem)
    fresh = install_cell.put(fresh, root / "exercises" / path.name, root)
    mine = _readable(path)
    if mine is None and word in names:
        state = "cannot be read" if path.exists() else "is not there"
        raise ValueError(f"{path} {state}; `minids reset {stem[:2]}` writes the whole notebook")
    backup = _keep(path)
    if mine is None:
        mine = fresh
    else:
        _restore(mine, fresh, names)
    files.write(path, files.as_text(mine))
    progress.forget(names, path.parent)
    return Reset(path, backup, tuple(names))


def _restore(mine: Any, fresh: Any, names: Sequence[str]) -> None:
    """Put the blank cells of `names` into a learner's notebook, each where its check stands."""
    for name in names:
        numbers = roll.blanks(fresh.cells)[name]
        check = _check_of(fresh.cells, name)
        for number in [*numbers, check]:
            cell = fresh.cells[number]
            found = _find(mine.cells, cell, name if number == check else None)
            if found is not None:
                mine.cells[found] = cell
            else:
                mine.cells.insert(_place(mine.cells, fresh.cells, number), cell)


def _find(cells: list[Any], wanted: Any, name: str | None) -> int | None:
    """Where a learner's notebook has this cell: by its id, or a check by what it checks."""
    by_id = [n for n, cell in enumerate(cells) if cell.get("id") == wanted.id]
    if by_id or name is None:
        return by_id[0] if by_id else None
    checks = [n for n, cell in enumerate(cells) if _checks(cell, name)]
    return checks[-1] if checks else None


def _place(cells: list[Any], fresh: list[Any], number: int) -> int:
    """Behind the nearest earlier cell of ours that is still there; else at the end."""
    for earlier in reversed(fresh[:number]):
        for n, cell in enumerate(cells):
            if cell.get("id") == earlier.id:
                return n + 1
    return len(cells)


def _check_of(cells: list[Any], name: str) -> int:
    return next(n for n, cell in enumerate(cells) if _checks(cell, name))


def _checks(cell: Any, name: str) -> bool:
    return cell.cell_type == "code" and name in roll.checked(cell.source)


def _readable(path: Path) -> Any:
    """The learner's notebook, or None where there is none that can be read."""
    import nbformat

    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
    except Exception:  # whatever lies there instead
        return None
    return notebook


def _keep(path: Path) -> Path | None:
    """Copy the file, byte for byte, under a name that nothing has yet."""
    if not path.exists():
        return None
    stamp = time.strftime("%Y-%m-%d-%H%M%S")
    folder = path.parent / KEPT
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1000):
        more = f"-{number}" if number else ""
        backup = folder / f"{path.stem}-{stamp}{more}{path.suffix}"
        try:
            with backup.open("xb") as file:
                file.write(path.read_bytes())
        except FileExistsError:
            continue
        return backup
    raise ValueError(f"{folder} is full of copies; remove some")
