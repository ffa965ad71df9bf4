"""The command line: what each command prints, refuses, and never does."""

import dataclasses
import errno
import inspect
import json
import os
import signal
import socket
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer
from typer.testing import CliRunner

from minids import accounting
from minids.cli import app, doctor, lab, machine, smoke
from minids.cli.count import figures, humanly
from minids.cli.finding import Check, Finding
from minids.huggingface import to_hf
from minids.presets import PRESETS, preset
from minids.study import tables

ROOT = Path(__file__).parents[1]


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def refused(*arguments):
    """The sentence of a refusal; anything else fails the test."""
    ran = run(*arguments)
    assert ran.exit_code == 2, f"exit code {ran.exit_code}: {ran.output}"
    assert ran.stderr.startswith("minids: ")
    assert "Traceback" not in ran.output
    return ran.stderr


# The whole


def test_help_lists_every_command():
    helped = run("--help").output
    for command in "lab tour doctor count train bench course grade progress board reset".split():
        assert f" {command} " in helped


def test_counting_never_imports_torch():
    code = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from minids.cli import app\n"
        "assert CliRunner().invoke(app, ['count', 'deepseek-v3']).exit_code == 0\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        "slow = {'torch', 'matplotlib', 'numpy', 'IPython'} & set(sys.modules)\n"
        "assert not slow, slow\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_command_is_installed_beside_this_python():
    ran = subprocess.run(
        [Path(sys.executable).with_name("minids"), "version"], capture_output=True, text=True
    )
    assert ran.stdout.strip() == __import__("minids").__version__


# count


@pytest.mark.parametrize("name", PRESETS)
def test_count_prints_what_accounting_counts(name):
    counted = json.loads(run("count", name, "--json").output)
    config = preset(name)
    assert counted["parameters"]["total"] == accounting.parameters(config).total
    assert sum(counted["parameters"]["by_part"].values()) == counted["parameters"]["total"]
    assert counted["cache_per_token"]["bytes"] == accounting.cache_bytes(config)
    assert name in run("count", name).output


def test_count_shows_the_published_figures_of_every_published_model():
    for row in tables.read("models"):
        counted = figures(preset(row["model"]), context=4096)
        assert counted["published"]["total_b"] == row["total_b"]
        # The reports round to three figures.
        assert counted["parameters"]["total"] / 1e9 == pytest.approx(row["total_b"], rel=0.02)
        if row["convention"]:
            ours = counted["parameters"]["activated"][row["convention"]] / 1e9
            assert ours == pytest.approx(row["activated_b"], rel=0.06)


def test_the_published_activated_figure_stands_beside_its_convention():
    lines = run("count", "deepseek-v3").output.splitlines()
    beside = {line.strip().split("  ")[0]: line.rstrip().endswith("37 B") for line in lines}
    assert beside["activated, head only"]
    assert not beside["activated, both tables"]


def test_v3_caches_70272_bytes_and_six_bits_cost_less():
    assert "35,136 numbers, 70,272 bytes at 16 bits" in run("count", "deepseek-v3").output
    six = json.loads(run("count", "deepseek-v2", "--json", "--bits", 6).output)
    assert six["cache_per_token"]["bytes"] == 34_560 * 6 / 8


def test_a_longer_context_costs_flops_and_no_cache():
    short, long = (
        json.loads(run("count", "deepseek-v3", "--json", "--context", n).output)
        for n in (1024, 65536)
    )
    assert short["flops_per_token"]["decode"] < long["flops_per_token"]["decode"]
    assert short["cache_per_token"] == long["cache_per_token"]


def test_any_hugging_face_config_can_be_counted(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(to_hf(preset("deepseek-v2-lite"))), encoding="utf-8")
    counted = json.loads(run("count", path, "--json").output)
    assert counted["parameters"]["total"] == 15_706_484_224
    assert counted["published"]["total_b"] is None, "a file is nobody's published model"


def test_count_refuses_an_unknown_preset_and_lists_the_known_ones():
    said = refused("count", "deepseek-v9")
    assert "deepseek-v9" in said
    assert all(name in said for name in PRESETS)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("{", "not JSON"),
        ("[1, 2]", "holds a list"),
        ("{}", "hidden_size is missing"),
        (b"\xff\xfe\x00", "not JSON"),
        ('{"hidden_size": 64}', "missing"),
        pytest.param('{"hidden_size": 1' + "0" * 5000 + "}", "not JSON", id="5000 digits"),
    ],
)
def test_count_refuses_a_file_that_is_no_config(tmp_path, content, why):
    path = tmp_path / "config.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    said = refused("count", path)
    assert str(path) in said
    assert why in said


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hidden_size", "wide"),
        ("num_hidden_layers", None),
        ("vocab_size", [1]),
        pytest.param("intermediate_size", 10**310, id="310 digits"),
    ],
)
def test_count_refuses_a_value_of_the_wrong_kind(tmp_path, field, value):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(to_hf(preset("deepseek-llm-7b")) | {field: value}))
    said = refused("count", path)
    assert str(path) in said and field in said


def test_count_refuses_a_misspelt_field_by_name(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(to_hf(preset("toy-v3")) | {"n_routed_expert": 8}))
    assert "n_routed_expert" in refused("count", path)


def test_count_refuses_a_missing_file_a_folder_and_numbers_that_mean_nothing(tmp_path):
    assert "does not exist" in refused("count", tmp_path / "no.json")
    assert "is a folder" in refused("count", tmp_path)
    assert "bits" in refused("count", "toy-v3", "--bits", 0)
    assert "context" in refused("count", "toy-v3", "--context", -1)


@pytest.mark.parametrize(
    ("n", "shown"), [(671_026_404_352, "671.026 B"), (1_500_000, "1.500 M"), (999, "999")]
)
def test_counts_are_shown_with_their_unit(n, shown):
    assert humanly(n).strip() == shown


# doctor


def checks(*found):
    return lambda: tuple(Check(f"check{i}", look, "do this") for i, look in enumerate(found))


def test_doctor_says_ready_when_all_is_well(monkeypatch):
    monkeypatch.setattr(doctor, "checks", checks(lambda: Finding("ok", "fine")))
    ran = run("doctor")
    assert ran.exit_code == 0
    assert "ok      check0    fine" in ran.output
    assert "ready" in ran.output


def test_doctor_fails_only_for_what_is_broken(monkeypatch):
    monkeypatch.setattr(doctor, "checks", checks(lambda: Finding("note", "slow")))
    assert run("doctor").exit_code == 0
    monkeypatch.setattr(doctor, "checks", checks(lambda: Finding("broken", "gone")))
    ran = run("doctor")
    assert ran.exit_code == 1
    assert "to repair: check0" in ran.output
    assert run("doctor", "--json").exit_code == 1


