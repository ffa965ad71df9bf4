"""Exercises as assignments for nbgrader, for teachers who grade with that.

Our sources carry nbgrader's markers. Here cells also get its metadata, schema version 3, as
nbgrader's documentation lists it: what is to be solved, and what is graded. nbgrader itself is
not needed for this; it then makes the student version and grades what comes back.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minids.course import files, roll, source

SCHEMA = 3
CONFIG = """\
c = get_config()
c.CourseDirectory.course_id = "minids"
c.CourseDirectory.root = {root!r}
# One check may train a small model.
c.ExecutePreprocessor.timeout = 300
# The way every exercise here says that it is still open.
c.ClearSolutions.code_stub = {{"python": "raise NotImplementedError"}}
"""


def assignment(script: Path, *, points: int = 1) -> Any:
    """The instructor version of a solutions script: `points` for each check that passes.

    Text about the answers is left out: nbgrader has no cells of text that students must not see.
    """
    notebook = source.read(script)
    kept = []
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        if cell.cell_type == "markdown":
            if source.BEGIN in cell.source:
                continue
        elif "exercise" in tags:
            cell.metadata["nbgrader"] = _meta(cell, solution=True)
        elif "check" in tags and roll.checked(cell.source):
            cell.metadata["nbgrader"] = _meta(cell, grade=True, points=points)
        kept.append(cell)
    notebook.cells = kept
    notebook.metadata["minids"] = {"exercises": script.stem}
    return notebook


def export(
    folder: Path, names: Sequence[str] | None = None, *, root: Path = Path("."), points: int = 1
) -> list[Path]:
    """Write folder/source/NN_name/NN_name.ipynb for all chapters or those named; the paths.

    A configuration for nbgrader is written beside them where there is none.
    """
    if points < 1:
        raise ValueError(f"points={points}: a check must be worth one point or more")
    known = roll.scripts(root)
    stems = [roll.chosen(name, roll.roll(root))[0] for name in names] if names else list(known)
    written = []
    for stem in stems:
        path = folder / "source" / stem / f"{stem}.ipynb"
        files.write(path, files.as_text(assignment(known[stem], points=points)))
        written.append(path)
    config = folder / "nbgrader_config.py"
    if not config.exists():
        files.write(config, CONFIG.format(root=str(folder.resolve())))
    return written


def _meta(
    cell: Any, *, solution: bool = False, grade: bool = False, points: int = 0
) -> dict[str, Any]:
    """The metadata of one cell: either a solution, or a locked test with points."""
    meta: dict[str, Any] = {
        "schema_version": SCHEMA,
        "grade_id": cell.id,
        "grade": grade,
        "solution": solution,
        "locked": grade,
        "task": False,
        "cell_type": cell.cell_type,
    }
    return {**meta, "points": points} if grade else meta
