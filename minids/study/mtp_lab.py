"""Small models with modules behind them and without, on five kinds of text: the runs of chapter 07.

A deep, narrow model drafts for itself; shallow ones show what the modules' loss does to the
model's own. All read the four domains and Python's manual in equal shares, in rows of 64 tokens,
and write inside that window: further on drafts get worse, because the model does.

axes: n tokens of a text, r rows, t tokens of a row
"""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor
from tqdm.auto import tqdm

from minids.config import GQAConfig, ModelConfig
from minids.decode.speculative import Speculated, speculate
from minids.model.mtp import MTP
from minids.model.products import Products
from minids.model.transformer import Transformer
from minids.study.workers import run_tasks
from minids.text.batches import windows
from minids.text.corpus import real_text
from minids.text.domains import DOMAINS
from minids.text.labelled import domain_streams, labelled, labelled_windows
from minids.text.tokenizer import default_tokenizer
from minids.train.loop import evaluate, fit
from minids.train.mtp import fit_mtp, mtp_losses
from minids.train.schedule import V2_DROPS, multi_step

LENGTH, PROMPT, DIM = 64, 16, 32
TEXTS = (*DOMAINS, "manual")
"""What is read: the synthetic domains, and the manual that every Python carries."""


class Trained(NamedTuple):
    """What a run ended with."""

    model: MTP
    nats: float  # the model's own loss on held-out rows of all texts, per token
    ahead: tuple[float, ...]  # the same for each module, at the tokens it predicts


def toy(n_layers: int, depth: int = 1, dim: int = DIM) -> ModelConfig:
    """Return a narrow model of DeepSeek LLM's kind with `depth` modules."""
    return ModelConfig(
        name=f"{n_layers} layers",
        vocab=default_tokenizer().vocab,
        dim=dim,
        n_layers=n_layers,
        hidden=2 * dim,
        attention=GQAConfig(n_heads=4, n_kv_heads=4, head_dim=dim // 4),
        context=LENGTH,
        rope_theta=100.0,
        mtp_depth=depth,
        init_std=0.5 * dim**-0.5,
    )


@cache
def texts(*, held_out: bool) -> dict[str, Int[Tensor, " n"]]:
    """Return the tokens of every text, to learn from or held out; the domains know no overlap."""
    tokenizer = default_tokenizer()
    n_chars = 40_000 if held_out else 200_000
    streams = domain_streams(tokenizer, seed=int(held_out), n_chars=n_chars)
    manual = real_text("prose")
    part = manual.held_out if held_out else manual.train
    return streams | {"manual": torch.tensor(tokenizer.encode(part[: 2 * n_chars]))}


def trained(
    *,
    seed: int,
    n_layers: int,
    steps: int,
    depth: int = 1,
    modules: bool = True,
    batch: int = 10,
    change: Any = None,
    products: Products = "plain",
    device: str = "cpu",
) -> Trained:
    """Return a model after a short training, with V3's weights of the modules' loss or without.

    `seed` decides weights and order. Without `modules` the model starts from the same weights and
    reads the same rows; its modules stay as they were drawn. `change(mtp)` may break it before.
    """
    model = MTP(Transformer(toy(n_layers, depth), seed=seed), seed=seed + 1000).to(device)
    if change is not None:
        change(model)
    batches = labelled(texts(held_out=False), batch=batch, length=LENGTH, seed=seed).batches
    options: dict[str, Any] = {
        "steps": steps,
        "lr": 1e-2,
        "warmup": min(20, max(1, steps // 5)),
        "schedule": multi_step(steps, warmup=min(20, steps // 5), drops=V2_DROPS),
        "products": products,
    }
    run = fit_mtp(model, batches, **options) if modules else fit(model.main, batches, **options)
    for _ in run:
        pass
    rows, _ = labelled_windows(texts(held_out=True), length=LENGTH, n=24)
    rows = rows.to(device)
    with torch.no_grad():
        outputs = model.ahead(model(rows.tokens).hidden, rows.targets)
        rest = [rows.mask.numel() / rows.mask[:, k + 1 :].numel() for k in range(depth)]
        pairs = zip(mtp_losses(outputs, rows), rest, strict=True)
        ahead = tuple(float(loss) * share for loss, share in pairs)
    return Trained(model.eval(), evaluate(model, [rows]), ahead)


def trained_all(
    tasks: Sequence[dict[str, Any]], *, workers: int | None = None
) -> Iterator[tuple[int, Trained]]:
    """Yield (number, result) of `trained(**task)` as they finish, on all cores; with a bar.

    `workers` 0 takes one after another in this process, as on a GPU.
    """
    yield from tqdm(run_tasks(trained, tasks, workers), total=len(tasks), leave=False)


def prompts(name: str, n: int) -> list[list[int]]:
    """Return the first tokens of `n` held-out rows of a text."""
    rows = windows(texts(held_out=True)[name], length=LENGTH, n=n).tokens[:, :PROMPT]
    return [row.tolist() for row in rows]


def drafted(
    model: MTP,
    name: str,
    *,
    n: int = 32,
    n_drafts: int = 1,
    temperature: float = 0.0,
    seed: int = 0,
) -> Speculated:
    """Return what the model wrote behind `n` prompts of a text, all in one batch, with drafts."""
    generator = torch.Generator(model.main.embed.weight.device).manual_seed(seed)
    return speculate(
        model.main,
        model,
        prompts(name, n),
        LENGTH - PROMPT,
        n_drafts=n_drafts,
        temperature=temperature,
        generator=generator,
    )
