"""Which exercises were solved, in one small file of the current folder.

Written after every check; a folder that cannot be written to must never disturb a check. A file
that cannot be read, after a merge or a full disk, is set aside beside the new one. Notebooks that
check at the same time wait for each other, by a lock in a file beside it. Where MINIDS_BOARD names
a folder that a room shares, a copy goes there under the learner's name.
"""

import getpass
import json
import os
import platform
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

if sys.platform != "win32":  # which has other locks: there, nobody waits
    import fcntl

FILE = Path(".minids") / "progress.json"

PATIENCE = 5.0
"""Seconds that a check waits for others to write: they take milliseconds, and one may hang."""


def record(name: str, state: str, held: int, failed: str) -> None:
    """Add one result to the progress file. MINIDS_PROGRESS=off in the environment: do nothing.

    An exercise whose answer was shown does not become solved by checking it.
    """

    def add(known: dict[str, Any]) -> None:
        before = known.get(name, {})
        shown = before.get("shown", False)
        known[name] = {
            "solved": before.get("solved", False) or (state == "solved" and not shown),
            "shown": shown,
            "state": state,
            "claims": held,
            "failed": failed,
            "tries": before.get("tries", 0) + 1,
            "when": _now(),
        }

    _change(Path("."), add)


def show(names: Iterable[str]) -> None:
    """Mark exercises as shown, but for those that were solved before."""

    def mark(known: dict[str, Any]) -> None:
        for name in names:
            before = known.get(name, {})
            if not before.get("solved", False):
                fresh = {"solved": False, "state": "blank", "claims": 0, "failed": "", "tries": 0}
                known[name] = {**fresh, **before, "shown": True, "when": _now()}

    _change(Path("."), mark)


def forget(names: Iterable[str], folder: Path) -> None:
    """Drop what the file in `folder` says of these exercises, as if never tried."""

    def drop(known: dict[str, Any]) -> None:
        for name in names:
            known.pop(name, None)

    if (folder / FILE).exists():
        _change(folder, drop)


def is_shown(name: str) -> bool:
    """Whether the answer was shown here, and the exercise not solved before that."""
    return standing(read(Path(".")).get(name, {})) == "shown"


def standing(entry: dict[str, Any]) -> str:
    """One word for an entry of the file: solved, shown, tried, or open."""
    if entry.get("solved"):
        return "solved"
    if entry.get("shown"):
        return "shown"
    return "tried" if entry.get("tries") else "open"


def read(folder: Path) -> dict[str, Any]:
    """Results by exercise name, as recorded in `folder`; empty where nothing was recorded."""
    return load(folder / FILE)


def load(path: Path) -> dict[str, Any]:
    """Results by exercise name from one file; empty where it holds nothing of the kind."""
    return _entries(_parsed(path))


def learner() -> str:
    """Who works here: MINIDS_LEARNER, else user and machine; letters that a file name may have."""
    try:
        name = os.environ.get("MINIDS_LEARNER") or f"{getpass.getuser()}-{platform.node()}"
    except (OSError, KeyError):  # a container without a user's name
        name = platform.node()
    return re.sub(r"[^\w.@+-]+", "_", name).strip("._") or "somebody"


def _change(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    if os.environ.get("MINIDS_PROGRESS", "on") == "off":
        return
    try:
        with _alone(folder / FILE):
            found = _parsed(folder / FILE)
            if found is None:
                _set_aside(folder / FILE)
            known = _entries(found)
            change(known)
            _write(folder / FILE, known)
            room = os.environ.get("MINIDS_BOARD")
            if room:
                _write(Path(room) / f"{learner()}.json", known)
    except (OSError, ValueError, TypeError, AttributeError):
        return


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Inside the block nobody else changes the file, where the system has locks."""
    with ExitStack() as held:
        with suppress(OSError):  # some network drives know no locks, and some processes hang
            path.parent.mkdir(exist_ok=True)
            _lock(held.enter_context(path.with_suffix(".lock").open("a")))
        yield


def _lock(file: IO[str]) -> None:
    """Wait for the lock, which ends with the open file; BlockingIOError if that takes too long."""
    deadline = time.monotonic() + PATIENCE
    while sys.platform != "win32":
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.005)


def _parsed(path: Path) -> dict[str, Any] | None:
    """What a file holds; None where it is missing or no table of results."""
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return known if isinstance(known, dict) else None


def _entries(known: dict[str, Any] | None) -> dict[str, Any]:
    return {name: entry for name, entry in (known or {}).items() if isinstance(entry, dict)}


def _set_aside(path: Path) -> None:
    """Rename a file that cannot be read, so that what may be saved of it is not written over."""
    if path.is_file() and path.stat().st_size:
        os.replace(path, path.with_name(f"{path.stem}.unreadable-{time.time_ns()}{path.suffix}"))


def _write(path: Path, known: dict[str, Any]) -> None:
    path.parent.mkdir(exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            # one exercise a line
            rows = ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in sorted(known.items()))
            file.write("{\n" + rows + "\n}\n")
        os.chmod(name, 0o644)  # a teacher may read it
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M")
