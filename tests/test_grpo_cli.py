"""`minids grpo`: numbers at the end, a run that goes on bit for bit, refusals in one sentence."""

import json
from contextlib import contextmanager

import pytest
import typer
from typer.testing import CliRunner

from minids import checkpoint
from minids.cli import zero_progress
from minids.cli.grpo import grpo

app = typer.Typer(pretty_exceptions_enable=False)
app.command()(grpo)


def run(*arguments: str):
    return CliRunner().invoke(app, ["--scale", "smoke", *arguments])


def stopping_at_once(monkeypatch):
    @contextmanager
    def stopped():
        yield lambda: True

    monkeypatch.setattr(zero_progress, "stopping_after_this_step", stopped)


def test_the_last_line_of_json_sums_up(tmp_path):
    result = run("--json", "--seed", "4", "--out", str(tmp_path / "r"))
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert {*rows[-1]} == {"seed", "pass_at_1_before", "pass_at_1", "seconds", "steps"}
    assert rows[-1]["seed"] == 4 and rows[-1]["steps"] == 3
    assert [row["step"] for row in rows[:-1]] == [0, 1, 2]
    assert {"accuracy", "worked", "length", "kl", "clipped"} <= {*rows[0]}


def test_a_stopped_run_goes_on_to_the_same_weights(tmp_path, monkeypatch):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert run("--out", str(whole)).exit_code == 0
    with monkeypatch.context() as patch:
        stopping_at_once(patch)
        first = run("--out", str(cut))
    assert first.exit_code == 130 and "stopped and saved after 1 steps" in first.output
    second = CliRunner().invoke(app, ["--resume", str(cut)])
    assert second.exit_code == 0, second.output
    a, b = (checkpoint.load(folder).weights for folder in (whole, cut))
    assert all(bool((a[name] == b[name]).all()) for name in a)


def test_a_run_stopped_under_json_says_on_stderr_how_to_go_on(tmp_path, monkeypatch):
    stopping_at_once(monkeypatch)
    result = run("--json", "--out", str(tmp_path / "r"))
    assert result.exit_code == 130
    assert [json.loads(line)["step"] for line in result.stdout.splitlines()] == [0]
    assert f"minids grpo --resume {tmp_path / 'r'}" in " ".join(result.stderr.split())


def test_a_run_tells_before_and_after(tmp_path):
    result = run("--out", str(tmp_path / "r"))
    assert "before: " in result.output and "after : " in result.output
    assert "saved in" in result.output


def test_a_folder_with_a_run_is_not_overwritten(tmp_path):
    run("--out", str(tmp_path / "r"))
    again = run("--out", str(tmp_path / "r"))
    assert again.exit_code == 2 and "already holds a run" in again.output


def test_a_run_that_is_done_is_tested_again(tmp_path):
    first = run("--out", str(tmp_path / "r"), "--json")
    again = CliRunner().invoke(app, ["--resume", str(tmp_path / "r"), "--json"])
    assert again.exit_code == 0, again.output
    one, two = (json.loads(said.stdout.splitlines()[-1]) for said in (first, again))
    assert {k: v for k, v in one.items() if k != "seconds"} == {
        k: v for k, v in two.items() if k != "seconds"
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--resume", "x", "--seed", "1"), "are fixed by the run"),
        (("--save-every", "0"), "give 1 or more"),
        (("--seed", "-99999999999999999999"), "at most 18 digits"),
        (("--resume", "nowhere"), "no complete checkpoint"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(arguments, words):
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 2 and words in result.output and "Traceback" not in result.output
