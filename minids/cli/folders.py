"""Where the course lies, and whether a folder can be written to."""

import os
from pathlib import Path

import minids
from minids.cli.refusal import refuse


def course_folder(*, elsewhere: bool = True) -> Path:
    """Return the folder of the course: this one, one around it, or, `elsewhere`, the package's."""
    package = (Path(minids.__file__).parents[1],) if elsewhere else ()
    for folder in (Path.cwd(), *Path.cwd().parents, *package):
        course = folder / "notebooks", folder / "exercises"
        named = (path for part in course for path in part.rglob("[0-9][0-9]_*"))
        if all(part.is_dir() for part in course) and any(named):
            return folder
    refuse("there are no notebooks here; run this in the folder that you cloned")


def refuse_unwritable(folder: Path, instead: str = "name another folder with --out") -> None:
    """Refuse a folder that nothing can be written to, before the work and not after it."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise ValueError(f"{there} is a file: {instead}")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ValueError(f"{there} cannot be written to: {instead}")
