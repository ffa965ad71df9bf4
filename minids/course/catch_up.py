"""For somebody who is late: the reference answers up to an exercise, in the open notebook."""

import ast
import linecache
import os
import sys
from pathlib import Path
from typing import Any

import minids
from minids.check import progress
from minids.course import roll, source


def catch_up(
    name: str, *, namespace: dict[str, Any] | None = None, root: Path | None = None
) -> None:
    """Define the reference answers of all exercises up to `name`, so that later cells run.

    What you solved yourself stays. Everything else is marked as shown in the progress file: a
    check then passes and does not count. No experiment is run; cells with imports and functions
    are. `namespace` is where names go: the notebook's by default. While submissions are graded
    it defines nothing (MINIDS_CATCH_UP=off). Raises ValueError for an unknown exercise.
    """
    if os.environ.get("MINIDS_CATCH_UP") == "off":
        print("catch_up defines nothing here: answers that were shown are not graded")
        return
    if namespace is None:
        namespace = _caller()
    root = root or _course()
    stem, _ = roll.chosen(name, roll.roll(root))
    cells = source.solution(source.read(roll.scripts(root)[stem])).cells
    asked = roll.blanks(cells)
    if name not in asked:
        raise ValueError(f"give an exercise; in {stem}: {', '.join(asked)}")
    known = progress.read(Path("."))
    wanted = [other for other in asked if asked[other][-1:] <= asked[name][-1:]]
    solved = [o for o in wanted if progress.standing(known.get(o, {})) == "solved"]
    mine = {number for other in solved for number in asked[other]}
    defined = _define(cells[: asked[name][-1] + 1], mine, namespace, stem)
    shown = [other for other in wanted if other not in solved]
    progress.show(shown)
    print(_said(shown, solved, defined, stem))


def _define(cells: list[Any], mine: set[int], namespace: dict[str, Any], stem: str) -> list[str]:
    """Run answers, imports and functions; names that the answers defined."""
    defined: list[str] = []
    for number, cell in enumerate(cells):
        answer = "exercise" in cell.metadata.get("tags", [])
        if cell.cell_type != "code" or (answer and number in mine and _there(cell, namespace)):
            continue
        title, text = f"<solution {stem}, cell {number}>", cell.source
        # so that tracebacks and inspect can show the lines
        linecache.cache[title] = (len(text), None, text.splitlines(keepends=True), title)
        tree = ast.parse(text)
        if not answer:
            tree.body = [] if cell.metadata.get("tags") else list(filter(_defines, tree.body))
        exec(compile(tree, title, "exec"), namespace)
        defined += roll.defined(cell.source) if answer else []
    return defined


def _there(cell: Any, namespace: dict[str, Any]) -> bool:
    """Whether the learner's own version is defined in this kernel."""
    return all(name in namespace for name in roll.defined(cell.source))


def _defines(node: ast.stmt) -> bool:
    """Whether a statement imports, defines a function or class, or names a plain value."""
    if isinstance(node, ast.Assign):
        try:
            ast.literal_eval(node.value)
        except ValueError:
            return False
        return True
    return isinstance(node, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef)


def _said(shown: list[str], solved: list[str], defined: list[str], stem: str) -> str:
    lines = [f"caught up: {', '.join(defined) or 'nothing new'} now from the solutions"]
    if solved:
        lines.append(f"yours, as you solved them: {', '.join(solved)}")
    if shown:
        lines.append(f"marked as shown, not as solved: {', '.join(shown)}")
    lines.append(f"to read them: solutions/{stem}.ipynb")
    lines.append("to earn one after all, `minids reset` it before you write your own")
    return "\n".join(lines)


def _caller() -> dict[str, Any]:
    """The names of whoever called: the nearest code outside this package that does not hide."""
    frame = sys._getframe(1)
    while frame.f_back is not None:
        frame = frame.f_back
        package = str(frame.f_globals.get("__name__")).split(".")[0]
        if package != "minids" and "__tracebackhide__" not in frame.f_locals:
            break
    return frame.f_globals


def _course() -> Path:
    """The folder of the course: around the notebook, else around the package."""
    for folder in (Path.cwd(), *Path.cwd().parents, Path(minids.__file__).parents[1]):
        if (folder / "solutions" / "src").is_dir():
            return folder
    raise ValueError("there are no solutions here; run this in a notebook of the course's folder")
