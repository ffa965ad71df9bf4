"""What stands beside a stored number: machine, device, versions, date, commit."""

import re
import subprocess

import torch

from minids.study import provenance as p


def git(folder, *arguments):
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


def test_a_repository_has_a_commit_and_says_whether_files_differ_from_it(tmp_path):
    git(tmp_path, "init")
    (tmp_path / "file").write_text("one")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-m", "first")
    found = p.provenance(tmp_path)
    assert re.fullmatch(r"[0-9a-f]{40}", found["commit"]) and found["changed"] is False
    (tmp_path / "file").write_text("two")
    assert p.provenance(tmp_path)["changed"] is True


def test_a_copy_without_a_repository_is_told_its_commit_or_knows_none(tmp_path, monkeypatch):
    monkeypatch.delenv("MINIDS_COMMIT", raising=False)
    found = p.provenance(tmp_path)
    assert found["commit"] is None and found["changed"] is None
    monkeypatch.setenv("MINIDS_COMMIT", "abc")
    found = p.provenance(tmp_path)
    assert found["commit"] == "abc" and found["changed"] is None


def test_versions_are_those_that_run_and_none_for_what_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setattr(p, "PACKAGES", ("torch", "no-such-package"))
    found = p.provenance(tmp_path)["versions"]
    assert torch.__version__.split("+")[0] == found["torch"].split("+")[0]
    assert found["no-such-package"] is None


def test_a_cpu_has_a_name_alone():
    assert p.describe("cpu") == {"name": "cpu", "bytes": None, "driver": None, "cuda": None}


def test_a_gpu_has_name_memory_and_driver(monkeypatch):
    class Found:
        name, total_memory = "A card", 141

    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: Found)
    monkeypatch.setattr(p, "_said", lambda command: "580.1\n580.1")
    told = p.describe("cuda")
    assert (told["name"], told["bytes"], told["driver"]) == ("A card", 141, "580.1")


def test_a_program_that_fails_or_is_missing_says_nothing(tmp_path):
    assert p._said(["no-such-program"]) is None
    assert p._said(["git", "rev-parse", "HEAD"], tmp_path) is None
