"""Grade a folder of submissions: one fresh kernel each, a time limit, our checks on their code.

This is no sandbox: a submission is code and runs with your rights. Its own check cells are
removed, and ours come after it, through a freshly imported checker and under a number that the
submission cannot know, so that printing "solved" earns nothing.
"""

import ast
import csv
import io
import json
import secrets
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from minids.course import kernel, source


class Graded(NamedTuple):
    """One exercise of one submission. `state`: solved, blank, wrong, error, or did not run."""

    submission: str
    exercise: str
    state: str
    failed: str
    hint: str
    seconds: float


class Report(NamedTuple):
    """The same results for a spreadsheet and for a page."""

    csv: str
    markdown: str


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


def grade(
    folder: Path,
    *,
    root: Path = Path("."),
    seeds: Sequence[int] | None = None,
    seconds: float = 120,
) -> list[Graded]:
    """Results of every exercise in every notebook of `folder`, subfolders included.

    A submission belongs to the exercise notebook it was made from (it says so inside; else its
    file name must contain that notebook's name). seeds: three random ones by default; seconds:
    limit for one submission.
    """
    chosen = [secrets.randbelow(2**31) for _ in range(3)] if seeds is None else list(seeds)
    scripts = {path.stem: path for path in sorted((root / "solutions" / "src").glob("*.py"))}
    found: list[Graded] = []
    for path in sorted(folder.rglob("*.ipynb")):
        if ".ipynb_checkpoints" not in path.parts:
            found += _grade_one(path, str(path.relative_to(folder)), scripts, chosen, seconds)
    return found


def report(graded: Sequence[Graded]) -> Report:
    """A CSV with one line per result, and a Markdown page: who solved what, what went wrong."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(Graded._fields)
    writer.writerows(graded)
    names = sorted({g.exercise for g in graded if g.exercise})
    lines = [f"| submission | solved | {' | '.join(names)} |", "| --- " * (len(names) + 2) + "|"]
    for submission in dict.fromkeys(g.submission for g in graded):
        mine = {g.exercise: g.state for g in graded if g.submission == submission}
        solved = sum(state == "solved" for state in mine.values())
        states = " | ".join(mine.get(name, "-") for name in names)
        lines.append(f"| {submission} | {solved} of {len(mine)} | {states} |")
    stuck = Counter((g.exercise, g.failed) for g in graded if g.failed)
    if stuck:
        lines += ["", "Where they are stuck:", ""]
        lines += [f"- {count} x {name}: {failed}" for (name, failed), count in stuck.most_common()]
    return Report(buffer.getvalue(), "\n".join(lines) + "\n")


def _grade_one(
    path: Path, name: str, scripts: dict[str, Path], seeds: list[int], seconds: float
) -> list[Graded]:
    import nbformat

    try:
        notebook = nbformat.read(path, as_version=4)
    except Exception as error:  # any file can lie in such a folder
        return [Graded(name, "", "did not run", "no readable notebook", str(error)[:200], 0.0)]
    script = _script(notebook, path, scripts)
    if script is None:
        hint = f"its name should contain one of: {', '.join(scripts) or 'nothing built yet'}"
        return [Graded(name, "", "did not run", "belongs to no exercise notebook", hint, 0.0)]
    notebook.cells = [
        cell for cell in notebook.cells if cell.cell_type == "code" and not _checks(cell)
    ]
    wanted = exercises(script)
    results = dict(_results(notebook, wanted, seeds, seconds))
    late = ("did not run", "no result", f"it crashed, or took more than {seconds:g} s", 0.0)
    return [Graded(name, exercise, *results.get(exercise, late)) for exercise in wanted]


def _results(
    notebook: Any, wanted: dict[str, str], seeds: list[int], seconds: float
) -> list[tuple[str, tuple[str, str, str, float]]]:
    """Run the submission, then one probe per exercise, until time is up or the kernel dies."""
    import nbformat
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    found: list[tuple[str, tuple[str, str, str, float]]] = []
    end = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder, kernel.kernel_settings():
        runner = kernel.client(notebook, Path(folder), seconds)
        runner.allow_errors = True
        try:
            with kernel.started(runner):
                for index, cell in enumerate(list(notebook.cells)):
                    runner.timeout = max(1, round(end - time.monotonic()))
                    runner.execute_cell(cell, index)
                for exercise, expression in wanted.items():
                    nonce = secrets.token_hex(16)
                    code = PROBE.format(
                        expression=expression, exercise=exercise, seeds=seeds, nonce=nonce
                    )
                    notebook.cells.append(nbformat.v4.new_code_cell(code))
                    began = time.monotonic()
                    runner.timeout = max(1, round(end - began))
                    runner.execute_cell(notebook.cells[-1], len(notebook.cells) - 1)
                    state, failed, hint = _heard(notebook.cells[-1], nonce)
                    spent = round(time.monotonic() - began, 1)
                    found.append((exercise, (state, failed, hint, spent)))
        except (CellTimeoutError, DeadKernelError, RuntimeError):
            pass
    return found


def _heard(cell: Any, nonce: str) -> tuple[str, str, str]:
    """What the probe printed behind its number."""
    text = "".join(o.get("text", "") for o in cell.outputs if o.get("name") == "stdout")
    if nonce not in text:
        return "did not run", "no result", "the check was interrupted"
    state, failed, hint = json.loads(text.rsplit(nonce, 1)[1].split("\n")[0])
    return state, failed, hint


def _script(notebook: Any, path: Path, scripts: dict[str, Path]) -> Path | None:
    named = notebook.metadata.get("minids", {}).get("exercises")
    if named in scripts:
        return scripts[named]
    matches = [script for stem, script in scripts.items() if stem in path.stem]
    return matches[0] if matches else None


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
