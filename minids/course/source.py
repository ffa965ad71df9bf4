"""A percent-format script as a notebook: fixed cell ids, a fixed list of tags, and the cut.

A solutions script is the one source of two notebooks: `solution` drops the marker lines,
`exercise` drops what lies between them.
"""

import ast
import copy
import re
import textwrap
from pathlib import Path
from typing import Any

TAGS = (
    "exercise",
    "check",
    "predict",
    "claim",
    "quiz",
    "trap",
    "install",
    "hide-input",
    "raises-exception",
    "nbval-ignore-output",
)
LATE = """\
# Late? Without its # the last line defines the reference answers up to that exercise, so that
# the cells below it run. They count as shown, not as solved.
# from minids.course import catch_up; catch_up({name!r})"""
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
_MARKER = re.compile(rf"^[ \t]*(?:{BEGIN}|{END})[^\n]*\n?", re.M)
_BLOCK = re.compile(
    rf"^(?P<indent>[ \t]*){BEGIN}[^\n]*\n(?P<body>.*?)^[ \t]*{END}[^\n]*", re.M | re.S
)
_OF_NAMES = (ast.Name, ast.Tuple, ast.List, ast.Starred, ast.Store)


def read(path: Path) -> Any:
    """The notebook of a percent script. Unknown tags: ValueError with the known ones."""
    import jupytext
    import nbformat

    script = jupytext.read(path, fmt="py:percent")
    notebook = nbformat.v4.new_notebook(
        metadata={
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    for number, cell in enumerate(script.cells):
        tags = sorted(cell.metadata.get("tags", []))
        strange = [tag for tag in tags if tag not in TAGS]
        if strange:
            raise ValueError(f"{path.name}: unknown tag {strange[0]!r}; known: {', '.join(TAGS)}")
        new = {"code": nbformat.v4.new_code_cell, "markdown": nbformat.v4.new_markdown_cell}
        made = new[cell.cell_type](cell.source.strip("\n"), id=f"{path.stem}-{number:03d}"[-64:])
        if tags:
            made.metadata["tags"] = tags
        if "hide-input" in tags:
            made.metadata["jupyter"] = {"source_hidden": True}
        notebook.cells.append(made)
    return notebook


def solution(notebook: Any) -> Any:
    """The notebook without the marker lines."""
    result = copy.deepcopy(notebook)
    for cell in result.cells:
        _paired(cell)
        cell.source = _MARKER.sub("", cell.source).rstrip("\n")
    return result


def exercise(notebook: Any, name: str) -> Any:
    """The notebook with blanks for solutions, without outputs, and marked with its `name`.

    Inside a function the blank raises NotImplementedError; at top level each name that was
    assigned becomes `name = ...`, and ValueError names what cannot. In a text cell what lies
    between the markers disappears. Below the imports comes a cell of comments, for those who are
    late.
    """
    result = copy.deepcopy(notebook)
    for cell in result.cells:
        _paired(cell)
        cut = _blank if cell.cell_type == "code" else _nothing
        cell.source = _BLOCK.sub(cut, cell.source).strip("\n")
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    result.cells = [cell for cell in result.cells if cell.source.strip()]
    _offer_catch_up(result, name)
    result.metadata["minids"] = {"exercises": name}
    return result


def _offer_catch_up(notebook: Any, name: str) -> None:
    import nbformat

    code = [n for n, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    asked = re.findall(r'^check\("(\d\d\.\w+)"', "\n".join(c.source for c in notebook.cells), re.M)
    if code and asked:
        text = LATE.format(name=asked[0]).replace("'", '"')
        cell = nbformat.v4.new_code_cell(text, id=f"{name}-late"[-64:])
        notebook.cells.insert(code[0] + 1, cell)


def _paired(cell: Any) -> None:
    begins, ends = cell.source.count(BEGIN), cell.source.count(END)
    blocks = len(_BLOCK.findall(cell.source))
    if not begins == ends == blocks:
        first = cell.source.strip().split("\n")[0]
        raise ValueError(
            f"the cell that starts {first!r} has {begins} x {BEGIN!r}, {ends} x {END!r}: "
            "each begin needs an end below it, in the same cell"
        )


def _nothing(_block: re.Match[str]) -> str:
    return ""


def _blank(block: re.Match[str]) -> str:
    indent = block["indent"]
    if indent:
        return f"{indent}raise NotImplementedError"
    names = _assigned(textwrap.dedent(block["body"]))
    return "\n".join(f"{name} = ..." for name in names)


def _assigned(body: str) -> list[str]:
    """Names that a top-level solution assigns, in order; nothing else can become a blank there."""
    names = []
    for node in ast.parse(body).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            raise ValueError(f"{node.name}: put the solution markers inside it, so that it remains")
        targets = node.targets if isinstance(node, ast.Assign) else []
        targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
        parts = [part for target in targets for part in ast.walk(target)]
        if not parts or not all(isinstance(part, _OF_NAMES) for part in parts):
            raise ValueError(
                f"{ast.unparse(node).splitlines()[0]!r} cannot be blanked: outside functions only "
                "names that are assigned can, as in `x = 1` or `a, b = f()`. Put the rest into a "
                "function, the markers inside it, or move it out of the markers"
            )
        names += [part.id for part in parts if isinstance(part, ast.Name)]
    return list(dict.fromkeys(names))
