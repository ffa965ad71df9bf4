"""A run goes on bit for bit, and nothing that happens while it is saved costs an older save."""

import errno
import json
import pickle
import random
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError

from minids import checkpoint, durable
from minids.checkpoint import CheckpointError, build, load, save, steps
from minids.config import GQAConfig, ModelConfig
from minids.model.mtp import MTP
from minids.model.transformer import Transformer
from minids.plain import decode, encode
from minids.presets import PRESETS, preset, shrink

TINY = ModelConfig(
    name="tiny",
    vocab=11,
    dim=8,
    n_layers=2,
    hidden=10,
    attention=GQAConfig(n_heads=2, n_kv_heads=1, head_dim=4),
    context=16,
    init_std=0.3,
)
TOY_V3 = shrink(preset("deepseek-v3"), dim=32, n_heads=2, n_layers=2, n_routed=4, vocab=13)


def adamw(model):
    """As in training: matrices decay, gains do not, and the rates differ."""
    matrices = [p for p in model.parameters() if p.dim() > 1]
    gains = [p for p in model.parameters() if p.dim() <= 1]
    groups = [{"params": matrices, "lr": 1 / 3, "initial_lr": 0.1}, {"params": gains, "lr": 1e-3}]
    return torch.optim.AdamW(groups, betas=(0.9, 0.95), weight_decay=0.1)


def train(model, optimizer, first, last):
    for step in range(first, last):
        g = torch.Generator().manual_seed(step)
        out = model(torch.randint(model.c.vocab, (2, 5), generator=g))
        optimizer.zero_grad()
        out.logits.sin().sum().backward()
        optimizer.step()


def assert_equal(a, b):
    """Same keys, types and bits, all the way down."""
    assert type(a) is type(b), (type(a), type(b))
    if isinstance(a, torch.Tensor):
        assert a.dtype == b.dtype and torch.equal(a, b)
    elif isinstance(a, dict):
        assert list(a) == list(b)
        [assert_equal(a[k], b[k]) for k in a]
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        [assert_equal(x, y) for x, y in zip(a, b, strict=True)]
    else:
        assert a == b or a != a and b != b


def model_of(value):
    """A model whose weights all hold `value`: which save a file came from can be seen."""
    model = Transformer(TINY)
    [torch.nn.init.constant_(p, value) for p in model.parameters()]
    return model


# ---- a run goes on


@pytest.mark.parametrize("c", [TINY, replace(TINY, tied=True), TOY_V3], ids=lambda c: c.name)
def test_a_resumed_run_is_the_run_that_was_never_stopped(tmp_path, c):
    model = Transformer(c)
    optimizer = adamw(model)
    train(model, optimizer, 0, 3)
    save(tmp_path, model, step=3, optimizer=optimizer, extra={"tokens": 30})
    train(model, optimizer, 3, 6)

    saved = load(tmp_path)
    again = build(saved).train()
    resumed = adamw(again)
    resumed.load_state_dict(saved.optimizer_state)
    assert (saved.step, saved.config, saved.extra) == (3, c, {"tokens": 30})
    train(again, resumed, 3, 6)
    assert_equal(dict(again.state_dict()), dict(model.state_dict()))
    assert_equal(resumed.state_dict(), optimizer.state_dict())


def test_views_of_one_tensor_are_saved_each_as_it_is(tmp_path):
    x = torch.arange(6.0).view(2, 3)
    extra = {
        "whole": x,
        "flat": x.view(-1),
        "turned": x.T,
        "part": x[:1],
        "wide": x.expand(2, 2, 3),
    }
    save(tmp_path, model_of(0.5), step=1, extra=extra)
    assert_equal(load(tmp_path).extra, extra)


def test_a_conjugate_is_not_the_number_itself(tmp_path):
    z = torch.tensor([1 + 2j])
    save(tmp_path, model_of(0.5), step=1, extra=[z, z.conj()])
    assert_equal(load(tmp_path).extra, [z, z.conj()])


def test_a_lazy_conjugate_and_a_lazy_sign_are_stored_as_what_they_are(tmp_path):
    z = torch.view_as_complex(torch.randn(4, 2))
    extra = {"conjugate": z.conj(), "sign": z.conj().imag}
    assert extra["conjugate"].is_conj() and extra["sign"].is_neg()
    save(tmp_path, model_of(1.0), step=1, extra=extra)
    torch.testing.assert_close(load(tmp_path).extra, extra, rtol=0, atol=0)