def test_doctor_looks_at_everything_that_it_can_look_at():
    found = {f for of in (machine, smoke) for f in vars(of).values() if inspect.isfunction(f)}
    looks = {f for f in found if f.__module__ in (machine.__name__, smoke.__name__)}
    assert {check.look for check in doctor.checks()} == {
        f for f in looks if not f.__name__.startswith("_")
    }


def test_doctor_goes_on_after_a_check_that_fails_and_says_what_to_do(monkeypatch):
    def fails():
        raise RuntimeError("no\nluck")

    monkeypatch.setattr(doctor, "checks", checks(fails, lambda: Finding("ok", "fine")))
    ran = run("doctor")
    assert ran.exit_code == 1
    assert "do this (RuntimeError: no luck)" in ran.output
    assert "check1    fine" in ran.output


def test_doctor_reports_as_json(monkeypatch):
    monkeypatch.setattr(doctor, "checks", checks(lambda: Finding("ok", "fine")))
    report = json.loads(run("doctor", "--json").output)
    assert report["check0"] == {"state": "ok", "says": "fine"}
    assert report["minids"] == __import__("minids").__version__


@pytest.mark.parametrize(
    "look", [machine.python, machine.packages, machine.torch_version, machine.memory, machine.data]
)
def test_what_this_test_run_rests_on_is_found_well(look):
    finding = look()
    assert finding.state in ("ok", "note"), finding.says


@pytest.mark.parametrize(("version", "state"), [("2.7.1+cu126", "broken"), ("2.10.0", "ok")])
def test_a_torch_that_is_too_old_is_broken(monkeypatch, version, state):
    import torch

    monkeypatch.setattr(torch, "__version__", version)
    assert machine.torch_version().state == state


def test_little_memory_is_a_note_also_where_a_container_has_less_than_its_machine(
    monkeypatch, tmp_path
):
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(machine, "Path", lambda _: limit)
    for free, text, state in (
        (8e9, "max", "ok"),
        (1.9e9, "max", "note"),
        (8e9, "1900000000", "note"),
    ):
        limit.write_text(text)
        monkeypatch.setattr(
            "psutil.virtual_memory", lambda free=free: SimpleNamespace(available=free, total=16e9)
        )
        assert machine.memory().state == state


@pytest.mark.parametrize(("together", "state"), [(2.0, "note"), (0.3, "ok")])
def test_threads_that_slow_each_other_down_are_a_note(monkeypatch, together, state):
    import torch

    threads = [4]
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads[-1])
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    took = {1: 1.0, 4: together}
    monkeypatch.setattr(machine, "_seconds_of_products", lambda: took[threads[-1]])
    assert machine.threads().state == state
    assert threads[-1] == 4, "as it was"


def test_a_full_disk_is_broken_and_a_small_one_a_note(monkeypatch):
    for free, state in ((1e7, "broken"), (5e8, "note"), (1e10, "ok")):
        usage = type("usage", (), {"free": free})
        monkeypatch.setattr(machine.shutil, "disk_usage", lambda _, usage=usage: usage)
        assert machine.disk().state == state


def test_a_folder_that_cannot_be_written_to_is_broken(monkeypatch):
    def denied(**_):
        raise PermissionError("denied")

    monkeypatch.setattr(machine.tempfile, "NamedTemporaryFile", denied)
    [(_, finding)] = doctor.findings((Check("folder", machine.folder, "go elsewhere"),))
    assert finding == Finding("broken", "go elsewhere (PermissionError: denied)")


def test_a_damaged_vocabulary_is_broken(monkeypatch, tmp_path):
    from minids.text import tokenizer

    path = tmp_path / "v.tiktoken"
    path.write_bytes(tokenizer.SHIPPED.read_bytes()[:-5])
    (tmp_path / "v.sha256").write_text(tokenizer.SHIPPED.with_suffix(".sha256").read_text())
    monkeypatch.setattr(tokenizer, "default_tokenizer", lambda: tokenizer.load(path))
    [(_, finding)] = doctor.findings((Check("data", machine.data, "fetch them again"),))
    assert finding.state == "broken"
    assert "sha256" in finding.says


def test_a_terminal_that_cannot_print_chinese_is_noted(monkeypatch):
    monkeypatch.setattr(sys, "stdout", type("out", (), {"encoding": "cp1252"}))
    assert machine.python().state == "note"


def test_the_kernel_of_the_notebooks_is_this_python():
    finding = machine.kernel()
    assert finding.state == "ok", finding.says


def test_a_kernel_that_runs_another_python_is_broken(monkeypatch):
    monkeypatch.setattr(machine, "_python_of_kernel", lambda: "/elsewhere/python")
    finding = machine.kernel()
    assert finding.state == "broken"
    assert "ipykernel install --sys-prefix" in finding.says


def test_without_a_gpu_nothing_is_compared(monkeypatch):
    import torch

    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: None)
    assert smoke.device().says.startswith("no GPU")


def test_a_device_that_computes_something_else_is_broken(monkeypatch):
    import torch

    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: "odd")
    for worst, state in ((1e-5, "ok"), (0.5, "broken"), (float("nan"), "broken")):
        monkeypatch.setattr(smoke, "_disagreement", lambda *_, worst=worst: worst)
        assert smoke.device().state == state


def test_the_comparison_sees_a_model_that_differs():
    import torch

    assert smoke._disagreement("toy-llama", torch.device("cpu")) == 0


@pytest.mark.cuda
def test_this_gpu_agrees_with_the_processor():
    finding = smoke.device()
    assert finding.state == "ok", finding.says


def test_training_smoke_learns(monkeypatch):
    monkeypatch.setattr(smoke, "SECONDS", 2.5)
    finding = smoke.training()
    assert finding.state in ("ok", "note"), finding.says
    assert "tokens/s" in finding.says


def test_training_that_does_not_learn_is_broken(monkeypatch):
    from minids.train import loop

    real = loop.fit
    monkeypatch.setattr(loop, "fit", lambda *a, **k: real(*a, **(k | {"lr": 0.0, "steps": 35})))
    assert smoke.training().state == "broken"


def test_training_that_is_slow_is_a_note(monkeypatch):
    from minids.train import loop

    real = loop.fit
    monkeypatch.setattr(loop, "fit", lambda *a, **k: real(*a, **(k | {"steps": 20})))
    assert smoke.training().state == "note"


# lab


def test_jupyter_listens_on_this_machine_only_and_asks_for_nothing(tmp_path):
    given = lab.flags(ROOT, ROOT / "notebooks/00_map.ipynb", 8888, str(tmp_path))
    assert "--ServerApp.ip=127.0.0.1" in given
    assert "--ServerApp.open_browser=False" in given
    assert "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate" in given
    assert "--LabApp.default_url=/lab/tree/notebooks/00_map.ipynb" in given
    assert not any("token" in flag.lower() for flag in given), "others can read a command line"


