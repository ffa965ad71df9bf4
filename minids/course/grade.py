"""Grade a folder of submissions: one fresh kernel each, a time limit, our checks on their code.

This is no sandbox: a submission is code, and it runs with your rights.
"""

import csv
import io
import secrets
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from minids.course.submission import Answer, answers, exercises


class Graded(NamedTuple):
    """One exercise of one submission. `state`: solved, blank, wrong, error, or did not run."""

    submission: str
    exercise: str
    state: str
    failed: str
    hint: str
    seconds: float


class Report(NamedTuple):
    """The same results for a spreadsheet and for a page."""

    csv: str
    markdown: str


def grade(
    folder: Path,
    *,
    root: Path = Path("."),
    seeds: Sequence[int] | None = None,
    seconds: float = 120,
) -> list[Graded]:
    """Results of every exercise in every notebook of `folder`, subfolders included.

    A submission belongs to the exercise notebook it was made from (it says so inside; else its
    file name must contain that notebook's name). seeds: three random ones by default; seconds:
    limit for one submission.
    """
    chosen = [secrets.randbelow(2**31) for _ in range(3)] if seeds is None else list(seeds)
    scripts = {path.stem: path for path in sorted((root / "solutions" / "src").glob("*.py"))}
    found: list[Graded] = []
    for path in sorted(folder.rglob("*.ipynb")):
        if ".ipynb_checkpoints" not in path.parts:
            found += _grade_one(path, str(path.relative_to(folder)), scripts, chosen, seconds)
    return found


def report(graded: Sequence[Graded]) -> Report:
    """A CSV with one line per result, and a Markdown page: who solved what, what went wrong."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(Graded._fields)
    writer.writerows(graded)
    names = sorted({g.exercise for g in graded if g.exercise})
    lines = [f"| submission | solved | {' | '.join(names)} |", "| --- " * (len(names) + 2) + "|"]
    for submission in dict.fromkeys(g.submission for g in graded):
        mine = {g.exercise: g.state for g in graded if g.submission == submission}
        solved = sum(state == "solved" for state in mine.values())
        states = " | ".join(mine.get(name, "-") for name in names)
        lines.append(f"| {submission} | {solved} of {len(mine)} | {states} |")
    stuck = Counter((g.exercise, g.failed) for g in graded if g.failed)
    if stuck:
        lines += ["", "Where they are stuck:", ""]
        lines += [f"- {count} x {name}: {failed}" for (name, failed), count in stuck.most_common()]
    return Report(buffer.getvalue(), "\n".join(lines) + "\n")


def _grade_one(
    path: Path, name: str, scripts: dict[str, Path], seeds: list[int], seconds: float
) -> list[Graded]:
    import nbformat

    try:
        notebook = nbformat.read(path, as_version=4)
    except Exception as error:  # any file can lie in such a folder
        return [Graded(name, "", "did not run", "no readable notebook", str(error)[:200], 0.0)]
    script = _script(notebook, path, scripts)
    if script is None:
        hint = f"its name should contain one of: {', '.join(scripts) or 'nothing built yet'}"
        return [Graded(name, "", "did not run", "belongs to no exercise notebook", hint, 0.0)]
    wanted = exercises(script)
    found = answers(notebook, wanted, seeds, seconds)
    late = Answer("did not run", "no result", f"it crashed, or took more than {seconds:g} s", 0.0)
    return [Graded(name, exercise, *found.get(exercise, late)) for exercise in wanted]


def _script(notebook: Any, path: Path, scripts: dict[str, Path]) -> Path | None:
    named = notebook.metadata.get("minids", {}).get("exercises")
    if named in scripts:
        return scripts[named]
    matches = [script for stem, script in scripts.items() if stem in path.stem]
    return matches[0] if matches else None
