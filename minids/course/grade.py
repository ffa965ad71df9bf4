"""Grade a folder of submissions: one fresh kernel each, a time limit, our checks on their code.

This is no sandbox: a submission is code, and it runs with your rights.
"""

import os
import secrets
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from minids.course import files
from minids.course.roll import exercises, scripts
from minids.course.submission import Answer, answers
from minids.study.workers import WorkerError, run_tasks


class Graded(NamedTuple):
    """One exercise of one submission. `state`: solved, blank, wrong, error, or did not run."""

    submission: str
    exercise: str
    state: str
    failed: str
    hint: str
    seconds: float


def grade(
    folder: Path,
    *,
    root: Path = Path("."),
    seeds: Sequence[int] | None = None,
    seconds: float = 120,
    workers: int | None = None,
    say: Callable[[str], object] = lambda line: None,
) -> list[Graded]:
    """Results of every exercise in every notebook of `folder`, subfolders included.

    A submission belongs to the exercise notebook it was made from (it says so inside; else its
    file name must contain that notebook's name). seeds: three random ones by default; seconds:
    limit for one submission, without the starts of its kernels; workers: how many are graded at
    once, each in a process of its own (one for every core if None; 0: one after another in this
    process). say: told which submission is done, as "3 of 30  ann/02_gqa.ipynb".
    """
    chosen = [secrets.randbelow(2**31) for _ in range(3)] if seeds is None else list(seeds)
    known = scripts(root)
    copies = {".ipynb_checkpoints", ".minids"}
    paths = [
        path
        for path in sorted(folder.rglob("*.ipynb"))
        if not copies & set(path.relative_to(folder).parts)  # the folder itself may lie in one
    ]
    tasks = [
        {
            "path": path,
            "name": _name(path.relative_to(folder)),
            "known": known,
            "seeds": chosen,
            "seconds": seconds,
        }
        for path in paths
    ]
    found: dict[int, list[Graded]] = {}
    with closing(_each(tasks, workers)) as done:
        for number, rows in done:
            found[number] = rows
            say(f"{len(found):3} of {len(tasks)}  {tasks[number]['name']}")
    return [row for number in sorted(found) for row in found[number]]


def _name(path: Path) -> str:
    """The name of a submission, whatever bytes it is made of: one that can be written."""
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")


def _each(
    tasks: Sequence[dict[str, Any]], workers: int | None
) -> Generator[tuple[int, list[Graded]], None, None]:
    """The number of each submission with its results, as they are done.

    One that takes its worker down with it is left behind, and the others are graded without it.
    """
    left = list(range(len(tasks)))
    while left:
        asked = list(left)
        try:
            for at, rows in run_tasks(_grade_one, [tasks[number] for number in asked], workers):
                left.remove(asked[at])
                yield asked[at], rows
        except WorkerError as error:
            if error.task < 0:
                raise
            number, name = asked[error.task], tasks[asked[error.task]]["name"]
            left.remove(number)
            yield number, [Graded(name, "", "did not run", "it ended its grader", _why(error), 0.0)]


def _why(error: WorkerError) -> str:
    """The line that says what happened: a traceback's last one, else the first."""
    lines = str(error).strip().splitlines()
    return lines[-1] if lines[0].startswith("Traceback") else lines[0]


def _grade_one(
    path: Path, name: str, known: dict[str, Path], seeds: list[int], seconds: float
) -> list[Graded]:
    import nbformat

    try:
        notebook = files.read_notebook(path)
        nbformat.validate(notebook)
    except Exception as error:  # any file can lie in such a folder
        return [Graded(name, "", "did not run", "no readable notebook", str(error)[:200], 0.0)]
    script = _script(notebook, path, known)
    if script is None:
        hint = f"its name should contain one of: {', '.join(known) or 'nothing built yet'}"
        return [Graded(name, "", "did not run", "belongs to no exercise notebook", hint, 0.0)]
    wanted = exercises(script)
    found = answers(notebook, wanted, seeds, seconds)
    late = Answer("did not run", "no result", f"not reached within {seconds:g} s", 0.0)
    return [Graded(name, exercise, *found.get(exercise, late)) for exercise in wanted]


def _script(notebook: Any, path: Path, known: dict[str, Path]) -> Path | None:
    ours = notebook.metadata.get("minids")
    named = ours.get("exercises") if isinstance(ours, dict) else None
    if isinstance(named, str) and named in known:
        return known[named]
    matches = [script for stem, script in known.items() if stem in path.stem]
    return matches[0] if matches else None
