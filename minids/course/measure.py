"""Seconds and peak memory of each cell, measured while a notebook is built, and their guard."""

import json
import os
import platform
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

from minids.course.files import write
from minids.study.results import processor

FILE = Path("data") / "results" / "cells.json"


class Cost(NamedTuple):
    """What one code cell took. `cell` counts code cells from 0; `mb` is the peak, in 10^6 bytes."""

    cell: int
    seconds: float
    mb: int


class Meter:
    """Watches a process and its children: seconds and peak memory from `start` to `stop`."""

    def __init__(self, pid: int, every: float = 0.05) -> None:
        import psutil

        self.process = psutil.Process(pid)
        self.every = every
        self.peak = 0
        self.began = 0.0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._sample, daemon=True)
        self.thread.start()

    def __enter__(self) -> "Meter":
        return self

    def __exit__(self, *_error: object) -> None:
        self.over.set()
        self.thread.join(timeout=1)

    def start(self) -> None:
        """Begin a cell."""
        self.peak, self.began = self._now(), time.monotonic()

    def stop(self) -> tuple[float, int]:
        """Seconds and peak megabytes since `start`."""
        self.peak = max(self.peak, self._now())
        return time.monotonic() - self.began, round(self.peak / 1e6)

    def _sample(self) -> None:
        while not self.over.wait(self.every):
            self.peak = max(self.peak, self._now())

    def _now(self) -> int:
        import psutil

        total = 0
        try:
            for process in [self.process, *self.process.children(recursive=True)]:
                total += process.memory_info().rss
        except psutil.Error:  # a process that has just ended
            pass
        return total


def machine() -> dict[str, Any]:
    """What the figures were measured on, in one line's worth of words."""
    import torch

    return {
        "cpu": processor(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "date": time.strftime("%Y-%m-%d"),
    }


def stored(root: Path) -> dict[str, list[Cost]]:
    """Measured costs by notebook, as in "notebooks/00_map"; empty where nothing was measured."""
    path = root / FILE
    if not path.exists():
        return {}
    known = json.loads(path.read_text(encoding="utf-8"))["notebooks"]
    return {name: [Cost(*row) for row in rows] for name, rows in known.items()}


def store(root: Path, name: str, costs: list[Cost]) -> None:
    """Write the costs of one notebook beside those of the others."""
    _write(root, machine(), {**stored(root), name: costs})


def lengthen(root: Path, lengths: dict[str, int]) -> list[Path]:
    """Put a first cell that costs nothing before the costs of notebooks that got such a cell.

    lengths: code cells by notebook. Those that have one more than was measured are meant; what
    was measured on which machine stays. The path of the file if it changed.
    """
    known = stored(root)
    short = [name for name, rows in known.items() if rows and lengths.get(name) == len(rows) + 1]
    for name in short:
        rows = [Cost(0, 0.0, known[name][0].mb), *known[name]]
        known[name] = [cost._replace(cell=number) for number, cost in enumerate(rows)]
    if short:
        path = root / FILE
        _write(root, json.loads(path.read_text(encoding="utf-8"))["machine"], known)
    return [root / FILE] if short else []


def _write(root: Path, measured_on: dict[str, Any], known: dict[str, list[Cost]]) -> None:
    notebooks = [
        f"  {json.dumps(key)}: {json.dumps([list(cost) for cost in rows])}"
        for key, rows in sorted(known.items())
    ]
    text = (
        f'{{\n "machine": {json.dumps(measured_on)},\n "columns": ["cell", "seconds", "mb"],\n'
        ' "notebooks": {\n' + ",\n".join(notebooks) + "\n }\n}\n"
    )
    write(root / FILE, text)


def doubled(
    before: dict[str, list[Cost]],
    now: dict[str, list[Cost]],
    *,
    least_seconds: float = 5.0,
    least_mb: int = 300,
) -> list[str]:
    """Sentences naming the cells that cost twice what they did, and noticeably so.

    A slower machine is allowed for: seconds are first divided by the median ratio over all cells
    of half a second or more, if that is above 1. Growth of less than `least_…` is no news.
    """
    pairs = [
        (name, old, new)
        for name, rows in now.items()
        for old, new in zip(before.get(name, []), rows, strict=False)
    ]
    ratios = sorted(new.seconds / old.seconds for _, old, new in pairs if old.seconds >= 0.5)
    slower = max(1.0, ratios[len(ratios) // 2]) if ratios else 1.0
    found = []
    for name, old, new in pairs:
        seconds = new.seconds / slower
        if seconds > 2 * old.seconds and seconds - old.seconds > least_seconds:
            found.append(f"{name}, cell {new.cell}: {old.seconds:.1f} s became {seconds:.1f} s")
        if new.mb > 2 * old.mb and new.mb - old.mb > least_mb:
            found.append(f"{name}, cell {new.cell}: {old.mb} MB became {new.mb} MB")
    return found