def test_jupyter_keeps_its_news_and_its_spinning_threads(tmp_path):
    given = lab.settings("secret", str(tmp_path))
    assert given["JUPYTER_TOKEN"] == "secret"
    assert given["GOMP_SPINCOUNT"] == "1000"
    page = json.loads((tmp_path / "labconfig/page_config.json").read_text())
    assert page["disabledExtensions"]["@jupyterlab/apputils-extension:announcements"] is True


def test_a_port_that_is_taken_is_passed_over():
    with socket.socket() as taken:
        taken.bind((lab.HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert lab.free_port(port) > port


def test_the_last_port_that_there_is_may_be_taken(monkeypatch):
    asked = []

    class Taken(socket.socket):
        def bind(self, address):
            asked.append(address[1])
            raise OSError("taken")

    monkeypatch.setattr("minids.cli.lab.socket.socket", Taken)
    with pytest.raises(typer.Exit):
        lab.free_port(65530)
    assert asked == list(range(65530, 65536))


def test_lab_refuses_where_there_is_no_course(monkeypatch, tmp_path):
    import minids
    from minids.cli import folders

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(folders.minids, "__file__", str(tmp_path / "site/minids/__init__.py"))
    assert "run this in the folder that you cloned" in refused("lab")
    for name in ("notebooks", "exercises"):  # somebody else's
        (tmp_path / name).mkdir()
    assert "run this in the folder that you cloned" in refused("lab")
    assert minids.__file__.startswith(str(tmp_path))


def test_lab_refuses_where_no_chapter_is_built(monkeypatch, tmp_path):
    (tmp_path / "notebooks" / "src").mkdir(parents=True)
    (tmp_path / "exercises").mkdir()
    (tmp_path / "notebooks" / "src" / "00_map.py").touch()
    monkeypatch.chdir(tmp_path)
    assert "minids course build" in refused("lab")


def test_lab_opens_the_first_chapter_and_leaves_nothing_behind(tmp_path):
    from urllib.request import urlopen

    for folder in ("notebooks", "exercises"):
        (tmp_path / folder).mkdir()
    empty = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (tmp_path / "notebooks/00_map.ipynb").write_text(json.dumps(empty))
    private = tmp_path / "private"
    private.mkdir()
    opened = subprocess.Popen(
        [sys.executable, "-c", "from minids.cli import main; main()", "lab", "--no-browser"],
        cwd=tmp_path,
        env=os.environ | {"TMPDIR": str(private), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        lines = iter(opened.stdout.readline, "")
        address = next(line.strip() for line in lines if "http://127.0.0.1:" in line)
        assert "/lab/tree/notebooks/00_map.ipynb?token=" in address
        with urlopen(address, timeout=20) as page:
            assert page.status == 200
        port = int(address.split(":")[2].split("/")[0])
    finally:
        opened.send_signal(signal.SIGTERM)
        opened.communicate(timeout=30)
    assert opened.returncode == 0
    assert not list(private.iterdir())
    end = time.monotonic() + 10
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex((lab.HOST, port)):
                return
        time.sleep(0.1)
    pytest.fail("the server still answers")


# train

TINY = ("--batch", 2, "--length", 16, "--scale", "smoke")


@pytest.fixture
def book(tmp_path):
    path = tmp_path / "book.txt"
    path.write_text("The cat sat on the mat, and the dog sat on the cat.\n" * 200, encoding="utf-8")
    return path


@pytest.fixture
def mute(monkeypatch):
    """Runs show no samples: they take most of the time of a run of a few steps."""
    from minids.cli import samples

    monkeypatch.setattr(samples, "samples", lambda *_: [])


def weights(folder):
    from minids import checkpoint

    return checkpoint.load(folder).weights


def same(a, b):
    return a.keys() == b.keys() and all(a[name].equal(b[name]) for name in a)


def test_training_saves_a_run_shows_samples_and_says_how_to_go_on(tmp_path, book):
    ran = run("train", "toy-llama", "--text", book, "--steps", 3, "--out", tmp_path / "a", *TINY)
    assert ran.exit_code == 0, ran.output
    assert "3 steps of 2 x 16 tokens" in ran.output
    assert "bits per byte" in ran.output
    assert ran.output.count("\n  | ") >= 3, "three samples, behind a bar at the margin"
    assert f"minids train --resume {tmp_path / 'a'} --steps 6" in ran.output
    assert (tmp_path / "a/step-000003").is_dir()


@pytest.mark.usefixtures("mute")
def test_training_learns_a_text_that_repeats(tmp_path, book):
    ran = run("train", "toy-llama", "--text", book, "--steps", 40, "--out", tmp_path / "a", *TINY)
    costs = float(ran.output.split("costs it ")[1].split()[0])
    assert costs < 2.0, "a uniform guess of 1,024 tokens costs more than 2.5 bits a byte"


def test_a_head_may_be_wider_than_the_vocabulary_and_unseen_text_is_read_in_pieces():
    from minids.cli.samples import bits_of_unseen, samples
    from minids.model.transformer import Transformer
    from minids.presets import preset
    from minids.text.tokenizer import default_tokenizer

    tokenizer, text = default_tokenizer(), "The quick brown fox jumps over the lazy dog. " * 60
    model = Transformer(
        dataclasses.replace(preset("toy-llama"), vocab=40 * tokenizer.vocab, context=32)
    )
    [(prompt, answer)] = samples(model, tokenizer, [text[:20]], temperature=5.0)
    assert prompt == text[:20] and isinstance(answer, str)
    whole, pieces = (
        bits_of_unseen(model, tokenizer, text, length=16, rows=7, at_once=n) for n in (64, 3)
    )
    assert pieces == pytest.approx(whole, rel=1e-6)


def test_the_bar_shows_loss_bits_speed_and_time_left():
    from minids.cli.progress import shown
    from minids.train.loop import Step

    steps = [Step(i, 2.0, {}, 1.0, 0.1, 100, 0.5) for i in range(3)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", written := __import__("io").StringIO())
        assert list(shown(iter(steps), total=3, tokens_per_byte=0.5)) == steps
    bar = written.getvalue()
    assert "loss 2.000, 1.443 bits/byte, 200 tokens/s" in bar
    assert "3/3 [00:00<00:00" in bar


@pytest.mark.usefixtures("mute")
@pytest.mark.parametrize("model", ["toy-llama", "toy-v3"])
def test_a_stopped_run_goes_on_bit_for_bit(tmp_path, book, model, monkeypatch):
    from minids.cli import progress

    whole, halves = tmp_path / "whole", tmp_path / "halves"
    given = ("train", model, "--text", book, "--steps", 6, *TINY)
    assert run(*given, "--out", whole).exit_code == 0

    real = progress.shown

    def interrupted(*arguments, **named):
        for step in real(*arguments, **named):
            if step.i == 2:
                os.kill(os.getpid(), signal.SIGINT)
            yield step

    with monkeypatch.context() as patch:
        patch.setattr(progress, "shown", interrupted)
        stopped = run(*given, "--out", halves)
    assert stopped.exit_code == 130, stopped.output
    assert f"stopped and saved after 3 steps. Go on with: minids train --resume {halves}" in (
        stopped.output
    )
    assert not same(weights(whole), weights(halves))
    resumed = run("train", "--resume", halves, "--scale", "smoke")
    assert resumed.exit_code == 0, resumed.output
    assert "3 of them done" in resumed.output
    assert same(weights(whole), weights(halves))


def test_what_a_run_was_told_reaches_its_training(tmp_path, book, monkeypatch):
    import torch

    from minids.cli import progress, runs
    from minids.study.scale import Scale
    from minids.text.batches import packed
    from minids.train.loop import Diverged
    from minids.train.world import World

    asked = []

    def fit(_model, batches, **how):
        asked.append((batches, how))
        raise Diverged("stop here")
        yield

    monkeypatch.setattr(progress, "fit", fit)
    on = Scale(kind="smoke", device=torch.device("cpu"), products="bf16")
    given = {"steps": 20, "lr": 0.01, "seed": 3, "batch": 2, "length": 16}
    ready = runs.fresh(
        "toy-llama", on=on, world=World.alone(), text=book, out=tmp_path / "a", **given
    )
    assert progress.carry_out(ready, save_every=9) == 1
    [(batches, how)] = asked
    assert (how["lr"], how["products"], how["steps"]) == (0.01, "bf16", 20)
    assert how["schedule"](10) == 1 and how["schedule"](19) == 0.1
    expected = packed(ready.tokens, batch=2, length=16, seed=3)(1)
    assert all(a.equal(b) for a, b in zip(batches(1), expected, strict=True))


def test_a_signal_ends_a_run_after_its_step_and_a_second_one_at_once():
    from minids.cli.progress import stopping_after_this_step

    both = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: None) for number in both}
    ours = [signal.getsignal(number) for number in both]
    try:
        for number in both:
            with pytest.raises(KeyboardInterrupt), stopping_after_this_step() as stopped:
                assert not stopped()
                signal.raise_signal(number)
                assert stopped()
                signal.raise_signal(number)
            assert [signal.getsignal(each) for each in both] == ours
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_what_fits_is_counted_for_the_processes_that_share_it(monkeypatch):
    import torch

    from minids.cli import fitting
    from minids.study.scale import Scale

    monkeypatch.setattr(fitting, "_memory", lambda on: 60e9)
    config = preset("deepseek-llm-7b")  # 111 GB of weights, gradients and moments

    def fits(kind, rows=1, vocab=1024, **shared):
        on = Scale(kind=kind, device=torch.device("cuda" if kind == "gpu" else "cpu"))
        fitting.refuse_what_does_not_fit(config, vocab, rows, 4096, on, **shared)

    fits("gpu", shards=2)
    fits("gpu", rows=16, shards=2, processes=16)
    for kind, rows, shared, why in (
        ("gpu", 1, {}, "111 GB for weights"),
        ("gpu", 16, {"shards": 2}, "a smaller --batch"),
        ("laptop", 1, {"shards": 2, "processes": 2}, "111 GB for weights"),  # one machine has both
    ):
        with pytest.raises(ValueError, match=why):
            fits(kind, rows, **shared)
    with pytest.raises(ValueError, match="set vocab_size to 200000 or more"):
        fits("gpu", vocab=200_000, shards=2)


@pytest.mark.usefixtures("mute")
def test_another_seed_is_another_run(tmp_path, book):
    for seed in (0, 1):
        given = ("--text", book, "--steps", 2, "--seed", seed, "--out", tmp_path / str(seed))
        assert run("train", "toy-llama", *given, *TINY).exit_code == 0
    assert not same(weights(tmp_path / "0"), weights(tmp_path / "1"))


@pytest.mark.usefixtures("mute")
def test_a_checkpoint_is_written_every_so_often(tmp_path, book, monkeypatch):
    from minids.cli import progress

    saved = []
    monkeypatch.setattr(progress, "save", lambda run, step: saved.append(step))
    given = ("--text", book, "--steps", 5, "--save-every", 2, "--out", tmp_path / "a")
    assert run("train", "toy-llama", *given, *TINY).exit_code == 0
    assert saved == [2, 4, 5]


def test_a_full_disk_ends_the_run_and_names_what_is_left(tmp_path, book, monkeypatch):
    from minids.cli import progress

    def full(run, step):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(progress, "save", full)
    given = ("--text", book, "--steps", 2, "--out", tmp_path / "a")
    ran = run("train", "toy-llama", *given, *TINY)
    assert ran.exit_code == 1
    assert "No space left on device" in ran.stderr and "nothing was saved" in ran.stderr


def test_a_full_disk_leaves_the_last_checkpoint_to_go_on_from(tmp_path, book, monkeypatch):
    from minids.cli import progress
    from minids.cli.run_folders import resume_line

    kept = progress.save

    def full(run, step):
        if step == 2:
            raise OSError(28, "No space left on device")
        kept(run, step)

    monkeypatch.setattr(progress, "save", full)
    given = ("--text", book, "--steps", 2, "--save-every", 1, "--out", tmp_path / "a b")
    ran = run("train", "toy-llama", *given, *TINY)
    assert ran.exit_code == 1
    assert resume_line(tmp_path / "a b", "train") in ran.stderr


@pytest.mark.parametrize(("system", "mark"), [("linux", "'"), ("darwin", "'"), ("win32", '"')])
def test_the_line_that_goes_on_is_quoted_as_the_system_reads_it(monkeypatch, system, mark):
    from minids.cli.run_folders import resume_line

    monkeypatch.setattr(sys, "platform", system)
    assert resume_line(Path("a b"), "train") == f"minids train --resume {mark}a b{mark}"
    assert resume_line(Path("a"), "train") == "minids train --resume a"


def test_a_run_that_diverges_says_what_to_try(tmp_path, book, monkeypatch):
    from minids.cli import progress
    from minids.train.loop import Diverged

    def diverges(*_, **__):
        raise Diverged("step 0: the loss is nan. Try a lower `lr`")
        yield

    monkeypatch.setattr(progress, "fit", diverges)
    given = ("--text", book, "--steps", 2, "--out", tmp_path / "a")
    ran = run("train", "toy-llama", *given, *TINY)
    assert ran.exit_code == 1
    assert "Try a lower `lr`" in ran.stderr


def test_train_refuses_a_model_that_does_not_fit_and_names_one_that_does(tmp_path):
    said = refused("train", "deepseek-v3", "--out", tmp_path / "a")
    assert "10,736 GB" in said
    assert "toy-v3" in said
    assert not (tmp_path / "a").exists(), "nothing is left behind"


def test_train_refuses_a_context_that_leaves_no_room_to_write(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(to_hf(preset("toy-llama")) | {"max_position_embeddings": 1}))
    assert "context of 1" in refused("train", path, "--out", tmp_path / "a")


def test_train_refuses_texts_that_teach_nothing(tmp_path):
    for content, why in ((b"", "empty"), (b"\0\1", "UTF-8"), (b"a b", "tokens are needed")):
        path = tmp_path / "text.txt"
        path.write_bytes(content)
        assert why in refused("train", "toy-llama", "--text", path, "--out", tmp_path / "a", *TINY)
    gone = tmp_path / "gone.txt"
    assert str(gone) in refused("train", "toy-llama", "--text", gone, "--out", tmp_path / "a")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("toy-llama", "--steps", 0), "--steps 0"),
        (("toy-llama", "--save-every", 0), "--save-every 0"),
        (("toy-llama", "--batch", -1), "--batch -1"),
        (("toy-llama", "--lr", 3), "--lr 3"),
        (("toy-llama", "--seed", 10**18), "--seed 1000000000000000000: give a whole number"),
        (("toy-llama", "--seed", -(10**30)), "at most 18 digits"),
        (("toy-llama", "--length", 9999), "longer than the context"),
        (("toy-llama", "--batch", 10**8), "for its logits alone"),
        (("toy-llama", "--scale", "huge"), "huge"),
        (("toy-lama",), "toy-llama"),
        ((), "say what to train"),
        (("--resume", "gone"), "gone"),
        (("--resume", "gone", "--seed", 1, "--lr", 0.1), "--seed, --lr"),
    ],
)
def test_train_refuses_options_that_mean_nothing(tmp_path, monkeypatch, options, why):
    monkeypatch.chdir(tmp_path)
    assert why in refused("train", *options)


