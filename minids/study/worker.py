"""What a worker does with its life: tasks come in through one pipe, results leave by another.

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


def serve() -> None:
    """Run tasks from standard input until it ends: what a worker does with its life.

    Bytes are a function with a list of tasks, and a number after them asks for one of the tasks;
    None says that they are done.
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
            _return_memory()
            continue
        if isinstance(order, bytes):
            try:
                (function, tasks), problem = pickle.loads(order), ""
            except Exception:
                problem = traceback.format_exc()
            continue
        try:
            reply = ("error", problem) if problem else ("result", function(**tasks[order]))
            data = pickle.dumps(reply)
        except Exception:
            data = pickle.dumps(("error", traceback.format_exc()))
        replies.write(data)
        replies.flush()


def _listen(requests: IO[bytes], orders: "queue.SimpleQueue[bytes | int | None]") -> None:
    """Take orders, and end at once when nobody is left to give one, even in the midst of a task."""
    try:
        while True:
            orders.put(pickle.load(requests))
    except (EOFError, OSError):
        os._exit(0)


def _return_memory() -> None:
    """Give memory that nobody uses back to the system, where the C library can."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)
