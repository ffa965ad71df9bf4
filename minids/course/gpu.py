"""A chapter run for what it finds, cell by cell, without Jupyter.

    for done in cells(read(path), "04_mla", folder, "gpu"):
        print(done.number, done.seconds)

The cells run in a fresh plain Python (study/stage.py), so that a machine needs nothing but the
package. The notebooks of the course stay as they are. What becomes of the findings is
findings.py's matter.
"""

import json
import os
import queue
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

from minids.course import files
from minids.study.device_memory import Usage
from minids.study.shown import Figure

NO_ROOM = ("OutOfMemoryError", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "MemoryError")


class ChapterError(RuntimeError):
    """A chapter that stopped. The message names chapter, cell and reason, and what to do.

    `details` is the traceback of the cell, or the last words of its Python; it may be empty.
    """

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message)
        self.details = details


class Done(NamedTuple):
    """One code cell that has run. `usage` is that of the device; None on a CPU."""

    number: int  # of code cells, from 0
    seconds: float
    usage: Usage | None
    printed: str = ""
    figures: Sequence[Figure] = ()


def chapter(name: str, root: Path) -> Path:
    """Return the source of the chapter that is called "04", "4", "04_mla" or "mla".

    ValueError, with the chapters there are, for any other name.
    """
    found = chapters(root)
    asked = name.zfill(2) if name.isdecimal() else name
    for path in found:
        if asked in (path.stem, *path.stem.split("_", 1)):
            return path
    known = ", ".join(path.stem for path in found) or "none yet"
    raise ValueError(f"there is no chapter {name!r}; there are: {known}")


def chapters(root: Path) -> list[Path]:
    """Return the sources of all chapters in their order."""
    return [path for path in files.sources(root) if path.parent.parent.name == "notebooks"]


def read(path: Path) -> list[str]:
    """Return the code cells of a chapter's source."""
    parts = re.split(r"^# %%(.*)\n", path.read_text(encoding="utf-8"), flags=re.M)[1:]
    found = zip(parts[::2], parts[1::2], strict=True)
    return [code.strip("\n") for head, code in found if "[markdown]" not in head]


def title(code: str, width: int = 56) -> str:
    """Return the first line that is neither import nor comment, cut to `width` letters."""
    lines = [line for line in code.splitlines() if line.strip()] or ["(empty)"]
    plain = [line for line in lines if not line.startswith(("#", "import ", "from ", "@"))]
    first = (plain or lines)[0].strip()
    return first if len(first) <= width else first[: width - 1] + "…"


def cells(
    codes: Sequence[str], name: str, folder: Path, scale: str, *, seconds: float = 3600.0
) -> Generator[Done, None, None]:
    """Run code cells in `folder` at a scale, and yield each when it is done.

    `seconds` is the limit for one cell. ChapterError when a cell fails, takes longer, runs out of
    memory or kills its Python. That Python ends with the iterator, also when it is closed early.
    """
    with _python(folder, scale) as (process, replies, log):
        for number, code in enumerate(codes):
            where = f"{name} stopped in code cell {number} of {len(codes)} ({title(code)})"
            try:
                _send(process, code)
                reply = replies.get(timeout=seconds)
            except queue.Empty:
                raise ChapterError(
                    f"{where}: it took longer than {seconds:g} s; allow more with --seconds"
                ) from None
            if reply is None:
                raise ChapterError(
                    f"{where}: its Python ended with exit code {process.wait()}, as it does when "
                    "the system has no memory left. Close other programs, or take a smaller scale",
                    _last_words(log),
                )
            usage = Usage(*reply["usage"]) if reply["usage"] else None
            if reply["error"]:
                reason = _reason(reply["error"], usage, name)
                raise ChapterError(f"{where}. {reason}", reply["traceback"])
            shown = [Figure(*figure) for figure in reply["figures"]]
            yield Done(number, reply["seconds"], usage, reply["printed"], shown)


@contextmanager
def _python(
    folder: Path, scale: str
) -> Iterator[tuple["subprocess.Popen[str]", "queue.SimpleQueue[Any]", IO[bytes]]]:
    """A fresh Python that waits for cells, its answers, and what it says on stderr.

    It knows our paths and does not hear a Ctrl-C in our terminal; it is ended with the context.
    """
    settings = {
        "MINIDS_SCALE": scale,
        "MINIDS_PROGRESS": "off",
        "MPLBACKEND": "agg",
        "PYTHONPATH": os.pathsep.join(os.path.abspath(path) for path in sys.path),
    }
    replies: queue.SimpleQueue[Any] = queue.SimpleQueue()
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-c", "from minids.study.stage import serve; serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env={**os.environ, **settings},
            cwd=folder,
            encoding="utf-8",
            start_new_session=True,
        )
        assert process.stdin is not None and process.stdout is not None
        reader = threading.Thread(target=_collect, args=(process.stdout, replies), daemon=True)
        reader.start()
        try:
            yield process, replies, log
        finally:
            process.kill()
            process.wait()
            reader.join()
            process.stdout.close()
            with suppress(OSError):  # of what it did not take
                process.stdin.close()


def _send(process: "subprocess.Popen[str]", code: str) -> None:
    """Order a cell. That nobody is there to take it shows in the answers."""
    assert process.stdin is not None
    try:
        process.stdin.write(json.dumps(code) + "\n")
        process.stdin.flush()
    except OSError:
        return


def _collect(answers: Iterable[str], replies: "queue.SimpleQueue[Any]") -> None:
    """Hand on each answer, and None when there will be no more."""
    for line in answers:
        replies.put(json.loads(line))
    replies.put(None)


def _last_words(log: IO[bytes]) -> str:
    log.seek(0)
    return log.read()[-2000:].decode(errors="replace")


def _reason(error: str, usage: Usage | None, name: str) -> str:
    """The last line of an error; for a full device what was used, what was free, what to do."""
    last = error.strip().splitlines()[-1]
    if not any(mark in error for mark in NO_ROOM):
        return last
    if usage is None:
        return f"The memory was full: {last}. Take a smaller scale"
    held, peak, free, total = (f"{n / 1e9:.1f}" for n in usage)
    return (
        f"The device was full: the chapter used {peak} GB at most and holds {held} GB now, "
        f"{free} of {total} GB are free. Close other programs that use the device, take a larger "
        f"one, or run the chapter without it: minids gpu {name} --scale laptop"
    )
