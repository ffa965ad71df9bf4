"""What the outputs of a chapter hold: figures, verdicts, text; and writing them with one row.

Left out: pictures inside sliders. A chapter shows the same figure beside each.
"""

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from minids.course import files
from minids.course.gpu import Done

HOLDS, BROKEN = "holds: ", "DOES NOT HOLD: "
ROW, PRINTED = "row.json", "printed.txt"


class Figure(NamedTuple):
    """A picture that a cell showed: the bytes of a PNG, and its description."""

    cell: int
    png: bytes
    alt: str


class Verdict(NamedTuple):
    """A claim that a cell printed, and whether it holds here."""

    cell: int
    holds: bool
    text: str


def figures(done: Sequence[Done]) -> list[Figure]:
    """Return every PNG among the outputs, in their order."""
    return [
        Figure(
            cell.number,
            base64.b64decode(output["data"]["image/png"]),
            output.get("metadata", {}).get("image/png", {}).get("alt", ""),
        )
        for cell in done
        for output in cell.outputs
        if "image/png" in output.get("data", {})
    ]


def verdicts(done: Sequence[Done]) -> list[Verdict]:
    """Return every claim among the printed lines, in their order."""
    return [
        Verdict(cell.number, line.startswith(HOLDS), line.split(": ", 1)[1])
        for cell in done
        for line in printed(cell).splitlines()
        if line.startswith((HOLDS, BROKEN))
    ]


def printed(cell: Done) -> str:
    """Return what a cell printed, without what it said on stderr."""
    return "".join(
        "".join(output["text"])
        for output in cell.outputs
        if output.get("output_type") == "stream" and output.get("name") == "stdout"
    )


def row(name: str, scale: str, done: Sequence[Done], where: dict[str, Any]) -> dict[str, Any]:
    """Return all that was found, ready for JSON. `where` is the provenance of the run.

    peak_bytes: the most that tensors held on the device at a time; None on a CPU.
    """
    peaks = [cell.usage.peak for cell in done if cell.usage is not None]
    drawn = figures(done)
    return {
        "chapter": name,
        "scale": scale,
        "command": f"minids gpu {name} --scale {scale}",
        **where,
        "seconds": round(sum(cell.seconds for cell in done), 2),
        "peak_bytes": max(peaks, default=None),
        "claims": [verdict._asdict() for verdict in verdicts(done)],
        "figures": [
            {"file": file_of(i), "cell": f.cell, "alt": f.alt} for i, f in enumerate(drawn)
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
    found, drawn = row(name, scale, done, where), figures(done)
    for number, figure in enumerate(drawn):
        _replace(out / file_of(number), figure.png)
    for old in out.glob("figure_[0-9][0-9].png"):
        if old.name not in {file_of(i) for i in range(len(drawn))}:
            old.unlink()
    text = [f"--- cell {c.number}\n{printed(c)}" for c in done if printed(c)]
    files.write(out / PRINTED, "".join(text))
    files.write(out / ROW, json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    return out / ROW


def _replace(path: Path, content: bytes) -> None:
    """Put a file in its place in one step; an interruption leaves the old one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
