"""Runs that go on while the notebook does, on a core that would only wait.

    later = beside(run, {"zero": {"steps": 60}}, seeds=(1, 2))
    other = meanwhile(trained, seed=0)
    ...
    results, model = later.result(), other.result()

Left out: a progress bar, which would land in whatever cell runs just then.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from threading import Thread
from typing import Any, TypeVar

from minids.study.compare import compare
from minids.study.results import Results
from minids.study.workers import run_tasks

T = TypeVar("T")


def beside(
    run: Callable[..., float | Mapping[str, float]],
    arms: Mapping[str, Mapping[str, Any]],
    seeds: Sequence[int],
    *,
    workers: int = 1,
    after: "Future[Results] | None" = None,
) -> "Future[Results]":
    """Return at once; `result()` waits for what `compare` would have returned, or raises.

    The runs take `workers` processes, and begin when those of `after` have ended. With 0 they are
    done here and now, as on a GPU, which has no other core. They end with the notebook's kernel.
    """

    def work() -> Results:
        if after is not None:
            wait([after])
        return compare(run, arms, seeds, workers=workers, progress=False)

    return _promised(work, at_once=not workers)


def meanwhile(run: Callable[..., T], *, workers: int = 1, **task: Any) -> "Future[T]":
    """Return at once; `result()` waits for what `run(**task)` returns, or raises.

    It runs in a process of its own with one thread; with 0 `workers` here and now.
    """

    def work() -> T:
        if not workers:
            return run(**task)
        [(_, found)] = run_tasks(run, [task], 1)
        return found

    return _promised(work, at_once=not workers)


def _promised(work: Callable[[], T], *, at_once: bool) -> "Future[T]":
    """What `work` will have returned or raised, in a thread of its own."""
    promise: Future[T] = Future()

    def keep() -> None:
        try:
            promise.set_result(work())
        except Exception as error:
            promise.set_exception(error)

    if at_once:
        keep()
    else:
        Thread(target=keep, daemon=True).start()
    return promise
