"""Several processes do what one does: real processes of this machine, that talk through gloo.

Two and then four of them run everything in parallel_runs.py, once for all tests; the four go on
with what the two saved. torchrun itself starts those of the command line at the end.
"""

import json
import os
import re
import signal
import subprocess
import sys
from itertools import islice
from pathlib import Path

import parallel_runs as runs
import pytest
import torch
import typer
from test_gradients import DENSE
from typer.testing import CliRunner

import minids.cli
from minids import checkpoint
from minids.cli.train import train
from minids.durable import CheckpointError
from minids.train.loop import fit
from minids.train.update import adamw
from minids.train.world import World, launched, shards_for

TESTS = Path(__file__).parent
CHECKED = (
    "import runpy, sys; sys.path.insert(0, sys.argv.pop(1));"
    "import typecheck; typecheck.install();"
    "runpy.run_path(sys.path[0] + '/parallel_runs.py', run_name='__main__')"
)
EXACT = 1e-12
CLOSE = 1e-5


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Where all processes wrote what they saw, and what they printed."""
    folder = tmp_path_factory.mktemp("parallel")
    subprocess.run(
        [sys.executable, "-c", CHECKED, str(TESTS), str(folder)],
        check=True, timeout=3 * runs.SECONDS, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def told(folder) -> dict[int, list[dict]]:
    """What every process of two saw, and what every process of four."""
    for n in (2, 4):
        for rank in range(n):
            if not (folder / f"of-{n}-{rank}.json").exists():
                log = folder / f"report-{n}-{rank}.txt"
                pytest.fail(f"process {rank} of {n}: {log.read_text('utf-8', 'replace')[-3000:]}")
    return {
        n: [json.loads((folder / f"of-{n}-{rank}.json").read_text()) for rank in range(n)]
        for n in (2, 4)
    }


@pytest.fixture(scope="module")
def alone() -> dict[str, dict]:
    """What one process sees."""
    return {name: scenario(World.alone()) for name, scenario in runs.SCENARIOS.items()}


def off(found: list[list[float]], expected: list[list[float]]) -> float:
    """The largest difference of losses, norms and parts of all steps."""
    pairs = zip(found, expected, strict=True)
    return max(abs(a - b) for x, y in pairs for a, b in zip(x, y, strict=True))


# ---- training

RUN = [(n, name) for n in (2, 4) for name in runs.scenarios(n)]
PLAIN = [(n, name) for n, name in RUN if "float64" not in name and "bf16" not in name]


@pytest.mark.parametrize(("n", "name"), PLAIN)
def test_losses_are_those_of_one_process(told, alone, n, name):
    found = told[n][0][name]["steps"]
    assert len(found) >= 2
    losses = [[step[0]] for step in found]
    assert off(losses, [[step[0]] for step in alone[name]["steps"]]) < CLOSE
    assert off(found, alone[name]["steps"]) < 1e-3  # norms and parts, GRPO's included


@pytest.mark.parametrize(("n", "name"), [of for of in RUN if "float64" in of[1]])
def test_in_float64_nothing_but_the_order_of_additions_is_left(told, alone, n, name):
    # Loads are counted in float32 whatever the weights are, so MaxVio is not as exact.
    found, expected = (
        [step[:2] for step in report[name]["steps"]] for report in (told[n][0], alone)
    )
    assert off(found, expected) < EXACT


def test_bf16_products_round_a_little_otherwise(told, alone):
    name = "v3 with bf16 products"
    found, exact = told[2][0][name]["steps"], alone["v3"]["steps"]
    assert off([s[:1] for s in found], [s[:1] for s in alone[name]["steps"]]) < 2e-2
    assert off([s[:1] for s in found], [s[:1] for s in exact]) > CLOSE


@pytest.mark.parametrize("n", [2, 4])
@pytest.mark.parametrize("name", ["v3", "v3 in parts", "v3 in copies", "six experts"])
def test_the_bias_follows_the_load_of_all_processes(told, alone, n, name):
    biases = [report[name]["biases"] for report in told[n]]
    assert all(other == biases[0] for other in biases)
    assert off(biases[0], alone[name]["biases"]) < 1e-6
    assert any(b for layer in biases[0] for b in layer)


def test_the_load_of_one_process_would_be_another():
    """What the test above would miss if every batch had the same load everywhere."""
    rows = World(rank=0, size=2).rows
    model = runs.Transformer(runs.V3, seed=0)
    few = list(fit(model, lambda i: rows(runs.some_batch(i)), **runs.options(runs.V3)))
    assert runs.biases(model) != runs.trained("v3", World.alone())["biases"]
    assert few[0].loss != runs.trained("v3", World.alone())["steps"][0][0]


@pytest.mark.parametrize(("n", "name"), RUN)
def test_all_processes_yield_the_same_steps(told, n, name):
    first, *others = (report[name]["steps"] for report in told[n])
    assert all(other == first for other in others)


def test_experts_that_do_not_come_even_are_split_as_far_as_they_go(told):
    assert [told[n][0]["six experts"]["shards"] for n in (2, 4)] == [2, 2]
    assert [told[n][0]["v3"]["shards"] for n in (2, 4)] == [2, 4]
    neighbours = [report["six experts"]["copy"] for report in told[4]]
    assert neighbours == [[0, 1], [0, 1], [2, 3], [2, 3]]
    assert shards_for(runs.SIX, 3) == 3 and shards_for(runs.SIX, 5) == 1
    assert shards_for(DENSE, 7) == 7


@pytest.mark.parametrize("n", [2, 4])
def test_every_process_keeps_about_its_part_of_the_weights(told, n):
    whole = sum(p.numel() for p in runs.Transformer(runs.V3).parameters())
    here = [report["gathered"]["here"] for report in told[n]]
    assert sum(here) == whole and max(here) < 1.1 * whole / n


@pytest.mark.parametrize("n", [2, 4])
def test_what_is_frozen_stays_so(told, n):
    """And a weight without a gradient has one of 0, to be added up, unless FSDP2 adds it."""
    frozen = ["embed.weight", "layers.1.ffn.experts.gate_up"]
    every = [name for name, _ in runs.Transformer(runs.SIX).named_parameters()]
    learning = [name for name in every if name not in frozen]
    for report in told[n]:
        assert report["frozen"]["1"] == [frozen, learning]
        assert report["frozen"]["2"] == [frozen, ["layers.1.ffn.experts.down"]]


@pytest.mark.parametrize("n", [2, 4])
def test_a_spread_model_is_tested_and_comes_back_in_one_piece(told, n):
    model = runs.Transformer(runs.V3, seed=5)
    expected = runs.evaluate(model, [runs.some_batch(0), runs.some_batch(1)])
    for report in told[n]:
        assert report["gathered"]["same"]
        assert report["gathered"]["tested"] == pytest.approx(expected, abs=CLOSE)


@pytest.mark.parametrize("n", [2, 4])
def test_a_model_is_cut_at_its_blocks(told, n):
    """Only one block's weights are whole at a time."""
    assert [report["gathered"]["cut"] for report in told[n]] == n * [runs.V3.n_layers + 1]


