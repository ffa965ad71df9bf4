"""The cell that installs is silent where minids is, installs where it is not, and says so else."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from typer.testing import CliRunner

from minids.cli import app
from minids.course import build, drift, install_cell, kernel, publish, slides
from minids.course.files import write
from minids.course.measure import stored

ROOT = Path(__file__).parents[1]
PYPROJECT = '[project]\nname = "x"\n\n[project.urls]\n# where\n\n[project.scripts]\nx = "x"\n'
README = "# Title\n<!-- badges: begin -->\nnot yet\n<!-- badges: end -->\nrest\n"
CHAPTER = "# %% [markdown]\n# # 7. Tiny\n\n# %%\nprint(6 * 7)\n\n# %%\n6 * 7\n"
TASK = """# %% [markdown]
# # Exercises

# %% tags=["exercise"]
def half(x):
    ### BEGIN SOLUTION
    return x / 2
    ### END SOLUTION


# %% tags=["check"]
check = print
check("77.half", half)
"""
# What stands in for pip: `python -m pip …` from the folder of these words notes what it is asked.
PIP = "import json, pathlib, sys\npathlib.Path('asked.json').write_text(json.dumps(sys.argv[1:]))\n"
# minids cannot be imported behind this.
BLOCKED = """import sys
class Nowhere:
    def find_spec(self, name, *_):
        if name == "minids":
            sys.path[:] = [p for p in sys.path if not __import__("os").path.isdir(p + "/minids")]
sys.meta_path.insert(0, Nowhere())
"""


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """A course of one chapter and one exercise, built without executing anything."""
    folder = tmp_path / "course"
    write(folder / "pyproject.toml", PYPROJECT)
    write(folder / "README.md", README)
    write(folder / "notebooks" / "src" / "77_tiny.py", CHAPTER)
    write(folder / "solutions" / "src" / "77_tiny.py", TASK)
    build(execute=False, root=folder)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def cells(path: Path) -> list[Any]:
    return nbformat.read(path, as_version=4).cells


def run(code: str, folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """A cell in a fresh Python that starts in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    env = {**os.environ, **settings}
    ran = [sys.executable, "-c", f"{code}\nimport os\nprint('in', os.getcwd())"]
    return subprocess.run(ran, cwd=folder, env=env, capture_output=True, text=True, timeout=60)


def git(*words: str, cwd: Path) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run(["git", *who, *words], cwd=cwd, check=True, capture_output=True)


# --- the cell


@pytest.mark.parametrize("kind", ["notebooks", "solutions", "exercises"])
def test_every_notebook_has_the_cell_below_its_opening_and_folded_away(kind: str) -> None:
    for path in sorted((ROOT / kind).glob("*.ipynb")):
        found = cells(path)
        assert [n for n, cell in enumerate(found) if install_cell.installs(cell)] == [1]
        assert found[0].cell_type == "markdown"
        assert found[1].source == install_cell.text(install_cell.address(ROOT), kind)
        assert found[1].metadata == {"tags": ["install"], "jupyter": {"source_hidden": True}}
        assert found[1].outputs == []


def test_the_cell_is_short_plain_python_and_leaves_torch_alone() -> None:
    for where in (None, "https://github.com/ann/minids"):
        code = install_cell.text(where, "notebooks")
        compile(code, "cell", "exec")
        assert len(code.splitlines()) <= 16 and max(map(len, code.splitlines())) <= 100
        assert "torch=" not in code and '"torch"' not in code and "-U" not in code


@pytest.mark.parametrize("where", [None, "https://example.invalid/a/b"])
def test_where_minids_is_nothing_is_done_and_nothing_printed(
    where: str | None, tmp_path: Path
) -> None:
    ran = run(install_cell.text(where, "exercises"), tmp_path)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"in {tmp_path}\n", "")
    assert list(tmp_path.iterdir()) == []


def test_without_an_address_it_stops_with_a_sentence(tmp_path: Path) -> None:
    ran = run(BLOCKED + install_cell.text(None, "notebooks"), tmp_path)
    assert ran.returncode == 1
    last = ran.stderr.strip().splitlines()[-1]
    assert last.startswith("ModuleNotFoundError: minids is not installed here, and this copy")
    assert "run `pip install -e .` in the folder of the course" in last


