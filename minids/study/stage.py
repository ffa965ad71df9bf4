"""The process in which the cells of a chapter run: plain Python, one cell after another.

A cell is a JSON line on standard input, its answer a JSON line on what was standard output. The
other end is course/gpu.py. Names live on from cell to cell, and a last line that is an expression
is shown, as in a notebook.
"""

import ast
import io
import json
import linecache
import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Iterable
from contextlib import redirect_stdout
from types import ModuleType
from typing import Any

from minids.study import shown
from minids.study.cards import Unbacked


def serve() -> None:
    """Run the cells that arrive until nobody is left to send one."""
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    shown.install()
    sys.modules["__main__"] = main = ModuleType("__main__")
    orders: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests, orders), daemon=True).start()
    for number in range(sys.maxsize):
        code = json.loads(orders.get())
        replies.write(json.dumps(answer(code, f"<cell {number}>", vars(main))) + "\n")
        replies.flush()


def _listen(requests: Iterable[str], orders: "queue.SimpleQueue[str]") -> None:
    """Take orders, and end at once when nobody is left to give one, even in the midst of a cell."""
    for line in requests:
        orders.put(line)
    os._exit(0)


def answer(code: str, name: str, names: dict[str, Any]) -> dict[str, Any]:
    """Return what came of a cell: seconds, printed words, figures, memory of the device, error.

    `error` is a line, and None where the cell ran; `traceback` then says more.
    """
    error = told = None
    began = time.monotonic()
    with redirect_stdout(io.StringIO()) as said:
        try:
            execute(code, name, names)
            _finish()
        except (
            Unbacked
        ) as wrong:  # no mistake of the chapter: on this machine it found other things
            print(f"DOES NOT HOLD: {wrong}")
        except (Exception, SystemExit, KeyboardInterrupt) as wrong:
            error = "".join(traceback.format_exception_only(wrong)).strip()
            told = traceback.format_exc()
    seconds = time.monotonic() - began
    try:
        usage = _usage()
    except RuntimeError:  # a device that failed in the cell answers no questions either
        usage = None
    found = {"printed": said.getvalue(), "figures": shown.take(), "usage": usage}
    return {"seconds": seconds, "error": error, "traceback": told, **found}


def execute(code: str, name: str, names: dict[str, Any]) -> None:
    """Run a cell among `names`; show its last line if that is an expression and not None."""
    linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
    tree = ast.parse(code, name)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, name, "exec"), names)
    if isinstance(last, ast.Expr):
        value = eval(compile(ast.Expression(last.value), name, "eval"), names)
        if value is not None and not code.rstrip().endswith(";"):
            shown.display(value)


def _finish() -> None:
    """Wait for the device: a cell is done when its work is."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.synchronize()


def _usage() -> Any:
    """Memory of the CUDA device since the cell before; None where none is in use."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None
    from minids.study.device_memory import usage

    return usage("cuda")