@pytest.mark.usefixtures("mute")
def test_train_refuses_a_folder_that_holds_a_run_or_is_a_file(tmp_path, book):
    out = tmp_path / "a"
    given = ("train", "toy-llama", "--text", book, "--steps", 1, "--out", out, *TINY)
    assert run(*given).exit_code == 0
    assert f"--resume {out}" in refused(*given)
    assert "is a file" in refused("train", "toy-llama", "--text", book, "--out", book, *TINY)
    within = refused("train", "toy-llama", "--text", book, "--out", book / "a", *TINY)
    assert f"{book} is a file: name another folder with --out" in within


@pytest.mark.usefixtures("mute")
def test_a_folder_with_a_run_of_another_command_names_no_command_that_would_refuse_it(tmp_path):
    train = ("train", "toy-llama", "--steps", 1, "--scale", "smoke", "--out")
    grpo = ("grpo", "--scale", "smoke", "--out")
    assert run(*train, tmp_path / "t").exit_code == run(*grpo, tmp_path / "g").exit_code == 0
    assert "(minids grpo --resume " in refused(*grpo, tmp_path / "g")
    for command, folder in ((train, tmp_path / "g"), (grpo, tmp_path / "t")):
        said = refused(*command, folder)
        assert f"that `minids {command[0]}` cannot go on with" in said and "--resume" not in said
    for file in (tmp_path / "t").glob("step-*/*.safetensors"):
        file.write_bytes(b"damaged")
    assert "already holds a run" in refused(*train, tmp_path / "t")


