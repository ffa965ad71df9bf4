"""What test_parallel.py runs in several processes, and in one to compare with.

Every scenario is a function of a world. As a program, `parallel_runs.py FOLDER`, it forks two and
then four processes that know of each other as torchrun's do; each writes to FOLDER what it saw.
"""

import json
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from minids import checkpoint
from minids.config import GQAConfig, ModelConfig, MoEConfig
from minids.durable import complete
from minids.model.experts import experts_loop
from minids.model.mtp import MTP
from minids.model.routing import route
from minids.model.transformer import Transformer
from minids.presets import preset, shrink
from minids.rl.grpo import Settings, grpo
from minids.rl.rewards import Weighed
from minids.rl.variants import DAPO, GRPO
from minids.text.alphabet import alphabet
from minids.text.arithmetic import problems
from minids.text.batches import Batch
from minids.train.loop import evaluate, fit
from minids.train.mtp import mtp_loss
from minids.train.update import adamw
from minids.train.world import SHARDS, World, launched, shards_for

DENSE = ModelConfig(
    name="dense",
    vocab=23,
    dim=20,
    n_layers=2,
    hidden=28,
    attention=GQAConfig(n_heads=5, n_kv_heads=1, head_dim=4),
    context=16,
    init_std=0.1,
)
V3 = replace(
    shrink(preset("deepseek-v3"), dim=32, n_heads=2, n_layers=2, n_routed=8, vocab=23),
    init_std=0.1,
    mtp_depth=0,
)
SIX = replace(
    DENSE,
    name="six experts",
    n_dense=1,
    moe=MoEConfig(
        n_routed=6, n_shared=1, top_k=2, hidden=8, scores="sigmoid", normalise=True, biased=True
    ),
)
TIED = replace(DENSE, name="tied", tied=True)
STEPS, STOPPED = 4, 3
SECONDS = 400  # until a process that hangs is ended; a quiet machine needs a twentieth of that
CONFIGS = {c.name: c for c in (DENSE, TIED, SIX)} | {"v3": V3}
SAVED = ("tied", "six experts", "v3")


def some_batch(i: int) -> Batch:
    """Nine rows, which no number of processes here divides; they count different numbers."""
    generator = torch.Generator().manual_seed(i)
    text = torch.randint(23, (9, 12), generator=generator)
    mask = torch.arange(11) < torch.randint(12, (9, 1), generator=generator)
    return Batch(text[:, :-1], text[:, 1:], mask)


def options(c: ModelConfig) -> dict[str, Any]:
    return {"steps": STEPS, "balance": 0.1 if c.moe else 0.0, "bias_speed": 0.01}


def seen(steps: Any) -> list[list[float]]:
    return [[s.loss, s.grad_norm, *s.parts.values()] for s in steps]


def biases(model: torch.nn.Module) -> list[list[float]]:
    return [b.tolist() for name, b in model.state_dict().items() if name.endswith("router.bias")]


def trained(name: str, world: World, *, shards: int | None = None, **how: Any) -> dict[str, Any]:
    """A short run of one of the models, split as far as it goes or over `shards`."""
    c = CONFIGS[name]
    world = world.split(shards or shards_for(c, world.size))
    model = spread_out(Transformer(c, seed=0).to(how.pop("weights", torch.float32)), world)
    steps = seen(fit(model, some_batch, world=world, **options(c), **how))
    copy = [] if world.mesh is None else world.mesh[SHARDS].mesh.tolist()
    return {"steps": steps, "biases": biases(model), "shards": world.shards, "copy": copy}


def spread_out(model: torch.nn.Module, world: World) -> Any:
    """`spread`, which one process need not load."""
    if world.size == 1:
        return model
    from minids.train.parallel import spread

    return spread(model, world)


def with_mtp(world: World) -> dict[str, Any]:
    c = replace(V3, mtp_depth=1)
    world = world.split(shards_for(c, world.size))
    model = spread_out(MTP(Transformer(c, seed=0)), world)
    extra = mtp_loss(0.3)
    return {"steps": seen(fit(model, some_batch, world=world, extra_losses=extra, **options(c)))}


def length_mod_3(_problem: Any, answer: str) -> float:
    return float(len(answer) % 3)


