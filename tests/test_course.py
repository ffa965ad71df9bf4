"""From source to notebook, exercise, drift and grade, on a course of one tiny chapter."""

import csv
import gc
import io
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import pytest
from notebook_cells import Tally, shortfalls

from minids.course import Graded, build, cut, doubled, drift, grade, kernel, report, write_pages
from minids.course.build import BuildError, _broken
from minids.course.files import write
from minids.course.grade import _why
from minids.course.measure import Cost, stored
from minids.course.shown import outdated
from minids.course.source import exercise, read
from minids.study.workers import WorkerError

CHAPTER = """
# %% [markdown]
# # 7. A tiny chapter

# %%
from pathlib import Path

import ipywidgets
from IPython.display import display

from minids.study.lesson import claim, figure, predict, reveal
from minids.study.widgets import explore

# %% tags=["predict"]
answer = predict("How much is 6 x 7?", ..., default=40)
reveal(answer, 42)

# %%
from matplotlib.figure import Figure


def draw(power=2):
    fig = Figure(figsize=(2, 1))
    fig.subplots().plot([x**power for x in range(9)])
    return fig


figure(draw(), alt="A curve that rises faster and faster")

# %%
explore(draw, power=(1, 4))

# %% tags=["claim"]
claim("the kernel starts in the notebook's folder", Path.cwd().name == "notebooks")

# %% tags=["hide-input", "nbval-ignore-output"]
import os

from minids.study.lesson import show_source

print(os.getpid(), os.environ.get("OMP_NUM_THREADS"))
show_source(claim)
"""

SOLUTION = '''
# %% [markdown]
# # Exercises 7

# %%
from minids.check import check


# %% tags=["exercise"]
def double(x):
    """Twice x."""
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION


# %% tags=["check"]
check("77.double", double)

# %% tags=["exercise"]
### BEGIN SOLUTION
answer: int = 6 * 7
### END SOLUTION

# %% tags=["check"]
check("77.answer", answer)

# %% tags=["exercise"]
def half(x):
    """Half of x."""
    ### BEGIN SOLUTION
    return x / 2
    ### END SOLUTION


# %% tags=["check"]
check("77.half", half)

# %% tags=["raises-exception"]
check("77.double", abs, seed=3)

# %% [markdown]
# ### BEGIN SOLUTION
# Why 42: see the chapter.
# ### END SOLUTION
'''