@pytest.mark.usefixtures("mute")
@pytest.mark.parametrize("command", ["train", "grpo"])
def test_a_run_whose_folder_is_read_only_is_told_how_to_go_on(tmp_path, monkeypatch, command):
    """Not with --out, which a run that is resumed refuses."""
    given = ["train", "toy-llama", "--steps", 1] if command == "train" else ["grpo"]
    assert run(*given, "--scale", "smoke", "--out", tmp_path / "a").exit_code == 0
    monkeypatch.setattr("os.access", lambda _, mode: not mode & os.W_OK)
    more = ["--steps", 2] if command == "train" else []
    said = refused(command, "--resume", tmp_path / "a", *more)
    assert "cannot be written to" in said and "resume the copy" in said and "--out" not in said


@pytest.mark.usefixtures("mute")
def test_resume_refuses_another_model_a_finished_run_and_a_changed_text(tmp_path, book):
    out = tmp_path / "a"
    given = ("--text", book, "--steps", 2, "--out", out, *TINY)
    assert run("train", "toy-llama", *given).exit_code == 0
    assert "holds toy-llama, not toy-v3" in refused("train", "toy-v3", "--resume", out)
    assert "--steps 4" in refused("train", "--resume", out)
    book.write_text(book.read_text() + "more")
    assert "is not what" in refused("train", "--resume", out, "--steps", 4)
    book.unlink()
    assert str(book) in refused("train", "--resume", out, "--steps", 4)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other locks")
@pytest.mark.parametrize("command", ["train", "grpo"])
def test_two_runs_do_not_write_to_one_folder(tmp_path, command):
    """Another process holds the folder, as a run does; when it has ended, however, it is free."""
    hold = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.lockf(f, fcntl.LOCK_EX); "
    hold += "print(flush=True); sys.stdin.read()"
    (tmp_path / "a").mkdir()
    lock = [sys.executable, "-c", hold, str(tmp_path / "a" / ".running")]
    given = ["toy-llama", "--steps", 2] if command == "train" else []
    given = [command, *given, "--scale", "smoke", "--out", tmp_path / "a"]
    with subprocess.Popen(lock, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline()
        assert f"another run is writing to {tmp_path / 'a'}" in refused(*given)
        other.kill()
    assert run(*given).exit_code == 0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other locks")
def test_where_there_are_no_locks_a_run_goes_on_without(tmp_path, monkeypatch):
    def unknown(*_args):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.lockf", unknown)
    given = ("train", "toy-llama", "--steps", 2, "--scale", "smoke", "--out", tmp_path / "a")
    assert run(*given).exit_code == 0


def test_resume_refuses_a_checkpoint_that_train_did_not_write(tmp_path):
    from minids import checkpoint
    from minids.model.transformer import Transformer

    checkpoint.save(tmp_path / "a", Transformer(preset("toy-llama")), step=1)
    assert "not written by `minids train`" in refused("train", "--resume", tmp_path / "a")


def test_a_run_from_before_a_field_was_added_goes_on(tmp_path):
    from minids import checkpoint
    from minids.model.transformer import Transformer
    from minids.train.update import adamw

    model = Transformer(preset("toy-llama"))
    run("train", "toy-llama", "--steps", 2, "--scale", "smoke", "--out", tmp_path / "a")
    extra = checkpoint.load(tmp_path / "a").extra
    assert extra.pop("compiled") is False
    for file, more in (("old", extra), ("foreign", extra | {"else": 1})):
        checkpoint.save(tmp_path / file, model, step=2, optimizer=adamw(model), extra=more)
    assert run("train", "--resume", tmp_path / "old", "--steps", 3).exit_code == 0
    assert checkpoint.load(tmp_path / "old").extra["compiled"] is False
    assert "not written by" in refused("train", "--resume", tmp_path / "foreign", "--steps", 3)


def test_a_config_file_can_be_trained(tmp_path, book):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(to_hf(preset("toy-llama")) | {"num_hidden_layers": 1}))
    given = ("--text", book, "--steps", 1, "--out", tmp_path / "a")
    ran = run("train", path, *given, *TINY)
    assert ran.exit_code == 0, ran.output
    assert "mine: 1 layers" in ran.output