def practised(world: World, *, dapo: bool, prompts: int = 5) -> dict[str, Any]:
    """Three steps of GRPO on answers of a model that knows nothing; the reward is a length."""
    c = replace(DENSE, vocab=alphabet().vocab, context=128)
    s = Settings(
        variant=DAPO if dapo else replace(GRPO, kl_weight=0.1),
        prompts=prompts, group=3, max_new=40, minibatches=2, lr=1e-2, warmup=1,
    )  # fmt: skip
    rewards = {"a": Weighed(length_mod_3, 1.0)}
    model = Transformer(c, seed=0)
    steps = grpo(
        model, problems("add-2", seed=0), alphabet(), rewards, steps=3, settings=s, world=world
    )
    return {"steps": [[x.loss, x.grad_norm, x.tokens, *x.parts.values()] for x in steps]}


def few_rows(world: World) -> dict[str, Any]:
    """Updates of one row each: most processes have nothing to do."""
    c = replace(DENSE, vocab=alphabet().vocab, context=48)
    s = Settings(
        prompts=4, group=2, max_new=5, minibatches=8, lr=1e-2, warmup=1,
        variant=replace(GRPO, kl_weight=0.1),
    )  # fmt: skip
    rewards = {"a": Weighed(length_mod_3, 1.0)}
    model, asked = Transformer(c, seed=0), problems("add-1", seed=0)
    steps = grpo(model, asked, alphabet(), rewards, steps=2, settings=s, world=world)
    return {"steps": [[x.loss, x.grad_norm, *x.parts.values()] for x in steps]}


