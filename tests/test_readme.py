"""What the README says to type works, and what it shows is what comes out."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner

from minids.cli import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def lines(*languages: str) -> list[str]:
    blocks = [block for language, block in BLOCKS if language in languages]
    return [line for block in blocks for line in block.splitlines() if line]


COMMANDS = lines("bash", "bat")


def starting(word: str) -> list[str]:
    return [line for line in COMMANDS if line.split("\\")[-1].split()[0] == word]


def test_every_command_is_of_a_kind_that_is_tested_below():
    known = ("make", "minids", "py", "python", "pip", "conda", "torchrun")
    for line in COMMANDS:
        assert line.split("\\")[-1].split()[0] in known, f"nothing tests: {line}"


@pytest.mark.parametrize("line", starting("make"))
def test_make_lines_name_targets_that_can_be_planned(line):
    command = shlex.split(line)
    planned = subprocess.run(
        [*command, "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert planned.returncode == 0, planned.stderr


@pytest.mark.parametrize("line", [line for line in starting("minids") if "count" in line])
def test_count_lines_run(line, monkeypatch):
    monkeypatch.chdir(ROOT)
    ran = CliRunner().invoke(app, shlex.split(line)[1:])
    assert ran.exit_code == 0, ran.output


@pytest.mark.parametrize("line", starting("minids"))
def test_minids_lines_name_commands_and_options_that_exist(line):
    command, *arguments = shlex.split(line.split("\\")[-1])[1:]
    known = typer.main.get_command(app).commands
    assert command in known
    taken = {option for parameter in known[command].params for option in parameter.opts}
    given = {argument for argument in arguments if argument.startswith("-")}
    assert given <= taken, f"minids {command} does not know {given - taken}"


@pytest.mark.parametrize("line", starting("torchrun"))
def test_torchrun_lines_start_a_command_of_ours(line):
    from torch.distributed.run import get_args_parser

    given = get_args_parser().parse_args(shlex.split(line)[1:])
    assert given.module and given.training_script == "minids"
    assert given.training_script_args[0] in typer.main.get_command(app).commands


def test_shown_output_is_what_the_command_before_it_prints():
    pairs = [
        (before, shown)
        for (language, before), (kind, shown) in zip(BLOCKS, BLOCKS[1:], strict=False)
        if language == "bash" and kind == "text"
    ]
    assert pairs
    for before, shown in pairs:
        ran = CliRunner().invoke(app, shlex.split(before.strip())[1:])
        assert ran.output.startswith(shown.rstrip("\n")), f"{before} prints:\n{ran.output}"


def test_files_and_extras_that_the_commands_name_exist():
    for line in starting("pip") + starting("python") + starting("conda"):
        for name in re.findall(r"\S+\.(?:txt|yml)", line):
            assert (ROOT / name).exists(), f"{line} names {name}"
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for extra in re.findall(r"\.\[(\w+)\]", README):
        assert re.search(rf"^{extra} = \[", project, re.MULTILINE)


def test_windows_needs_three_plain_commands():
    [block] = [block for language, block in BLOCKS if language == "bat"]
    assert len(block.splitlines()) == 3


def test_every_link_and_picture_exists():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), f"the README points to {target}"


def test_every_picture_says_what_it_shows():
    for words in re.findall(r"!\[(.*?)\]", README):
        assert len(words) > 40


def test_the_table_lists_exactly_the_chapters_that_exist():
    chapters = {path.name for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert set(re.findall(r"\(notebooks/([^)]+)\)", README)) == chapters


def test_what_was_run_names_the_python_that_runs_now():
    if sys.version_info[:2] == (3, 11):
        assert "Linux, Python 3.11" in README
