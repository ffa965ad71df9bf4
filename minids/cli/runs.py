"""A run of `minids train`: everything checked before it starts, saved so that it can go on.

What a run is, is fixed by its `Plan`, which lies in every checkpoint. Batch i is a function of the
plan and i, so a run that was stopped and resumed ends with the weights of one that was not. Started
by torchrun, a run is the same in several processes; each has a part of the weights.
"""

import hashlib
import os
from pathlib import Path
from typing import Any, NamedTuple, get_args

import torch
from jaxtyping import Int
from torch import Tensor

from minids import accounting, checkpoint
from minids.cli.count import find, humanly, shape
from minids.cli.fitting import refuse_what_does_not_compile, refuse_what_does_not_fit
from minids.cli.run_folders import refuse_unwritable_run, refuse_used, take
from minids.model.products import Products
from minids.model.transformer import Transformer
from minids.study.scale import Kind, Scale, keep_memory, threads
from minids.text.batches import packed, stream
from minids.text.corpus import Corpus, own_text, real_text
from minids.text.tokenizer import Tokenizer, default_tokenizer
from minids.train.update import adamw
from minids.train.world import World, shards_for


class Plan(NamedTuple):
    """What fixes every number of a run, but for the machine it runs on."""

    text: str | None  # a file; None for what Python carries
    digest: str  # sha256 of what is learned from
    steps: int
    batch: int
    length: int
    lr: float
    seed: int
    products: Products
    compiled: bool = False


class Run(NamedTuple):
    """A run that is ready to start or to go on."""

    plan: Plan
    model: Transformer
    optimizer: torch.optim.Optimizer
    start: int  # steps already done
    folder: Path
    corpus: Corpus
    tokenizer: Tokenizer
    tokens: Int[Tensor, " n"]  # of the text to learn from
    world: World


def fresh(
    name: str,
    *,
    on: Scale,
    world: World,
    steps: int | None = None,
    text: Path | None = None,
    out: Path | None = None,
    seed: int = 0,
    batch: int | None = None,
    length: int | None = None,
    lr: float = 3e-3,
    compile: bool = False,
) -> Run:
    """Return a run from the start; ValueError names what cannot be trained, and why."""
    config = find(name)
    shards = shards_for(config, world.size)
    folder = out or Path("runs") / config.name
    refuse_used(folder, "train", _is_a_plan)
    corpus, tokenizer = _read(text), default_tokenizer()
    plan = Plan(
        text=None if text is None else str(text.resolve()),
        digest=_digest(corpus),
        steps=steps or on.pick(smoke=20, laptop=400, gpu=2000),
        batch=batch or on.pick(smoke=8, laptop=16, gpu=64),
        length=length or min(config.context, on.pick(smoke=64, laptop=128, gpu=512)),
        lr=lr,
        seed=seed,
        products=on.products,
        compiled=compile,
    )
    refuse_what_does_not_fit(
        config, tokenizer.vocab, plan.batch, plan.length, on,
        shards=shards, processes=world.size,
    )  # fmt: skip
    if compile:
        refuse_what_does_not_compile(config, world)
    tokens = _tokens(corpus, tokenizer, plan)
    plan = _agreed(plan, world)
    take(folder, world)
    world = world.split(shards)
    model = Transformer(config, seed=seed)
    if world.mesh is None:
        model = model.to(world.device)
    else:
        from minids.train.parallel import spread  # half a second, which one process can spare

        spread(model, world)
    return Run(plan, model, adamw(model, lr=lr), 0, folder, corpus, tokenizer, tokens, world)