# ---- experts apart


@pytest.mark.parametrize("n", [2, 4])
@pytest.mark.parametrize("what", ["routed", "crowded"])
def test_experts_apart_are_experts_in_a_loop(told, n, what):
    """Output, gradients of tokens and of experts; crowded: some processes get no token at all."""
    assert max(report[what]["off"] for report in told[n]) < EXACT


@pytest.mark.parametrize("n", [2, 4])
def test_who_gets_no_token_sends_results_of_the_type_that_the_others_send(told, n):
    """Under autocast results are bf16, also those of nobody."""
    assert EXACT < max(report["crowded in bf16"]["share"] for report in told[n]) < 0.02


# ---- saved, killed, resumed


def test_a_run_goes_on_with_another_number_of_processes(told, folder):
    """One step by one, three by two, three by four, two by one: nine by one that never stopped."""
    from minids.train.sharded_checkpoint import look, resume

    for name in runs.SAVED:
        c, how = runs.CONFIGS[name], {**runs.options(runs.CONFIGS[name]), "steps": 9}
        straight = runs.seen(fit(runs.Transformer(c, seed=0), runs.some_batch, **how))
        by_two, by_four = (told[n][0]["saved"][name] for n in (2, 4))
        assert (by_two["start"], by_four["start"]) == (1, 4)
        assert (by_two["by"], by_four["by"]) == (None, 2)
        assert (by_two["left"], by_four["left"]) == ([4], [4, 7])  # they kept one, and two
        found = look(folder / "shared" / name, World.alone())
        assert (found.step, found.processes) == (7, 4)
        assert found.extra == {"by": 4, "pair": (1, None)} and found.config == c
        model, optimizer = resume(found, World.alone(), lr=3e-3)
        last = runs.seen(fit(model, runs.some_batch, start=7, optimizer=optimizer, **how))
        losses = [step[:1] for step in by_two["steps"] + by_four["steps"] + last]
        assert off(losses, [step[:1] for step in straight[1:]]) < CLOSE