def routed(world: World, *, crowded: bool, autocast: bool = False) -> dict[str, Any]:
    """One layer's experts apart, in float64, beside the loop; crowded: all go to process 0.

    autocast: those apart multiply in bf16, as on a GPU.
    """
    from minids.train.expert_parallel import experts_apart

    world = world.split()
    generator = torch.Generator().manual_seed(1)
    n, d, ff = 4 * world.size, 8, 16
    gate_up, down = (
        torch.randn(n, *shape, generator=generator, dtype=torch.float64) / 3
        for shape in ((ff, d), (d, ff // 2))
    )
    x = torch.randn(7, d, generator=generator, dtype=torch.float64) * (1 + world.rank)
    scores = torch.rand(7, n, generator=generator, dtype=torch.float64)
    routing = route(
        scores, torch.where(torch.arange(n) < 4, 9.0, 0.0) if crowded else None, top_k=3
    )
    mine = slice(4 * world.rank, 4 * world.rank + 4)
    parts = [w[mine].clone().requires_grad_() for w in (gate_up, down)]
    x_apart, x_whole = x.clone().requires_grad_(), x.clone().requires_grad_()
    group = world.mesh[SHARDS].get_group()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        y = experts_apart(x_apart, *parts, routing, group)
    y.sin().sum().backward()
    wholes = [w.clone().requires_grad_() for w in (gate_up, down)]
    expected = experts_loop(x_whole, *wholes, routing)
    expected.sin().sum().backward()
    found = [(y, expected), (x_apart.grad, x_whole.grad)]
    for part, whole in zip(parts, wholes, strict=True):
        summed = world.summed([whole.grad])[0][mine]
        found.append((torch.zeros_like(summed) if part.grad is None else part.grad, summed))
    return {
        "off": max(float((a - b).detach().abs().max()) for a, b in found),
        "share": float((y - expected).detach().norm() / expected.detach().norm()),
    }


def saved(world: World, folder: Path) -> dict[str, Any]:
    """Go on with what was saved, or with a step by the first process alone; save STOPPED later."""
    from minids.train.sharded_checkpoint import look, resume, save

    told: dict[str, Any] = {}
    for name in SAVED:
        c, where = CONFIGS[name], folder / name
        w = world.split(shards_for(c, world.size))
        how = options(c) | {"steps": 3 * STOPPED}
        if world.leads and not where.exists():
            first = Transformer(c, seed=0)
            optimizer = adamw(first)
            list(islice(fit(first, some_batch, optimizer=optimizer, **how), 1))
            checkpoint.save(where, first, step=1, optimizer=optimizer)
        world.any(False)  # nobody looks before the first has written
        found = look(where, w)
        model, optimizer = resume(found, w, lr=3e-3)
        world.any(False)  # nobody writes before all have looked
        going = fit(model, some_batch, optimizer=optimizer, world=w, start=found.step, **how)
        steps = seen(islice(going, STOPPED))
        extra = {"by": world.size, "pair": (1, None)}
        keep, step = world.size // 2, found.step + STOPPED
        save(where, model, optimizer, world=w, step=step, extra=extra, keep=keep)
        left = list(complete(where))
        told[name] = {"start": found.step, "by": found.processes, "steps": steps, "left": left}
    return told


def full_disk() -> AbstractContextManager[Any]:
    """What a process writes of a checkpoint fails."""
    from torch.distributed.checkpoint import HuggingFaceStorageWriter

    return patch.object(HuggingFaceStorageWriter, "write_data", side_effect=OSError("disk full"))


def refused(world: World, folder: Path) -> dict[str, Any]:
    """What every process says where nothing can be saved, or where nothing is."""
    from minids.train.parallel import spread
    from minids.train.sharded_checkpoint import look, save

    w = world.split()
    said = {}
    model = spread(Transformer(DENSE, seed=0), w)
    if world.leads:
        (folder / "file").write_text("not a folder")
    world.any(False)
    for name, action in {
        "save": lambda: save(folder / "file" / "x", model, adamw(model), world=w, step=1),
        "disk": lambda: save(folder / "full", model, adamw(model), world=w, step=1),
        "look": lambda: look(folder / "nowhere", w),
        "split": lambda: spread(Transformer(SIX), world.split(4 if world.size == 4 else 1)),
        "groups": lambda: world.split(world.size + 1),
        "rows": lambda: list(fit(model, some_batch, steps=1, accumulate=9, world=w)),
        "prompts": lambda: practised(world, dapo=False, prompts=1),
    }.items():
        try:
            with full_disk() if name == "disk" and world.rank == 1 else nullcontext():
                action()
        except (OSError, ValueError) as error:
            said[name] = f"{type(error).__name__}: {error}"
    return said


def frozen(world: World) -> dict[str, Any]:
    """Some weights frozen: which are, and which have a gradient where nobody had one to add."""
    from minids.train.parallel import add_up, spread

    told = {}
    for shards in (1, shards_for(SIX, world.size)):
        model = Transformer(SIX, seed=0)
        for weight in (model.embed.weight, model.layers[1].ffn.experts.gate_up):
            weight.requires_grad_(False)
        w = world.split(shards)
        add_up(spread(model, w), w)
        weights = dict(model.named_parameters())
        still = [name for name, weight in weights.items() if not weight.requires_grad]
        told[shards] = still, [name for name in weights if weights[name].grad is not None]
    return told


def gathered(world: World) -> dict[str, Any]:
    """Values that travel, and a model that comes back in one piece."""
    from torch.distributed.fsdp import FSDPModule

    from minids.train.parallel import in_one_piece, spread

    w = world.split(shards_for(V3, world.size))
    model = spread(Transformer(V3, seed=5), w)
    asked: list[int] = []
    again = in_one_piece(model, V3, w.device).state_dict()
    same = all(torch.equal(again[n], t) for n, t in Transformer(V3, seed=5).state_dict().items())
    sums = world.summed([torch.ones(2), torch.tensor(world.rank)])
    here = sum(p.to_local().numel() for p in model.parameters())
    tested = evaluate(model, [some_batch(0), some_batch(1)])
    return {
        "same": same,
        "cut": sum(isinstance(module, FSDPModule) for module in model.modules()),
        "tested": tested,
        "here": here,
        "ranks": world.gathered(world.rank),
        "first": world.told(f"from {world.rank}"),
        "by first": world.told_by_first(lambda: asked.append(world.rank) or 100),
        "asked": asked,
        "any": [world.any(world.rank == 1), world.any(False)],
        "sum": [t.tolist() for t in sums],
        "whole numbers": [not t.is_floating_point() for t in sums],
    }


def until_killed(world: World, folder: Path) -> None:
    """Train and save after every second step, for ever."""
    from minids.train.sharded_checkpoint import save

    w = world.split(shards_for(V3, world.size))
    model = spread_out(Transformer(V3, seed=0), w)
    optimizer = adamw(model)
    how = options(V3) | {"steps": 10**6}
    for step in fit(model, some_batch, optimizer=optimizer, world=w, **how):
        if step.i % 2:
            save(folder, model, optimizer, world=w, step=step.i + 1)


SCENARIOS = {
    "dense": lambda w: trained("dense", w),
    "dense in parts": lambda w: trained("dense", w, accumulate=2),
    "tied": lambda w: trained("tied", w),
    "dense in copies": lambda w: trained("dense", w, shards=1),
    "v3": lambda w: trained("v3", w),
    "v3 in parts": lambda w: trained("v3", w, accumulate=2),
    "v3 in copies": lambda w: trained("v3", w, shards=1),
    "v3 in float64": lambda w: trained("v3", w, weights=torch.float64),
    "six experts": lambda w: trained("six experts", w),
    "six experts in float64": lambda w: trained("six experts", w, weights=torch.float64),
    "v3 with bf16 products": lambda w: trained("v3", w, products="bf16"),
    "mtp": with_mtp,
    "grpo": lambda w: practised(w, dapo=False),
    "dapo": lambda w: practised(w, dapo=True),
    "few rows": few_rows,
}


OF_TWO = {"dense", "dense in copies", "six experts in float64", "v3 with bf16 products", "dapo"}
"""What four processes need not repeat: other numbers, but nobody talks to anybody new."""


def scenarios(n: int) -> list[str]:
    """What n processes run."""
    return [name for name in SCENARIOS if n == 2 or name not in OF_TWO]


def everything(world: World, folder: Path) -> dict[str, Any]:
    told = {name: SCENARIOS[name](world) for name in scenarios(world.size)}
    told["routed"] = routed(world, crowded=False)
    told["crowded"] = routed(world, crowded=True)
    told["crowded in bf16"] = routed(world, crowded=True, autocast=True)
    told["frozen"] = frozen(world)
    told["gathered"] = gathered(world)
    told["refused"] = refused(world, folder)
    told["saved"] = saved(world, folder / "shared")
    return told


def report(folder: Path) -> None:
    """Be one process of several: run everything, write it down."""
    with launched() as world:
        told = everything(world, folder)
    (folder / f"of-{world.size}-{world.rank}.json").write_text(json.dumps(told))


def kill_me(folder: Path) -> None:
    with launched() as world:
        until_killed(world, folder / "killed")


def practise(folder: Path) -> None:
    """`minids grpo` with no flag that speaks of processes."""
    from minids.cli import app

    how = ["--json", "--seed", "4", "--scale", "smoke", "--out", str(folder / "practised")]
    app(["grpo", *how], standalone_mode=False)


def forked(n: int, action: Callable[[Path], None], folder: Path) -> list[int]:
    """The ids of n new processes that carry out `action` as torchrun's would; none can hang."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ids = []
    for rank in range(n):
        ids.append(os.fork())
        if ids[-1] == 0:
            signal.alarm(SECONDS)
            log = os.open(folder / f"{action.__name__}-{n}-{rank}.txt", os.O_CREAT | os.O_WRONLY)
            os.dup2(log, 1), os.dup2(log, 2)
            os.environ |= {
                "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(n),
                "RANK": str(rank), "LOCAL_RANK": str(rank), "TORCHELASTIC_RUN_ID": "test",
            }  # fmt: skip
            code = 1
            try:
                action(folder)
                code = 0
            except BaseException:
                traceback.print_exc()
            sys.stdout.flush(), sys.stderr.flush()
            os._exit(code)
    return ids


def codes(ids: list[int]) -> list[int]:
    """How each process ended: 0, or what went wrong."""
    return [os.waitpid(pid, 0)[1] for pid in ids]


def main() -> None:
    import minids.cli.zero_progress
    import minids.train.sharded_checkpoint  # noqa: F401  once, before there are many

    folder = Path(sys.argv[1])
    ended = {f"{n} processes": codes(forked(n, report, folder)) for n in (2, 4)}
    ended["minids grpo"] = codes(forked(2, practise, folder))
    doomed = forked(2, kill_me, folder)
    until = time.monotonic() + SECONDS
    while max(complete(folder / "killed"), default=0) < 4 and time.monotonic() < until:
        time.sleep(0.02)
    os.kill(doomed[1], signal.SIGKILL)
    ended["one of two killed"] = codes(doomed)
    (folder / "ended.json").write_text(json.dumps(ended))


if __name__ == "__main__":
    main()
