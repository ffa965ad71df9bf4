"""Five kinds of attention in models of equal size: the run of chapter 04.

Every model has as many query heads of the same width. What attention saves in weights goes to the
feed-forward, until all models weigh the same. What differs is what they keep of a token.

DeepSeek's rotary key is half a head wide. A head of ours has 8 numbers, and half of them turn in
two speeds only, which is too few to tell positions apart: so ours is one head wide.

Left out: other texts, longer runs, more than one size.

axes: n tokens, w keys and values of all heads side by side
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from minids import accounting
from minids.config import GQAConfig, MLAConfig, ModelConfig
from minids.model.mla import MLA
from minids.model.products import Products
from minids.model.transformer import Transformer
from minids.text.batches import packed, renumbered, stream, windows
from minids.text.domains import documents
from minids.text.tokenizer import default_tokenizer
from minids.train.loop import evaluate, fit
from minids.train.schedule import V2_DROPS, multi_step

HEADS, HEAD, DIM, LENGTH = 16, 8, 64, 64
GROUPS = {"MHA": HEADS, "GQA-4": 4, "GQA-2": 2, "MQA": 1}
KINDS = (*GROUPS, "MLA")
"""The kinds that are compared, by falling cache; the first is the baseline."""


def attention(kind: str) -> GQAConfig | MLAConfig:
    """Return the attention of a kind; MLA keeps exactly as many numbers as GQA-2."""
    if kind == "MLA":
        widths = {"nope_dim": HEAD, "rope_dim": HEAD, "value_dim": HEAD}
        return MLAConfig(n_heads=HEADS, kv_rank=3 * HEAD, q_rank=None, **widths)
    if kind not in GROUPS:
        raise ValueError(f"there is no kind {kind!r}; there are: {', '.join(KINDS)}")
    return GQAConfig(n_heads=HEADS, n_kv_heads=GROUPS[kind], head_dim=HEAD)


def toy(kind: str, hidden: int = 176) -> ModelConfig:
    """Return a small model with this attention, as heavy as MHA with a feed-forward of `hidden`.

    As heavy to the nearest column of the feed-forward: 192 parameters in each of two layers.
    """
    base = ModelConfig(
        name=kind,
        vocab=stories().vocab,  # of the tokens that stories use
        dim=DIM,
        n_layers=2,
        hidden=hidden,
        attention=attention("MHA"),
        context=LENGTH,
        rope_theta=100.0,  # the slowest pair turns once in 199 tokens: fit for texts of 64
        init_std=0.02,
    )
    other = replace(base, attention=attention(kind))
    spare = accounting.parameters(base).total - accounting.parameters(other).total
    return replace(other, hidden=hidden + round(spare / base.n_layers / (3 * DIM)))


def trained(
    *,
    seed: int,
    kind: str,
    steps: int,
    batch: int = 16,
    change: Callable[[Transformer], object] | None = None,
    products: Products = "plain",
    device: str = "cpu",
) -> Transformer:
    """Return a model after a short training on stories; `seed` decides weights and order.

    `change` may break the new model before it learns.
    """
    model = Transformer(toy(kind), seed=seed)
    if change is not None:
        change(model)
    model = model.to(device)
    batches = packed(stories().train, batch=batch, length=LENGTH, seed=seed)
    schedule = multi_step(steps, warmup=min(10, steps), drops=V2_DROPS)
    for _ in fit(model, batches, steps=steps, lr=8e-3, schedule=schedule, products=products):
        pass
    return model


def held_out(model: Transformer, n_windows: int = 128, products: Products = "plain") -> float:
    """Return the loss on stories that no run reads, about people it has read of; nats a token."""
    batch = windows(stories().held_out, length=LENGTH, n=n_windows)
    return evaluate(model, [batch], products=products)


def loss(
    *,
    seed: int,
    kind: str,
    steps: int,
    n_windows: int = 128,
    batch: int = 16,
    change: Callable[[Transformer], object] | None = None,
    products: Products = "plain",
    device: str = "cpu",
) -> float:
    """Return the held-out loss of a model of this kind after a short training."""
    model = trained(
        seed=seed,
        kind=kind,
        steps=steps,
        batch=batch,
        change=change,
        products=products,
        device=device,
    )
    return held_out(model, n_windows, products)


class Stories(NamedTuple):
    """What all models read and are asked, in the tokens that occur in stories."""

    train: Int[Tensor, " n"]
    held_out: Int[Tensor, " m"]
    vocab: int


@cache
def stories() -> Stories:
    """Return stories to learn from, and others about the same people."""
    (train, held_out), vocab = renumbered(
        *(
            stream(default_tokenizer(), documents("stories", seed=seed, n_chars=n_chars))
            for seed, n_chars in ((0, 300_000), (1, 60_000))
        )
    )
    return Stories(train, held_out, vocab)


@torch.no_grad()
def keys_and_values(model: Transformer, n_windows: int = 32) -> list[Float[Tensor, "n w"]]:
    """Return what every layer would cache of held-out stories, before positions turn the keys."""
    found: list[Tensor] = []
    hooks = [_listen(block.attention, found) for block in model.layers]
    tokens = windows(stories().held_out, length=LENGTH, n=n_windows).tokens
    try:
        model(tokens.to(model.embed.weight.device))
    finally:
        for hook in hooks:
            hook.remove()
    return [rows.flatten(0, 1).float().cpu() for rows in found]


def _listen(layer: Any, found: list[Tensor]) -> RemovableHandle:
    """Append keys and values of every head to `found` whenever the layer runs."""
    if isinstance(layer, MLA):  # made from the normed latent
        made = layer.kv_up.weight
        return layer.kv_norm.register_forward_hook(lambda *x: found.append(x[2] @ made.T))
    queries = layer.widths[0]
    return layer.qkv.register_forward_hook(lambda *x: found.append(x[2][..., queries:]))


def rank_errors(rows: Float[Tensor, "n w"], ranks: Sequence[int]) -> list[float]:
    """Return the error of the best approximation of `rows` through so few numbers a row.

    Relative: 1 where nothing is kept, 0 where `rows` come back exactly. No linear way down and up
    does better (Eckart and Young): it keeps the largest singular values.
    """
    energy = torch.linalg.svdvals(rows.double()).square()
    if max(ranks) > len(energy) or min(ranks) < 0:
        raise ValueError(f"ranks lie between 0 and {len(energy)}, got {list(ranks)}")
    left = [float(energy[rank:].sum() / energy.sum()) for rank in ranks]
    return [max(0.0, share) ** 0.5 for share in left]
