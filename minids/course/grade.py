"""Grade a folder of submissions: one fresh kernel each, a time limit, our checks on their code.

This is no sandbox: a submission is code, and it runs with your rights.
"""

import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from minids.course.roll import exercises, scripts
from minids.course.submission import Answer, answers


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
    say: Callable[[str], object] = lambda line: None,
) -> list[Graded]:
    """Results of every exercise in every notebook of `folder`, subfolders included.

    A submission belongs to the exercise notebook it was made from (it says so inside; else its
    file name must contain that notebook's name). seeds: three random ones by default; seconds:
    limit for one submission. say: told which submission is next, as "3 of 30  ann/02_gqa.ipynb".
    """
    chosen = [secrets.randbelow(2**31) for _ in range(3)] if seeds is None else list(seeds)
    known = scripts(root)
    found: list[Graded] = []
    copies = {".ipynb_checkpoints", ".minids"}
    paths = [path for path in sorted(folder.rglob("*.ipynb")) if not copies & set(path.parts)]
    for number, path in enumerate(paths, start=1):
        name = path.relative_to(folder).as_posix()
        say(f"{number:3} of {len(paths)}  {name}")
        found += _grade_one(path, name, known, chosen, seconds)
    return found


def _grade_one(
    path: Path, name: str, known: dict[str, Path], seeds: list[int], seconds: float
) -> list[Graded]:
    import nbformat

    try:
        notebook = nbformat.read(path, as_version=4)
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
    named = notebook.metadata.get("minids", {}).get("exercises")
    if named in known:
        return known[named]
    matches = [script for stem, script in known.items() if stem in path.stem]
    return matches[0] if matches else None