def test_elsewhere_it_clones_installs_and_goes_into_the_folder(tmp_path: Path) -> None:
    there, here, tools = tmp_path / "there", tmp_path / "here", tmp_path / "tools"
    write(there / "exercises" / "77_tiny.ipynb", "{}")
    git("init", "--quiet", "--initial-branch=main", cwd=there)
    git("add", ".", cwd=there)
    git("commit", "--quiet", "-m", "first", cwd=there)
    write(tools / "pip.py", PIP)
    code = BLOCKED + install_cell.text(there.as_uri(), "exercises")
    settings = {"PYTHONPATH": f"{tools}{os.pathsep}{os.environ['PYTHONPATH']}"}
    ran = run(code, here, **settings)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == f"in {here / 'minids-course' / 'exercises'}\n"
    asked = json.loads((here / "asked.json").read_text())
    assert asked == ["install", "--quiet", "./minids-course", "jupytext"]
    assert (here / "minids-course" / "exercises" / "77_tiny.ipynb").exists()

    (here / "asked.json").unlink()
    again = run(code, here, **settings)  # pip had failed, say: the clone is not made twice
    assert again.returncode == 0 and (here / "asked.json").exists()
    (here / "asked.json").unlink()
    restarted = run(install_cell.text(there.as_uri(), "exercises"), here)
    assert restarted.stdout == ran.stdout and not (here / "asked.json").exists()


def test_what_has_run_stays_and_is_numbered_anew() -> None:
    path = ROOT / "notebooks" / "77_tiny.ipynb"
    v4 = nbformat.v4
    result = v4.new_output("execute_result", {"text/plain": "42"}, execution_count=1)
    code = v4.new_code_cell("6 * 7", outputs=[result], execution_count=1)
    ran = v4.new_notebook(cells=[v4.new_markdown_cell("# 7"), code])
    once = install_cell.put(ran, path, ROOT)
    assert [cell.get("execution_count") for cell in once.cells] == [None, 1, 2]
    assert once.cells[2].outputs[0].execution_count == 2
    assert ran.cells[1].execution_count == 1, "what was given stays as it was"
    assert install_cell.put(once, path, ROOT) == once
    code.execution_count = 7  # somebody's own order
    assert [c.get("execution_count") for c in install_cell.put(ran, path, ROOT).cells] == [
        None,
        None,
        7,
    ]


def test_slides_leave_the_cell_out(course: Path) -> None:
    notebook = nbformat.read(course / "notebooks" / "77_tiny.ipynb", as_version=4)
    kinds = [cell.metadata.slideshow.slide_type for cell in slides.marked(notebook).cells]
    assert kinds == ["slide", "skip", "subslide", "subslide"]
    notebook.cells[-1].metadata["tags"] = ["trap"]
    assert slides.marked(notebook).cells[-1].metadata.slideshow.slide_type == "fragment"
    [page] = slides.slides(course / "out", root=course)
    text = page.read_text()
    assert text.count(">print</span>") == 1 and "find_spec" not in text


# --- publish


def test_publishing_writes_address_badges_and_cells_and_is_done_once(course: Path) -> None:
    exercise = course / "exercises" / "77_tiny.ipynb"
    mine = nbformat.read(exercise, as_version=4)
    mine.cells[2].source = "def half(x):\n    return x / 2"
    nbformat.write(mine, exercise)
    changed = publish.publish("ann/my-course", root=course)
    assert [path.relative_to(course).as_posix() for path in changed] == [
        "pyproject.toml",
        "README.md",
        "notebooks/77_tiny.ipynb",
        "solutions/77_tiny.ipynb",
        "exercises/77_tiny.ipynb",
    ]
    address = "https://github.com/ann/my-course"
    assert install_cell.address(course) == address
    assert (course / "pyproject.toml").read_text() == PYPROJECT.replace(
        "# where\n", f'# where\nSource = "{address}"\n'
    )
    readme = (course / "README.md").read_text()
    assert "not yet" not in readme and readme.startswith("# Title\n<!-- badges: begin -->\n[![")
    assert readme.endswith("<!-- badges: end -->\nrest\n")
    assert "/github/ann/my-course/blob/main/notebooks/00_map.ipynb)" in readme
    assert "/v2/gh/ann/my-course/main?urlpath=lab/tree/notebooks/00_map.ipynb)" in readme
    for kind in ("notebooks", "solutions", "exercises"):
        code = cells(course / kind / "77_tiny.ipynb")[1].source
        assert f'"{address}"' in code and f'os.chdir("minids-course/{kind}")' in code
    assert cells(exercise)[2].source.endswith("return x / 2"), "a learner's own work stays"
    before = contents(course)
    assert publish.publish("ann/my-course", root=course) == []
    assert publish.publish(root=course) == []
    assert contents(course) == before
    assert publish.publish("bob/other", root=course) == changed
    assert "ann/my-course" not in "".join(map(str, contents(course).values()))


@pytest.mark.parametrize(
    "name",
    ["", "minids", "a/b/c", "https://github.com/a/b", "-a/b", "a--b/c", "a/..", "a/b.git"]
    + ["a b/c", "a/b c", 'a/b"', "a/b\n", f"{'a' * 40}/b", "OWNER/NAME"],
)
def test_what_is_no_repository_is_refused_and_nothing_written(name: str, course: Path) -> None:
    before = contents(course)
    with pytest.raises(ValueError, match="give OWNER/NAME|your own copy in place of OWNER"):
        publish.publish(name, root=course)
    assert contents(course) == before


