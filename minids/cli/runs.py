"""A run of `minids train`: everything checked before it starts, saved so that it can go on.

What a run is, is fixed by its `Plan`, which lies in every checkpoint. Batch i is a function of the
plan and i, so a run that was stopped and resumed ends with the weights of one that was not.
"""

import hashlib
import os
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from minids import accounting, checkpoint
from minids.cli.count import find, humanly, shape
from minids.config import ModelConfig
from minids.model.products import Products
from minids.model.transformer import Transformer
from minids.study.scale import Scale, keep_memory, threads
from minids.text.batches import packed, stream
from minids.text.corpus import Corpus, own_text, real_text
from minids.text.tokenizer import Tokenizer, default_tokenizer
from minids.train.update import adamw

BYTES_PER_PARAMETER = 16  # weight, gradient and AdamW's two moments, in fp32


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


def fresh(
    name: str,
    *,
    steps: int | None = None,
    scale: str | None = None,
    text: Path | None = None,
    out: Path | None = None,
    seed: int = 0,
    batch: int | None = None,
    length: int | None = None,
    lr: float = 3e-3,
) -> Run:
    """Return a run from the start; ValueError names what cannot be trained, and why."""
    config, on = find(name), scaled(scale)
    folder = out or Path("runs") / config.name
    _unused(folder)
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
    )
    _fits(config, plan, tokenizer, on)
    tokens = _tokens(corpus, tokenizer, plan)
    folder.mkdir(parents=True, exist_ok=True)
    model = Transformer(config, seed=seed).to(on.device)
    return Run(plan, model, adamw(model, lr=lr), 0, folder, corpus, tokenizer, tokens)


def resumed(
    folder: Path, *, model: str | None = None, steps: int | None = None, scale: str | None = None
) -> Run:
    """Return the run saved in `folder`, to be gone on with; `steps` may make it longer."""
    saved = checkpoint.load(folder)
    if not isinstance(saved.extra, dict) or set(saved.extra) != set(Plan._fields):
        raise ValueError(f"{folder} was not written by `minids train`, so it cannot be resumed")
    if model is not None and find(model) != saved.config:
        raise ValueError(f"{folder} holds {saved.config.name}, not {model}: leave the model out")
    plan = Plan(**saved.extra)
    plan = plan._replace(steps=steps or plan.steps)
    if plan.steps <= saved.step:
        raise ValueError(
            f"{folder} has done its {saved.step} steps: ask for more with --steps, such as "
            f"--steps {2 * saved.step}"
        )
    corpus, tokenizer = _read(None if plan.text is None else Path(plan.text)), default_tokenizer()
    if _digest(corpus) != plan.digest:
        source = plan.text or "the text that comes with Python"
        raise ValueError(f"{source} is not what {folder} learned from: start a new run with --out")
    tokens = _tokens(corpus, tokenizer, plan)
    network = checkpoint.build(saved).to(scaled(scale).device)
    optimizer = adamw(network, lr=plan.lr)
    if saved.optimizer_state is not None:
        optimizer.load_state_dict(saved.optimizer_state)
    return Run(plan, network, optimizer, saved.step, folder, corpus, tokenizer, tokens)


def save(run: Run, step: int) -> Path:
    """Write the checkpoint after `step` steps, and return where it lies."""
    plan: dict[str, Any] = run.plan._asdict()
    return checkpoint.save(
        run.folder, run.model, step=step, optimizer=run.optimizer, extra=plan, keep=2
    )


def introduction(run: Run) -> str:
    """Return what is about to happen, in a few lines."""
    c, plan = run.model.c, run.plan
    n = humanly(accounting.parameters(c).total).strip()
    device = run.model.embed.weight.device.type
    done = f", {run.start} of them done" if run.start else ""
    return (
        f"{c.name}: {shape(c)}; {n} parameters\n"
        f"text: {plan.text or 'prose and code that come with Python'}; {run.corpus}\n"
        f"{plan.steps} steps of {plan.batch} x {plan.length} tokens{done}; "
        f"seed {plan.seed}, {device}, {plan.products} products\n"
        f"saved in {run.folder}"
    )


def scaled(kind: str | None = None) -> Scale:
    """Return the scale `kind`, or what suits this machine, and set torch's threads for it."""
    torch.set_num_threads(threads())
    keep_memory()
    return Scale.auto(os.environ if kind is None else {"MINIDS_SCALE": kind})


def _read(text: Path | None) -> Corpus:
    return real_text("both") if text is None else own_text(text)


def _digest(corpus: Corpus) -> str:
    return hashlib.sha256(f"{corpus.train}\0{corpus.held_out}".encode()).hexdigest()


def _tokens(corpus: Corpus, tokenizer: Tokenizer, plan: Plan) -> Int[Tensor, " n"]:
    """The text as tokens; refused if it is too short for one batch of this plan."""
    tokens = stream(tokenizer, [corpus.train])
    packed(tokens, batch=plan.batch, length=plan.length, seed=plan.seed)
    return tokens


def _unused(folder: Path) -> None:
    """Refuse a folder that holds a run, or that nothing can be written to."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file: name a folder with --out")
    if checkpoint.steps(folder):
        raise ValueError(
            f"{folder} already holds a run: go on with it (minids train --resume {folder}), or "
            "name another folder with --out"
        )
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not os.access(there, os.W_OK):
        raise ValueError(f"{there} cannot be written to: name another folder with --out")


def _fits(config: ModelConfig, plan: Plan, tokenizer: Tokenizer, on: Scale) -> None:
    """Refuse a model that cannot be trained here, before anything is built."""
    if config.vocab < tokenizer.vocab:
        raise ValueError(
            f"{config.name} has {config.vocab} tokens and the texts here use {tokenizer.vocab}: "
            f"set vocab_size to {tokenizer.vocab} or more"
        )
    if plan.length > config.context:
        raise ValueError(
            f"--length {plan.length} is longer than the context of {config.name}, {config.context}"
        )
    need = BYTES_PER_PARAMETER * accounting.parameters(config).total
    have = _memory(on)
    if have is not None and need > have:
        raise ValueError(
            f"training {config.name} takes {need / 1e9:,.0f} GB for weights and optimizer, and "
            f"there are {have / 1e9:,.0f}: train a toy instead, such as toy-llama or toy-v3"
        )


def _memory(on: Scale) -> float | None:
    """Bytes of memory where the model will be; None where nobody says."""
    if on.device.type != "cpu":
        known = getattr(torch.get_device_module(on.device), "mem_get_info", None)
        return None if known is None else float(known()[1])
    if hasattr(os, "sysconf"):
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    return None
