"""Where the course keeps its files, and writing them so that an interruption loses nothing."""

import os
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

KINDS = ("notebooks", "solutions")


def sources(root: Path, names: Sequence[str] | None = None) -> list[Path]:
    """Scripts to build: all, or those named as "00", "00_map" or "solutions/00_map".

    Unknown names: ValueError with the names that exist.
    """
    found = [path for kind in KINDS for path in sorted((root / kind / "src").glob("*.py"))]
    if names is None:
        return found
    for name in names:
        if not any(_meant(name, path) for path in found):
            known = ", ".join(label(path) for path in found) or "nothing yet"
            raise ValueError(f"there is no {name!r}; known: {known}")
    return [path for path in found if any(_meant(name, path) for name in names)]


def of_kind(
    kind: str, root: Path, names: Sequence[str] | None = None, *, otherwise: str
) -> list[Path]:
    """Scripts of one of KINDS, all or those named.

    ValueError, with the words `otherwise`, for a name that means none of this kind.
    """
    for name in names or ():
        if all(path.parent.parent.name != kind for path in sources(root, [name])):
            raise ValueError(f"{name}: {otherwise}")
    return [path for path in sources(root, names) if path.parent.parent.name == kind]


def label(source: Path) -> str:
    """Kind and name of a script, as in "notebooks/00_map"."""
    return f"{source.parent.parent.name}/{source.stem}"


def target(source: Path) -> Path:
    """The executed notebook that belongs to a script."""
    return source.parent.parent / f"{source.stem}.ipynb"


def exercise_of(source: Path) -> Path:
    """The exercise notebook that is cut from a solutions script."""
    return source.parent.parent.parent / "exercises" / f"{source.stem}.ipynb"


def read_notebook(path: Path) -> Any:
    """The notebook in a file, with or without the mark of UTF-8 that some editors put first.

    Not validated: what lacks in it is not worth a warning before somebody has put it right.
    """
    import nbformat

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nbformat.reads(path.read_text(encoding="utf-8-sig"), as_version=4)


def as_text(notebook: Any) -> str:
    """The notebook as the bytes we keep: sorted keys, one final newline."""
    import nbformat

    nbformat.validate(notebook)
    return str(nbformat.writes(notebook)).rstrip("\n") + "\n"


def write(path: Path, text: str) -> None:
    """Replace a file in one step: there is never half of it.

    A link stays, and the file it leads to is replaced.
    """
    write_bytes(path.resolve(), text.encode("utf-8"))


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


def _meant(name: str, path: Path) -> bool:
    plain = name.removesuffix(".ipynb").removesuffix(".py").replace("/src/", "/")
    return plain in (path.stem, path.stem[:2], label(path))
