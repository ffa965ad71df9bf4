"""One small pre-training run on real text, as a function of a config and a seed.

The toys have the structure of DeepSeek LLM 7B. Two rules of thumb fit a run to its width d, from
d = 16 to d = 128: initial weights with a standard deviation of 0.5 / sqrt(d), which meets the 0.006
of the reports at V3's 7168, and a learning rate of 0.4 / d.

Text is measured in bits per byte, so that vocabularies can be compared with each other and with
programs that compress.

axes: n tokens to learn from, m tokens held out
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor, nn

from minids.config import GQAConfig, ModelConfig
from minids.model.products import Products
from minids.model.transformer import Transformer
from minids.presets import preset, shrink
from minids.text.batches import Batch, packed, windows
from minids.text.corpus import Corpus
from minids.text.tokenizer import Tokenizer
from minids.train.loop import evaluate, fit
from minids.train.losses import bits_per_byte
from minids.train.schedule import Schedule, multi_step


class Text(NamedTuple):
    """A corpus as tokens of one vocabulary. It can be sent to other processes."""

    train: Int[Tensor, " n"]
    held_out: Int[Tensor, " m"]
    held_out_bytes: int
    vocab: int

    def bits_per_byte(self, nats: float) -> float:
        """Return the bits per byte of held-out text for a loss in nats per token."""
        return bits_per_byte(nats, len(self.held_out) / self.held_out_bytes)


class Run(NamedTuple):
    """What one run ended with."""

    model: Transformer
    losses: tuple[float, ...]  # of every step, in nats per token
    nats: float  # per token of held-out text
    bits: float  # per byte of held-out text


def tokenized(corpus: Corpus, tokenizer: Tokenizer) -> Text:
    """Return a corpus in the tokens of a vocabulary."""
    train, held_out = (
        torch.tensor(tokenizer.encode(part), dtype=torch.int32)
        for part in (corpus.train, corpus.held_out)
    )
    return Text(train, held_out, len(corpus.held_out.encode()), tokenizer.vocab)


def toy(dim: int, *, vocab: int, n_layers: int = 2, context: int = 64) -> ModelConfig:
    """Return DeepSeek LLM 7B in small: MHA with heads 16 wide, or two narrower ones."""
    n_heads = max(2, dim // 16)
    if dim % (2 * n_heads):
        raise ValueError(f"dim={dim} does not split into {n_heads} heads of an even width")
    attention = GQAConfig(n_heads=n_heads, n_kv_heads=n_heads, head_dim=dim // n_heads)
    small = shrink(preset("deepseek-llm-7b"), dim=dim, n_layers=n_layers, context=context)
    return replace(
        small, name=f"toy-{dim}", vocab=vocab, attention=attention, init_std=0.5 * dim**-0.5
    )


def learning_rate(dim: int) -> float:
    """Return the peak learning rate of a toy: wider models take smaller steps."""
    return 0.4 / dim


def pretrain(
    config: ModelConfig,
    text: Text,
    *,
    seed: int,
    steps: int,
    batch: int = 16,
    rows: int | None = None,
    schedule: Callable[[int], Schedule] = multi_step,
    peak: float = 1.0,
    change: Callable[[Transformer], object] = lambda model: None,
    rewrite: Callable[[Batch], Batch] = lambda batch: batch,
    products: Products = "plain",
    device: torch.device | str = "cpu",
) -> Run:
    """Return a trained model with its losses. `seed` decides first weights and order of text.

    A row is as long as the context of `config`; `rows` of the held-out text are read, all if None.
    `schedule(steps)` gives the learning rates, as shares of `peak` times `learning_rate`.
    `change(model)` is called before training, and `rewrite(batch)` on every batch, the held-out
    ones too: with these a run can be spoiled on purpose.
    """
    model = Transformer(config, seed=seed).to(device)
    change(model)
    batches = packed(text.train, batch=batch, length=config.context, seed=seed)
    run = fit(
        model,
        lambda i: rewrite(batches(i)),
        steps=steps,
        lr=peak * learning_rate(config.dim),
        schedule=schedule(steps),
        warmup=min(20, steps // 5),
        products=products,
    )
    losses = tuple(step.loss for step in run)
    nats = held_out_loss(model, text, rows=rows, rewrite=rewrite, products=products)
    return Run(model, losses, nats, text.bits_per_byte(nats))


def held_out_loss(
    model: Transformer,
    text: Text,
    *,
    rows: int | None = None,
    rewrite: Callable[[Batch], Batch] = lambda batch: batch,
    products: Products = "plain",
) -> float:
    """Return the mean loss on held-out text, in nats per token, in rows as long as the context."""
    batch = rewrite(windows(text.held_out, length=model.c.context, n=rows))
    return evaluate(model, batch.pieces(64), products=products)


def stretches(losses: Sequence[float], points: int = 16) -> dict[str, float]:
    """Return means of the losses over `points` equal stretches, by their last step, as text."""
    edges = [round(len(losses) * i / points) for i in range(points + 1)]
    return {
        f"step {b}": math.fsum(losses[a:b]) / (b - a)
        for a, b in zip(edges, edges[1:], strict=False)
        if b > a
    }


def exchange(model: nn.Module, kind: type[nn.Module], make: Callable[..., nn.Module]) -> int:
    """Put `make(part)` in the place of every part of `kind`; return how many there were."""
    places = [
        (parent, name, part)
        for parent in model.modules()
        for name, part in parent.named_children()
        if isinstance(part, kind)
    ]
    for parent, name, part in places:
        setattr(parent, name, make(part))
    return len(places)
