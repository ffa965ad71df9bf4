"""Processes that run one function over and over, each with a single torch thread.

Two processes of one thread train two models faster than one process of two threads does one after
the other, and do not wait for each other. A worker is a Python of its own that imports torch once,
and then takes one task after another through its pipes.

Left out: several machines, tasks that talk to each other.
"""

import atexit
import os
import pickle
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from typing import IO, Any, NamedTuple

from minids.study.edited import edited
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
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_tasks(
    function: Callable[..., Any], tasks: Sequence[dict[str, Any]], workers: int | None = None
) -> Generator[tuple[int, Any], None, None]:
    """Return pairs (number of the task, result of `function(**task)`) in the order they finish.

    `workers`: one for every core if None; 0 takes one task after another in this process, as on a
    GPU. What tasks print in a worker is not shown. When all tasks are done the workers wait for
    the next call, for a minute, unless they have grown or hold code that was edited since; when
    the iterator is closed early or interrupted they end with it. `WorkerError` when a task raises
    in a worker or a worker dies.
    """
    workers = min(cores() if workers is None else workers, len(tasks))
    if workers == 0:
        yield from ((number, function(**task)) for number, task in enumerate(tasks))
        return
    packed = pack((function, list(tasks)))
    todo: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[int, str, Any]] = queue.SimpleQueue()
    for number in [*range(len(tasks)), *[None] * workers]:
        todo.put(number)
    leaving = hired = list[_Worker]()
    rested: list[_Worker] = []  # done, and small enough to be kept
    drivers: list[threading.Thread] = []
    try:
        for _ in range(workers):
            hired.append(_hire())
            orders = (hired[-1], packed, todo, done, rested)
            drivers.append(threading.Thread(target=_drive, args=orders, daemon=True))
            drivers[-1].start()
        for _ in tasks:
            number, outcome, result = done.get()
            if outcome != "result":
                raise WorkerError(number, result)
            yield number, result
        for driver in drivers:
            driver.join()
        leaving = [worker for worker in hired if worker not in rested]
        _keep(rested)
    finally:
        _end(leaving)


class _Worker(NamedTuple):
    process: "subprocess.Popen[bytes]"
    log: IO[bytes]  # what it says on standard error
    born: dict[str, str]  # the environment it was started in
    since: float  # when it was started
    files: list[str]  # the user's modules that it holds, as they were since then


IDLE = 60.0
"""Seconds that a worker waits for the next call: a start takes two, and the memory is missed."""

LARGE = 450e6
"""Bytes from which on a worker is not kept: new it takes 170 million, 310 with torch for CUDA."""

_waiting: list[_Worker] = []
_patience: threading.Timer | None = None
_door = threading.Lock()


def _hire() -> _Worker:
    """A worker that waits, if it is as one that is born now would be; else a new one."""
    born = _environment()
    with _door:
        for worker in _waiting:
            young = worker.born == born and not edited(worker.files, worker.since)
            if young and worker.process.poll() is None:
                _waiting.remove(worker)
                return worker
    dismiss()  # who waits was born otherwise, and will not be hired again
    log, now = tempfile.TemporaryFile(), time.time()  # noqa: SIM115 - it outlives this call
    return _Worker(_start(log, born), log, born, now, [])


def _environment() -> dict[str, str]:
    """What a worker is born with: our paths, our folder, our settings, but one thread."""
    paths = os.pathsep.join(os.path.abspath(path) for path in sys.path)
    ours = {k: v for k, v in os.environ.items() if not k.startswith("TORCHINDUCTOR")}  # torch's own
    return {**ours, **SETTINGS, "PYTHONPATH": paths, "PWD": os.getcwd()}


def _start(log: IO[bytes], born: dict[str, str]) -> "subprocess.Popen[bytes]":
    """A worker that does not hear a Ctrl-C in our terminal."""
    return subprocess.Popen(
        [sys.executable, "-c", "from minids.study.worker import serve; serve()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        env=born,
        start_new_session=True,
    )


def _keep(workers: list[_Worker]) -> None:
    """Let workers wait for the next call. A minute without one ends all who wait."""
    global _patience
    with _door:
        _waiting.extend(workers)
        if _patience is not None:
            _patience.cancel()
        _patience = threading.Timer(IDLE, dismiss)
        _patience.daemon = True
        _patience.start()


def dismiss() -> None:
    """End the workers that wait."""
    with _door:
        leaving = _waiting[:]
        _waiting.clear()
    _end(leaving)


def _end(workers: Sequence[_Worker]) -> None:
    for worker in workers:
        worker.process.kill()
    for worker in workers:
        worker.process.wait()
        for pipe in (worker.process.stdin, worker.process.stdout, worker.log):
            assert pipe is not None
            with suppress(OSError):
                pipe.close()


atexit.register(dismiss)


def _drive(
    worker: _Worker,
    packed: bytes,
    todo: "queue.SimpleQueue[int | None]",
    done: "queue.SimpleQueue[tuple[int, str, Any]]",
    rested: list[_Worker],
) -> None:
    """Hand tasks to one worker and its replies to `done`, until there are no tasks left."""
    orders, replies = worker.process.stdin, worker.process.stdout
    assert orders is not None and replies is not None
    number: int | None = None
    try:
        pickle.dump(packed, orders)
        while (number := todo.get()) is not None:
            pickle.dump(number, orders)
            orders.flush()
            done.put((number, *pickle.load(replies)))
        pickle.dump(None, orders)
        orders.flush()
        memory, worker.files[:] = pickle.load(replies)
        if memory < LARGE:
            rested.append(worker)
    except Exception as error:  # whatever it is, somebody waits for an answer
        said = repr(error)
        with suppress(ValueError, OSError):
            if not isinstance(error, EOFError | OSError):
                worker.process.kill()  # it lives, and what it says cannot be understood
            code = worker.process.wait()
            worker.log.seek(0)
            last = worker.log.read()[-2000:].decode(errors="replace")
            said = f"exit code {code} ({said}); its last words:\n{last}"
        done.put((-1 if number is None else number, "died", f"the worker ended with {said}"))
