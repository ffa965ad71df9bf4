"""Folders that are there as a whole or not at all, and that know when they are damaged.

A folder is filled beside its final place, sealed with the size and hash of every file, flushed
to the disk and renamed. A kill at any moment, or a full disk, leaves the older folders alone.

Left out: two processes that write to one place.
"""

import errno
import json
import os
import re
import shutil
from collections.abc import Callable
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

SEAL = "checkpoint.json"
_NAME = re.compile(r"step-(\d{6,})(\.old)?")


class CheckpointError(ValueError):
    """A checkpoint that cannot be used. The message names the file and what to do."""


def complete(folder: Path) -> dict[int, Path]:
    """Return the complete checkpoints in `folder` by step, oldest first."""
    found: dict[int, Path] = {}
    for path in sorted(folder.glob("step-*"), reverse=True):
        match = _NAME.fullmatch(path.name)
        if match and path.is_dir():
            found[int(match[1])] = path  # step-000001.old counts where step-000001 is missing
    return dict(sorted(found.items()))


def latest(folder: Path) -> Path | None:
    """Return the complete checkpoint of the highest step, or None."""
    found = complete(folder)
    return found[max(found)] if found else None


def publish(folder: Path, step: int, fill: Callable[[Path], dict[str, Any]], keep: int) -> Path:
    """Make checkpoint `step` in `folder`: `fill` writes its files and returns what to note.

    All but the `keep` latest checkpoints are deleted once the new one is complete.
    """
    target = folder / f"step-{step:06d}"
    temporary = folder / f".writing-{target.name}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(folder)
        temporary.mkdir()
        _seal(temporary, fill(temporary))
        aside = target.with_name(target.name + ".old")
        if target.exists():  # the same step again: both stay until the new one is in place
            shutil.rmtree(aside, ignore_errors=True)
            target.rename(aside)
        temporary.rename(target)
        _flush(folder)
    except OSError as error:
        left = latest(folder)
        raise OSError(
            error.errno or errno.EIO,
            f"{target} could not be saved ({error}). "
            + (f"{left.name} is still complete; " if left else "There was none before; ")
            + "make room or choose another folder, and save again",
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    _prune(folder, keep)
    return target


def check(path: Path) -> dict[str, Any]:
    """Return what was noted in a checkpoint, after comparing every file with its hash."""
    file = path / SEAL
    try:
        whole = json.loads(file.read_text(encoding="utf-8"))
        noted, files, stated = whole["noted"], whole["files"], whole["sha256"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        raise CheckpointError(f"{file} is missing or damaged. {_advice(path)}") from None
    except OSError as error:
        raise CheckpointError(
            f"{file} cannot be read ({error.strerror}). Nothing says that it is damaged: keep it, "
            "and see that it can be read"
        ) from None
    if stated != _hash_of([noted, files]):
        raise CheckpointError(f"{file} was changed after it was written. {_advice(path)}")
    for name, written in files.items():
        _refuse_damage(path / name, written)
    return noted


def _refuse_damage(file: Path, written: dict[str, Any]) -> None:
    if not file.exists():
        raise CheckpointError(f"{file} is missing. {_advice(file.parent)}")
    size = file.stat().st_size
    if size != written["bytes"]:
        raise CheckpointError(
            f"{file} is damaged: {size:,} bytes, {written['bytes']:,} were written. "
            + _advice(file.parent)
        )
    if _hash(file) != written["sha256"]:
        raise CheckpointError(
            f"{file} is damaged: its content is not what was written. {_advice(file.parent)}"
        )


def _advice(path: Path) -> str:
    older = [p.name for p in complete(path.parent).values() if p != path]
    then = f"{older[-1]} is loaded next" if older else "no other checkpoint is left here"
    return f"Restore it from a copy, or delete {path}: {then}"


def _seal(where: Path, noted: dict[str, Any]) -> None:
    """Write the seal and flush every file, and the folder itself, to the disk."""
    files = {}
    for path in sorted(where.iterdir()):
        _flush(path)
        files[path.name] = {"bytes": path.stat().st_size, "sha256": _hash(path)}
    whole = {"sha256": _hash_of([noted, files]), "files": files, "noted": noted}
    (where / SEAL).write_text(json.dumps(whole, indent=1), encoding="utf-8")
    _flush(where / SEAL)
    _flush(where)


def _prune(folder: Path, keep: int) -> None:
    """Delete all but the `keep` latest checkpoints, and copies that a newer save replaced."""
    kept = list(complete(folder).values())[-keep:]
    for path in folder.glob("step-*"):
        if _NAME.fullmatch(path.name) and path not in kept:
            # Renamed first: a kill half-way must not leave half a checkpoint under a good name.
            path.rename(path.with_name(f".deleting-{path.name}"))
    _remove_leftovers(folder)


def _remove_leftovers(folder: Path) -> None:
    for path in [*folder.glob(".writing-step-*"), *folder.glob(".deleting-step-*")]:
        shutil.rmtree(path, ignore_errors=True)


def _hash(file: Path) -> str:
    with file.open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()


def _hash_of(value: Any) -> str:
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _flush(path: Path) -> None:
    """Make the system write a file, or the names in a folder, to the disk."""
    if path.is_dir() and not hasattr(os, "O_DIRECTORY"):
        return  # Windows cannot open folders, and needs not
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
