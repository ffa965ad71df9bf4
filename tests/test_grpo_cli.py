"""`minids grpo`: numbers at the end, a run that goes on bit for bit, refusals in one sentence."""

import json
from contextlib import contextmanager
from dataclasses import replace

import pytest
import typer
from typer.testing import CliRunner

from minids import checkpoint
from minids.cli import zero_progress, zero_runs
from minids.cli.grpo import grpo
from minids.model.transformer import Transformer
from minids.presets import preset
from minids.rl.exam import Exam
from minids.rl.rewards import R1_ZERO, Weighed
from minids.train.loop import Diverged

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


def rewarding_length(monkeypatch):
    """Right answers are too rare in so short a run for it to learn anything."""
    real = zero_runs.recipe_for
    even = Weighed(lambda _problem, response: float(len(response) % 2), 1.0)
    monkeypatch.setattr(
        zero_runs, "recipe_for", lambda on: replace(real(on), rewards=R1_ZERO | {"even": even})
    )


def test_a_stopped_run_goes_on_to_the_same_weights(tmp_path, monkeypatch):
    rewarding_length(monkeypatch)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert run("--out", str(whole)).exit_code == 0
    with monkeypatch.context() as patch:
        stopping_at_once(patch)
        first = run("--out", str(cut))
    assert first.exit_code == 130 and "stopped and saved after 1 steps" in first.output
    at_stop = checkpoint.load(cut).weights
    second = CliRunner().invoke(app, ["--resume", str(cut)])
    assert second.exit_code == 0, second.output
    a, b = (checkpoint.load(folder).weights for folder in (whole, cut))
    assert not all(bool((a[name] == at_stop[name]).all()) for name in a), "it learned since"
    assert all(bool((a[name] == b[name]).all()) for name in a)


def test_a_run_that_goes_on_counts_the_seconds_before_its_stop(tmp_path, monkeypatch):
    def save(run, step, seconds):
        assert 0 < seconds < 100
        zero_runs.save(run, step, seconds + 1000)

    with monkeypatch.context() as patch:
        stopping_at_once(patch)
        patch.setattr(zero_progress, "save", save)
        assert run("--out", str(tmp_path / "r")).exit_code == 130
    again = CliRunner().invoke(app, ["--resume", str(tmp_path / "r"), "--json"])
    assert 1000 < json.loads(again.stdout.splitlines()[-1])["seconds"] < 1100


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


def exams(*right):
    """One exam after the other, of which so many answers are right."""
    rows = iter([Exam(share, 0.0, 0.0, 0.0, 0.0, 1.0, 16) for share in right])
    return lambda *_, **__: next(rows)


def test_the_summary_tells_before_from_after(tmp_path, monkeypatch):
    monkeypatch.setattr(zero_progress, "exam", exams(0.25, 0.75))
    asked = []
    real = zero_progress.questions
    monkeypatch.setattr(
        zero_progress, "questions", lambda *a, seed: asked.append(seed) or real(*a, seed=seed)
    )
    # Trouble is no line of JSON.
    monkeypatch.setattr(zero_progress, "watch", lambda steps, say: say("trouble") or steps)
    said = run("--json", "--seed", "4", "--out", str(tmp_path))
    assert "trouble" in said.stderr and "trouble" not in said.stdout
    summary = json.loads(said.stdout.splitlines()[-1])
    assert (summary["pass_at_1_before"], summary["pass_at_1"]) == (0.25, 0.75)
    assert asked == [4]


def test_a_checkpoint_is_written_every_so_often(tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(zero_progress, "save", lambda run, step, seconds: saved.append(step))
    assert run("--save-every", "2", "--out", str(tmp_path)).exit_code == 0
    assert saved == [2, 3]


@pytest.mark.parametrize(
    ("part", "error", "code", "said"),
    [
        ("read_lessons", KeyboardInterrupt(), 130, "nothing to go on from was saved yet"),
        ("read_lessons", Diverged("the loss is nan"), 1, "the loss is nan"),
        ("practise", Diverged("the loss is nan"), 1, "nothing was saved: begin anew"),
    ],
)
def test_what_ends_a_run_early_is_said_on_stderr(tmp_path, monkeypatch, part, error, code, said):
    def ends(*_, **__):
        raise error
        yield

    monkeypatch.setattr(zero_progress, part, ends)
    result = run("--json", "--out", str(tmp_path))
    assert result.exit_code == code and said in result.stderr and not result.stdout


def test_another_scale_and_a_run_of_another_command_are_refused(tmp_path):
    assert run("--out", str(tmp_path / "r")).exit_code == 0
    again = CliRunner().invoke(app, ["--resume", str(tmp_path / "r"), "--scale", "laptop"])
    assert again.exit_code == 2 and "was begun at scale smoke" in again.stderr
    checkpoint.save(tmp_path / "t", Transformer(preset("toy-llama")), step=1, extra={"seed": 1})
    foreign = run("--resume", str(tmp_path / "t"))
    assert foreign.exit_code == 2 and "was not written by `minids grpo`" in foreign.stderr


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
