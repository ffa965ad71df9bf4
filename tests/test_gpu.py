"""`minids gpu`: a chapter's cells in plain Python, and what is said where that does not work."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from minids.cli import app
from minids.course import findings, gpu, source
from minids.study import stage

ROOT = Path(__file__).parents[1]
HEAD = "# %% [markdown]\n# # A chapter\n\n"
CHAPTER = (
    HEAD
    + """# %% tags=["claim"]
from IPython.display import Markdown, clear_output, display
from matplotlib.figure import Figure
from tqdm.auto import tqdm

from minids.study.lesson import claim, figure, predict
from minids.study.scale import Scale
from minids.study.widgets import explore

scale = Scale.auto()
for _ in tqdm(range(2)):
    clear_output(wait=True)
claim("two are more than one", 2 > 1)

# %% [markdown]
# Words.

# %%
def draw(power=2):
    fig = Figure(figsize=(2, 1.5))
    fig.subplots().plot([x**power for x in range(9)])
    return fig


figure(draw(), "A parabola rises ever faster.")
explore(draw, power=(1, 3))
display(Markdown("| a table |"))
scale.kind
"""
)


@pytest.fixture
def course(tmp_path, monkeypatch):
    """Makes a course of one chapter, of these cells."""
    (tmp_path / "notebooks" / "src").mkdir(parents=True)
    (tmp_path / "exercises").mkdir()
    monkeypatch.chdir(tmp_path)

    def write(text):
        (tmp_path / "notebooks" / "src" / "00_made.py").write_text(text, encoding="utf-8")
        return tmp_path

    return write


def run(*arguments):
    return CliRunner().invoke(app, ["gpu", *map(str, arguments)])


def left(folder):
    return [path.name for path in folder.rglob("*") if path.is_file() and path.suffix != ".py"]


# --- names


@pytest.mark.parametrize("name", ["4", "04", "04_mla", "mla"])
def test_a_chapter_has_a_number_a_name_and_both(name):
    assert gpu.chapter(name, ROOT).stem == "04_mla"


def test_another_name_is_refused_with_the_chapters_there_are():
    ran = run("nonsense", "--scale", "smoke")
    assert ran.exit_code == 2
    assert ran.stderr.startswith("minids: there is no chapter 'nonsense'; there are: 00_map, 01_")


def test_another_scale_is_refused_with_the_scales_there_are():
    ran = run("09", "--scale", "huge")
    assert ran.exit_code == 2 and "'huge'; there are: gpu, laptop, smoke" in ran.stderr


def test_without_a_gpu_the_command_says_what_to_do(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    ran = run("09")
    assert ran.exit_code == 2
    assert "no CUDA device" in ran.stderr and "--scale smoke" in ran.stderr


def test_a_place_that_cannot_be_written_to_is_refused_before_the_run(tmp_path):
    (tmp_path / "file").write_text("no folder")
    ran = run("09", "--scale", "smoke", "--out", tmp_path / "file" / "out")
    assert ran.exit_code == 2 and "another folder with --out" in ran.stderr
    assert "cells" not in ran.stderr


@pytest.mark.parametrize("path", gpu.chapters(ROOT), ids=lambda path: path.stem)
def test_the_cells_are_those_of_the_notebook(path):
    pytest.importorskip("jupytext", reason="it reads the sources when notebooks are built")
    cells = source.solution(source.read(path)).cells
    assert gpu.read(path) == [cell.source for cell in cells if cell.cell_type == "code"]


@pytest.mark.parametrize("path", gpu.chapters(ROOT), ids=lambda path: path.stem)
def test_a_chapter_says_its_size_for_a_gpu_wherever_it_picks_one(path):
    picks = path.read_text(encoding="utf-8").split("scale.pick(")[1:]
    for pick in picks:
        depth, end = 1, 0
        while depth:
            depth += {"(": 1, ")": -1}.get(pick[end], 0)
            end += 1
        assert "gpu=" in pick[:end], f"scale.pick({pick[:end]}"


def test_titles_are_lines_that_do_something():
    assert gpu.title("import os\n# why\nx = 1\ny = 2") == "x = 1"
    assert gpu.title("import os") == "import os"
    assert len(gpu.title("x" * 99)) == 56


# --- a run


def test_a_chapter_yields_verdicts_words_figures_and_a_row(course, monkeypatch):
    folder = course(CHAPTER)
    monkeypatch.setenv("MINIDS_COMMIT", "0123abc")
    ran = run("made", "--scale", "smoke")
    assert ran.exit_code == 0, ran.output
    assert "1 of 1 claims hold; 1 figures" in ran.stdout
    out = folder / "data" / "results" / "smoke" / "00_made"
    assert sorted(left(out)) == ["figure_01.png", "printed.txt", "row.json"]
    assert (out / "figure_01.png").read_bytes()[:4] == b"\x89PNG"
    words = (out / "printed.txt").read_text()
    assert "holds: two are more than one" in words and "| a table |" in words
    assert "[interactive figure: power." in words and "'smoke'" in words
    row = json.loads((out / "row.json").read_text())
    assert row["claims"] == [{"cell": 0, "holds": True, "text": "two are more than one"}]
    shown = {"file": "figure_01.png", "cell": 1, "alt": "A parabola rises ever faster."}
    assert row["figures"] == [shown]
    assert row["commit"] == "0123abc" and row["changed"] is None and row["peak_bytes"] is None
    assert {"machine", "versions", "date", "device", "seconds"} <= set(row)
    assert len(row["cells"]) == 2 and row["command"] == "minids gpu 00_made --scale smoke"


def test_a_claim_that_does_not_hold_is_said_and_the_exit_code_is_1(course):
    folder = course(CHAPTER.replace("2 > 1", "2 < 1"))
    ran = run("00", "--scale", "smoke", "--out", folder / "out")
    assert ran.exit_code == 1
    assert "does not hold, cell 0: two are more than one" in ran.stderr
    assert json.loads((folder / "out" / "row.json").read_text())["claims"][0]["holds"] is False


FAILURES = {
    "1 / 0": "ZeroDivisionError: division by zero",
    "raise MemoryError('no room')": "The memory was full: MemoryError: no room. Take a smaller",
    "raise type('OutOfMemoryError', (RuntimeError,), {})('CUDA')": "The memory was full: OutOfMem",
    "import time; time.sleep(60)": "it took longer than 2 s; allow more with --seconds",
    "import os; os._exit(9)": "its Python ended with exit code 9",
    "raise SystemExit(3)": "SystemExit: 3",
}


@pytest.mark.parametrize(("code", "said"), FAILURES.items())
def test_a_cell_that_fails_becomes_one_sentence_and_nothing_is_written(course, code, said):
    folder = course(f"{HEAD}# %%\nx = 1\n\n# %%\n{code}\n")
    ran = run("00", "--scale", "smoke", "--out", folder / "out", "--seconds", 2)
    assert ran.exit_code == 1
    last = ran.stderr.splitlines()[-1]
    assert last.startswith("minids: 00_made stopped in code cell 1 of 2 (") and said in last
    assert last.endswith("Nothing was written.") and "Traceback" not in ran.stderr
    assert left(folder) == []


def test_details_show_the_line_that_failed(course):
    folder = course(f"{HEAD}# %%\ndef f():\n    return 1 / 0\n\n\nf()\n")
    ran = run("00", "--scale", "smoke", "--out", folder / "out", "--details")
    assert "return 1 / 0" in ran.stderr and "line 2, in f" in ran.stderr


def test_a_full_device_is_said_with_numbers_and_what_to_do():
    usage = gpu.Usage(held=3 * 10**9, peak=7 * 10**9, free=10**9, total=8 * 10**9)
    said = gpu._reason("torch.OutOfMemoryError: CUDA out of memory", usage, "04_mla")
    assert "used 7.0 GB at most and holds 3.0 GB now, 1.0 of 8.0 GB are free" in said
    assert said.endswith("minids gpu 04_mla --scale laptop")


def test_an_interruption_leaves_nothing_and_ends_the_cells_python(course, monkeypatch):
    folder = course(f"{HEAD}# %%\nimport os\nopen('pid', 'w').write(str(os.getpid()))\n")

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("minids.cli.gpu._cost", interrupted)
    ran = run("00", "--scale", "smoke", "--out", folder / "out")
    assert ran.exit_code == 130 and "interrupted; nothing was written" in ran.stderr
    assert not (folder / "out").exists()
    pid = int((folder / "notebooks" / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_the_cells_python_ends_by_itself_when_nobody_is_left_to_ask():
    process = subprocess.Popen(
        [sys.executable, "-c", "from minids.study.stage import serve; serve()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT,
    )  # fmt: skip
    began = time.monotonic()
    process.communicate(json.dumps("import time; time.sleep(60)").encode() + b"\n", timeout=30)
    assert process.returncode == 0 and time.monotonic() - began < 30


# --- cells


def cell(code, names=None):
    return stage.answer(code, "<cell 0>", {} if names is None else names)


def test_names_live_on_and_the_last_expression_is_shown():
    names = {}
    assert cell("x = 6", names)["printed"] == ""
    assert cell("x * 7", names)["printed"] == "42\n"
    assert cell("x * 7;", names)["printed"] == cell("None", names)["printed"] == ""


def test_a_key_to_a_quiz_that_nothing_backs_here_is_a_claim_that_does_not_hold():
    found = cell("from minids.study.cards import Unbacked\nraise Unbacked('nothing backs it')")
    assert found["error"] is None
    assert found["printed"] == "DOES NOT HOLD: nothing backs it\n"


def test_the_source_of_a_function_of_a_cell_can_be_read():
    code = "import inspect\ndef f():\n    return 1\nprint(inspect.getsource(f))"
    names = vars(sys.modules[__name__]).copy()
    assert "return 1" in cell(code, names)["printed"]


BLOCKED = ("IPython", "ipywidgets", "ipykernel", "nbclient", "nbformat", "jupytext", "comm")


def test_a_chapter_runs_on_a_machine_without_jupyter(tmp_path):
    """Chapter 09, in a Python that cannot import any of it."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.split('.')[0] in {BLOCKED}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Missing())\n"
    )
    ran = subprocess.run(
        [sys.executable, "-m", "minids", "gpu", "09", "--scale", "smoke", "--out", tmp_path / "o"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "o" / findings.ROW).exists()


def test_the_page_on_a_gpu_names_every_file_whose_tests_need_one():
    page = (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8")
    mark = "mark." + "cuda"
    for path in (ROOT / "tests").glob("test_*.py"):
        assert (mark in path.read_text(encoding="utf-8")) == (f"tests/{path.name}" in page)
