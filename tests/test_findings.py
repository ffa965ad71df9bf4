"""What a chapter found: verdicts, and a folder in which a new run replaces an old one."""

import base64
import json

import pytest

from minids.course import files, findings
from minids.course.gpu import Done
from minids.study.device_memory import Usage
from minids.study.shown import Figure


def picture(content=b"png", alt="A line rises."):
    return Figure(base64.b64encode(content).decode(), alt)


DONE = [
    Done(0, 1.5, Usage(1, 20, 3, 4), "hello\nholds: a (3 of 3)\n", [picture(b"one")]),
    Done(1, 0.25, Usage(1, 10, 3, 4), "DOES NOT HOLD: b: c\n", [picture(b"two"), picture(b"3")]),
]


def test_verdicts_are_lines_that_say_so_in_their_order():
    first, second = findings.verdicts(DONE)
    assert first == (0, True, "a (3 of 3)")
    assert second == (1, False, "b: c")


def test_the_row_adds_up_seconds_and_has_the_largest_peak():
    row = findings.row("04_mla", "gpu", DONE, {"commit": "abc"})
    assert row["seconds"] == 1.75 and row["peak_bytes"] == 20 and row["commit"] == "abc"
    assert [cell["peak_bytes"] for cell in row["cells"]] == [20, 10]
    assert [figure["cell"] for figure in row["figures"]] == [0, 1, 1]


def test_without_a_device_there_is_no_peak():
    row = findings.row("04_mla", "smoke", [Done(0, 1.0, None)], {})
    assert row["peak_bytes"] is None and row["cells"][0]["peak_bytes"] is None


def test_figures_of_an_earlier_run_that_this_one_lacks_are_deleted_and_nothing_else(tmp_path):
    findings.write(tmp_path, "04_mla", "gpu", DONE, {})
    (tmp_path / "figure_of_mine.png").write_bytes(b"mine")
    path = findings.write(tmp_path, "04_mla", "gpu", DONE[:1], {})
    names = {file.name for file in tmp_path.iterdir()}
    assert names == {"figure_01.png", "figure_of_mine.png", "printed.txt", "row.json"}
    assert (tmp_path / "figure_01.png").read_bytes() == b"one"
    assert len(json.loads(path.read_text())["figures"]) == 1
    assert (tmp_path / "printed.txt").read_text() == "--- cell 0\nhello\nholds: a (3 of 3)\n"


def test_the_row_is_written_last_so_that_a_broken_write_leaves_the_old_one(tmp_path, monkeypatch):
    findings.write(tmp_path, "04_mla", "gpu", DONE, {"date": "old"})

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(files, "write", full)
    with pytest.raises(OSError, match="no space"):
        findings.write(tmp_path, "04_mla", "gpu", DONE, {"date": "new"})
    assert json.loads((tmp_path / "row.json").read_text())["date"] == "old"
