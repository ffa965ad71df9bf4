"""Graded submissions: a spreadsheet, a page for the teacher, a page for each learner."""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from minids.course import files
from minids.course.grade import Graded

NO_SANDBOX = (
    "Grading ran every submission with the rights of whoever graded: it is no sandbox. Printed "
    "results and redefined checkers earn nothing, but code that is out to deceive or to harm can. "
    "Grade strangers on a machine that holds nothing of value, and read what they wrote."
)


class Report(NamedTuple):
    """The same results for a spreadsheet, for one page, and for a page a learner (by file name)."""

    csv: str
    markdown: str
    pages: dict[str, str]


def report(graded: Sequence[Graded]) -> Report:
    """A CSV with one line per result, a page of who solved what, and a page for each learner."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(Graded._fields)
    writer.writerows(graded)
    people = list(dict.fromkeys(g.submission for g in graded))
    pages = {name: _page(name, [g for g in graded if g.submission == name]) for name in people}
    return Report(buffer.getvalue(), _overview(graded, people), pages)


def write_pages(pages: dict[str, str], folder: Path) -> list[Path]:
    """Write each learner's page as NAME.md, with folders as in the submissions; the paths."""
    written = []
    for name, text in pages.items():
        path = (folder / name).with_suffix(".md")
        files.write(path, text)
        written.append(path)
    return written


def _overview(graded: Sequence[Graded], people: Sequence[str]) -> str:
    names = sorted({g.exercise for g in graded if g.exercise})
    head = f"| submission | solved | {' | '.join(names)} |"
    lines = [head, "| --- " * (head.count("|") - 1) + "|"]
    for person in people:
        mine = {g.exercise: g.state for g in graded if g.submission == person}
        states = "".join(f" {mine.get(name, '-')} |" for name in names)
        lines.append(f"| {_cell(person)} | {_solved(list(mine.values()))} |{states}")
    stuck = Counter((g.exercise, g.failed) for g in graded if g.failed and g.state != "blank")
    if stuck:
        lines += ["", "Where they are stuck:", ""]
        lines += [
            f"- {count} x {name or 'whole notebook'}: {failed}"
            for (name, failed), count in stuck.most_common()
        ]
    return "\n".join([*lines, "", NO_SANDBOX]) + "\n"


def _cell(text: str) -> str:
    """The text as one cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def _page(person: str, graded: Sequence[Graded]) -> str:
    lines = [f"# {person}", "", f"{_solved([g.state for g in graded])} solved.", ""]
    for g in graded:
        lines.append(f"- **{g.exercise or 'notebook'}**: {g.state}")
        if g.failed and g.state != "blank":
            lines += [f"    - {g.failed}", f"    - hint: {' '.join(g.hint.split())}"]
    return "\n".join(lines) + "\n"


def _solved(states: Sequence[str]) -> str:
    return f"{sum(state == 'solved' for state in states)} of {len(states)}"
