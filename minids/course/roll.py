"""Which exercises there are, in the order in which they stand in their notebooks."""

import ast
import re
from pathlib import Path
from typing import Any

_CELL = re.compile(r"^# %%(?P<head>.*)\n(?P<code>(?:(?!# %%).*\n?)*)", re.M)


def is_check(node: ast.AST) -> bool:
    """Whether a piece of code is the call check("NN.name", answer)."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "check"
        and len(node.args) == 2
        and isinstance(node.args[0], ast.Constant)
    )


def checked(code: str) -> dict[str, str]:
    """Exercises that a cell checks, and the expression that each check is given.

    A cell that is no Python checks nothing.
    """
    try:
        nodes = [node for node in ast.walk(ast.parse(code)) if is_check(node)]
    except (SyntaxError, ValueError):
        return {}
    return {str(node.args[0].value): ast.unparse(node.args[1]) for node in nodes}  # type: ignore[attr-defined]


def defined(code: str) -> list[str]:
    """Names that a cell gives to functions, classes and values; none if it is no Python."""
    try:
        body = ast.parse(code).body
    except (SyntaxError, ValueError):
        return []
    names: list[str] = []
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.append(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names += [t.id for whole in targets for t in ast.walk(whole) if isinstance(t, ast.Name)]
    return list(dict.fromkeys(names))


def scripts(root: Path) -> dict[str, Path]:
    """Solutions scripts by name, as in "02_gqa"."""
    return {path.stem: path for path in sorted((root / "solutions" / "src").glob("*.py"))}


def exercises(script: Path) -> dict[str, str]:
    """Name of each exercise of a solutions script, and the expression that its check is given.

    Cells are cut by their first lines here: reading notebooks takes seconds to import.
    """
    found: dict[str, str] = {}
    for cell in _CELL.finditer(script.read_text(encoding="utf-8")):
        if '"check"' in cell["head"]:
            found |= checked(cell["code"])
    return found


def roll(root: Path) -> dict[str, list[str]]:
    """Names of the exercises of every chapter, as in {"02_gqa": ["02.repeat_kv", …]}."""
    return {stem: list(exercises(script)) for stem, script in scripts(root).items()}


def blanks(cells: list[Any]) -> dict[str, list[int]]:
    """Positions of the cells that each exercise asks to fill in: those above its check."""
    found: dict[str, list[int]] = {}
    waiting: list[int] = []
    for number, cell in enumerate(cells):
        tags = cell.metadata.get("tags", [])
        if "exercise" in tags:
            waiting.append(number)
        elif "check" in tags:
            found |= dict.fromkeys(checked(cell.source), waiting)
            waiting = []
    return found


def chosen(word: str, known: dict[str, list[str]]) -> tuple[str, list[str]]:
    """Chapter and exercises that a word means: "02.repeat_kv", "02" or "02_gqa".

    Raises ValueError with the words that are known.
    """
    for stem, names in known.items():
        if word in names:
            return stem, [word]
        if word in (stem, stem[:2], f"{stem}.ipynb"):
            return stem, names
    chapter = next((n for stem, n in known.items() if stem[:2] == word[:2]), None)
    if chapter and re.match(r"\d\d", word):
        raise ValueError(f"there is no exercise {word!r}; in this chapter: {', '.join(chapter)}")
    chapters = ", ".join(known) or "none here"
    raise ValueError(f"{word!r} is neither an exercise nor a chapter; chapters: {chapters}")
