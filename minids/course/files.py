"""Where the course keeps its files, and writing them so that an interruption loses nothing."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

KINDS = ("notebooks", "solutions")


def sources(root: Path, names: Sequence[str] | None = None) -> list[Path]:
    """Scripts to build: all, or those named as "00_map" or "solutions/00_map".

    Unknown names: ValueError with the names that exist.
    """
    found = [path for kind in KINDS for path in sorted((root / kind / "src").glob("*.py"))]
    if names is None:
        return found
    known = {label(path): path for path in found}
    chosen = [
        path for path in found if any(_plain(name) in (path.stem, label(path)) for name in names)
    ]
    labels = {label(path) for path in chosen} | {path.stem for path in chosen}
    missing = [name for name in names if _plain(name) not in labels]
    if missing:
        raise ValueError(f"there is no {missing[0]!r}; known: {', '.join(known) or 'nothing yet'}")
    return chosen


def label(source: Path) -> str:
    """Kind and name of a script, as in "notebooks/00_map"."""
    return f"{source.parent.parent.name}/{source.stem}"


def target(source: Path) -> Path:
    """The executed notebook that belongs to a script."""
    return source.parent.parent / f"{source.stem}.ipynb"


def exercise_of(source: Path) -> Path:
    """The exercise notebook that is cut from a solutions script."""
    return source.parent.parent.parent / "exercises" / f"{source.stem}.ipynb"


def as_text(notebook: Any) -> str:
    """The notebook as the bytes we keep: sorted keys, one final newline."""
    import nbformat

    nbformat.validate(notebook)
    return str(nbformat.writes(notebook)).rstrip("\n") + "\n"


def write(path: Path, text: str) -> None:
    """Replace a file in one step: there is never half of it."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file in one step: there is never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _plain(name: str) -> str:
    return name.removesuffix(".ipynb").removesuffix(".py").replace("/src/", "/")
