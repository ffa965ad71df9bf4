"""The folder of a run: refused before the work if it is taken, and named for going on."""

import os
import shlex
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from minids import checkpoint, durable
from minids.cli.folders import refuse_unwritable
from minids.plain import decode
from minids.train.world import World

if sys.platform != "win32":  # which has other locks: there, two runs in one folder go unnoticed
    import fcntl


def refuse_used(folder: Path, command: str, ours: Callable[[Any], bool]) -> None:
    """Refuse a folder that holds a run, or that nothing can be written to.

    `ours` tells by the extra of a checkpoint whether the command can go on with it.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file: name a folder with --out")
    latest = durable.latest(folder)
    if latest is not None and ours(_extra(latest)):
        raise ValueError(
            f"{folder} already holds a run: go on with it ({resume_line(folder, command)}), "
            "or name another folder with --out"
        )
    if latest is not None:
        raise ValueError(
            f"{folder} already holds a run that `minids {command}` cannot go on with: "
            "name another folder with --out"
        )
    refuse_unwritable(folder)


def _extra(path: Path) -> Any:
    """What a checkpoint holds beside a model, with empty tensors; None if it is damaged."""
    unread = defaultdict[str, Tensor](lambda: torch.empty(0))
    try:
        return decode(durable.check(path)["extra"], unread)
    except durable.CheckpointError:
        return None


def resume_line(folder: Path, command: str) -> str:
    """Return the command that goes on with a run, as it can be pasted on this system."""
    words = ["minids", command, "--resume", str(folder)]
    return subprocess.list2cmdline(words) if sys.platform == "win32" else shlex.join(words)


def again(folder: Path, command: str) -> str:
    """Return how to go on with a run that ended early, if anything of it was saved."""
    if not checkpoint.steps(folder):
        return "nothing was saved: begin anew"
    return f"go on from the last checkpoint with: {resume_line(folder, command)}"


def take(folder: Path, world: World) -> None:
    """Make the folder, and keep other runs out of it for as long as this process lives.

    ValueError, in all processes of a run, if another one is at work in it.
    """
    if not world.told_by_first(lambda: _locked(folder)):
        raise ValueError(
            f"another run is writing to {folder}: wait for its end, or name another folder "
            "with --out"
        )


def _locked(folder: Path) -> bool:
    """Whether nobody else had the lock; it ends with this process, however that ends."""
    folder.mkdir(parents=True, exist_ok=True)
    if sys.platform == "win32":
        return True
    handle = os.open(folder / ".running", os.O_RDWR | os.O_CREAT, 0o644)  # never closed: see above
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # somebody has it
        os.close(handle)
        return False
    except OSError:  # some network drives know no locks
        os.close(handle)
    return True


def refuse_unwritable_run(folder: Path) -> None:
    """Refuse a run that is to go on where nothing can be written: --out cannot be given then."""
    refuse_unwritable(folder, "change its rights, or copy it elsewhere and resume the copy")
