"""Tables inside the pages that people read, kept true by a command: costs, and exercises.

A table stands between two comments of its page; the rest of the page is nobody's business here.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from minids.course import bench_table, files, measure, roll, source

PAGES = ("README.md", "TEACHING.md")
_TITLE = re.compile(r"^#+ (?:\d+\. |\d\d\.\w+ *)?(.*?) *\((?:[^()]*?)(\d+) minutes?\)", re.M)


class Task(NamedTuple):
    """One exercise as its notebook announces it; `minutes` is 0 where nothing is said."""

    name: str
    title: str
    minutes: int


def tasks(script: Path) -> list[Task]:
    """Exercises of a solutions script with the title and the minutes in the heading above each."""
    title, minutes = "", 0
    found: list[Task] = []
    for cell in source.read(script).cells:
        if cell.cell_type == "markdown" and (said := _TITLE.search(cell.source)):
            title, minutes = said[1].rstrip("."), int(said[2])
        elif "check" in cell.metadata.get("tags", []):
            for name in roll.checked(cell.source):
                if name not in (task.name for task in found):
                    found.append(Task(name, title, minutes))
    return found


def costs(root: Path) -> str:
    """Running time and peak memory of every chapter and its solutions, and on which machine."""
    known = measure.stored(root)
    lines = ["| chapter | runs for | peak memory | its solutions |", "| --- | --- | --- | --- |"]
    total = 0.0
    for name in sorted(known):
        kind, stem = name.split("/")
        if kind == "notebooks":
            rows, solved = known[name], known.get(f"solutions/{stem}", [])
            seconds = sum(cost.seconds for cost in rows)
            total += seconds
            peak = max((cost.mb for cost in rows), default=0)
            answers = _time(sum(cost.seconds for cost in solved)) if solved else "-"
            title = stem.replace("_", " ")
            lines.append(f"| {title} | {_time(seconds)} | {peak / 1000:.1f} GB | {answers} |")
    lines += [f"| all | {_time(total)} | | |", "", _machine(root)]
    return "\n".join(lines)


def exercises(root: Path) -> str:
    """Every exercise with its title and the minutes that its notebook gives it."""
    lines = ["| chapter | exercise | task | minutes |", "| --- | --- | --- | --- |"]
    for stem, script in roll.scripts(root).items():
        mine = tasks(script)
        for task in mine:
            title = stem.replace("_", " ")
            lines.append(f"| {title} | `{task.name}` | {task.title} | {task.minutes or '-'} |")
        lines.append(f"| | | together | {sum(task.minutes for task in mine)} |")
    return "\n".join(lines)


BLOCKS: dict[str, Callable[[Path], str]] = {
    "minutes": costs,
    "exercises": exercises,
    "bench": bench_table.table,
}


def write(root: Path) -> list[Path]:
    """Fill the tables of the pages that have room for them; the pages that changed."""
    changed = []
    for path in _pages(root):
        old = path.read_text(encoding="utf-8")
        new = filled(old, root)
        if new != old:
            files.write(path, new)
            changed.append(path)
    return changed


def stale(root: Path) -> list[str]:
    """A sentence for each page whose tables are not what the course has now."""
    return [
        f"{path.name} has a table that is no longer true: minids course minutes"
        for path in _pages(root)
        if filled(text := path.read_text(encoding="utf-8"), root) != text
    ]


def filled(text: str, root: Path) -> str:
    """The text with every table between its two comments written anew."""
    for name, table in BLOCKS.items():
        begin = f"<!-- {name}: begin, written by `minids course minutes` -->"
        end = f"<!-- {name}: end -->"
        if begin in text and end in text:
            before, rest = text.split(begin, 1)
            text = f"{before}{begin}\n{table(root)}\n{end}{rest.split(end, 1)[1]}"
    return text


def _pages(root: Path) -> list[Path]:
    return [root / page for page in PAGES if (root / page).exists()]


def _machine(root: Path) -> str:
    path = root / measure.FILE
    if not path.exists():
        return "Nothing measured yet."
    known = json.loads(path.read_text(encoding="utf-8"))["machine"]
    return (
        f"Measured while building, on {known['cores']} cores ({known['cpu']}, {known['system']}), "
        f"Python {known['python']}, torch {known['torch']}, {known['date']}."
    )


def _time(seconds: float) -> str:
    if seconds < 10:
        return "seconds"
    if seconds < 90:
        return f"{round(seconds / 5) * 5} s"
    return f"{seconds / 60:.1f} min"