def test_without_the_moments_it_would_not_go_on(told, folder):
    from minids.train.sharded_checkpoint import look, resume

    c, how = runs.V3, {**runs.options(runs.V3), "steps": 9}
    straight = runs.seen(fit(runs.Transformer(c, seed=0), runs.some_batch, **how))
    model, _ = resume(look(folder / "shared" / "v3", World.alone()), World.alone(), lr=3e-3)
    forgot = runs.seen(fit(model, runs.some_batch, start=7, **how))
    assert off([s[:1] for s in forgot], [s[:1] for s in straight[7:]]) > 100 * CLOSE


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_what_was_saved_before_the_first_step_has_no_moments(tmp_path):
    from minids.train.sharded_checkpoint import look, resume, save

    model = runs.Transformer(DENSE, seed=0)
    save(tmp_path, model, adamw(model), world=World.alone(), step=0)
    found = look(tmp_path, World.alone())
    again, optimizer = resume(found, World.alone(), lr=1e-3)
    assert not found.moments and not optimizer.state
    assert all(map(torch.equal, again.parameters(), model.parameters()))


def test_of_what_one_process_saved_the_step_that_was_looked_for_is_resumed(tmp_path):
    from minids.train.sharded_checkpoint import look, resume

    for step in (1, 2):
        checkpoint.save(tmp_path, runs.Transformer(DENSE, seed=step), step=step)
    model, _ = resume(look(tmp_path, World.alone(), step=1), World.alone(), lr=1e-3)
    first = runs.Transformer(DENSE, seed=1)
    assert all(map(torch.equal, model.parameters(), first.parameters()))


def test_what_several_saved_is_not_read_as_if_one_had(told, folder):
    with pytest.raises(CheckpointError, match="several processes"):
        checkpoint.load(folder / "shared" / "v3")


def test_a_damaged_part_is_named(told, folder, tmp_path):
    import shutil

    from minids.train.sharded_checkpoint import look

    copy = tmp_path / "v3"
    shutil.copytree(folder / "shared" / "v3", copy)
    part = sorted((copy / "step-000007").glob("*.safetensors"))[1]
    part.write_bytes(part.read_bytes()[:-1] + b"x")
    with pytest.raises(CheckpointError, match=part.name):
        look(copy, World.alone())
    assert look(copy, World.alone(), step=4).processes == 2


def test_one_process_is_killed_and_the_run_goes_on(folder):
    from minids.train.sharded_checkpoint import look, resume

    ended = json.loads((folder / "ended.json").read_text())["one of two killed"]
    assert ended[1] == signal.SIGKILL
    assert ended[0] not in (0, signal.SIGALRM)  # it cannot go on alone, and does not hang
    found = look(folder / "killed", World.alone())
    assert found.step >= 4 and found.step % 2 == 0
    model, optimizer = resume(found, World.alone(), lr=3e-3)
    how = {**runs.options(runs.V3), "steps": found.step + 3}
    resumed = list(fit(model, runs.some_batch, start=found.step, optimizer=optimizer, **how))
    straight = fit(runs.Transformer(runs.V3, seed=0), runs.some_batch, **how)
    for a, b in zip(resumed, islice(straight, found.step, None), strict=True):
        assert a.i == b.i and a.loss == pytest.approx(b.loss, abs=CLOSE)


# ---- refusals


@pytest.mark.parametrize("n", [2, 4])
def test_what_cannot_be_done_is_refused_in_every_process(told, n):
    for report in told[n]:
        said = report["refused"]
        assert said["save"].startswith(("OSError", "NotADirectoryError", "FileExistsError"))
        assert "could not be saved" in said["disk"] and "process 1: disk full" in said["disk"]
        assert "could not be saved" in said["save"] and "no complete checkpoint" in said["look"]
        assert "do not form groups" in said["groups"]
        assert f"in {9 * n} parts" in said["rows"]
        assert f"1 questions a step for {n} processes" in said["prompts"]
    if n == 4:
        assert "6 experts do not split over 4" in told[4][0]["refused"]["split"]


def test_what_cannot_be_saved_in_parts_is_refused(tmp_path, monkeypatch):
    from minids.train.sharded_checkpoint import save

    model = runs.Transformer(DENSE, seed=0)
    how = {"world": World.alone(), "step": 1}
    for wrong in ({"keep": 0}, {"step": -1}):
        with pytest.raises(ValueError, match="must be at least"):
            save(tmp_path, model, adamw(model), **{**how, **wrong})
    with pytest.raises(ValueError, match="write them as lists"):
        save(tmp_path, model, adamw(model), extra={"a": torch.ones(2)}, **how)
    monkeypatch.setattr(torch.distributed.checkpoint, "HuggingFaceStorageWriter", None)
    with pytest.raises(OSError, match="cannot keep a checkpoint in parts: update torch"):
        save(tmp_path, model, adamw(model), **how)


# ---- the world


