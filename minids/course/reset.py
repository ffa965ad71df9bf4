"""Give a learner the blank cells back. What stood there is kept, whatever happens."""

import re
import secrets
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
    ours = {cell.id for cell in fresh.cells}
    for name in names:
        numbers = roll.blanks(fresh.cells)[name]
        check = next(n for n, cell in enumerate(fresh.cells) if _checks(cell, name))
        for number in [*numbers, check]:
            cell = fresh.cells[number]
            found = _find(mine.cells, cell, name, ours)
            if found is not None:
                mine.cells[found] = cell
            else:
                mine.cells.insert(_place(mine.cells, fresh.cells, number, name), cell)


def _find(cells: list[Any], wanted: Any, name: str, ours: set[str]) -> int | None:
    """Where a learner's notebook has this cell of an exercise.

    By its id; a check by what it checks too, and a blank by what it defines, above that check, if
    it is none of `ours` by its own id.
    """
    by_id = [n for n, cell in enumerate(cells) if cell.get("id") == wanted.id]
    if by_id:
        return by_id[0]
    check = _check_in(cells, name)
    if _checks(wanted, name):
        return check
    names = set(roll.defined(wanted.source))
    above = [
        n
        for n, cell in enumerate(cells[:check])
        if cell.cell_type == "code"
        and cell.id not in ours
        and names & set(roll.defined(cell.source))
    ]
    return above[-1] if above else None


def _place(cells: list[Any], fresh: list[Any], number: int, name: str) -> int:
    """Behind the nearest earlier cell of ours that is still there; else above the check."""
    for earlier in reversed(fresh[:number]):
        for n, cell in enumerate(cells):
            if cell.get("id") == earlier.id:
                return n + 1
    check = _check_in(cells, name)
    return len(cells) if check is None else check


def _check_in(cells: list[Any], name: str) -> int | None:
    """Where a notebook checks an exercise, the last time if it does so twice."""
    return max((n for n, cell in enumerate(cells) if _checks(cell, name)), default=None)


def _checks(cell: Any, name: str) -> bool:
    return cell.cell_type == "code" and name in roll.checked(cell.source)


def _readable(path: Path) -> Any:
    """The learner's notebook, or None where there is none that can be read."""
    import nbformat

    try:
        notebook = _with_ids(files.read_notebook(path))
        nbformat.validate(notebook)
    except Exception:  # whatever lies there instead
        return None
    return notebook


def _with_ids(notebook: Any) -> Any:
    """The notebook in the format whose cells have ids; Colab keeps ours among a cell's metadata."""
    notebook.nbformat_minor = max(5, notebook.nbformat_minor)
    taken = {cell.get("id") for cell in notebook.cells}
    for cell in notebook.cells:
        if not cell.get("id"):
            kept = str(cell.metadata.get("id", ""))
            ours = re.fullmatch(r"[\w-]{1,64}", kept, re.ASCII) and kept not in taken
            cell.id = kept if ours else secrets.token_hex(4)
            taken.add(cell.id)
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
