"""Code that a notebook printed when it was built, and that has changed since."""

import ast
import contextlib
import io
from typing import Any


def outdated(notebook: dict[str, Any], name: str) -> list[str]:
    """A sentence for each cell whose `show_source` would print something else today.

    Runs the notebook's imports and, of everything else, these calls alone.
    """
    if not any("show_source(" in "".join(cell["source"]) for cell in notebook["cells"]):
        return []
    found = []
    names: dict[str, Any] = {}
    for number, cell in enumerate(notebook["cells"]):
        for statement in _statements(cell):
            if isinstance(statement, ast.Import | ast.ImportFrom):
                exec(compile(ast.Module([statement], []), name, "exec"), names)
            elif _shows(statement) and _now(statement, names) not in _printed(cell):
                found.append(f"{name}, cell {number}, shows code that has changed: build it again")
    return found


def _statements(cell: dict[str, Any]) -> list[ast.stmt]:
    if cell["cell_type"] != "code":
        return []
    try:
        return ast.parse("".join(cell["source"])).body
    except SyntaxError:  # a line for the notebook alone, such as %pip
        return []


def _shows(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(call := statement.value, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == "show_source"
    )


def _now(statement: ast.stmt, names: dict[str, Any]) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as text:
        exec(compile(ast.Module([statement], []), "<shown>", "exec"), names)
    return text.getvalue()


def _printed(cell: dict[str, Any]) -> str:
    return "".join(
        "".join(output["text"])
        for output in cell["outputs"]
        if output["output_type"] == "stream" and output["name"] == "stdout"
    )