def test_where_split_gradients_cannot_be_added_every_process_has_all_weights(monkeypatch):
    def missing(*_args):
        raise RuntimeError("no such collective")

    for name in ("reduce_scatter_single", "reduce_scatter_tensor"):
        monkeypatch.setattr(torch.distributed, name, missing, raising=False)
    world = World(rank=1, size=2)
    assert world.split() == world and world.shards == 1


@pytest.mark.parametrize("n", [2, 4])
def test_values_travel(told, n):
    for rank, report in enumerate(told[n]):
        values = report["gathered"]
        assert values["ranks"] == list(range(n))
        assert values["first"] == "from 0" and values["by first"] == 100
        assert values["asked"] == [0] * (rank == 0)
        assert values["any"] == [True, False]
        assert values["sum"] == [[n, n], n * (n - 1) // 2]
        assert values["whole numbers"] == [False, True]


def test_alone_nothing_travels():
    with launched() as world:
        assert world == World.alone() == World()
    assert world.leads and world.shards == 1 and world.split() == world
    assert world.gathered(3) == [3] and world.told(4) == 4 and world.any(True)
    batch = runs.some_batch(0)
    assert world.rows(batch) is batch


@pytest.mark.parametrize("size", [1, 2, 3, 4, 9, 11])
def test_every_row_belongs_to_one_process(size):
    batch = runs.some_batch(0)
    worlds = [World(rank=rank, size=size) for rank in range(size)]
    rows = torch.cat([world.rows(batch).tokens for world in worlds])
    assert torch.equal(rows, batch.tokens)
    lengths = [len(world.rows(batch).tokens) for world in worlds]
    assert max(lengths) - min(lengths) <= 1
    places = [i for world in worlds for i in range(9)[world.share(9)]]
    assert places == list(range(9))
    assert [len(range(9)[world.share(9)]) for world in worlds] == lengths


def test_a_rank_outside_the_world_is_refused():
    with pytest.raises(ValueError, match="rank=2 must lie"):
        World(rank=2, size=2)


# ---- the command line

app = typer.Typer(pretty_exceptions_enable=False)
app.command()(train)


def test_minids_train_needs_torchrun_and_nothing_else(tmp_path):
    """Two processes train and print once; one process goes on; the weights are those of one."""
    how = ["toy-llama", "--batch", "4", "--length", "16", "--save-every", "4", "--steps"]
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    ran = subprocess.run(
        [sys.executable, *torchrun, "-m", "minids", "train", *how, "8", "--out", "two"],
        cwd=tmp_path, capture_output=True, text=True, timeout=runs.SECONDS, encoding="utf-8",
        errors="replace",
        env=os.environ | {"OMP_NUM_THREADS": "1", "MINIDS_SCALE": "smoke"},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("2 processes with 1/2 of the weights each") == 1
    assert ran.stdout.count("text that it has not seen costs it") == 1
    two, one = str(tmp_path / "two"), str(tmp_path / "one")
    resume = ["--resume", two, "--steps", "10", "--scale", "smoke"]
    assert CliRunner().invoke(app, resume).exit_code == 0
    assert checkpoint.load(two).step == 10
    alone = CliRunner().invoke(app, [*how, "8", "--out", one, "--scale", "smoke"])
    assert alone.exit_code == 0, alone.output
    from minids.train.sharded_checkpoint import look
    from minids.train.sharded_checkpoint import resume as go_on

    model, _ = go_on(look(two, World.alone(), step=8), World.alone(), lr=3e-3)
    for name, weight in checkpoint.load(one).weights.items():
        torch.testing.assert_close(model.state_dict()[name], weight, atol=1e-4, rtol=0)


def test_minids_grpo_needs_torchrun_and_nothing_else(folder):
    """Of two processes the first prints, and saves what one process can go on with."""
    assert json.loads((folder / "ended.json").read_text())["minids grpo"] == [0, 0]
    lines = (folder / "practise-2-0.txt").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines if line.startswith("{")]
    assert [row.get("step") for row in rows] == [0, 1, 2, None] and rows[-1]["steps"] == 3
    assert "{" not in (folder / "practise-2-1.txt").read_text("utf-8")
    assert checkpoint.load(folder / "practised").step == 3


def test_the_example_of_the_page_runs_alone_too(capsys):
    page = (TESTS.parent / "docs" / "many_gpus.md").read_text("utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(example, {})
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["0", "1", "2"]


def test_the_page_names_no_option_that_is_not_there():
    page = (TESTS.parent / "docs" / "many_gpus.md").read_text("utf-8")
    lines = re.findall(r"-m minids (train|grpo)([^`|]*)", page)
    assert len(lines) >= 4
    for command, rest in lines:
        shown = CliRunner().invoke(minids.cli.app, [command, "--help"], env={"COLUMNS": "200"})
        assert all(option in shown.output for option in re.findall(r"--[a-z-]+", rest))