CHECKS = """
from minids.check import Claim, checker


@checker("77.double", hints=("a", "b", "c"))
def double(attempt, g):
    yield Claim("3 becomes 6", attempt(3) == 6, "multiply by 2.")
    yield Claim("minus 4 becomes minus 8", attempt(-4) == -8, "no abs.")


@checker("77.half", hints=("a", "b", "c"))
def half(attempt, g):
    yield Claim("6 becomes 3", attempt(6) == 3, "divide by 2.")


@checker("77.answer", hints=("a", "b", "c"), takes=int)
def answer(attempt, g):
    yield Claim("the product is right", attempt == 42, "multiply.")
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: Any) -> Iterator[Path]:
    """A course of one chapter and one set of exercises, built."""
    folder = tmp_path_factory.mktemp("course")
    write(folder / "lib" / "checks_77.py", CHECKS)
    old = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(folder / "lib"), old])
    sys.path.append(str(folder / "lib"))  # as in a Python that was started with it
    yield _built(folder)
    sys.path.remove(str(folder / "lib"))
    os.environ["PYTHONPATH"] = old


def _built(folder: Path) -> Path:
    for kind, text in (("notebooks", CHAPTER), ("solutions", SOLUTION)):
        write(folder / kind / "src" / "77_tiny.py", text.lstrip())
    built = build(root=folder, threads=2)
    assert [b.name for b in built] == ["notebooks/77_tiny", "solutions/77_tiny"]
    assert not [b.claims_broken for b in built if b.claims_broken]
    return folder


def code(path: Path) -> list[Any]:
    return [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]


# --- build


def test_a_build_executes_every_cell_in_the_notebooks_folder(root: Path) -> None:
    cells = code(root / "notebooks" / "77_tiny.ipynb")
    assert [c.execution_count for c in cells] == [1, 2, 3, 4, 5, 6, 7]
    assert cells[5].outputs[0].text == "holds: the kernel starts in the notebook's folder\n"
    assert cells[6].outputs[0].text.split()[1] == "2", "threads"
    assert cells[6].metadata["jupyter"] == {"source_hidden": True}


def test_two_builds_give_the_same_bytes(root: Path) -> None:
    path = root / "notebooks" / "77_tiny.ipynb"
    first = nbformat.read(path, as_version=4)
    build(["notebooks/77_tiny"], root=root, threads=1)
    second = nbformat.read(path, as_version=4)
    for notebook in (first, second):
        del notebook.cells[-1]  # prints the number of its process
    assert first == second
    assert [cell.id for cell in first.cells[1:3]] == ["77_tiny-install", "77_tiny-001"]
    assert "00000000000000000000000000000000" in json.dumps(first.metadata.widgets)


def test_a_build_leaves_the_old_file_where_a_cell_fails(root: Path) -> None:
    source, built = root / "notebooks/src/77_tiny.py", root / "notebooks/77_tiny.ipynb"
    before, words = built.read_bytes(), source.read_text()
    source.write_text(words.replace("answer = predict", "answer = 1 / 0 + predict"))
    try:
        with pytest.raises(BuildError, match=r"(?s)77_tiny stopped in code cell 2 .*ZeroDivision"):
            build(["notebooks/77_tiny"], root=root)
    finally:
        source.write_text(words)
    assert built.read_bytes() == before
    assert not list((root / "notebooks").glob(".*"))


def test_seconds_and_memory_of_each_cell_are_kept(root: Path) -> None:
    costs = stored(root)["notebooks/77_tiny"]
    assert [cost.cell for cost in costs] == [0, 1, 2, 3, 4, 5, 6]
    assert all(cost.seconds >= 0 and 10 < cost.mb < 5000 for cost in costs)
    text = (root / "data/results/cells.json").read_text()
    assert json.loads(text)["machine"]["cores"]
    assert str(root) not in text


def test_unknown_names_and_tags_are_answered_with_the_known(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no '08_x'; known: notebooks/77_tiny, "):
        build(["08_x"], root=root)
    script = tmp_path / "x.py"
    script.write_text('# %% tags=["skip-me"]\n1\n')
    with pytest.raises(ValueError, match="unknown tag 'skip-me'; known: exercise, check"):
        read(script)


def test_claims_that_do_not_hold_are_found_in_what_was_printed() -> None:
    said = [{"text": "holds: a\nDOES NOT HOLD: b\n"}, {"data": {}}]
    cells = [{"outputs": said}, {"cell_type": "markdown"}]
    assert _broken(SimpleNamespace(cells=cells)) == ["DOES NOT HOLD: b"]


def test_kernels_write_no_progress_and_the_environment_is_as_it_was(monkeypatch: Any) -> None:
    monkeypatch.delenv("MINIDS_PROGRESS")
    before = dict(os.environ)
    with kernel.kernel_settings(MINIDS_CATCH_UP="off"):
        changed = dict(os.environ.items() - before.items())
        folder = Path(changed.pop("IPYTHONDIR"))
        assert changed == {"MINIDS_PROGRESS": "off", "MINIDS_CATCH_UP": "off"}
        assert list(folder.iterdir()) == [], "no start-up files of whoever builds"
    assert dict(os.environ) == before


def test_what_differs_from_run_to_run_is_settled() -> None:
    bar, label, lost = ("b" * 32, "c" * 32, "a" * 32)
    children = {"state": {"children": [f"IPY_MODEL_{label}"]}}
    time = {"state": {"value": " 3/3 [00:07<00:00,  2.31it/s]"}}
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("show()")])
    view = {"application/vnd.jupyter.widget-view+json": {"model_id": bar}}
    notebook.cells[0].outputs = [nbformat.v4.new_output("display_data", view)]
    state = {"state": {lost: {"state": {}}, bar: children, label: time}}
    notebook.metadata["widgets"] = {kernel.WIDGETS: state}
    settled = kernel.settle(notebook).metadata["widgets"][kernel.WIDGETS]["state"]
    first, second = (f"{number:032x}" for number in (0, 1))
    assert settled == {
        first: {"state": {"children": [f"IPY_MODEL_{second}"]}},
        second: {"state": {"value": " 3/3"}},
    }


# --- the guard on cost


def test_a_cell_that_doubled_is_named() -> None:
    before = {"notebooks/77": [Cost(0, 1.0, 200), Cost(1, 10.0, 400), Cost(2, 20.0, 400)]}
    now = {"notebooks/77": [Cost(0, 1.0, 200), Cost(1, 25.0, 400), Cost(2, 20.0, 900)]}
    assert doubled(before, now) == [
        "notebooks/77, cell 1: 10.0 s became 25.0 s",
        "notebooks/77, cell 2: 400 MB became 900 MB",
    ]


def test_a_slower_machine_is_no_alarm() -> None:
    before = {"a": [Cost(i, 10.0, 400) for i in range(5)]}
    assert doubled(before, {"a": [Cost(i, 30.0, 400) for i in range(5)]}) == []
    assert doubled(before, before) == []


def test_an_import_that_takes_a_second_more_is_no_alarm() -> None:
    assert doubled({"a": [Cost(0, 0.4, 90)]}, {"a": [Cost(0, 1.4, 300)]}) == []


# --- nbval, in the way of the test run


def nbval(root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    tests = Path(__file__).parent
    path = os.pathsep.join([str(tests), str(tests.parent), os.environ["PYTHONPATH"]])
    command = [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", "--color=no"]
    command += [
        "-c",
        str(tests.parent / "pyproject.toml"),
        "-p",
        "notebook_cells",
        "-p",
        "no:cacheprovider",
        f"--rootdir={root}",
    ]
    command += [f"--nbval-sanitize-with={tests / 'nbval_sanitize.cfg'}", *options]
    return subprocess.run(
        command,
        cwd=root,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_what_was_built_passes_nbval_and_a_changed_output_does_not(root: Path) -> None:
    for name in ("broken", "wrong"):
        notebook = nbformat.read(root / "notebooks" / "77_tiny.ipynb", as_version=4)
        cell = notebook.cells[3]
        if name == "wrong":
            cell.outputs[0].text = cell.outputs[0].text.replace("42", "41")
        else:
            cell.source = "raise ValueError('on purpose')"
        nbformat.write(notebook, root / "notebooks" / f"{name}.ipynb")
    try:
        done = nbval(root, "notebooks", "solutions", "--update-cells")
    finally:
        for name in ("broken", "wrong"):
            (root / "notebooks" / f"{name}.ipynb").unlink()
    assert "notebooks/77_tiny: 7 executed, 0 skipped, 0 failed" in done.stdout, done.stdout
    assert "notebooks/broken: 2 executed, 4 skipped, 1 failed" in done.stdout
    assert "notebooks/wrong: 6 executed, 0 skipped, 1 failed" in done.stdout
    assert done.returncode == 1
    committed = json.loads((root / "tests" / "cells_expected.json").read_text())
    assert committed == {
        "notebooks/77_tiny": 7,
        "notebooks/broken": 2,
        "notebooks/wrong": 6,
        "solutions/77_tiny": 9,
    }


def test_a_notebook_that_was_not_run_at_all_is_named() -> None:
    counts = {"notebooks/a": Counter(executed=3), "notebooks/b": Counter(executed=1, skipped=4)}
    expected = {"notebooks/a": 3, "notebooks/b": 5, "notebooks/c": 2, "solutions/d": 9}
    assert shortfalls(counts, expected, lambda name: name.startswith("notebooks/")) == [
        "notebooks/b: 1 cells were executed, 5 are committed to in tests/cells_expected.json",
        "notebooks/c: 0 cells were executed, 2 are committed to in tests/cells_expected.json",
    ]


def test_a_run_with_fewer_cells_than_committed_fails_though_nothing_else_does(
    tmp_path: Path,
) -> None:
    write(tmp_path / "tests" / "cells_expected.json", '{"notebooks/77_tiny": 6}')
    option = SimpleNamespace(
        nbval=True, nbval_lax=False, keyword="", markexpr="", collectonly=False
    )
    option.update_cells = option.strict_times = False
    here = SimpleNamespace(dir=tmp_path)
    for executed, ends in ((6, pytest.ExitCode.OK), (5, pytest.ExitCode.TESTS_FAILED)):
        session = SimpleNamespace(exitstatus=pytest.ExitCode.OK)
        tally = Tally(
            SimpleNamespace(
                rootpath=tmp_path, option=option, args=["notebooks"], invocation_params=here
            )
        )
        tally.counts = {"notebooks/77_tiny": Counter(executed=executed, skipped=6 - executed)}
        tally.pytest_sessionfinish(session)
        assert session.exitstatus == ends


def test_a_mistake_is_answered_in_three_lines_and_without_a_traceback(root: Path) -> None:
    (error,) = code(root / "solutions" / "77_tiny.ipynb")[-1].outputs
    assert error.ename == "NotYet"
    assert "\n".join(error.traceback) == (
        "77.double: 3 becomes 6 -- not yet.\n  hint: multiply by 2.\n"
        "  (check('77.double', …, seed=3) repeats these inputs)"
    )


# --- cut and drift


def test_the_exercise_keeps_everything_but_the_solution(root: Path) -> None:
    notebook = nbformat.read(root / "exercises" / "77_tiny.ipynb", as_version=4)
    cells = [c.source for c in notebook.cells if "install" not in c.metadata.get("tags", [])]
    assert cells[2].endswith('# from minids.course import catch_up; catch_up("77.double")')
    assert all(line.startswith("#") for line in cells[2].splitlines())
    del cells[2]
    assert cells[2] == 'def double(x):\n    """Twice x."""\n    raise NotImplementedError'
    assert cells[4] == "answer = ..."
    assert "Why 42" not in json.dumps(notebook)
    assert all(not c.outputs and c.execution_count is None for c in notebook.cells[1:])
    solved = nbformat.read(root / "solutions" / "77_tiny.ipynb", as_version=4)
    assert "SOLUTION" not in json.dumps(solved)
    assert solved.cells[4].outputs[0].text.endswith("77.double: solved (2 claims hold)\n")


def test_markers_have_to_come_in_pairs(tmp_path: Path) -> None:
    script = tmp_path / "x.py"
    script.write_text("# %%\ndef f():\n    ### BEGIN SOLUTION\n    return 1\n")
    with pytest.raises(ValueError, match="1 x '### BEGIN SOLUTION', 0 x '### END SOLUTION'"):
        exercise(read(script), "x")


def test_a_whole_function_cannot_disappear(tmp_path: Path) -> None:
    script = tmp_path / "x.py"
    script.write_text("# %%\n### BEGIN SOLUTION\ndef f():\n    return 1\n### END SOLUTION\n")
    with pytest.raises(ValueError, match="f: put the solution markers inside it"):
        exercise(read(script), "x")


@pytest.mark.parametrize(
    "line",
    [
        "for i in (1, 2):\n    x = i",
        "async def f():\n    return 1",
        "g[0] = 7",
        "a, g[0] = 1, 2",
        "g.b = 7",
        "x += 1",
        "import math",
        "print(x)",
    ],
)
def test_only_names_that_are_assigned_become_blanks_at_top_level(tmp_path: Path, line: str) -> None:
    script = tmp_path / "x.py"
    script.write_text(f"# %%\n### BEGIN SOLUTION\n{line}\n### END SOLUTION\n")
    with pytest.raises(ValueError, match="cannot be blanked: outside functions|f: put the "):
        exercise(read(script), "x")


def test_names_in_tuples_and_stars_become_blanks_each(tmp_path: Path) -> None:
    script = tmp_path / "x.py"
    body = "a, (b, *c) = values()\na: int = 3\n[d] = e = [1]\n"
    script.write_text(f"# %%\n### BEGIN SOLUTION\n{body}### END SOLUTION\n")
    blanks = exercise(read(script), "x").cells[0].source.split("\n")
    assert sorted(blanks) == [f"{name} = ..." for name in "abcde"]


def test_drift_names_every_notebook_that_no_longer_follows_its_source(root: Path) -> None:
    assert drift(root=root) == []
    source, cut_file = root / "notebooks/src/77_tiny.py", root / "exercises/77_tiny.ipynb"
    words, kept = source.read_text(), cut_file.read_text()
    source.write_text(words.replace("6 x 7", "7 x 6"))
    cut_file.write_text(kept.replace("Twice x", "Thrice x"))
    write(root / "exercises" / "08_lost.ipynb", kept)
    try:
        assert drift(root=root) == [
            "notebooks/77_tiny, cell 3, differs from its source: build it again",
            "exercises/77_tiny differs from solutions/src: cut it again",
            "exercises/08_lost has no source",
        ]
    finally:
        source.write_text(words)
        (root / "exercises" / "08_lost.ipynb").unlink()
        cut(root=root)
    assert drift(root=root) == []


def test_drift_names_a_cell_that_shows_code_as_it_no_longer_is(root: Path) -> None:
    path = root / "notebooks" / "77_tiny.ipynb"
    built = path.read_text()
    assert built.count("def claim(") == 1
    path.write_text(built.replace("def claim(", "def claimed("))
    try:
        (late,) = drift(root=root)
        assert re.fullmatch(
            r"notebooks/77_tiny, cell \d+, shows code that has changed: build it again", late
        )
    finally:
        path.write_text(built)
    assert drift(root=root) == []


def test_code_that_is_gone_is_named_and_not_a_traceback() -> None:
    gone = "from minids.study import lesson\nfrom minids.study.lesson import nothing\nx = 1 / 0"
    cells = [
        {"cell_type": "code", "source": [gone], "outputs": []},
        {"cell_type": "code", "source": ["%pip install x"], "outputs": []},
        {"cell_type": "code", "source": ["from minids.study.lesson import show_source\n",
                                         "show_source(lesson.nobody)"], "outputs": []},
    ]  # fmt: skip
    first, second = outdated({"cells": cells}, "n")
    assert first.startswith("n, cell 0, asks for what is gone: cannot import name 'nothing'")
    assert second.startswith("n, cell 2, asks for what is gone:") and "'nobody'" in second


# --- grade


RIGHT = "def double(x):\n    return x + x"
HALF = "def half(x):\n    return x / 2"
CHEAT = """print('77.double: solved')
double = None
import minids.check as c
import minids.check.engine as e
fake = lambda *a, **k: c.Verdict('77.double', 'solved', (), '', '', 0)
c.examine = e.examine = fake
"""
# Three ways to make every check say "solved"; each is run before anything is checked.
REWRITTEN = """import sys
class Rewriting:
    def __init__(self, out):
        self.out = out
    def write(self, text):
        for state in ("wrong", "blank", "error"):
            text = text.replace('"' + state + '"', '"solved"')
        return self.out.write(text)
    def __getattr__(self, name):
        return getattr(self.out, name)