# tour


def test_the_tour_counts_trains_and_writes_its_figures(tmp_path, monkeypatch):
    from minids.cli.tour import stops

    monkeypatch.setenv("MINIDS_SCALE", "smoke")
    ran = run("tour", "--out", tmp_path / "figures")
    assert ran.exit_code == 0, ran.output
    assert "deepseek-v3" in ran.output
    assert "before" in ran.output
    assert "after" in ran.output
    figures = sorted((tmp_path / "figures").iterdir())
    drawn = [path.stem.partition("_")[0] for path in figures]
    assert drawn == [stop.chapter for stop in stops()]
    assert "1/2" not in ran.stderr, "a log file wants few lines: no bar for every step"
    for path in figures:
        assert str(path) in ran.output
        assert 10_000 < path.stat().st_size < 200_000


def test_figures_of_the_tour_are_opaque(tmp_path, monkeypatch):
    import matplotlib.image

    from minids.cli.stops import map

    [path] = map.visit(tmp_path)
    pixels = matplotlib.image.imread(path)
    assert pixels.shape[-1] == 3 or (pixels[..., 3] == 1).all()
    assert (pixels[0, 0, :3] == 1).all(), "the background is white"


def test_the_tour_shows_each_published_figure_beside_its_count():
    from minids.cli.stops.map import rows

    for row in rows():
        assert row["total B"] == pytest.approx(row["published"], rel=0.02)
        if row["published "] != "all":
            assert row["activated B"] == pytest.approx(row["published "], rel=0.06)


def test_a_slow_machine_takes_fewer_steps_of_the_tour(monkeypatch):
    import torch

    from minids.cli.stops import llama
    from minids.model.transformer import Transformer
    from minids.text.batches import packed

    model = Transformer(preset("toy-llama"))
    batches = packed(torch.arange(1000), batch=2, length=16, seed=0)
    count = llama.affordable(model, batches, "plain")
    monkeypatch.setattr(llama, "SECONDS", llama.SECONDS / 1e6)
    assert llama.affordable(model, batches, "plain") == 3 < count


def test_the_tour_refuses_a_folder_that_it_cannot_write_to(tmp_path):
    path = tmp_path / "file"
    path.write_text("")
    assert f"{path} is a file: name another" in refused("tour", "--out", path)
    assert f"{path} is a file: name another" in refused("tour", "--out", path / "a")


def test_the_tour_has_a_stop_for_every_chapter():
    from minids.cli.tour import stops

    chapters = {path.name[:2] for path in (ROOT / "notebooks").glob("[0-9]*.ipynb")}
    assert chapters <= {stop.chapter for stop in stops()}


# course, grade, bench


def test_course_check_fails_when_a_notebook_is_older_than_its_source(monkeypatch):
    from minids import course

    monkeypatch.setattr(course, "drift", lambda **_: [])
    monkeypatch.setattr("minids.course.minutes.stale", lambda _: [])
    assert run("course", "check").exit_code == 0
    monkeypatch.setattr(course, "drift", lambda **_: ["notebooks/00_map differs"])
    ran = run("course", "check")
    assert ran.exit_code == 1
    assert "00_map differs" in ran.stderr
    assert "minids course build" in ran.stderr
    monkeypatch.setattr(course, "drift", lambda **_: [])
    monkeypatch.setattr("minids.course.minutes.stale", lambda _: ["README.md has a table"])
    ran = run("course", "check")
    assert ran.exit_code == 1 and "README.md has a table" in ran.stderr


def test_course_build_fails_where_a_claim_does_not_hold_or_a_cell_stops(small_course, monkeypatch):
    from minids import course

    grew = "solutions/77_tiny, cell 1: 10.0 s became 25.0 s"
    done = course.Built("solutions/77_tiny", 2.0, 90, ("DOES NOT HOLD: a",), (grew,))
    monkeypatch.setattr(course, "build", lambda names, root: [done._replace(name=names[0])])
    ran = run("course", "build", "77")
    assert ran.exit_code == 1 and "solutions/77_tiny: 2 s, 90 MB" in ran.stdout
    assert "DOES NOT HOLD: a" in ran.stderr and grew in ran.stderr

    def stops(*_, **__):
        raise course.BuildError("solutions/77_tiny stopped in code cell 1")

    monkeypatch.setattr(course, "build", stops)
    assert "stopped in code cell 1" in refused("course", "build")


def test_course_cut_cuts_what_is_named(small_course):
    source = small_course / "solutions" / "src" / "77_tiny.py"
    source.with_name("78_next.py").write_text(source.read_text())
    assert run("course", "cut", "solutions/78_next.py").stdout.count(".ipynb") == 1
    assert (small_course / "exercises" / "78_next.ipynb").exists()


def test_course_build_refuses_a_chapter_that_does_not_exist():
    assert "99_nothing" in refused("course", "build", "99_nothing")


def test_grade_refuses_what_is_no_folder_of_notebooks(tmp_path):
    assert "is not a folder" in refused("grade", tmp_path / "gone")
    assert "holds no notebook" in refused("grade", tmp_path)


def test_grade_warns_that_it_runs_what_it_is_given():
    assert "no sandbox" in " ".join(run("grade", "--help").output.split())


def test_grade_writes_the_report_and_the_table(monkeypatch, tmp_path):
    from minids import course

    row = course.Graded("ann.ipynb", "00.count", "wrong", "counts the head", "look again", 1.0)
    monkeypatch.setattr(course, "grade", lambda *_, **__: [row])
    (tmp_path / "ann.ipynb").write_text("{}")
    ran = run("grade", tmp_path, "--out", tmp_path / "marks.csv")
    assert "| ann.ipynb | 0 of 1 |" in ran.output
    assert "counts the head" in (tmp_path / "marks.csv").read_text()
    assert json.loads(run("grade", tmp_path, "--json").output)[0]["state"] == "wrong"


# progress, board, reset


@pytest.fixture
def small_course(tmp_path, monkeypatch):
    """A course of one exercise, and this folder is its exercises."""
    from minids import course
    from minids.course.files import write

    script = '# %% tags=["exercise"]\ndef f(x):\n    ### BEGIN SOLUTION\n    return x\n'
    script += '    ### END SOLUTION\n\n\n# %% tags=["check"]\ncheck("77.f", f)\n'
    write(tmp_path / "solutions" / "src" / "77_tiny.py", script)
    (tmp_path / "notebooks").mkdir()
    course.cut(root=tmp_path)
    monkeypatch.chdir(tmp_path / "exercises")
    return tmp_path


