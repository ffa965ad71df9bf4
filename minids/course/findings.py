"""What a chapter found: its verdicts, and everything written with one row of JSON."""

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from minids.course import files
from minids.course.gpu import Done
from minids.study.shown import Figure

HOLDS, BROKEN = "holds: ", "DOES NOT HOLD: "
ROW, PRINTED = "row.json", "printed.txt"


class Verdict(NamedTuple):
    """A claim that a cell printed, and whether it holds here."""

    cell: int
    holds: bool
    text: str


def verdicts(done: Sequence[Done]) -> list[Verdict]:
    """Return every claim among the printed lines, in their order."""
    return [
        Verdict(cell.number, line.startswith(HOLDS), line.split(": ", 1)[1])
        for cell in done
        for line in cell.printed.splitlines()
        if line.startswith((HOLDS, BROKEN))
    ]


def row(name: str, scale: str, done: Sequence[Done], where: dict[str, Any]) -> dict[str, Any]:
    """Return all that was found, ready for JSON. `where` is the provenance of the run.

    peak_bytes: the most that tensors held on the device at a time; None on a CPU.
    """
    peaks = [cell.usage.peak for cell in done if cell.usage is not None]
    drawn = _figures(done)
    return {
        "chapter": name,
        "scale": scale,
        "command": f"minids gpu {name} --scale {scale}",
        **where,
        "seconds": round(sum(cell.seconds for cell in done), 2),
        "peak_bytes": max(peaks, default=None),
        "claims": [verdict._asdict() for verdict in verdicts(done)],
        "figures": [
            {"file": file_of(i), "cell": cell, "alt": figure.alt}
            for i, (cell, figure) in enumerate(drawn)
        ],
        "cells": [
            {
                "cell": cell.number,
                "seconds": round(cell.seconds, 2),
                "peak_bytes": cell.usage.peak if cell.usage else None,
            }
            for cell in done
        ],
    }


def file_of(number: int) -> str:
    """Return the name of a figure's file; `number` counts from 0, the file from 1."""
    return f"figure_{number + 1:02}.png"


def write(out: Path, name: str, scale: str, done: Sequence[Done], where: dict[str, Any]) -> Path:
    """Write figures, printed text and, last of all and in one step, the row; return its path.

    Figures of an earlier run that this one does not have are deleted. Nothing else in `out` is
    touched.
    """
    found, drawn = row(name, scale, done, where), _figures(done)
    for number, (_, figure) in enumerate(drawn):
        files.write_bytes(out / file_of(number), base64.b64decode(figure.png))
    for old in out.glob("figure_[0-9][0-9].png"):
        if old.name not in {file_of(i) for i in range(len(drawn))}:
            old.unlink()
    text = [f"--- cell {c.number}\n{c.printed}" for c in done if c.printed]
    files.write(out / PRINTED, "".join(text))
    files.write(out / ROW, json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    return out / ROW


def _figures(done: Sequence[Done]) -> list[tuple[int, Figure]]:
    """Every picture with the number of its cell, in their order."""
    return [(cell.number, figure) for cell in done for figure in cell.figures]