def test_weights_with_prediction_modules_are_not_a_transformers(tmp_path):
    model = MTP(Transformer(shrink(preset("deepseek-v3"), dim=32)))
    save(tmp_path, model, step=1)
    with pytest.raises(ValueError, match="main_weights"):
        build(load(tmp_path))


def test_a_full_disk_is_told_by_its_number(tmp_path, monkeypatch):
    def full(tensors, path):
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    save(tmp_path, model_of(0.5), step=1)
    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(OSError, match="step-000001 is still complete") as refused:
        save(tmp_path, model_of(0.6), step=2)
    assert refused.value.errno == errno.ENOSPC


def test_everything_reaches_the_disk_before_the_name_does_and_then_the_name(tmp_path, monkeypatch):
    done, flush, rename = [], durable._flush, Path.rename

    def flushed(path):
        done.append(path.name)
        flush(path)

    def renamed(path, target):
        inside = {file.name for file in path.iterdir()}
        assert len(inside) == 4 and {*inside, path.name} <= set(done)
        done.append("renamed")
        return rename(path, target)

    monkeypatch.setattr(durable, "_flush", flushed)
    monkeypatch.setattr(Path, "rename", renamed)
    save(tmp_path, model_of(0.5), step=1)
    assert done[done.index("renamed") :] == ["renamed", tmp_path.name]


def test_a_file_with_the_name_of_a_checkpoint_is_none(tmp_path):
    save(tmp_path, model_of(0.5), step=1)
    (tmp_path / "step-000009").write_text("not a folder")
    assert steps(tmp_path) == [1] and load(tmp_path).step == 1


def test_a_copy_that_a_kill_left_behind_does_not_stop_the_same_step(tmp_path):
    path = save(tmp_path, model_of(0.5), step=1)
    shutil.copytree(path, path.with_name(path.name + ".old"))
    save(tmp_path, model_of(0.6), step=1)
    assert load(tmp_path).weights["norm.weight"][0] == 0.6
    assert [path.name for path in tmp_path.iterdir()] == ["step-000001"]


def test_loaded_tensors_lie_in_memory_as_new_ones_do(tmp_path):
    """Products of tensors that begin elsewhere may round otherwise."""
    odd = {str(n): torch.ones(n) for n in range(1, 9)}
    save(tmp_path, model_of(0.5), step=1, extra=odd)
    found = load(tmp_path)
    loaded = [*found.weights.values(), *found.extra.values()]
    assert {tensor.data_ptr() % 64 for tensor in loaded} == {0}


def test_without_the_optimizer_state_it_would_be_another_run(tmp_path):
    model = Transformer(TINY)
    optimizer = adamw(model)
    train(model, optimizer, 0, 3)
    save(tmp_path, model, step=3, optimizer=optimizer)
    train(model, optimizer, 3, 6)
    again = build(load(tmp_path))
    train(again, adamw(again), 3, 6)
    assert (again.embed.weight - model.embed.weight).abs().max() > 1e-2


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_weights_keep_their_type(tmp_path, dtype):
    model = Transformer(TOY_V3).to(dtype)
    save(tmp_path, model, step=1)
    assert_equal(dict(build(load(tmp_path)).state_dict()), dict(model.state_dict()))


def test_tied_weights_are_stored_once_and_come_back_tied(tmp_path):
    model = Transformer(replace(TINY, tied=True))
    path = save(tmp_path, model, step=1)
    again = build(load(tmp_path))
    assert again.head.weight is again.embed.weight
    untied = save(tmp_path / "untied", Transformer(TINY), step=1)
    sizes = [(p / "weights.safetensors").stat().st_size for p in (path, untied)]
    assert sizes[1] - sizes[0] >= 11 * 8 * 4


def test_the_states_of_random_generators_go_through_extra(tmp_path):
    g = torch.Generator().manual_seed(5)
    before = random.getstate()
    extra = {"torch": g.get_state(), "python": before, "loss": float("nan"), "by step": {1: 0.1}}
    save(tmp_path, Transformer(TINY), step=1, extra=extra)
    back = load(tmp_path).extra
    assert_equal(back, extra)
    random.setstate(back["python"])
    other = torch.Generator()
    other.set_state(back["torch"])
    assert torch.equal(torch.rand(3, generator=other), torch.rand(3, generator=g))


