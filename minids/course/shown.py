"""Code that a notebook printed when it was built, and that has changed since."""

import ast
import contextlib
import io
from typing import Any


def outdated(notebook: dict[str, Any], name: str) -> list[str]:
    """A sentence for each cell whose `show_source` would print something else today.

    Or that imports or shows what is gone. Runs the notebook's imports and, of everything else,
    these calls alone.
    """
    if not any("show_source(" in "".join(cell["source"]) for cell in notebook["cells"]):
        return []
    found = []
    names: dict[str, Any] = {}
    for number, cell in enumerate(notebook["cells"]):
        for statement in _statements(cell):
            try:
                if _now(statement, names) not in _printed(cell):
                    late = "shows code that has changed: build it again"
                    found.append(f"{name}, cell {number}, {late}")
            except (ImportError, AttributeError) as error:
                found.append(f"{name}, cell {number}, asks for what is gone: {error}")
    return found


def _statements(cell: dict[str, Any]) -> list[ast.stmt]:
    """The imports of a cell, and its calls of `show_source`."""
    if cell["cell_type"] != "code":
        return []
    try:
        body = ast.parse("".join(cell["source"])).body
    except SyntaxError:  # a line for the notebook alone, such as %pip
        return []
    return [s for s in body if isinstance(s, ast.Import | ast.ImportFrom) or _shows(s)]


def _shows(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(call := statement.value, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == "show_source"
    )


def _now(statement: ast.stmt, names: dict[str, Any]) -> str:
    """What the statement prints today; nothing, where it imports."""
    with contextlib.redirect_stdout(io.StringIO()) as text:
        exec(compile(ast.Module([statement], []), "<shown>", "exec"), names)
    return text.getvalue()


def _printed(cell: dict[str, Any]) -> str:
    return "".join(
        "".join(output["text"])
        for output in cell["outputs"]
        if output["output_type"] == "stream" and output["name"] == "stdout"
    )