def resumed(
    folder: Path, *, world: World, model: str | None = None, steps: int | None = None
) -> Run:
    """Return the run saved in `folder`, to be gone on with; `steps` may make it longer.

    By any number of processes: it need not be the number that saved it.
    """
    from minids.train.sharded_checkpoint import look, resume

    saved = look(folder, world)
    if not _is_a_plan(saved.extra):
        raise ValueError(f"{folder} was not written by `minids train`, so it cannot be resumed")
    if model is not None and find(model) != saved.config:
        raise ValueError(f"{folder} holds {saved.config.name}, not {model}: leave the model out")
    refuse_unwritable_run(folder)
    plan = Plan(**saved.extra)
    plan = plan._replace(steps=steps or plan.steps)
    if plan.compiled:
        refuse_what_does_not_compile(saved.config, world)
    take(folder, world)
    if plan.steps <= saved.step:
        raise ValueError(
            f"{folder} has done its {saved.step} steps: ask for more with --steps, such as "
            f"--steps {2 * saved.step}"
        )
    if plan.text is not None and not Path(plan.text).exists():
        raise ValueError(f"{folder} learns from {plan.text}, which is gone: put it back there")
    corpus, tokenizer = _read(None if plan.text is None else Path(plan.text)), default_tokenizer()
    if _digest(corpus) != plan.digest:
        source = plan.text or "the text that comes with Python"
        raise ValueError(f"{source} is not what {folder} learned from: start a new run with --out")
    plan, tokens = _agreed(plan, world), _tokens(corpus, tokenizer, plan)
    world = world.split(shards_for(saved.config, world.size))
    network, optimizer = resume(saved, world, lr=plan.lr)
    return Run(plan, network, optimizer, saved.step, folder, corpus, tokenizer, tokens, world)


def save(run: Run, step: int) -> None:
    """Write the checkpoint after `step` steps: each process its part, or the first one all."""
    plan: dict[str, Any] = run.plan._asdict()
    if run.world.mesh is not None:
        from minids.train.sharded_checkpoint import save as save_parts

        save_parts(run.folder, run.model, run.optimizer, world=run.world, step=step, extra=plan)
    elif run.world.leads:
        checkpoint.save(run.folder, run.model, step=step, optimizer=run.optimizer, extra=plan)


def introduction(run: Run) -> str:
    """Return what is about to happen, in a few lines."""
    c, plan = run.model.c, run.plan
    n = humanly(accounting.parameters(c).total).strip()
    device, world = run.model.embed.weight.device.type, run.world
    many = f", {world.size} processes" + f" with 1/{world.shards} of the weights each" * (
        world.shards > 1
    )
    done = f", {run.start} of them done" if run.start else ""
    how = f"{plan.products} products"
    if plan.compiled:
        how += ", compiled before the first step"
    return (
        f"{c.name}: {shape(c)}; {n} parameters\n"
        f"text: {plan.text or 'prose and code that come with Python'}; {run.corpus}\n"
        f"{plan.steps} steps of {plan.batch} x {plan.length} tokens{done}; "
        f"seed {plan.seed}, {device}{many if world.size > 1 else ''}, {how}\n"
        f"saved in {run.folder}"
    )


def scaled(kind: str | None = None) -> Scale:
    """Return the scale `kind`, or what suits this machine, and set torch's threads for it."""
    torch.set_num_threads(threads())
    keep_memory()
    if kind not in (None, *get_args(Kind)):
        raise ValueError(f"--scale {kind!r} is no scale: take {', '.join(get_args(Kind))}")
    return Scale.auto(os.environ if kind is None else {"MINIDS_SCALE": kind})


def _is_a_plan(extra: Any) -> bool:
    """Whether these are a plan's fields; older runs say nothing where there is a default."""
    return isinstance(extra, dict) and {*extra, *Plan._field_defaults} == set(Plan._fields)


def _read(text: Path | None) -> Corpus:
    return real_text("both") if text is None else own_text(text)


def _digest(corpus: Corpus) -> str:
    return hashlib.sha256(f"{corpus.train}\0{corpus.held_out}".encode()).hexdigest()


def _tokens(corpus: Corpus, tokenizer: Tokenizer, plan: Plan) -> Int[Tensor, " n"]:
    """The text as tokens; refused if it is too short for one batch of this plan."""
    tokens = stream(tokenizer, [corpus.train])
    packed(tokens, batch=plan.batch, length=plan.length, seed=plan.seed)
    return tokens


def _agreed(plan: Plan, world: World) -> Plan:
    """The first process's plan: its clock chose the products. Refused if it cannot be shared."""
    agreed = world.told(plan)
    if agreed.digest != plan.digest:
        raise ValueError(
            f"process {world.rank} reads another text than the first one: give all machines the "
            "same file with --text"
        )
    if agreed.batch < world.size:
        raise ValueError(
            f"{world.size} processes share batches of {agreed.batch} rows, and each needs one: "
            f"give --batch {world.size} or more, or start fewer"
        )
    return agreed