@pytest.mark.parametrize("name", PRESETS)
def test_every_published_config_survives(tmp_path, name):
    model = Transformer(TINY)
    model.c = preset(name)
    save(tmp_path, model, step=1)
    assert load(tmp_path).config == preset(name)


def test_what_cannot_be_stored_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match=r"extra\.log\.0 is a PosixPath.*convert it first"):
        save(tmp_path / "run", Transformer(TINY), step=1, extra={"log": [Path("here")]})
    assert not (tmp_path / "run").exists()


def test_nothing_is_pickled(tmp_path, monkeypatch):
    for module, names in ((pickle, ("dump", "dumps", "load", "loads")), (torch, ("save", "load"))):
        for name in names:
            monkeypatch.setattr(module, name, lambda *_, **__: pytest.fail("a pickle"))
    model = Transformer(TINY)
    path = save(tmp_path, model, step=1, optimizer=adamw(model), extra={"a": torch.ones(2)})
    load(tmp_path)
    assert {file.suffix for file in path.iterdir()} == {".safetensors", ".json"}


# ---- which one is latest


def test_the_latest_two_are_kept_and_the_latest_is_loaded(tmp_path):
    for step in (1, 20, 300):
        save(tmp_path, model_of(step), step=step)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000020", "step-000300"]
    assert load(tmp_path).weights["embed.weight"][0, 0] == 300
    assert load(tmp_path, step=20).weights["embed.weight"][0, 0] == 20


def test_going_back_in_a_folder_is_refused(tmp_path):
    save(tmp_path, Transformer(TINY), step=20)
    with pytest.raises(CheckpointError, match="already holds step 20, later than the step 3 to be"):
        save(tmp_path, Transformer(TINY), step=3)


def test_the_same_step_again_replaces_it(tmp_path):
    for value in (1, 2):
        save(tmp_path, model_of(value), step=7)
    assert [path.name for path in tmp_path.iterdir()] == ["step-000007"]
    assert load(tmp_path).weights["embed.weight"][0, 0] == 2


def test_an_empty_folder_or_another_step_is_said(tmp_path):
    with pytest.raises(CheckpointError, match="holds no complete checkpoint. Check the folder"):
        load(tmp_path)
    save(tmp_path, Transformer(TINY), step=4)
    with pytest.raises(CheckpointError, match="holds steps 4, not step 5"):
        load(tmp_path, step=5)


def test_what_a_killed_save_left_behind_is_cleared_away(tmp_path):
    for name in (".writing-step-000007", ".writing-step-000003", ".deleting-step-000001"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "half.safetensors").write_bytes(b"half a fi")
    path = save(tmp_path, Transformer(TINY), step=7)
    assert [path] == list(tmp_path.iterdir())
    assert not (path / "half.safetensors").exists()


@pytest.mark.parametrize("wrong", [{"keep": 0}, {"step": -1}])
def test_senseless_numbers_are_refused(tmp_path, wrong):
    with pytest.raises(ValueError, match="must be at least"):
        save(tmp_path, Transformer(TINY), **{"step": 1, "keep": 1} | wrong)


# ---- damage


FILES = "weights.safetensors", "optimizer.safetensors", "extra.safetensors", "checkpoint.json"


def two_saves(folder):
    for value in (1, 2):
        model = model_of(value)
        save(folder, model, step=value, optimizer=adamw(model), extra={"a": torch.ones(2)})
    return folder / "step-000002"


def truncate(file):
    file.write_bytes(file.read_bytes()[:-9])


def flip_a_bit(file):
    content = bytearray(file.read_bytes())
    content[-5 if file.suffix == ".safetensors" else content.index(b'"bytes"') + 9] ^= 1
    file.write_bytes(bytes(content))


@pytest.mark.parametrize("harm", [truncate, flip_a_bit, Path.unlink])
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_named_and_following_the_advice_helps(tmp_path, name, harm):
    path = two_saves(tmp_path)
    harm(path / name)
    with pytest.raises(CheckpointError, match=f"step-000002/{name} (is|was)") as caught:
        load(tmp_path)
    assert f"delete {path}: step-000001 is loaded next" in str(caught.value)
    shutil.rmtree(path)
    assert load(tmp_path).weights["embed.weight"][0, 0] == 1


def test_the_last_checkpoint_damaged_says_that_none_is_left(tmp_path):
    truncate(save(tmp_path, Transformer(TINY), step=1) / "weights.safetensors")
    with pytest.raises(CheckpointError, match=r"bytes, [\d,]+ were written.*no other checkpoint"):
        load(tmp_path)


