"""Run one submission in a fresh kernel, and put our checks to what it defines.

Its own check cells are left out, and ours come after it, through a freshly imported checker and
under a number that the submission cannot know, so that printing "solved" earns nothing.
"""

import ast
import json
import secrets
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from minids.course import kernel, source


class Answer(NamedTuple):
    """What a check found. `state`: solved, blank, wrong, error, or did not run."""

    state: str
    failed: str
    hint: str
    seconds: float


PROBE = """
import sys as _sys
for _name in [n for n in _sys.modules if n.startswith(("minids.check", "checks_"))]:
    del _sys.modules[_name]
import json as _json
from minids.check import examine as _examine
try:
    _attempt = {expression}
except Exception as _error:
    _found = ["did not run", "the answer is not defined", repr(_error)]
else:
    for _seed in {seeds}:
        _verdict = _examine({exercise!r}, _attempt, seed=_seed)
        _found = [_verdict.state, _verdict.failed, _verdict.hint]
        if _verdict.state != "solved":
            break
_sys.stdout.write({nonce!r} + _json.dumps(_found) + "\\n")
"""


def exercises(script: Path) -> dict[str, str]:
    """Name of each exercise of a solutions script, and the expression that its check is given."""
    found = {}
    for cell in source.read(script).cells:
        if "check" in cell.metadata.get("tags", []):
            for node in ast.walk(ast.parse(cell.source)):
                if _is_check(node):
                    found[node.args[0].value] = ast.unparse(node.args[1])  # type: ignore[attr-defined]
    return found


def answers(
    notebook: Any, wanted: dict[str, str], seeds: Sequence[int], seconds: float
) -> dict[str, Answer]:
    """The answer to each wanted exercise that was reached before time was up or the kernel died."""
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    notebook.cells = [
        cell for cell in notebook.cells if cell.cell_type == "code" and not _checks(cell)
    ]
    found: dict[str, Answer] = {}
    end = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder, kernel.kernel_settings():
        runner = kernel.client(notebook, Path(folder), seconds)
        runner.allow_errors = True
        try:
            with kernel.started(runner):
                for index in range(len(notebook.cells)):
                    runner.timeout = max(1, round(end - time.monotonic()))
                    runner.execute_cell(notebook.cells[index], index)
                for exercise, answer in _probes(runner, wanted, list(seeds), end):
                    found[exercise] = answer
        except (CellTimeoutError, DeadKernelError, RuntimeError):
            pass  # what was found until then counts
    return found


def _probes(
    runner: Any, wanted: dict[str, str], seeds: list[int], end: float
) -> Iterator[tuple[str, Answer]]:
    """Put each check to the running kernel."""
    import nbformat

    cells = runner.nb.cells
    for exercise, expression in wanted.items():
        nonce = secrets.token_hex(16)
        code = PROBE.format(expression=expression, exercise=exercise, seeds=seeds, nonce=nonce)
        cells.append(nbformat.v4.new_code_cell(code))
        began = time.monotonic()
        runner.timeout = max(1, round(end - began))
        runner.execute_cell(cells[-1], len(cells) - 1)
        yield exercise, _heard(cells[-1], nonce, round(time.monotonic() - began, 1))


def _heard(cell: Any, nonce: str, seconds: float) -> Answer:
    """What the probe printed behind its number."""
    text = "".join(o.get("text", "") for o in cell.outputs if o.get("name") == "stdout")
    if nonce not in text:
        return Answer("did not run", "no result", "the check was interrupted", seconds)
    state, failed, hint = json.loads(text.rsplit(nonce, 1)[1].split("\n")[0])
    return Answer(state, failed, hint, seconds)


def _checks(cell: Any) -> bool:
    """Whether this is a check cell: by its tag, or because it calls check("NN.name", …)."""
    if "check" in cell.metadata.get("tags", []):
        return True
    try:
        return any(map(_is_check, ast.walk(ast.parse(cell.source))))
    except SyntaxError:
        return False


def _is_check(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "check"
        and len(node.args) == 2
        and isinstance(node.args[0], ast.Constant)
    )
