"""The folder of a run: refused before the work if it is taken, and named for going on."""

import os
import shlex
from pathlib import Path

from minids import checkpoint


def refuse_used(folder: Path, command: str) -> None:
    """Refuse a folder that holds a run, or that nothing can be written to."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file: name a folder with --out")
    if checkpoint.steps(folder):
        raise ValueError(
            f"{folder} already holds a run: go on with it ({resume_line(folder, command)}), "
            "or name another folder with --out"
        )
    refuse_unwritable(folder)


def resume_line(folder: Path, command: str) -> str:
    """Return the command that goes on with a run, as it can be pasted."""
    return f"minids {command} --resume {shlex.quote(str(folder))}"


def again(folder: Path, command: str) -> str:
    """Return how to go on with a run that ended early, if anything of it was saved."""
    if not checkpoint.steps(folder):
        return "nothing was saved: begin anew"
    return f"go on from the last checkpoint with: {resume_line(folder, command)}"


def refuse_unwritable(folder: Path) -> None:
    """Refuse a folder that nothing can be written to, before the work and not after it."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not os.access(there, os.W_OK):
        raise ValueError(f"{there} cannot be written to: name another folder with --out")
