"""Exported assignments carry the metadata that nbgrader documents. nbgrader is not needed here."""

from pathlib import Path
from typing import Any

import nbformat
import pytest

from minids.check import exercises
from minids.course import nbgrader, roll, source

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted((ROOT / "solutions" / "src").glob("*.py"))

# nbgrader's documentation, "Metadata": every field of schema version 3 and its type. `points`
# only where `grade` is true; `checksum` is written by nbgrader itself.
FIELDS = {
    "schema_version": int,
    "grade_id": str,
    "grade": bool,
    "solution": bool,
    "locked": bool,
    "task": bool,
    "cell_type": str,
    "points": (int, float),
    "checksum": str,
}
REQUIRED = set(FIELDS) - {"points", "checksum"}


def faults(notebook: Any) -> list[str]:
    """What nbgrader's validator for schema 3 would refuse, and what would grade nothing."""
    found, ids = [], []
    for cell in notebook.cells:
        meta = cell.metadata.get("nbgrader")
        if meta is None:
            if source.BEGIN in cell.source or source.END in cell.source:
                found.append("a solution outside a cell to be solved")
            continue
        found += [f"{key} is no field" for key in set(meta) - set(FIELDS)]
        found += [f"{key} is missing" for key in REQUIRED - set(meta)]
        for key in set(meta) & set(FIELDS):
            if not isinstance(meta[key], FIELDS[key]):
                found.append(f"{key} has a wrong type")
        ids.append(meta["grade_id"])
        if not meta["grade_id"]:
            found.append("an empty grade_id")
        if meta["cell_type"] != cell.cell_type:
            found.append("the type of a cell")
        if meta["grade"] and not meta.get("points", 0) > 0:
            found.append("a test without points")
        if meta["grade"] and not meta["locked"]:
            found.append("a test that students may edit")
        if meta["solution"] and source.BEGIN not in cell.source:
            found.append("a cell to be solved, and nothing to cut")
        if cell.cell_type == "markdown":
            found.append("text is not graded here")
    if len(ids) != len(set(ids)):
        found.append("a grade_id twice")
    return found


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_every_assignment_is_one_that_nbgrader_accepts(script: Path) -> None:
    notebook = nbgrader.assignment(script)
    nbformat.validate(notebook)
    assert faults(notebook) == []
    graded = [c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade")]
    asked = {name for cell in graded for name in roll.checked(cell.source)}
    assert asked == {name for name in exercises() if name[:2] == script.stem[:2]}
    assert len(graded) == len(asked), "a point for each exercise"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"points": 0}, "a test without points"),
        ({"grade_id": ""}, "an empty grade_id"),
        ({"locked": False}, "a test that students may edit"),
        ({"comment": 1}, "comment is no field"),
        ({"schema_version": "3"}, "schema_version has a wrong type"),
        ({"cell_type": "markdown"}, "the type of a cell"),
    ],
)
def test_each_fault_is_noticed(change: dict[str, Any], fault: str) -> None:
    notebook = nbgrader.assignment(SCRIPTS[0])
    cell = next(c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade"))
    cell.metadata["nbgrader"] = {**cell.metadata["nbgrader"], **change}
    assert fault in faults(notebook)


def test_text_about_the_answers_stays_with_the_teacher() -> None:
    for script in SCRIPTS:
        text = "\n".join(cell.source for cell in nbgrader.assignment(script).cells)
        assert "About the answers" not in text


def test_an_export_is_a_course_folder_and_keeps_a_configuration(
    tmp_path: Path, monkeypatch: Any
) -> None:
    [path] = nbgrader.export(tmp_path, ["02"], root=ROOT, points=3)
    assert path == tmp_path / "source" / "02_gqa" / "02_gqa.ipynb"
    notebook = nbformat.read(path, as_version=4)
    assert notebook.metadata["minids"] == {"exercises": "02_gqa"}
    metas = [c.metadata["nbgrader"] for c in notebook.cells if "nbgrader" in c.metadata]
    assert {meta["points"] for meta in metas if meta["grade"]} == {3}
    config = tmp_path / "nbgrader_config.py"
    compile(config.read_text(), "config", "exec")
    config.write_text("mine")
    both = nbgrader.export(tmp_path, ["02_gqa", "00"], root=ROOT)
    assert [path.stem for path in both] == ["02_gqa", "00_map"]
    assert config.read_text() == "mine"
    config.unlink()
    monkeypatch.chdir(tmp_path)
    nbgrader.export(Path("."), ["00"], root=ROOT)
    assert f"root = {str(tmp_path)!r}" in config.read_text(), "wherever nbgrader is started"
    with pytest.raises(ValueError, match="points=0"):
        nbgrader.export(tmp_path, points=0, root=ROOT)
