"""TEACHING.md names what exists, its plans add up, and its tables are those of the course."""

import json
import re
import shlex
import subprocess
from pathlib import Path

import nbformat
import pytest

from minids.check import exercises
from minids.course import minutes, roll
from minids.course.files import write

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "TEACHING.md").read_text(encoding="utf-8")
CHAPTERS = {
    section.split("\n")[0]: section.split("\n## ")[0]
    for section in re.split(r"^### ", TEXT[TEXT.index("## Chapter by chapter") :], flags=re.M)[1:]
}
PLANS = {
    section.split("\n")[0]: section
    for section in re.split(r"^### ", TEXT[: TEXT.index("## In the room")], flags=re.M)[1:]
}
SOURCES = sorted((ROOT / "notebooks" / "src").glob("*.py"))
NAME = re.compile(r"`(\d\d\.\w+)`")


def test_every_exercise_that_is_named_exists() -> None:
    known = set(exercises())
    assert set(NAME.findall(TEXT)) <= known


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_every_chapter_has_its_idea_its_misconceptions_and_what_to_run(source: Path) -> None:
    section = CHAPTERS[source.stem.replace("_", " ", 1)]
    for part in ("**The one idea.**", "**What they will think.**", "**Run live.**"):
        assert part in section


@pytest.mark.parametrize("chapter", sorted({name[:2] for name in exercises()}))
def test_a_chapters_section_names_exactly_its_exercises(chapter: str) -> None:
    [section] = [text for title, text in CHAPTERS.items() if title.startswith(chapter)]
    assert set(NAME.findall(section)) == set(exercises(chapter))


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_what_to_run_live_are_headings_of_the_notebook(source: Path) -> None:
    headings = set(re.findall(r"^# #{2,3} (.+)$", source.read_text(encoding="utf-8"), re.M))
    section = CHAPTERS[source.stem.replace("_", " ", 1)]
    live = " ".join(section.split("**Run live.**")[1].split("\n\n")[0].split())
    named = set(re.findall(r"\*([^*]+)\*", live))
    assert len(named) >= 2
    assert named <= headings


@pytest.mark.parametrize(
    ("plan", "total"), [("Two hours", 120), ("One day", 440), ("Two days", 920)]
)
def test_the_minutes_of_a_plan_add_up(plan: str, total: int) -> None:
    [text] = [text for title, text in PLANS.items() if title.startswith(plan)]
    assert sum(map(int, re.findall(r"^\| (\d+) \|", text, re.M))) == total


def test_a_day_has_breaks_and_a_lunch() -> None:
    for title, text in PLANS.items():
        if "day" in title:
            days = 2 if "Two" in title else 1
            assert text.count("| break |") >= 2 * days - 1
            assert text.count("| lunch |") == days


def test_commands_that_are_named_exist() -> None:
    said = "\n".join(re.findall(r"```bash\n(.*?)```", TEXT, re.S)) + " ".join(
        re.findall(r"`(make [^`]+)`", TEXT)
    )
    targets = set(re.findall(r"make ([a-z-]+)", said))
    assert {"slides", "bundle", "test-bundle"} <= targets
    for target in targets:
        planned = subprocess.run(
            ["make", target, "--dry-run"], cwd=ROOT, capture_output=True, text=True
        )
        assert planned.returncode == 0, planned.stderr


# --- tables


def test_every_table_of_the_pages_is_true() -> None:
    assert minutes.stale(ROOT) == []


def test_the_table_lists_every_exercise_with_its_minutes() -> None:
    table = minutes.exercises(ROOT)
    assert set(NAME.findall(table)) == set(exercises())
    for stem, script in roll.scripts(ROOT).items():
        for task in minutes.tasks(script):
            assert task.title, f"{stem}: nothing announces {task.name}"
            assert 2 <= task.minutes <= 60, f"{task.name}: {task.minutes} minutes"


