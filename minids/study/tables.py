"""The published tables in data/paper, read as plain rows and printed as aligned text.

Every row carries a `source`: paper, section or table. "computed", "inferred" and "read off the
chart" are said there, so a number is never taken for more than it is.
"""

import csv
import re
from collections.abc import Sequence
from unicodedata import east_asian_width

from minids.presets import DATA

Cell = str | int | float | None
Row = dict[str, Cell]

_NUMBER = re.compile(r"[-+]?[\d.,]*(e[-+]?\d+)?")


def names() -> list[str]:
    """Return the names of the published tables."""
    return sorted(path.stem for path in (DATA / "paper").glob("*.csv"))


def read(name: str) -> list[Row]:
    """Return the rows of a published table; numbers are numbers, an empty cell is None."""
    path = DATA / "paper" / f"{name}.csv"
    if not path.exists():
        raise ValueError(f"there is no table {name!r}; there are: {', '.join(names())}")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [{key: _cell(value) for key, value in row.items()} for row in rows]


def figure(name: str) -> float:
    """Return one published number of the table "figures", such as `figure("v2_cache_saving")`."""
    values = {row["figure"]: row["value"] for row in read("figures")}
    if name not in values:
        raise ValueError(f"there is no figure {name!r}; there are: {', '.join(map(str, values))}")
    value = values[name]
    assert isinstance(value, int | float)
    return value


def text(rows: Sequence[Row], columns: Sequence[str] | None = None) -> str:
    """Return rows as text in aligned columns, numbers to the right; Chinese counts double.

    Columns are those of the first row unless named; a number may also come formatted, as text.
    """
    columns = columns or list(rows[0])
    cells = [[_show(row.get(column)) for column in columns] for row in rows]
    widths = [max(map(_width, column)) for column in zip(columns, *cells, strict=True)]
    right = [all(map(_NUMBER.fullmatch, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(map(_pad, line, widths, right)).rstrip() for line in [list(columns), *cells]]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def markdown(rows: Sequence[Row], columns: Sequence[str] | None = None) -> str:
    """Return rows as a Markdown table."""
    columns = columns or list(rows[0])
    cells = [[_show(row.get(column)).replace("|", "\\|") for column in columns] for row in rows]
    lines = [list(columns), ["---"] * len(columns), *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(value: str) -> Cell:
    if value == "":
        return None
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value


def _show(cell: Cell) -> str:
    if cell is None:
        return ""
    return f"{cell:,}" if isinstance(cell, int) and cell >= 10_000 else str(cell)


def _width(word: str) -> int:
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in word)


def _pad(word: str, width: int, right: bool) -> str:
    space = " " * (width - _width(word))
    return space + word if right else word + space
