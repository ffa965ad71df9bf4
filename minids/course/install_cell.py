"""The cell below a notebook's opening: it installs the course where it is missing, as on Colab.

The build writes it, and `minids course publish`; nobody edits it. Where minids can be imported
it does nothing and prints nothing.
"""

import copy
import json
import tomllib
from pathlib import Path
from typing import Any

TAG = "install"
LOST = """\
# Where minids is missing, this says what to do. Where it is installed, it does nothing.
import importlib.util

if importlib.util.find_spec("minids") is None:
    raise ModuleNotFoundError(
        "minids is not installed here, and this copy of the course has no public address: "
        "run `pip install -e .` in the folder of the course, then restart this notebook."
    )"""
FOUND = """\
# Where minids is missing, as on Colab, this installs it. Elsewhere it does nothing.
import importlib.util
import os
import subprocess
import sys

if importlib.util.find_spec("minids") is None:
    if not os.path.isdir("minids-course"):
        clone = ["git", "clone", "--quiet", "--depth=1"]
        subprocess.run([*clone, {address}, "minids-course"], check=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet"]  # keeps a torch that is there
    subprocess.run([*pip, "./minids-course", "jupytext"], check=True)
if os.path.isdir("minids-course/{kind}"):
    os.chdir("minids-course/{kind}")"""


def address(root: Path) -> str | None:
    """Where this course can be cloned from, as its pyproject.toml says; None where it does not."""
    path = root / "pyproject.toml"
    if not path.exists():
        return None
    project = tomllib.loads(path.read_text(encoding="utf-8")).get("project", {})
    found = project.get("urls", {}).get("Source")
    return None if found is None else str(found)


def text(where: str | None, kind: str) -> str:
    """The code of the cell in a notebook of the folder `kind`, for a course at that address."""
    return LOST if where is None else FOUND.format(address=json.dumps(where), kind=kind)


def put(notebook: Any, target: Path, root: Path) -> Any:
    """The notebook that belongs at `target` with its install cell, new or written anew.

    Outputs stay. Where the cells ran from top to bottom they are numbered anew, this one included:
    it would have printed nothing.
    """
    import nbformat

    result = copy.deepcopy(notebook)
    cells = [cell for cell in result.cells if not installs(cell)]
    ran = [cell.execution_count for cell in cells if cell.cell_type == "code"]
    made = nbformat.v4.new_code_cell(
        text(address(root), target.parent.name),
        id=f"{target.stem}-{TAG}"[-64:],
        metadata={"tags": [TAG], "jupyter": {"source_hidden": True}},
    )
    cells.insert(int(bool(cells) and cells[0].cell_type == "markdown"), made)
    result.cells = cells
    if ran and ran in (list(range(1, len(ran) + 1)), list(range(2, len(ran) + 2))):
        _number(cells)
    return result


def installs(cell: Any) -> bool:
    """Whether a cell is the one that installs."""
    return TAG in cell.get("metadata", {}).get("tags", [])


def _number(cells: list[Any]) -> None:
    code = [cell for cell in cells if cell.cell_type == "code"]
    for number, cell in enumerate(code, start=1):
        cell.execution_count = number
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = number
