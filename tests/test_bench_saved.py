"""`minids bench`: what is kept, the table that README makes of it, and the bench of chapters."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from minids.cli import app
from minids.course import bench_course, bench_table, files, gpu, minutes
from minids.study import bench, growth
from minids.study.bench import Row, as_json

ROOT = Path(__file__).parents[1]
WHERE = {"machine": "M, 2 cores", "date": "2026-01-02", "commit": "0123456789", "changed": False}
TRAIN = Row("train dense", 47_337.4, 22_335.0, "tokens/s", 2.12, 0.5, 0.02)
SLOPE = Row("seconds over batch, 1 to 64", 0.7, 1.0, "slope", None, None, 0.01)


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def keep(root, what, rows, **changes):
    return bench_table.store(root, what, as_json(what, rows, WHERE | changes))


@pytest.fixture
def course(tmp_path, monkeypatch):
    for kind in ("notebooks", "exercises"):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "00_map.ipynb").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- the table


def test_without_a_measurement_the_table_says_so(tmp_path):
    assert bench_table.table(tmp_path) == "Nothing measured yet."


def test_the_table_shows_ours_peer_ratio_and_limit_and_below_it_machine_and_date(tmp_path):
    keep(tmp_path, "import", [Row("import all", 0.25, None, "s", None, None, 0.0)])
    keep(tmp_path, "train", [TRAIN])
    text = bench_table.table(tmp_path)
    assert "| train dense | 47,337 | 22,335 | tokens/s | 2.12 | 50% |" in text
    assert "| import all | 0.25 | - | s | - | - |" in text
    assert text.index(
        "**training a dense toy; peer: `LlamaForCausalLM`, compiled where ours is**"
    ) < text.index("importing")
    last = text.splitlines()[-1]
    assert "M, 2 cores" in last and last.endswith("2026-01-02, commit 0123456.")


def test_every_row_of_the_table_has_as_many_cells_as_its_head(tmp_path):
    keep(tmp_path, "train", [TRAIN])
    keep(tmp_path, "growth", [SLOPE])
    rows = [line for line in bench_table.table(tmp_path).splitlines() if line.startswith("|")]
    assert {row.count("|") for row in rows} == {7}


def test_measurements_of_several_days_are_told_apart(tmp_path):
    keep(tmp_path, "train", [TRAIN])
    keep(tmp_path, "moe", [TRAIN], date="2026-02-03", changed=True)
    *_, first, second = bench_table.table(tmp_path).splitlines()
    assert first.startswith("- train: M, 2 cores") and "2026-01-02" in first
    assert second.startswith("- moe: ") and second.endswith(
        "2026-02-03, commit 0123456 with changes."
    )


def test_slopes_come_with_their_figure_and_it_has_words(tmp_path):
    text = as_json("growth", [SLOPE], WHERE)
    bench_table.store(tmp_path, "growth", text, b"picture")
    table = bench_table.table(tmp_path)
    assert "| seconds over batch, 1 to 64 | 0.70 | 1.00 | slope | - | - |" in table
    assert "seconds over batch, 1 to 64: 0.70, counted 1.00](docs/growth.png)" in table


def test_of_the_course_only_the_sum_is_shown(tmp_path):
    rows = [Row(name, 61.0, None, "s", None, None, 0.0) for name in ("00_map", "together")]
    keep(tmp_path, "course", rows)
    assert "00_map" not in bench_table.table(tmp_path)
    assert "| together | 61 | - | s | - | - |" in bench_table.table(tmp_path)


def test_every_bench_has_a_title_in_the_table():
    assert set(bench_table.TITLES) == {*bench.BENCHES, "course"}


def test_the_command_that_fills_tables_fills_this_one_and_the_check_finds_it_stale(tmp_path):
    page = "a\n<!-- bench: begin, written by `minids course minutes` -->\n<!-- bench: end -->\nb\n"
    files.write(tmp_path / "README.md", page)
    minutes.write(tmp_path)
    assert "\nNothing measured yet.\n" in (tmp_path / "README.md").read_text()
    assert minutes.stale(tmp_path) == []
    keep(tmp_path, "train", [TRAIN])
    assert minutes.stale(tmp_path)
    minutes.write(tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert "| train dense |" in text and text.startswith("a\n") and text.endswith("\nb\n")
    assert minutes.stale(tmp_path) == []


def test_a_broken_write_leaves_the_old_file_and_no_remains(tmp_path, monkeypatch):
    def broken(*_):
        raise OSError("no space left")

    bench_table.store(tmp_path, "train", as_json("train", [TRAIN], WHERE), b"old")
    before = (tmp_path / bench_table.FOLDER / "train.json").read_bytes()
    monkeypatch.setattr(os, "replace", broken)
    with pytest.raises(OSError, match="no space"):
        bench_table.store(tmp_path, "train", "{}", b"new")
    with pytest.raises(OSError, match="no space"):
        bench_table.store(tmp_path, "train", "{}")
    assert (tmp_path / bench_table.FOLDER / "train.json").read_bytes() == before
    assert (tmp_path / bench_table.FIGURE).read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == ["growth.png", "train.json"]


# --- the command


def test_save_keeps_rows_and_provenance(course, monkeypatch):
    monkeypatch.setattr(bench, "bench", lambda what: [TRAIN])
    ran = run("bench", "train", "--save")
    assert ran.exit_code == 0, ran.output
    kept = json.loads((course / "data" / "results" / "bench" / "train.json").read_text())
    assert kept["bench"] == "train" and kept["rows"] == [TRAIN._asdict()]
    assert {"machine", "versions", "date", "commit", "threads", "peers"} <= set(kept)
    assert "train dense" in ran.stdout and "train.json" in ran.stderr


def test_called_from_elsewhere_it_replaces_nothing_that_is_stored_with_the_package(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bench, "bench", lambda what: pytest.fail("measured"))
    monkeypatch.setattr(bench_table, "store", lambda *_: pytest.fail("written"))
    ran = run("bench", "train", "--save")
    assert ran.exit_code == 2 and "in the folder that you cloned" in ran.stderr, ran.output
    assert not list(tmp_path.iterdir())


def test_without_save_nothing_is_written(course, monkeypatch):
    monkeypatch.setattr(bench, "bench", lambda what: [TRAIN])
    before = sorted(course.rglob("*"))
    read = json.loads(run("bench", "train", "--json").stdout)
    assert read["rows"] == [TRAIN._asdict()]
    assert sorted(course.rglob("*")) == before


def test_growth_is_saved_with_its_points_and_its_figure(course, monkeypatch):
    small = {"batch": ("64 tokens each", (1, 2)), "experts": ("all else", (4, 8))}
    curves = growth.curves
    monkeypatch.setattr(growth, "curves", lambda: curves(2, small))
    ran = run("bench", "growth", "--save")
    assert ran.exit_code == 0, ran.output
    kept = json.loads((course / "data" / "results" / "bench" / "growth.json").read_text())
    assert [point["sizes"] for point in kept["points"]] == [[1, 2], [4, 8]]
    again = [growth.Curve(**point) for point in kept["points"]]
    assert [row._asdict() for row in growth.rows(again)] == kept["rows"]
    assert (course / "docs" / "growth.png").read_bytes()[:4] == b"\x89PNG"


def test_an_unknown_bench_is_refused_with_all_names():
    ran = run("bench", "speed", "--save")
    assert ran.exit_code == 2
    assert "train, decode, moe, mla, grpo, growth, import, gpu, course" in ran.stderr


def test_a_place_that_cannot_be_written_to_is_refused_before_the_measurement(course, monkeypatch):
    monkeypatch.setattr(bench, "bench", lambda what: pytest.fail("measured"))
    (course / "data").write_text("a file, not a folder")
    ran = run("bench", "train", "--save")
    assert ran.exit_code == 2 and ran.stderr.startswith("minids: ")


# --- the chapters


def test_a_short_chapter_is_timed_and_leaves_the_course_as_it_was():
    [path] = bench_course.chapters(ROOT, ["09"])
    before = {file: file.stat().st_mtime_ns for file in (ROOT / "notebooks").rglob("*")}
    said = []
    chapter, together = bench_course.measure([path], scale="smoke", say=said.append)
    assert chapter.name == "09_cost" and 0 < chapter.ours == together.ours < 120
    assert (chapter.unit, chapter.peer, chapter.limit, chapter.spread) == ("s", None, None, 0.0)
    assert together.name == "together, at smoke"
    assert len(said) == 1 and "1 of 1" in said[0] and "09_cost" in said[0]
    assert {file: file.stat().st_mtime_ns for file in before} == before
    assert set((ROOT / "notebooks").rglob("*")) == set(before)


def test_all_chapters_are_timed_in_their_order():
    names = [path.stem for path in bench_course.chapters(ROOT)]
    assert names == sorted(names) and names[0] == "00_map" and len(names) >= 13


def test_seconds_of_a_chapter_are_those_of_its_cells_and_add_up(tmp_path, monkeypatch):
    done = [gpu.Done(i, s, None, []) for i, s in enumerate((0.5, 0.25))]
    folders = []
    monkeypatch.setattr(gpu, "read", lambda path: (None, []))
    monkeypatch.setattr(
        gpu, "cells", lambda nb, name, folder, scale: folders.append(folder) or done
    )
    rows = bench_course.measure([tmp_path / "00_a.py", tmp_path / "01_b.py"])
    assert [row.ours for row in rows] == [0.75, 0.75, 1.5]
    assert [row.name for row in rows] == ["00_a", "01_b", "together, at laptop"]
    assert not any(folder.exists() for folder in folders)


def test_a_chapter_that_stops_is_said_and_nothing_is_kept(course, monkeypatch):
    def stop(*_args, **_options):
        raise gpu.ChapterError("00_map stopped in code cell 1")

    monkeypatch.setattr(bench_course, "chapters", lambda root: [])
    monkeypatch.setattr(bench_course, "measure", stop)
    ran = run("bench", "course", "--save")
    assert ran.exit_code == 1
    assert "00_map stopped in code cell 1" in ran.stderr and "Nothing was written" in ran.stderr
    assert not list(course.rglob("*.json"))


def test_an_unknown_chapter_is_refused():
    with pytest.raises(ValueError, match="there is no chapter 'nonsense'"):
        bench_course.chapters(ROOT, ["nonsense"])
