"""Saves are killed at every file operation and at random times; run by test_checkpoint.py.

A process of its own, because it forks: python tests/checkpoint_kills.py EMPTY_FOLDER
"""

import os
import random
import resource
import shutil
import signal
import sys
import time
from pathlib import Path

import torch

from minids.checkpoint import load, save, steps
from minids.config import GQAConfig, ModelConfig
from minids.model.transformer import Transformer

TINY = ModelConfig(
    name="tiny",
    vocab=11,
    dim=8,
    n_layers=1,
    hidden=10,
    attention=GQAConfig(n_heads=2, n_kv_heads=1, head_dim=4),
    context=16,
)
MODEL = Transformer(TINY)
EVENTS = "open", "os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.listdir", "os.scandir"


def save_value(folder: Path, step: int, value: float) -> None:
    for p in MODEL.parameters():
        torch.nn.init.constant_(p, value)
    save(folder, MODEL, step=step, extra={"value": value})


def value_in(folder: Path, step: int | None = None) -> float:
    """The value of a checkpoint, after looking at all of it."""
    got = load(folder, step=step)
    assert all((w == got.extra["value"]).all() for w in got.weights.values())
    return got.extra["value"]


def in_child(action) -> int:
    """Run `action` in a fork; return the signal that ended it, 0 if it finished."""
    pid = os.fork()
    if pid == 0:
        try:
            action()
        except BaseException as error:
            print("child:", repr(error), flush=True)
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def kill_at(n: int) -> None:
    """From here on, die just before the n-th file operation."""
    count = 0

    def hook(event: str, _: object) -> None:
        nonlocal count
        if event in EVENTS or event.startswith("shutil."):
            count += 1
            if count > n:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def at_every_operation(root: Path, base: dict[int, float], step: int, new: float) -> int:
    """Kill a save before its 1st, 2nd, ... operation; return how many there were."""
    for n in range(1000):
        folder = root / f"{step}-{n}"
        for s, value in base.items():
            save_value(folder, s, value)
        old = max(base)

        def attempt(folder: Path = folder, n: int = n) -> None:
            kill_at(n)
            save_value(folder, step, new)

        ended = in_child(attempt)
        assert value_in(folder) in ((new,) if not ended else (base[old], new)), n
        assert max(steps(folder)) in (old, step)
        for s in steps(folder):
            value_in(folder, s)  # whatever looks complete is complete
        save_value(folder, step + 1, -1.0)  # the next save cleans up and works
        assert value_in(folder) == -1.0
        assert not [p for p in folder.iterdir() if not p.name.startswith("step-")], n
        assert len(list(folder.iterdir())) == 2
        shutil.rmtree(folder)
        if not ended:
            return n
    raise AssertionError("a save of a thousand operations")


def at_random_times(root: Path, rounds: int) -> int:
    """Kill a process that saves again and again; what it reported as saved must be there."""
    draw, total = random.Random(0), 0
    for i in range(rounds):
        folder, (reader, writer) = root / f"random-{i}", os.pipe()
        pid = os.fork()
        if pid == 0:
            for step in range(10**6):
                save_value(folder, step, float(step))
                os.write(writer, step.to_bytes(4, "big"))
        os.close(writer)
        time.sleep(draw.uniform(0.01, 0.12))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        with os.fdopen(reader, "rb") as pipe:
            reported = pipe.read()
        if reported:
            last = int.from_bytes(reported[-4:], "big")
            assert last <= value_in(folder) <= last + 1
            total += last + 1
    return total


def when_writes_fail(root: Path) -> None:
    """A limit on the size of files makes the real writers fail, safetensors' own included."""
    folder = root / "limited"
    save_value(folder, 1, 1.0)

    def attempt() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        try:
            save_value(folder, 2, 2.0)
        except OSError as error:
            assert "step-000001 is still complete" in str(error), error
        else:
            raise AssertionError("it was saved")

    in_child(attempt)
    assert value_in(folder) == 1.0
    assert [p.name for p in folder.iterdir()] == ["step-000001"]


if __name__ == "__main__":
    torch.set_num_threads(1)
    os.fsync = lambda _: None  # guards against power cuts, not against kills; and it is slow
    root = Path(sys.argv[1])
    new = at_every_operation(root, {1: 1.0, 2: 2.0}, 3, 3.0)
    again = at_every_operation(root, {1: 1.0, 2: 2.0}, 2, 2.5)
    assert min(new, again) > 10
    saves = at_random_times(root, 12)
    when_writes_fail(root)
    print(f"{new} and {again} operations, {saves} saves under random kills: all held")
