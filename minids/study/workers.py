"""Processes that run one function over and over, each with a single torch thread.

Two processes of one thread train two models faster than one process of two threads does one after
the other, and do not wait for each other. A worker is a fresh Python that imports torch once, and
then takes one task after another through its pipes.

Left out: several machines, tasks that talk to each other.
"""

import os
import pickle
import queue
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Generator, Sequence
from typing import IO, Any

from minids.study.ship import pack

SETTINGS = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": str(2**30),  # these two: see scale.keep_memory
    "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1),
}
"""The environment of a worker, which has to stand before torch is imported."""


class WorkerError(RuntimeError):
    """A task failed in a worker. `task` is its number; the message holds the worker's traceback."""

    def __init__(self, task: int, message: str) -> None:
        super().__init__(message)
        self.task = task


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_tasks(
    function: Callable[..., Any], tasks: Sequence[dict[str, Any]], workers: int
) -> Generator[tuple[int, Any], None, None]:
    """Return pairs (number of the task, result of `function(**task)`) in the order they finish.

    What tasks print is not shown. The workers end with the iterator, also when it is closed early
    or interrupted. `WorkerError` when a task raises or a worker dies.
    """
    packed = pack((function, list(tasks)))
    todo: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[int, str, Any]] = queue.SimpleQueue()
    for number in [*range(len(tasks)), *[None] * workers]:
        todo.put(number)
    started: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(workers):
            with tempfile.TemporaryFile() as log:
                process = _start(log)
                started.append(process)
                watcher = (process, os.dup(log.fileno()), packed, todo, done)
                threading.Thread(target=_drive, args=watcher, daemon=True).start()
        for _ in tasks:
            number, outcome, result = done.get()
            if outcome != "result":
                raise WorkerError(number, result)
            yield number, result
    finally:
        for process in started:
            process.kill()
        for process in started:
            process.wait()


def serve() -> None:
    """Run tasks from standard input until it ends: what a worker does with its life."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    requests = sys.stdin.buffer
    try:
        function, tasks = pickle.loads(pickle.load(requests))
        problem = ""
    except Exception:
        problem = traceback.format_exc()
    numbers: queue.SimpleQueue[int] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests, numbers), daemon=True).start()
    while True:
        number = numbers.get()
        try:
            reply = ("error", problem) if problem else ("result", function(**tasks[number]))
            data = pickle.dumps(reply)
        except Exception:
            data = pickle.dumps(("error", traceback.format_exc()))
        replies.write(data)
        replies.flush()


def _listen(requests: IO[bytes], numbers: "queue.SimpleQueue[int]") -> None:
    """Take orders, and end at once when nobody is left to give one, even in the midst of a task."""
    try:
        while True:
            numbers.put(pickle.load(requests))
    except (EOFError, OSError):
        os._exit(0)


def _start(log: IO[bytes]) -> "subprocess.Popen[bytes]":
    """A worker that knows our paths, has one thread, and does not hear a Ctrl-C in our terminal."""
    paths = os.pathsep.join(os.path.abspath(path) for path in sys.path)
    return subprocess.Popen(
        [sys.executable, "-c", "from minids.study.workers import serve; serve()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        env={**os.environ, **SETTINGS, "PYTHONPATH": paths},
        start_new_session=True,
    )


def _drive(
    process: "subprocess.Popen[bytes]",
    log: int,
    packed: bytes,
    todo: "queue.SimpleQueue[int | None]",
    done: "queue.SimpleQueue[tuple[int, str, Any]]",
) -> None:
    """Hand tasks to one worker and its replies to `done`, until there are no tasks left."""
    assert process.stdin is not None and process.stdout is not None
    number: int | None = None
    with os.fdopen(log, "rb") as said:
        try:
            with process.stdin, process.stdout:
                pickle.dump(packed, process.stdin)
                while (number := todo.get()) is not None:
                    pickle.dump(number, process.stdin)
                    process.stdin.flush()
                    done.put((number, *pickle.load(process.stdout)))
        except (EOFError, OSError, pickle.UnpicklingError):
            said.seek(0)
            last = said.read()[-2000:].decode(errors="replace")
            message = f"the worker ended with exit code {process.wait()}; its last words:\n{last}"
            done.put((-1 if number is None else number, "died", message))
