"""Four kinds of attention in models of equal size, and how little of keys and values is needed.

Every arm has as many query heads of the same width; what attention saves in weights goes to the
feed-forward, until all models weigh the same. What differs is what they remember of a token.

axes: n tokens, w the keys and values of all heads side by side
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from minids import accounting
from minids.config import GQAConfig, MLAConfig, ModelConfig
from minids.model.mla import MLA
from minids.model.products import Products
from minids.model.transformer import Transformer
from minids.text.batches import packed, stream, windows
from minids.text.domains import documents
from minids.text.tokenizer import load
from minids.train.loop import evaluate, fit
from minids.train.schedule import V2_DROPS, multi_step

HEADS, HEAD, LENGTH = 8, 8, 64
ARMS = ("MHA", "GQA-4", "GQA-2", "MQA", "MLA")
"""The kinds that are compared; the first is the baseline."""


def attention(arm: str) -> GQAConfig | MLAConfig:
    """Return the attention of an arm; MLA has DeepSeek's ratios: a latent of 4 heads, half a head
    for the rotary key."""
    if arm == "MLA":
        return MLAConfig(
            n_heads=HEADS,
            kv_rank=4 * HEAD,
            q_rank=None,
            nope_dim=HEAD,
            rope_dim=HEAD // 2,
            value_dim=HEAD,
        )
    groups = {"MHA": HEADS, "GQA-4": 4, "GQA-2": 2, "MQA": 1}
    if arm not in groups:
        raise ValueError(f"there is no arm {arm!r}; there are: {', '.join(ARMS)}")
    return GQAConfig(n_heads=HEADS, n_kv_heads=groups[arm], head_dim=HEAD)


def of_equal_size(arm: str, *, n_layers: int = 2, hidden: int = 176) -> ModelConfig:
    """Return a model with this attention, as many parameters as MHA with a feed-forward `hidden`.

    Equal to the nearest width of the feed-forward: within 200 parameters a layer.
    """
    base = ModelConfig(
        name=arm,
        vocab=1024,
        dim=HEADS * HEAD,
        n_layers=n_layers,
        hidden=hidden,
        attention=attention("MHA"),
        context=LENGTH,
        init_std=0.02,
    )
    target = accounting.parameters(base).total
    other = replace(base, attention=attention(arm))
    spare = target - accounting.parameters(other).total
    return replace(other, hidden=hidden + round(spare / n_layers / (3 * base.dim)))


def train(
    seed: int,
    arm: str,
    *,
    steps: int,
    batch: int = 16,
    products: Products = "plain",
    lr=4e-3,
    n_chars: int = 300_000,
    domains=("english",),
    hidden=176,
) -> dict[str, float]:
    model, text, rows = Transformer(of_equal_size(arm, hidden=hidden), seed=seed), {}, {}
    tok = load()
    docs = [d for name in domains for d in documents(name, seed=0, n_chars=n_chars)]
    import random

    random.Random(0).shuffle(docs)
    toks = stream(tok, docs)
    held = stream(tok, [d for name in domains for d in documents(name, seed=1, n_chars=40000)])
    b = packed(toks, batch=batch, length=LENGTH, seed=seed)
    for _ in fit(
        model,
        b,
        steps=steps,
        lr=lr,
        schedule=multi_step(steps, warmup=10, drops=V2_DROPS),
        products=products,
    ):
        pass
    return {
        "loss": evaluate(model, [windows(held, length=LENGTH, n=128)], products=products),
        "n": sum(p.numel() for p in model.parameters()),
    }