def test_the_command_names_what_it_wrote_and_refuses_in_a_sentence(
    course: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(course)
    ran = CliRunner().invoke(app, ["course", "publish", "ann/minids"])
    assert ran.exit_code == 0, ran.output
    assert ran.output.endswith("exercises/77_tiny.ipynb\n5 files written\n")
    again = CliRunner().invoke(app, ["course", "publish", "ann/minids"])
    assert again.output == "nothing had changed\n"
    refused = CliRunner().invoke(app, ["course", "publish", "nobody"])
    assert refused.exit_code == 2 and "'nobody' is no repository" in refused.output


def test_a_notebook_without_this_courses_cell_has_drifted(course: Path) -> None:
    assert drift(root=course) == []
    path = course / "pyproject.toml"
    write(path, path.read_text().replace("# where\n", '# where\nSource = "https://x.invalid"\n'))
    assert drift(root=course) == [
        f"{kind}/77_tiny has not this course's install cell: minids course publish"
        for kind in ("notebooks", "solutions", "exercises")
    ]
    publish.publish(root=course)
    assert drift(root=course) == []


def test_a_notebook_that_is_missing_cut_short_or_nobodys_has_drifted(course: Path) -> None:
    path = course / "notebooks" / "77_tiny.ipynb"
    notebook = nbformat.read(path, as_version=4)
    nbformat.write(notebook, path.with_name("08_lost.ipynb"))
    del notebook.cells[-1]
    nbformat.write(notebook, path)
    (course / "exercises" / "77_tiny.ipynb").unlink()
    assert drift(root=course) == [
        "notebooks/77_tiny has 3 cells, its source 4",
        "exercises/77_tiny has not been built",
        "notebooks/08_lost has no source",
    ]
    path.unlink()
    assert drift(root=course)[0] == "notebooks/77_tiny has not been built"
    with pytest.raises(ValueError, match="notebooks/77_tiny has not been built: minids course"):
        slides.slides(course / "out", root=course)


@pytest.mark.skipif(os.name != "posix", reason="rights are POSIX's")
def test_what_is_built_can_be_read_by_others(course: Path) -> None:
    assert (course / "exercises" / "77_tiny.ipynb").stat().st_mode & 0o777 == 0o644


def test_a_build_hands_its_limit_on_and_an_interrupted_one_changes_nothing(
    course: Path, monkeypatch: Any
) -> None:
    asked = []

    def client(notebook: Any, folder: Path, seconds: float) -> None:
        asked.append((folder, seconds))
        raise KeyboardInterrupt

    monkeypatch.setattr(kernel, "client", client)
    before = contents(course)
    with pytest.raises(KeyboardInterrupt):
        build(["notebooks/77_tiny"], root=course, seconds=7)
    assert asked == [(course / "notebooks", 7)]
    assert contents(course) == before


def test_cells_that_are_known_by_number_move_along(course: Path) -> None:
    costs = '{"machine": {"cores": 96}, "notebooks": {"notebooks/77_tiny": [[0, 1.5, 90], '
    costs += '[1, 2.0, 80]], "solutions/77_tiny": [[0, 0.0, 9], [1, 1.0, 9], [2, 1.0, 9]]}}'
    write(course / "data" / "results" / "cells.json", costs)
    write(course / "tests" / "cells_expected.json", '{"notebooks/77_tiny": 2}')
    assert len(publish.publish(root=course)) == 2
    known = stored(course)
    assert known["notebooks/77_tiny"] == [(0, 0.0, 90), (1, 1.5, 90), (2, 2.0, 80)]
    assert [cost.seconds for cost in known["solutions/77_tiny"]] == [0.0, 1.0, 1.0]
    text = (course / "data" / "results" / "cells.json").read_text()
    assert json.loads(text)["machine"] == {"cores": 96}, "nothing was measured on this machine"
    assert (course / "tests" / "cells_expected.json").read_text() == (
        '{\n "notebooks/77_tiny": 3\n}\n'
    )
    assert publish.publish(root=course) == []


# --- the pages


def test_without_an_address_the_readme_shows_no_badge_but_the_command() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    between = readme.split("<!-- badges: begin")[1].split("<!-- badges: end -->")[0]
    assert ("![" in between) == (install_cell.address(ROOT) is not None)
    assert "![" in between or "`minids course publish OWNER/NAME`" in between
    assert publish._BADGES.search(readme)
    assert publish._URLS.search((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for badge in (publish.COLAB, publish.BINDER):
        assert len(badge.split("]")[0]) > 44, "it says what it shows"
