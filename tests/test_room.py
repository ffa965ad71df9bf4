"""Who solved what: the file that checks write, the board, blanks given back, answers shown."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import nbformat
import pytest

from minids.check import NotYet, check, checker, examine, progress
from minids.check.registry import CHECKERS
from minids.course import board, catch_up, cut, reset, roll
from minids.course.files import write

ROOT = Path(__file__).parents[1]
SOLUTION = '''
# %% [markdown]
# # Exercises 77

# %%
from minids.check import Claim, check


# %%
def helper(x):
    """Two, by name."""
    return 2 * x


# %%
print("an experiment that takes long")
seen = 1 / 0

# %% tags=["exercise"]
def double(x):
    """Twice x."""
    ### BEGIN SOLUTION
    return helper(x)
    ### END SOLUTION


# %% tags=["check"]
check("77.double", double)

# %% tags=["exercise"]
def four(x):
    """Four times x."""
    ### BEGIN SOLUTION
    return double(double(x))
    ### END SOLUTION


# %% tags=["exercise"]
### BEGIN SOLUTION
size = 4
### END SOLUTION

# %% tags=["check"]
check("77.four", (four, size))

# %% tags=["exercise"]
### BEGIN SOLUTION
answer = four(10) + 2
### END SOLUTION

# %% tags=["check"]
check("77.answer", answer)
'''
ROLL = {"77_tiny": ["77.double", "77.four", "77.answer"]}
NOW = datetime(2026, 3, 1, 10, 30)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: Any) -> Path:
    """A course of one exercise notebook; checks keep their progress in its exercises."""
    write(tmp_path / "solutions" / "src" / "77_tiny.py", SOLUTION.lstrip())
    (tmp_path / "notebooks").mkdir()
    cut(root=tmp_path)
    monkeypatch.chdir(tmp_path / "exercises")
    monkeypatch.delenv("MINIDS_PROGRESS", raising=False)
    monkeypatch.delenv("MINIDS_BOARD", raising=False)
    return tmp_path


def kept(folder: Path = Path(".")) -> dict[str, str]:
    return {name: progress.standing(entry) for name, entry in progress.read(folder).items()}


def entry(state: str, when: str = "2026-03-01 10:00", **more: Any) -> dict[str, Any]:
    return {
        "solved": state == "solved",
        "shown": state == "shown",
        "state": state,
        "failed": "" if state == "solved" else "it doubles",
        "tries": 2,
        "when": when,
        **more,
    }


def learner(folder: Path, **results: dict[str, Any]) -> None:
    named = {f"77.{name}": result for name, result in results.items()}
    write(folder / progress.FILE, json.dumps(named))


# --- the roll


def test_the_roll_lists_exercises_in_the_order_of_the_notebook(root: Path) -> None:
    assert roll.roll(root) == ROLL
    cells = nbformat.read("77_tiny.ipynb", as_version=4).cells
    blanks = roll.blanks(cells)
    assert list(blanks) == ROLL["77_tiny"]
    assert [cells[n].source.split("\n")[0] for n in blanks["77.four"]] == [
        "def four(x):",
        "size = ...",
    ]


def test_the_roll_of_the_course_is_what_its_notebooks_check() -> None:
    for path in sorted((ROOT / "exercises").glob("*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        tagged = [cell.source for cell in cells if "check" in cell.metadata.get("tags", [])]
        in_notebook = {name: given for code in tagged for name, given in roll.checked(code).items()}
        assert roll.exercises(ROOT / "solutions" / "src" / f"{path.stem}.py") == in_notebook


@pytest.mark.parametrize("word", ["77", "77_tiny", "77_tiny.ipynb"])
def test_a_chapter_can_be_named_in_three_ways(word: str) -> None:
    assert roll.chosen(word, ROLL) == ("77_tiny", ROLL["77_tiny"])
    assert roll.chosen("77.four", ROLL) == ("77_tiny", ["77.four"])


def test_an_unknown_word_is_answered_with_the_known() -> None:
    with pytest.raises(ValueError, match=r"no exercise '77.x'; in this chapter: 77.double, 77.f"):
        roll.chosen("77.x", ROLL)
    with pytest.raises(ValueError, match=r"'99' is neither .*; chapters: 77_tiny"):
        roll.chosen("99", ROLL)


# --- one learner


def test_my_progress_is_a_letter_an_exercise_and_a_line_where_i_am_stuck(tmp_path: Path) -> None:
    learner(tmp_path / "exercises", double=entry("solved"), four=entry("wrong"))
    said = board.page(board.own(tmp_path), ROLL)
    assert "77_tiny  [#x.]  1 of 3\n    77.four: it doubles (2 tries)\n" in said
    assert said.startswith("# solved   o answer shown   x tried   . open")


def test_solved_once_stays_solved_wherever_it_was(tmp_path: Path) -> None:
    learner(tmp_path, double=entry("wrong", "2026-03-01 11:00"))
    learner(tmp_path / "exercises", double=entry("solved", "2026-03-01 10:00"))
    assert board.own(tmp_path)["77.double"]["solved"]


def test_an_answer_that_was_shown_is_told_apart_and_not_counted(tmp_path: Path) -> None:
    learner(tmp_path, double=entry("solved"), four=entry("shown"))
    said = board.page(board.own(tmp_path), ROLL)
    assert "77_tiny  [#o.]  1 of 3\n    77.four: its answer was shown; `minids reset`" in said


def test_of_several_places_the_later_check_counts(tmp_path: Path) -> None:
    learner(tmp_path, double=entry("wrong", "2026-03-01 10:00"))
    learner(tmp_path / "exercises", double=entry("wrong", "2026-03-01 11:00", failed="later"))
    assert board.own(tmp_path)["77.double"]["failed"] == "later"


# --- the room


def test_the_board_has_a_row_for_each_learner_and_says_who_is_stuck_where(tmp_path: Path) -> None:
    learner(tmp_path / "ann" / "exercises", double=entry("solved"), four=entry("wrong"))
    learner(tmp_path / "ann" / "deeper" / "copy", answer=entry("solved", "2026-03-01 10:28"))
    learner(tmp_path / "bob", double=entry("wrong"), four=entry("wrong", "2026-03-01 10:20"))
    write(tmp_path / "cem.json", json.dumps({"77.double": entry("shown", "2026-02-01 10:00")}))
    write(tmp_path / "notes.json", '{"a": 1}')
    write(tmp_path / "dan" / progress.FILE, "{half a fi")
    learners = board.room(tmp_path)
    assert [person.name for person in learners] == ["ann", "bob", "cem", "dan"]
    drawn = board.board(learners, ROLL, now=NOW)
    rows = {line.split()[0]: line for line in drawn.splitlines() if line.strip()}
    assert "#x#" in rows["ann"]
    assert "2 min ago" in rows["ann"]
    assert "xx." in rows["bob"]
    assert "77.four: it doubles (2 tries)" in rows["bob"], "the latest of what is open"
    assert "o.." in rows["cem"]
    assert "28 days ago" in rows["cem"]
    solved = {name: int(rows[name].split()[2]) for name in ("ann", "bob", "cem", "dan")}
    assert solved == {"ann": 2, "bob": 0, "cem": 0, "dan": 0}, "what was shown is not solved"
    assert "never" in rows["dan"]
    assert "  2 x 77.four: it doubles\n  1 x 77.double: it doubles" in drawn
    assert max(map(len, drawn.splitlines())) < 140


def test_the_board_has_no_column_for_a_chapter_that_nobody_has_begun(tmp_path: Path) -> None:
    learner(tmp_path / "ann", double=entry("wrong", "2026-03-01 06:20"))
    drawn = board.board(board.room(tmp_path), {**ROLL, "78_next": ["78.a"]}, now=NOW)
    assert "77_tiny" in drawn and "78_next" not in drawn
    assert "4 h ago" in drawn


def test_an_empty_room_is_no_accident(tmp_path: Path) -> None:
    assert "0 learners" in board.board(board.room(tmp_path), ROLL, now=NOW)


# --- the small files


@pytest.fixture
def answer() -> Any:
    @checker("77.answer", hints=("a", "b", "c"), takes=int)
    def _(attempt: Any, g: Any) -> Any:
        from minids.check import Claim

        yield Claim("the sum is right", attempt == 42, "add 2.")

    yield "77.answer"
    del CHECKERS["77.answer"]


def test_a_check_can_tell_the_room_at_once(
    root: Path, tmp_path: Path, monkeypatch: Any, answer: str, capsys: Any
) -> None:
    monkeypatch.setenv("MINIDS_BOARD", str(tmp_path / "room"))
    monkeypatch.setenv("MINIDS_LEARNER", "../Ann B.")
    with pytest.raises(NotYet):
        check(answer, 41)
    [person] = board.room(tmp_path / "room")
    assert person.name == "Ann_B"
    assert person.results[answer]["failed"] == "the sum is right"
    check(answer, 42)
    assert board.room(tmp_path / "room")[0].results[answer]["solved"]


def test_a_room_that_cannot_be_reached_does_not_disturb(
    root: Path, monkeypatch: Any, answer: str, capsys: Any
) -> None:
    monkeypatch.setenv("MINIDS_BOARD", "/nowhere/at/all")
    check(answer, 42)
    assert kept() == {answer: "solved"}


def test_what_was_shown_does_not_become_solved_by_checking_it(
    root: Path, answer: str, capsys: Any
) -> None:
    progress.show([answer])
    check(answer, 42)
    assert kept() == {answer: "shown"}
    assert "its answer was shown by catch_up, so it does not count" in capsys.readouterr().out
    progress.forget([answer], Path("."))
    check(answer, 42)
    assert kept() == {answer: "solved"}
    progress.show([answer])
    assert kept() == {answer: "solved"}, "what was solved stays solved"


# --- answers shown


def test_catching_up_defines_what_comes_before_and_says_so(root: Path, capsys: Any) -> None:
    notebook: dict[str, Any] = {}
    catch_up("77.four", namespace=notebook)
    assert notebook["four"](3) == 12
    assert notebook["size"] == 4
    assert "answer" not in notebook
    assert "seen" not in notebook, "no experiment is run"
    assert kept() == {"77.double": "shown", "77.four": "shown"}
    said = capsys.readouterr().out
    assert "caught up: double, four, size now from the solutions" in said
    assert "marked as shown, not as solved: 77.double, 77.four" in said
    assert "solutions/77_tiny.ipynb" in said


def test_catching_up_leaves_what_i_solved_myself(root: Path, capsys: Any) -> None:
    write(Path(progress.FILE), json.dumps({"77.double": entry("solved")}))
    notebook: dict[str, Any] = {"double": lambda x: x + x}
    mine = notebook["double"]
    catch_up("77.answer", namespace=notebook)
    assert notebook["double"] is mine
    assert notebook["answer"] == 42
    assert kept() == {"77.double": "solved", "77.four": "shown", "77.answer": "shown"}
    assert "yours, as you solved them: 77.double" in capsys.readouterr().out


def test_what_i_solved_before_the_kernel_was_restarted_is_defined_too(
    root: Path, capsys: Any
) -> None:
    write(Path(progress.FILE), json.dumps({"77.double": entry("solved")}))
    notebook: dict[str, Any] = {}
    catch_up("77.four", namespace=notebook)
    assert notebook["four"](3) == 12
    assert kept() == {"77.double": "solved", "77.four": "shown"}


def test_catching_up_goes_into_the_notebook_that_calls_it(root: Path, capsys: Any) -> None:
    exec("from minids.course import catch_up\ncatch_up('77.double')", notebook := {})
    assert notebook["double"](4) == 8  # type: ignore[operator]


def test_the_line_of_every_exercise_notebook_works_when_it_is_uncommented(
    root: Path, capsys: Any
) -> None:
    cells = nbformat.read("77_tiny.ipynb", as_version=4).cells
    [late] = [cell.source for cell in cells if cell.id == "77_tiny-late"]
    *words, line = late.splitlines()
    assert all(word.startswith("# ") for word in words)
    notebook: dict[str, Any] = {}
    exec(line.removeprefix("# "), notebook)
    assert notebook["double"](4) == 8


def test_lines_of_a_shown_answer_can_be_read(root: Path, capsys: Any) -> None:
    import inspect

    notebook: dict[str, Any] = {}
    catch_up("77.double", namespace=notebook)
    assert "return helper(x)" in inspect.getsource(notebook["double"])


def test_catching_up_needs_an_exercise(root: Path) -> None:
    with pytest.raises(ValueError, match="give an exercise; in 77_tiny: 77.double"):
        catch_up("77", namespace={})
    with pytest.raises(ValueError, match="neither an exercise nor a chapter"):
        catch_up("gqa", namespace={})


def test_nothing_is_shown_while_submissions_are_graded(
    root: Path, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.setenv("MINIDS_CATCH_UP", "off")
    notebook: dict[str, Any] = {}
    catch_up("77.double", namespace=notebook)
    assert not notebook
    assert not kept()


@pytest.mark.parametrize("stem", sorted(path.stem for path in (ROOT / "exercises").glob("*.ipynb")))
def test_in_every_chapter_what_was_shown_passes_its_checks(
    stem: str, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = roll.exercises(ROOT / "solutions" / "src" / f"{stem}.py")
    notebook: dict[str, Any] = {}
    catch_up(list(asked)[-1], namespace=notebook, root=ROOT)
    for name, expression in asked.items():
        verdict = examine(name, eval(expression, notebook), seed=0)
        assert verdict.state == "solved", verdict.message()


# --- blanks given back


def edited(root: Path) -> tuple[Path, Any, bytes]:
    """The exercise notebook as a learner left it: two answers, a note, an output."""
    path = root / "exercises" / "77_tiny.ipynb"
    notebook = nbformat.read(path, as_version=4)
    by_id = {cell.id: cell for cell in notebook.cells}
    by_id["77_tiny-004"].source = "def double(x):\n    return x + x + 0"
    by_id["77_tiny-006"].source = "def four(x):\n    return 3 * x"
    by_id["77_tiny-006"].execution_count = 7
    notebook.cells.insert(3, nbformat.v4.new_markdown_cell("my note", id="mine"))
    nbformat.write(notebook, path)
    return path, notebook, path.read_bytes()


def test_one_exercise_is_blank_again_and_nothing_else_changes(root: Path) -> None:
    path, before, raw = edited(root)
    write(Path(progress.FILE), json.dumps({n: entry("shown") for n in ROLL["77_tiny"]}))
    done = reset("77.four", root=root)
    after = nbformat.read(path, as_version=4)
    changed = {b.id for a, b in zip(before.cells, after.cells, strict=True) if a != b}
    assert changed == {"77_tiny-006"}
    cell = next(cell for cell in after.cells if cell.id == "77_tiny-006")
    assert cell.source.endswith("raise NotImplementedError")
    assert cell.execution_count is None
    assert done.backup is not None
    assert done.backup.read_bytes() == raw, "byte for byte"
    assert kept() == {"77.double": "shown", "77.answer": "shown"}


def test_a_chapter_is_blank_again_and_keeps_my_notes(root: Path) -> None:
    path, _, raw = edited(root)
    done = reset("77", root=root)
    after = nbformat.read(path, as_version=4)
    assert "my note" in [cell.source for cell in after.cells]
    assert "x + x + 0" not in path.read_text()
    assert done.names == tuple(ROLL["77_tiny"])
    again = reset("77", root=root)
    assert again.backup != done.backup, "a copy is never written over"
    assert done.backup is not None
    assert done.backup.read_bytes() == raw


def test_a_notebook_elsewhere_is_blanked_where_it_lies(root: Path, tmp_path: Path) -> None:
    ours, _, raw = edited(root)
    mine = tmp_path / "copy" / ours.name
    write(mine, raw.decode())
    learner(mine.parent, double=entry("solved"), four=entry("wrong"))
    done = reset("77.four", root=root, folder=mine.parent)
    assert done.notebook == mine and "3 * x" not in mine.read_text()
    assert ours.read_bytes() == raw
    assert kept(mine.parent) == {"77.double": "solved"}
    with pytest.raises(ValueError, match="there is no folder .*give the one that your notebook"):
        reset("77", root=root, folder=tmp_path / "gone")
    assert not (tmp_path / "gone").exists()


def test_a_check_that_was_changed_or_lost_its_id_is_given_back_once(root: Path) -> None:
    path, notebook, _ = edited(root)
    cell = next(cell for cell in notebook.cells if cell.id == "77_tiny-008")
    cell.id, cell.source = "pasted", 'check("77.four", (four, 5))'
    nbformat.write(notebook, path)
    reset("77.four", root=root)
    cells = nbformat.read(path, as_version=4).cells
    checks = [cell for cell in cells if "77.four" in roll.checked(cell.source)]
    assert [(cell.id, cell.source) for cell in checks] == [
        ("77_tiny-008", 'check("77.four", (four, size))')
    ]


def test_cells_that_were_deleted_or_lost_their_ids_come_back_in_place(root: Path) -> None:
    path, notebook, _ = edited(root)
    notebook.cells = [c for c in notebook.cells if c.id not in ("77_tiny-006", "77_tiny-008")]
    nbformat.write(notebook, path)
    reset("77.four", root=root)
    ids = [cell.id for cell in nbformat.read(path, as_version=4).cells]
    assert ids.index("77_tiny-005") < ids.index("77_tiny-006") < ids.index("77_tiny-009")
    assert len(set(ids)) == len(ids)


def test_a_notebook_that_cannot_be_read_is_written_anew_and_kept(root: Path) -> None:
    path = root / "exercises" / "77_tiny.ipynb"
    path.write_text("{ half a notebook with work in it")
    with pytest.raises(ValueError, match=r"cannot be read; `minids reset 77` writes the whole"):
        reset("77.four", root=root)
    done = reset("77", root=root)
    assert done.backup is not None
    assert "work in it" in done.backup.read_text()
    assert nbformat.read(path, as_version=4).cells
    path.unlink()
    assert reset("77", root=root).backup is None
    assert path.exists()