def recorded(folder, state):
    file = folder / ".minids" / "progress.json"
    file.parent.mkdir(parents=True)
    entry = {"solved": state == "solved", "failed": "too small", "tries": 3, "when": "?"}
    file.write_text(json.dumps({"77.f": entry}))


def test_progress_shows_bars_and_where_i_am_stuck(small_course):
    assert "nothing checked yet" in run("progress").output
    recorded(small_course / "exercises", "wrong")
    shown = run("progress").output
    assert "77_tiny  [x]  0 of 1\n    77.f: too small (3 tries)\n" in shown
    assert json.loads(run("progress", "--json").output)["77.f"]["tries"] == 3
    (small_course / "other").mkdir()
    assert "nothing checked yet" in run("progress", small_course / "other").output
    assert run("progress", small_course / "other", "--json").output == "{}\n"
    assert "is not a folder" in refused("progress", small_course / "nowhere")


def test_board_shows_the_room_once_or_again_and_again(small_course, monkeypatch):
    recorded(small_course / "room" / "ann", "solved")
    recorded(small_course / "room" / "bob", "wrong")
    once = run("board", small_course / "room").output
    assert "2 learners" in once
    assert "1 x 77.f: too small" in once
    waits = []

    def wait(seconds):
        waits.append(seconds)
        if len(waits) >= 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("minids.cli.room.time.sleep", wait)
    ran = run("board", small_course / "room", "--every", 2)
    assert ran.exit_code == 0
    assert waits == [2, 2, 2]
    assert ran.output.count("2 learners") == 3
    assert "too often" in refused("board", small_course, "--every", 0.1)
    assert "too rare" in refused("board", small_course, "--every", 1e9)
    assert "is not a folder" in refused("board", small_course / "nowhere")


def test_reset_says_what_it_did_and_where_the_copy_is(small_course):
    notebook = small_course / "exercises" / "77_tiny.ipynb"
    mine = notebook.read_text().replace("raise NotImplementedError", "return 2 * x")
    notebook.write_text(mine)
    said = run("reset", "77.f").output
    [copy] = (notebook.parent / ".minids" / "backup").iterdir()
    assert copy.read_text() == mine
    assert copy.name in said
    assert "blank again: 77.f" in said
    assert "raise NotImplementedError" in notebook.read_text()
    assert "in this chapter: 77.f" in refused("reset", "77.g")
    gone = small_course / "gone"
    assert f"no folder {gone}" in refused("reset", "77", "--folder", gone)
    assert "neither an exercise nor a chapter" in refused("reset", "98")


@pytest.mark.parametrize("ids", ["none", "none, though the format has them", "Colab's"])
def test_reset_finds_the_cell_in_a_notebook_without_ids(small_course, ids):
    notebook = small_course / "exercises" / "77_tiny.ipynb"
    mine = json.loads(notebook.read_text())
    for cell in mine["cells"]:
        name = cell.pop("id")
        cell["metadata"] |= {"id": name} if ids == "Colab's" else {}
        if "raise NotImplementedError" in "".join(cell["source"]):
            cell["source"] = "def f(x):\n    return 2 * x"
    extra = {"cell_type": "markdown", "metadata": {}, "source": "my notes"}
    mine["cells"].append(extra)
    mine["nbformat_minor"] = 5 if "though" in ids else 0
    notebook.write_text("\ufeff" + json.dumps(mine), encoding="utf-8")
    assert "blank again: 77.f" in run("reset", "77.f").output
    after = json.loads(notebook.read_text())
    assert len(after["cells"]) == len(mine["cells"])
    assert "return 2 * x" not in notebook.read_text()
    sources = ["".join(cell["source"]) for cell in after["cells"]]
    blank = next(n for n, text in enumerate(sources) if "raise NotImplementedError" in text)
    assert blank < next(n for n, text in enumerate(sources) if 'check("77.f", f)' in text)
    assert sources[-1] == "my notes"


def test_reset_writes_through_a_link(small_course):
    notebook, elsewhere = small_course / "exercises" / "77_tiny.ipynb", small_course / "real.ipynb"
    elsewhere.write_text(notebook.read_text().replace("raise NotImplementedError", "return 1"))
    notebook.unlink()
    notebook.symlink_to(elsewhere)
    assert "blank again: 77.f" in run("reset", "77.f").output
    assert notebook.is_symlink() and "raise NotImplementedError" in elsewhere.read_text()


def test_graded_results_are_kept_though_nobody_reads_what_is_printed(small_course, monkeypatch):
    (small_course / "in").mkdir()
    (small_course / "in" / "77_tiny.ipynb").write_text("no notebook")
    monkeypatch.setattr("typer.echo", lambda *_, **__: (_ for _ in ()).throw(BrokenPipeError()))
    out, pages = small_course / "out.csv", small_course / "pages"
    monkeypatch.setattr("minids.cli.course.course_folder", lambda: small_course)
    monkeypatch.setattr("minids.course.grade", lambda *_, **__: [])
    run("grade", small_course / "in", "--out", out, "--pages", pages)
    assert out.read_text().startswith("submission,exercise")


# course minutes, slides, nbgrader, bundle


def test_tools_for_teachers_refuse_what_does_not_exist(small_course):
    assert "chapters: 77_tiny" in refused("course", "nbgrader", small_course / "out", "98")
    assert "there is no '98_x'" in refused("course", "slides", small_course / "out", "98_x")
    torch = ("--torch", "2.13.0")
    assert "should end in .zip" in refused("course", "bundle", "x.tar", *torch)
    file = small_course / "file"
    file.touch()
    assert f"{file} is a file" in refused("course", "bundle", file / "x.zip", *torch)
    (small_course / "y.zip").mkdir()
    assert "is a folder" in refused("course", "bundle", small_course / "y.zip", *torch)
    assert "nothing had changed" in run("course", "minutes").output


def test_an_assignment_for_nbgrader_is_written(small_course):
    said = run("course", "nbgrader", small_course / "out", "--points", 5).output
    assert "77_tiny.ipynb" in said
    written = small_course / "out" / "source" / "77_tiny" / "77_tiny.ipynb"
    assert '"points": 5' in written.read_text()


def test_options_of_slides_reach_them(small_course, monkeypatch):
    from minids.course import slides

    asked = []
    monkeypatch.setattr(slides, "slides", lambda out, names, **how: asked.append(how) or [out])
    run("course", "slides", "out")
    run("course", "slides", "out", "--reveal", "here", "--no-code")
    root = small_course
    assert asked == [
        {"root": root, "reveal": slides.REVEAL, "code": True},
        {"root": root, "reveal": "here", "code": False},
    ]


