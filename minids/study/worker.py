"""The inside of a worker: tasks come in through one pipe, results leave by another.

`workers.py` starts such processes and gives them their tasks.
"""

import ctypes
import gc
import os
import pickle
import queue
import sys
import threading
import traceback
from typing import IO, Any

from minids.study.edited import own_files


def serve() -> None:
    """Run tasks from standard input until it ends: what a worker does with its life.

    Bytes are a function with a list of tasks, and a number after them asks for one of the tasks;
    None says that they are done, and is answered with the memory that is still in use and the
    user's files that were loaded.
    """
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    orders: queue.SimpleQueue[bytes | int | None] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, orders), daemon=True).start()
    function: Any = None
    tasks: list[dict[str, Any]] = []
    problem = ""
    while True:
        order = orders.get()
        if order is None:
            function, tasks = None, []
            _say(replies, (_returned_memory(), own_files()))
            continue
        if isinstance(order, bytes):
            try:
                (function, tasks), problem = pickle.loads(order), ""
            except Exception:
                problem = traceback.format_exc()
            continue
        try:
            _say(replies, ("error", problem) if problem else ("result", function(**tasks[order])))
        except Exception:
            _say(replies, ("error", traceback.format_exc()))


def _say(replies: IO[bytes], reply: Any) -> None:
    data = pickle.dumps(reply)  # all of it, before any of it is sent
    replies.write(data)
    replies.flush()


def _listen(requests: IO[bytes], orders: "queue.SimpleQueue[bytes | int | None]") -> None:
    """Take orders, and end at once when nobody is left to give one, even in the midst of a task."""
    try:
        while True:
            orders.put(pickle.load(requests))
    except (EOFError, OSError):
        os._exit(0)


def _returned_memory() -> int:
    """Give back what memory nobody uses; return the bytes that are left, 0 where none can tell.

    What is read from files, such as the libraries of CUDA, is not this worker's alone.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)
    try:
        with open("/proc/self/statm", encoding="ascii") as pages:
            _, resident, from_files, *_ = map(int, pages.read().split())
            return (resident - from_files) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
