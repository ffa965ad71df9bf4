"""The four models of segmentation.py: how they are cut and how large they are, and a run of one.

All of them meet as many parameters a token, and the three mixtures own as many.
"""

from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from tqdm.auto import tqdm

from minids import accounting
from minids.config import GQAConfig, ModelConfig, MoEConfig
from minids.model.transformer import Transformer
from minids.study.mixtures import balanced
from minids.study.pretrain import Text, held_out_loss
from minids.text.batches import packed
from minids.text.corpus import Corpus, own_text, real_text
from minids.train.loop import fit
from minids.train.schedule import multi_step

ARMS = {
    "dense, active size": None,
    "coarse: 2 of 16": (16, 2, 0),
    "fine-grained: 8 of 64": (64, 8, 0),
    "fine-grained and shared: 7 of 63 + 1": (63, 7, 1),
}
"""Routed experts, chosen ones and shared ones; the pieces of every mixture sum to one width."""


class Size(NamedTuple):
    """How large the models are and how long they learn."""

    dim: int
    n_layers: int
    total: int  # width of all experts of a layer together; a token meets an eighth of it
    context: int
    batch: int
    steps: int
    lr: float
    n_chars: int | None  # of each kind of text; None: all


SIZES = {
    "gpu": Size(768, 12, 6144, 512, 64, 3000, 6e-4, None),
    "smoke": Size(32, 2, 512, 32, 4, 4, 1e-3, 40_000),
}


def model_of(arm: str, size: Size, vocab: int) -> ModelConfig:
    """Return the config of an arm; all of them activate the same width of feed-forward."""
    if arm not in ARMS:
        raise ValueError(f"there is no arm {arm!r}; there are: {', '.join(ARMS)}")
    cut, moe, heads = ARMS[arm], None, max(2, size.dim // 64)
    if cut is not None:
        routed, top_k, shared = cut
        moe = MoEConfig(
            n_routed=routed, top_k=top_k, n_shared=shared, hidden=size.total // (routed + shared)
        )
    return ModelConfig(
        name=arm,
        vocab=vocab,
        dim=size.dim,
        n_layers=size.n_layers,
        hidden=size.total // 8,
        attention=GQAConfig(n_heads=heads, n_kv_heads=heads, head_dim=size.dim // heads),
        moe=moe,
        context=size.context,
        init_std=0.5 * size.dim**-0.5,
    )


def corpus(size: Size, text: Path | None) -> Corpus:
    """Return the file `text`, or prose and code that every Python carries."""
    if text is not None:
        return own_text(text)
    parts = [real_text(kind, n_chars=size.n_chars) for kind in ("prose", "code")]
    return Corpus("".join(p.train for p in parts), "".join(p.held_out for p in parts))


def train(
    arm: str, seed: int, size: Size, text: Text, device: torch.device, marks: int = 10
) -> dict[str, Any]:
    """Return the row of one run: its size and its held-out losses, in nats per token."""
    c = model_of(arm, size, text.vocab)
    model, kind = Transformer(c, seed=seed).to(device), _products(device)
    counted, rows, seconds = accounting.parameters(c), 512, 0.0
    drops = ((0.8, 0.316), (0.9, 0.1))
    steps = fit(
        model,
        packed(text.train, batch=size.batch, length=size.context, seed=seed),
        steps=size.steps,
        lr=size.lr,
        schedule=multi_step(size.steps, warmup=max(1, size.steps // 50), drops=drops),
        extra_losses=balanced(0.01),
        products=kind,
    )
    when = {round(size.steps * i / marks) for i in range(1, marks + 1)} | {size.steps}
    losses: dict[int, float] = {}
    for step in tqdm(steps, total=size.steps, desc=f"{arm}, seed {seed}", leave=False):
        seconds += step.seconds
        if step.i + 1 in when:
            n = min(rows, (len(text.held_out) - 1) // size.context)
            losses[step.i + 1] = held_out_loss(model, text, rows=n, products=kind)
    return {
        "arm": arm,
        "seed": seed,
        "loss": losses[size.steps],
        "lowest": min(losses.values()),
        "by_step": losses,
        "bits_per_byte": text.bits_per_byte(min(losses.values())),
        "parameters": counted.total,
        "activated": accounting.activated(c),
        "tokens": size.steps * size.batch * size.context,
        "seconds": seconds,
    }


def _products(device: torch.device) -> Literal["bf16", "plain"]:
    return "bf16" if device.type == "cuda" else "plain"