def test_a_stale_table_is_named_and_written_anew(tmp_path: Path) -> None:
    page = (
        "before\n<!-- minutes: begin, written by `minids course minutes` -->\nold\n"
        "<!-- minutes: end -->\nafter\n"
    )
    write(tmp_path / "README.md", page)
    write(tmp_path / "TEACHING.md", "no table here\n")
    costs = '{"machine": {"cores": 2, "cpu": "C", "system": "S", "python": "3", "torch": "2", '
    costs += '"date": "2026-01-01"}, "notebooks": {"notebooks/77_tiny": [[0, 61.0, 1540], '
    costs += '[1, 2.0, 90]], "solutions/77_tiny": [[0, 120.0, 90]]}}'
    write(tmp_path / "data" / "results" / "cells.json", costs)
    [late] = minutes.stale(tmp_path)
    assert late.startswith("README.md has a table that is no longer true")
    assert [path.name for path in minutes.write(tmp_path)] == ["README.md"]
    text = (tmp_path / "README.md").read_text()
    assert "| 77 tiny | 65 s | 1.5 GB | 2.0 min |" in text
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "on 2 cores (C, S), Python 3, torch 2, 2026-01-01." in text
    assert minutes.stale(tmp_path) == []
    assert minutes.write(tmp_path) == []


def test_minutes_stand_in_the_heading_above_the_check(tmp_path: Path) -> None:
    script = tmp_path / "77_tiny.py"
    write(
        script,
        "# %% [markdown]\n# ## 1. Fill one line: half (5 minutes)\n# words (3 of them)\n\n"
        '# %% tags=["check"]\ncheck("77.half", half)\n\n'
        "# %% [markdown]\n# ## 77.two (core, 10 minutes) two by two\n\n"
        '# %% tags=["check"]\ncheck("77.two", two)\n',
    )
    first, second = minutes.tasks(script)
    assert first == ("77.half", "Fill one line: half", 5)
    assert second.minutes == 10


# --- slides


def test_slides_begin_at_headings_and_leave_widgets_out() -> None:
    from minids.course import slides

    notebook = nbformat.read(ROOT / "notebooks" / "00_map.ipynb", as_version=4)
    kinds = [cell.metadata.slideshow.slide_type for cell in slides.marked(notebook).cells]
    words = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    headings = sum(text.startswith(("# ", "## ")) for text in words)
    assert kinds.count("slide") == headings
    assert kinds[0] == "slide"
    assert "skip" in kinds
    assert "slideshow" not in notebook.cells[0].metadata, "the notebook itself stays as it was"


def test_slides_are_written_for_a_chapter(tmp_path: Path) -> None:
    from minids.course import slides

    [page] = slides.slides(tmp_path, ["00_map"], root=ROOT, reveal="reveal.js", code=False)
    text = page.read_text(encoding="utf-8")
    assert page.name == "00_map.slides.html"
    assert "reveal.js/dist/reveal" in text
    assert text.count("<section") > 20
    assert "show_source(" not in text
    assert "No description has been provided" not in text
    assert 'alt="Parts of DeepSeek-V3 on a logarithmic axis.' in text
    assert text.count("ArrowRight") == 1, "pages turn without reveal.js, too"


def test_no_name_is_passed_over_in_silence(tmp_path: Path) -> None:
    from minids.course import cut, files, slides

    with pytest.raises(ValueError, match="solutions/00_map: only chapters become slides"):
        slides.slides(tmp_path, ["00_map", "solutions/00_map"], root=ROOT)
    with pytest.raises(ValueError, match="notebooks/00_map: exercises are cut from"):
        cut(["01_llama", "notebooks/00_map"], root=ROOT)
    assert [files.label(path) for path in files.sources(ROOT, ["00"])] == [
        "notebooks/00_map",
        "solutions/00_map",
    ]


# --- without installing


def test_the_devcontainer_builds_with_a_target_and_a_python_that_exist() -> None:
    made = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    command = shlex.split(made["postCreateCommand"])
    assert command[0] == "make"
    ran = subprocess.run([*command, "--dry-run"], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    version = re.search(r"python:(\d)\.(\d+)", made["image"])
    assert version is not None
    assert (int(version[1]), int(version[2])) >= (3, 11)


def test_binder_asks_for_no_more_than_the_package_needs() -> None:
    lines = (ROOT / ".binder" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert lines[-1] == "-e .[notebooks]"
    for line in lines[1:-1]:
        assert f'"{line}"' in project


def test_it_is_said_what_was_not_tried() -> None:
    section = TEXT.split("## Without installing anything")[1].split("\n## ")[0]
    assert "No real Colab, no real Binder and no devcontainer was tried" in section
    assert "minids course publish OWNER/NAME" in section