sys.stdout = Rewriting(sys.stdout)
"""
TRANSFORMED = """import re
def solved(lines):
    number = re.search("_sys.stdout.write.'([0-9a-f]+)'", "".join(lines))
    said = '["solved", "", ""]'
    return [f"print({number[1] + said!r})"] if number else lines
get_ipython().input_transformers_post.append(solved)
"""
FOUND = """import importlib.machinery, sys
from types import SimpleNamespace
class Finder:
    def find_spec(self, name, *_):
        if name == "minids.check":
            return importlib.machinery.ModuleSpec(name, self)
    def create_module(self, spec):
        return None
    def exec_module(self, module):
        said = SimpleNamespace(state="solved", failed="", hint="")
        module.examine = lambda *_, **__: said
sys.meta_path.insert(0, Finder())
"""
# What breaks the kernel's own messages, and so whoever listens to it.
GARBLED = "import json\njson.dumps = lambda *_, **__: '[]'"
OPEN = {"77.double": "blank", "77.answer": "blank", "77.half": "blank"}
SOLVED = dict.fromkeys(OPEN, "solved")


def submission(root: Path, path: Path, **bodies: str) -> Any:
    """An exercise notebook with some cells filled in, by what they define."""
    notebook = nbformat.read(root / "exercises" / "77_tiny.ipynb", as_version=4)
    cells = {cell.id.removeprefix("77_tiny-"): cell for cell in notebook.cells}
    places = {"late": "late", "first": "001", "double": "002", "answer": "004", "half": "006"}
    for name, body in bodies.items():
        cells[places[name]].source = body
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return notebook


def twelve(root: Path, folder: Path) -> dict[str, dict[str, str]]:
    """Twelve submissions as a teacher gets them, and what each must be given."""
    all_right = {"double": RIGHT, "answer": "answer = 42", "half": HALF}

    def hand_in(name: str, **bodies: str) -> Any:
        return submission(root, folder / name, **bodies)

    hand_in("ann/right.ipynb", **all_right)
    hand_in("bob/partly.ipynb", double="def double(x):\n    return 2 * abs(x)", answer="answer = 4")
    nbformat.write(nbformat.v4.new_notebook(), folder / "cem_77_tiny.ipynb")
    hand_in("dan/syntax.ipynb", **{**all_right, "double": "def double(x)\n    return 2 * x"})
    hand_in("eve/endless.ipynb", **{**all_right, "double": "def double(x):\n    while x: pass"})
    hand_in("fay/cheat.ipynb", double=CHEAT, answer="answer = '77.answer: solved'")
    hand_in("gus/names.ipynb", **{**all_right, "half": HALF.replace("half", "halve")})
    hand_in("hal/crash.ipynb", **{**all_right, "answer": "import os\nos._exit(3)"})
    (folder / "ida.ipynb").write_text("not a notebook")
    hand_in("jan/untouched.ipynb")
    hand_in("kim/Homework (final) 2.ipynb", **all_right)
    hand_in("leo/loop.ipynb", **{**all_right, "answer": "while True:\n    pass"})
    return {
        "ann/right.ipynb": SOLVED,
        "bob/partly.ipynb": {**OPEN, "77.double": "wrong", "77.answer": "wrong"},
        "cem_77_tiny.ipynb": dict.fromkeys(OPEN, "did not run"),
        "dan/syntax.ipynb": {**SOLVED, "77.double": "did not run"},
        "eve/endless.ipynb": {**SOLVED, "77.double": "error"},
        "fay/cheat.ipynb": {"77.double": "error", "77.answer": "error", "77.half": "blank"},
        "gus/names.ipynb": {**SOLVED, "77.half": "did not run"},
        "hal/crash.ipynb": {**SOLVED, "77.answer": "did not run"},
        "ida.ipynb": {"": "did not run"},
        "jan/untouched.ipynb": OPEN,
        "kim/Homework (final) 2.ipynb": SOLVED,
        "leo/loop.ipynb": {**SOLVED, "77.answer": "did not run"},
    }


def test_submissions_are_named_by_their_folder_and_copies_of_jupyter_are_none(
    root: Path, tmp_path: Path
) -> None:
    for name in ("ann", ".ipynb_checkpoints", "bob/.ipynb_checkpoints", ".minids"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "77.ipynb").write_text("no notebook")
    found = grade(tmp_path, root=root, workers=0)
    assert [graded.submission for graded in found] == ["ann/77.ipynb"]
    found = grade(tmp_path / ".minids", root=root, workers=0)
    assert [graded.submission for graded in found] == ["77.ipynb"], "who names it means it"


def test_twelve_varied_submissions_get_what_they_earned(root: Path, tmp_path: Path) -> None:
    expected = twelve(root, tmp_path)
    graded = grade(tmp_path, root=root, seconds=12, seeds=[1, 2], workers=1)
    got: dict[str, dict[str, str]] = {}
    for row in csv.DictReader(io.StringIO(report(graded).csv)):
        got.setdefault(row["submission"], {})[row["exercise"]] = row["state"]
    assert got == expected
    said = {(g.submission[:3], g.exercise): f"{g.failed}; {g.hint}" for g in graded}
    assert "minus 4 becomes minus 8" in said["bob", "77.double"]
    assert "still running" in said["eve", "77.double"]
    assert "no readable notebook" in said["ida", ""]
    assert "name 'halve'" not in said["gus", "77.half"]
    assert "not defined" in said["gus", "77.half"]


def test_slow_starts_of_its_kernels_cost_a_submission_nothing(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = [0.0]

    def slowly(runner: Any, start: Any = kernel.started) -> Any:
        late[0] += 1000
        return start(runner)

    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + late[0])
    monkeypatch.setattr(kernel, "started", slowly)
    monkeypatch.setattr("minids.course.submission.time", clock)
    crash = "import os\nos._exit(3)"  # and so a second start
    submission(root, tmp_path / "hal.ipynb", double=RIGHT, answer=crash, half=HALF)
    graded = grade(tmp_path, root=root, seconds=20, seeds=[1], workers=0)
    assert {g.exercise: g.state for g in graded} == {**SOLVED, "77.answer": "did not run"}


ODD = {
    "a cell that leaves": {"first": "exit()"},
    "a line of a million": {"first": "print(list(range(150_000)))"},
    "half a character": {"half": "def half(x):\n    raise ValueError('\\ud800')"},
}


@pytest.mark.parametrize("what", ODD)
def test_an_odd_submission_is_graded_like_any_other(root: Path, tmp_path: Path, what: str) -> None:
    bodies = {"double": RIGHT, "answer": "answer = 42", "half": HALF} | ODD[what]
    submission(root, tmp_path / "oda.ipynb", **bodies)
    began = time.monotonic()
    graded = grade(tmp_path, root=root, seconds=30, seeds=[1], workers=0)
    assert time.monotonic() - began < 25
    failing = {} if bodies["half"] == HALF else {"77.half": "error"}
    assert {g.exercise: g.state for g in graded} == SOLVED | failing
    assert report(graded).csv.encode("utf-8")


def test_names_of_any_bytes_are_written_and_told_apart(root: Path, tmp_path: Path) -> None:
    names = [b"M\xfcller", b"M\xf6ller", "Müller".encode(), b"a | b"]
    for name in names:
        folder = Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), name)))
        try:
            folder.mkdir()
        except OSError:
            pytest.skip("this file system takes names in UTF-8 alone")
        (folder / "77_tiny.ipynb").write_text("no notebook")
    graded = grade(tmp_path, root=root, workers=0)
    made = report(graded)
    assert len(made.pages) == 4 and made.csv.encode("utf-8")
    assert "| a \\| b/77_tiny.ipynb |" in made.markdown
    assert len(write_pages(made.pages, tmp_path / "pages")) == 4


@pytest.mark.parametrize("note", ["a word", {"exercises": ["77_tiny"]}, {"exercises": "99"}])
def test_a_note_that_says_nothing_leaves_the_name_to_say_it(
    root: Path, tmp_path: Path, note: Any
) -> None:
    notebook = submission(root, tmp_path / "77_tiny.ipynb")
    notebook.metadata["minids"] = note
    text = "\ufeff" + nbformat.writes(notebook)  # and with the mark that some editors put first
    (tmp_path / "77_tiny.ipynb").write_text(text, encoding="utf-8")
    graded = grade(tmp_path, root=root, seconds=30, seeds=[1], workers=0)
    assert {g.exercise: g.state for g in graded} == OPEN


@pytest.mark.parametrize("cheat", [REWRITTEN, TRANSFORMED, FOUND], ids=["out", "in", "module"])
def test_a_check_that_was_tampered_with_earns_nothing(
    root: Path, tmp_path: Path, cheat: str
) -> None:
    submission(root, tmp_path / "nia.ipynb", first=cheat, half=HALF.replace("2", "3"))
    graded = grade(tmp_path, root=root, seconds=20, seeds=[1], workers=0)
    assert {g.exercise for g in graded} == set(OPEN)
    assert {(g.state, g.failed) for g in graded} == {("error", "the check was tampered with")}


def test_a_submission_that_garbles_its_kernel_stops_nobody_elses(
    root: Path, tmp_path: Path, caplog: Any
) -> None:
    submission(root, tmp_path / "a.ipynb", late=GARBLED)
    submission(root, tmp_path / "b.ipynb", double=RIGHT, answer="answer = 42", half=HALF)
    states: dict[str, dict[str, str]] = {"a.ipynb": {}, "b.ipynb": {}}
    for g in grade(tmp_path, root=root, seconds=20, seeds=[1], workers=0):
        states[g.submission][g.exercise] = g.state
    assert states["b.ipynb"] == SOLVED
    assert set(states["a.ipynb"]) == set(OPEN) and "solved" not in states["a.ipynb"].values()
    gc.collect()  # asyncio tells of a forgotten task when it is thrown away
    assert "never retrieved" not in caplog.text


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")
def test_a_submission_that_kills_its_grader_stops_nobody_elses(root: Path, tmp_path: Path) -> None:
    kills = "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)"
    submission(root, tmp_path / "a.ipynb", first=kills)
    submission(root, tmp_path / "b.ipynb", double=RIGHT, answer="answer = 42", half=HALF)
    said: list[str] = []
    killer, *others = grade(tmp_path, root=root, seconds=30, seeds=[1], workers=1, say=said.append)
    assert killer[:4] == ("a.ipynb", "", "did not run", "it ended its grader")
    assert "exit code -9" in killer.hint
    assert {(g.submission, g.state) for g in others} == {("b.ipynb", "solved")}
    assert [g.exercise for g in others] == [*OPEN]
    assert said == ["  1 of 2  a.ipynb", "  2 of 2  b.ipynb"]


def test_trouble_in_a_grader_is_said_by_its_last_line_and_a_death_by_its_first() -> None:
    trace = "Traceback (most recent call last):\n  File x\nTypeError: no seeds\n"
    assert _why(WorkerError(0, trace)) == "TypeError: no seeds"
    assert _why(WorkerError(0, "exit code -9; its last words:\nhello")).startswith("exit code -9")


def test_the_pages_say_who_is_where_and_that_this_is_no_sandbox(tmp_path: Path) -> None:
    rows = [
        Graded("a/ann.ipynb", "77.double", "solved", "", "", 0.1),
        Graded("a/ann.ipynb", "77.half", "wrong", "6 becomes 3", "divide.\nby 2", 0.1),
        Graded("bob.ipynb", "77.double", "wrong", "3 becomes 6", "multiply", 0.1),
        Graded("bob.ipynb", "77.half", "wrong", "6 becomes 3", "divide", 0.1),
        Graded("cem.ipynb", "", "did not run", "no readable notebook", "", 0.0),
        Graded("dan.ipynb", "77.half", "blank", "still open", "begin", 0.1),
    ]
    made = report(rows)
    assert made.csv.splitlines()[0] == "submission,exercise,state,failed,hint,seconds"
    assert "| a/ann.ipynb | 1 of 2 | solved | wrong |" in made.markdown
    assert "| cem.ipynb | 0 of 1 | - | - |" in made.markdown
    assert "- 2 x 77.half: 6 becomes 3" in made.markdown
    assert "it is no sandbox" in made.markdown
    assert "still open" not in made.markdown, "nobody is stuck where nobody has begun"
    assert made.pages["dan.ipynb"].endswith("0 of 1 solved.\n\n- **77.half**: blank\n")
    assert made.pages["a/ann.ipynb"] == (
        "# a/ann.ipynb\n\n1 of 2 solved.\n\n- **77.double**: solved\n- **77.half**: wrong\n"
        "    - 6 becomes 3\n    - hint: divide. by 2\n"
    )
    paths = write_pages(made.pages, tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in paths][0] == "a/ann.md"
    assert paths[1].read_text().startswith("# bob.ipynb\n")


def test_an_answer_further_down_counts_and_a_shown_one_does_not(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "mia.ipynb"
    late = "from pathlib import Path\nfrom minids.course import catch_up\n"
    late += f"catch_up('77.half', root=Path({str(root)!r}))"
    notebook = submission(root, path)
    notebook.cells += [nbformat.v4.new_code_cell(code) for code in (late, RIGHT)]
    nbformat.write(notebook, path)
    graded = grade(tmp_path, root=root, seconds=30, seeds=[1], workers=0)
    states = {g.exercise: g.state for g in graded}
    assert states == {**OPEN, "77.double": "solved"}