def test_a_format_from_the_future_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "FORMAT", 99)
    save(tmp_path, Transformer(TINY), step=1)
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="has format 99, and this version of minids reads 1"):
        load(tmp_path)


# ---- full disks and kills


@pytest.mark.parametrize("before", [0, 2])
@pytest.mark.parametrize("full_at", range(3))
def test_a_full_disk_costs_the_new_checkpoint_only(tmp_path, monkeypatch, before, full_at):
    for step in range(before):
        save(tmp_path, model_of(step), step=step)
    names, written, real = sorted(tmp_path.iterdir()), [], checkpoint.save_file

    def failing(tensors, path):
        written.append(path)
        if len(written) > full_at:
            path.write_bytes(b"half a fi")
            raise OSError(errno.ENOSPC, "No space left on device")
        real(tensors, path)

    monkeypatch.setattr(checkpoint, "save_file", failing)
    left = "step-000001 is still complete" if before else "There was none before"
    with pytest.raises(
        OSError, match=f"step-000009 could not be saved .*No space.*{left}.*room"
    ) as e:
        save(tmp_path, model_of(9), step=9)
    assert e.value.errno == errno.ENOSPC
    assert sorted(tmp_path.iterdir()) == names
    monkeypatch.undo()
    assert steps(tmp_path) == list(range(before))
    save(tmp_path, model_of(9), step=9)
    assert load(tmp_path).step == 9


def test_a_compiled_model_is_saved_as_the_model_that_it_is(tmp_path):
    model = Transformer(preset("toy-llama"), seed=1)
    save(tmp_path, torch.compile(model, backend="eager"), step=1)
    found = build(load(tmp_path)).state_dict()
    assert all(torch.equal(found[name], w) for name, w in model.state_dict().items())


def test_kills_and_real_write_errors_lose_nothing(tmp_path):
    """A process of its own: see checkpoint_kills.py, which kills saves at every moment."""
    script = Path(__file__).with_name("checkpoint_kills.py")
    done = subprocess.run(
        [sys.executable, script, tmp_path], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all held" in done.stdout


# ---- the codec


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda x: st.lists(x) | st.tuples(x, x) | st.dictionaries(st.text() | st.integers(), x),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None)
@given(value=plain)
def test_plain_values_survive_with_their_types(value):

    assert_equal(decode(json.loads(json.dumps(encode(value, "x", {}))), {}), value)


@pytest.mark.parametrize("value", [
    {"a.b": torch.zeros(2), "a": {"b": torch.ones(2)}},
    {1: torch.zeros(2), "1": torch.ones(2)},
    {"a": {"b": torch.zeros(2)}, "a.b": torch.ones(2), "a.b 2": torch.full((2,), 2.0)},
])  # fmt: skip
def test_tensors_whose_paths_read_alike_stay_two(value):
    tensors = {}
    assert_equal(decode(json.loads(json.dumps(encode(value, "x", tensors))), tensors), value)


def test_a_checkpoint_in_place_of_the_folder_around_it_is_said(tmp_path):
    path = save(tmp_path, Transformer(TINY), step=4)
    with pytest.raises(CheckpointError, match="is one checkpoint: give the folder around it"):
        load(path)


def test_nobody_is_told_to_delete_what_merely_cannot_be_read(tmp_path, monkeypatch):
    path = save(tmp_path, Transformer(TINY), step=4)

    def forbidden(self, *_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "read_text", forbidden)
    with pytest.raises(CheckpointError, match="cannot be read.*keep it") as caught:
        load(tmp_path)
    assert "or delete" not in str(caught.value) and path.exists()


def test_the_same_step_saved_again_costs_nothing_until_the_new_one_is_in_place(
    tmp_path, monkeypatch
):
    one, other = (Transformer(preset("toy-llama"), seed=seed) for seed in (0, 1))
    checkpoint.save(tmp_path, one, step=3)
    real = Path.rename

    def rename(self, target):
        if self.name.startswith(".writing-"):
            raise OSError("the disk is gone")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(OSError, match="the disk is gone"):
        checkpoint.save(tmp_path, other, step=3)
    found = checkpoint.load(tmp_path)
    assert found.step == 3
    assert all(torch.equal(found.weights[k], w) for k, w in one.state_dict().items())