def test_a_bundle_gets_torch_from_where_it_is_told_and_says_when_pip_fails(
    small_course, monkeypatch
):
    from minids.course import bundle

    asked = []
    made = bundle.Bundle(small_course / "x.zip", 3 * 10**6, 2, 1)
    monkeypatch.setattr(bundle, "bundle", lambda out, **how: asked.append(how) or made)
    given = ("course", "bundle", small_course / "x.zip", "--torch", "2.13.0")
    assert "3 MB, 2 wheels, 1 files" in run(*given, "--torch-from", "-i http://x").stdout
    assert asked[0]["torch"] == "2.13.0" and asked[0]["torch_from"] == ("-i", "http://x")

    def fails(*_, **__):
        raise subprocess.CalledProcessError(1, "pip")

    monkeypatch.setattr(bundle, "bundle", fails)
    assert "pip could not get every wheel (exit code 1)" in refused(*given)


def test_grade_writes_a_page_for_each_learner(small_course, monkeypatch):
    from minids import course

    rows = [course.Graded("ann.ipynb", "77.f", "solved", "", "", 0.1)]
    monkeypatch.setattr(course, "grade", lambda *a, **k: rows)
    ran = run("grade", small_course / "exercises", "--pages", small_course / "feedback")
    assert "it is no sandbox" in ran.output
    assert "1 of 1 solved." in (small_course / "feedback" / "ann.md").read_text()


def test_grade_says_on_stderr_who_is_done(tmp_path):
    for name in ("ann", "bob"):
        (tmp_path / f"{name}.ipynb").write_text("{")
    ran = run("grade", tmp_path, "--json", "--workers", 1)
    assert [row["submission"] for row in json.loads(ran.stdout)] == ["ann.ipynb", "bob.ipynb"]
    assert ran.stderr == "  1 of 2  ann.ipynb\n  2 of 2  bob.ipynb\n"


def test_grade_grades_with_new_seeds_each_time_and_for_the_seconds_given(tmp_path, monkeypatch):
    grade = import_module("minids.course.grade")
    (tmp_path / "ann.ipynb").write_text("{}")
    asked = []
    monkeypatch.setattr(grade, "_grade_one", lambda **task: asked.append(task) or [])
    monkeypatch.setattr(grade, "run_tasks", lambda f, tasks, _: [(0, f(**tasks[0]))])
    for _ in range(2):
        assert run("grade", tmp_path, "--seconds", 7).exit_code == 0
    first, second = asked
    assert first["seconds"] == 7 and len(first["seeds"]) == 3
    assert first["seeds"] != second["seeds"], "an answer made for known seeds earns nothing"


@pytest.mark.parametrize("option", ["--out", "--pages"])
def test_grade_refuses_before_the_work_what_could_not_be_written_after_it(
    small_course, monkeypatch, option
):
    monkeypatch.setattr("minids.course.grade", lambda *_a, **_k: pytest.fail("graded"))
    monkeypatch.setattr("os.access", lambda _, mode: not mode & os.W_OK)
    folder = small_course / "exercises"
    assert option in refused("grade", folder, option, small_course / "kept")


def test_bench_refuses_what_it_cannot_measure():
    assert "nonsense" in refused("bench", "nonsense")


# What is not what it seems


def config_file(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(to_hf(preset("toy-v3")) | changes))
    return path


@pytest.mark.parametrize(("field", "value"), [
    ("moe_intermediate_size", -32), ("num_nextn_predict_layers", -3), ("kv_lora_rank", -8),
    ("num_hidden_layers", float("inf")), ("tie_word_embeddings", "false"), ("hidden_size", 32.0),
    ("scoring_func", "tanh"), ("vocab_size", "300"), ("model_type", "qwen3"),
])  # fmt: skip
def test_nonsense_in_a_config_is_refused_and_named(tmp_path, field, value):
    # In a process of its own, where nothing but the config itself looks at types.
    path = config_file(tmp_path, **{field: value})
    command = [sys.executable, "-m", "minids", "count", str(path)]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 2 and f"={value!r}" in ended.stderr, ended.stderr


def test_a_config_may_begin_with_a_mark_of_its_encoding(tmp_path):
    path = config_file(tmp_path)
    path.write_text(path.read_text(), encoding="utf-8-sig")
    assert run("count", path).exit_code == 0


def test_published_figures_stand_beside_the_published_model_and_not_beside_its_name(tmp_path):
    path = config_file(tmp_path).rename(tmp_path / "deepseek-v3.json")
    assert json.loads(run("count", path, "--json").output)["published"]["total_b"] is None
    assert json.loads(run("count", "deepseek-v3", "--json").output)["published"]["total_b"] == 671


@pytest.mark.parametrize("seconds", ["0", "-5", "nan", "inf"])
def test_a_limit_that_is_none_is_refused(seconds, tmp_path):
    (tmp_path / "one.ipynb").write_text("{}")
    assert "give the seconds" in refused("grade", tmp_path, "--seconds", seconds)
    assert "give the seconds" in refused("gpu", "09", "--scale", "smoke", "--seconds", seconds)


def test_grades_that_cannot_be_written_are_shown_all_the_same(monkeypatch, tmp_path):
    from minids import course

    (tmp_path / "ann.ipynb").write_text("{}")
    (tmp_path / "is a folder").mkdir()
    for place in ("is a folder", "no folder/marks.csv"):
        assert "name a file" in refused("grade", tmp_path, "--out", tmp_path / place)
    (tmp_path / "is a file").touch()
    assert "is a file" in refused("grade", tmp_path, "--pages", tmp_path / "is a file")

    def full(*_):
        raise OSError("no space left")

    row = course.Graded("ann.ipynb", "00.count", "wrong", "counts the head", "look again", 1.0)
    monkeypatch.setattr(course, "grade", lambda *_, **__: [row])
    monkeypatch.setattr(course, "write_pages", full)
    ran = run("grade", tmp_path, "--pages", tmp_path / "pages")
    assert ran.exit_code == 1 and "| ann.ipynb | 0 of 1 |" in ran.output
    assert "no space left" in ran.stderr


def test_letters_that_a_terminal_lacks_do_not_end_a_command():
    ended = subprocess.run(
        [sys.executable, "-c", "from minids.cli import main; main()", "grpo", "--help"],
        env=os.environ | {"PYTHONIOENCODING": "ascii", "COLUMNS": "80"}, capture_output=True,
    )  # fmt: skip
    assert ended.returncode == 0 and b"--resume" in ended.stdout


@pytest.mark.parametrize("module", ["minids.study.distill_lab", "minids.text.vocabulary"])
def test_asking_for_help_writes_over_nothing(module):
    """These run for minutes and replace a file that is shipped."""
    command = [sys.executable, "-m", module, "--help"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0 and ran.stdout.startswith("usage:")
