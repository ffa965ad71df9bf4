"""What sharing key heads does to the loss when nothing else gives way: the run of chapter 02.

Fewer key heads are fewer weights. To compare equals, what the key heads no longer weigh goes into
the feed-forward: at a head width of 12 that is a whole number of columns, so that MHA, GQA and
MQA have the same number of parameters, to the last one. DeepSeek-V2 adjusts the number of layers
instead (its Table 8), which a toy of two layers cannot.

Left out: other texts, longer runs, more than one size.
"""

from collections.abc import Callable
from functools import cache

import torch
from jaxtyping import Int
from torch import Tensor

from minids.config import GQAConfig, ModelConfig
from minids.model.products import Products
from minids.model.transformer import Transformer
from minids.text.batches import Batch, packed, windows
from minids.text.corpus import real_text
from minids.text.tokenizer import default_tokenizer
from minids.train.loop import evaluate, fit
from minids.train.schedule import multi_step

N_HEADS, HEAD_DIM, LENGTH = 8, 12, 64


def toy(n_kv_heads: int) -> ModelConfig:
    """Return a small model with so many key heads for 8 query heads, always of the same size."""
    dim = N_HEADS * HEAD_DIM
    spared = 2 * (N_HEADS - n_kv_heads) * HEAD_DIM  # rows of `dim` numbers, of keys and values
    return ModelConfig(
        name=f"toy with {n_kv_heads} key heads",
        vocab=default_tokenizer().vocab,
        dim=dim,
        n_layers=2,
        hidden=256 + spared // 3,  # a feed-forward has three such rows for each hidden number
        attention=GQAConfig(n_heads=N_HEADS, n_kv_heads=n_kv_heads, head_dim=HEAD_DIM),
        context=512,
        tied=True,
        init_std=0.06,
    )


def train_batches(seed: int, batch: int = 16) -> Callable[[int], Batch]:
    """Return the batches of Python's manual that a run with `seed` reads."""
    return packed(_prose()[0], batch=batch, length=LENGTH, seed=seed)


def held_out_batch(n: int = 128, length: int = LENGTH) -> Batch:
    """Return `n` windows from pages of the manual that no run reads."""
    return windows(_prose()[1], length=length, n=n)


@cache
def _prose() -> tuple[Int[Tensor, " n"], Int[Tensor, " m"]]:
    text, tokenizer = real_text("prose"), default_tokenizer()
    return torch.tensor(tokenizer.encode(text.train)), torch.tensor(tokenizer.encode(text.held_out))


def held_out_loss(
    *,
    seed: int,
    n_kv_heads: int,
    steps: int,
    n_windows: int = 128,
    batch: int = 16,
    products: Products = "plain",
    device: str = "cpu",
) -> float:
    """Return the loss on held-out prose after a short training, in nats per token.

    `seed` decides the first weights and the order of the text.
    """
    model = Transformer(toy(n_kv_heads), seed=seed).to(device)
    for _ in fit(
        model,
        train_batches(seed, batch),
        steps=steps,
        lr=4e-3,
        schedule=multi_step(steps),
        products=products,
    ):
        pass
    return evaluate(model, [held_out_batch(n_windows)], products=products)
