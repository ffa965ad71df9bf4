"""Runs that go on while the notebook does, on a core that would only wait.

    later = beside(run, {"zero": {"steps": 60}}, seeds=(1, 2))
    ...
    results = later.result()

Left out: a progress bar, which would land in whatever cell runs just then.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from threading import Thread
from typing import Any

from minids.study.compare import compare
from minids.study.results import Results


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
    promise: Future[Results] = Future()

    def keep() -> None:
        try:
            if after is not None:
                wait([after])
            promise.set_result(compare(run, arms, seeds, workers=workers, progress=False))
        except Exception as error:
            promise.set_exception(error)

    if workers:
        Thread(target=keep, daemon=True).start()
    else:
        keep()
    return promise
