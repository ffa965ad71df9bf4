"""A model trained on short rows reads long ones: four ways to stretch its positions.

    model = trained(seed=0, steps=200)                      # rows of 64 tokens
    longer = stretch(model, "YaRN", factor=8)               # the same weights, rows of 512
    accuracy(longer, 512)

The methods differ in two things: how fast each pair of a rotary head turns, and by what factor
the scores before the softmax grow. Here both can be chosen by themselves, which a config cannot
say: YaRN with its temperature equals the package's `rope_scaling`, which a test holds.

axes: b rows, t tokens, v vocabulary
"""

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from minids.config import GQAConfig, Llama3RopeConfig, ModelConfig, YarnConfig
from minids.model.products import Products
from minids.model.rope import (
    Rotary,
    frequencies,
    interpolate,
    llama3,
    ntk_aware,
    rotary,
    softmax_factor,
    yarn,
)
from minids.model.transformer import Output, Transformer
from minids.study import needle
from minids.study.positions import loss_by_position
from minids.text.batches import Batch
from minids.train.loop import fit
from minids.train.losses import next_token
from minids.train.schedule import multi_step

Method = Literal["none", "PI", "NTK", "YaRN", "YaRN by turns"]
"""YaRN as DeepSeek runs it, with its ramp over pairs; "by turns" as its paper prints it."""

TRAINED, BETA = 64, 8.0  # the published beta of 32 belongs to rows of 4096
DEPTHS = (0.0, 0.25, 0.5, 0.75, 1.0)


def toy(context: int = TRAINED) -> ModelConfig:
    """Return the model of the chapter: two layers, two heads of 32."""
    return ModelConfig(
        name="toy for needles",
        vocab=needle.VOCAB,
        dim=64,
        n_layers=2,
        hidden=128,
        attention=GQAConfig(n_heads=2, n_kv_heads=2, head_dim=32),
        context=context,
        init_std=0.1,
    )


def trained(
    *, seed: int, steps: int, rows: int = 32, products: Products = "plain", device: str = "cpu"
) -> Transformer:
    """Return the toy after `steps` steps on rows of 64 tokens."""
    model = needle.with_token_shift(Transformer(toy(), seed=seed), seed).to(device)
    return tuned(model, TRAINED, seed=seed, steps=steps, rows=rows, lr=4e-3, products=products)


def tuned(
    model: Transformer,
    length: int,
    *,
    seed: int,
    steps: int,
    rows: int = 4,
    lr: float = 1e-3,
    products: Products = "plain",
) -> Transformer:
    """Train the model in place on rows of `length` tokens, and return it.

    Values that can be known count as much as everything else together.
    """
    batches = needle.lessons(rows, length, seed)
    for _ in fit(
        model,
        batches,
        steps=steps,
        lr=lr,
        schedule=multi_step(steps),
        warmup=min(steps // 4, 20),
        products=products,
        extra_losses=recall_loss,
    ):
        pass
    return model


def recall_loss(model: object, output: Output, batch: Batch) -> dict[str, Float[Tensor, ""]]:
    """Return the loss at values that can be known: see `needle.recalls`."""
    known = needle.recalls(batch.tokens)
    count = int(known.sum())
    return {"recall": next_token(output.logits, batch.targets, known, count=max(1, count))}


def turning(
    method: Method, c: ModelConfig, factor: float, *, beta: float = BETA
) -> Float[Tensor, " half"]:
    """Return how fast each pair turns when `c` is stretched by `factor`, in radians per token."""
    if method not in get_args(Method):
        raise ValueError(f"{method!r} is no method: take one of {', '.join(get_args(Method))}")
    width, theta = c.attention.rotary_width, c.rope_theta
    plain = frequencies(width, theta)
    if method == "PI":
        return interpolate(plain, factor)
    if method == "NTK":
        return ntk_aware(width, theta, factor)
    if method == "YaRN":
        return yarn(plain, theta, YarnConfig(factor=factor, original=c.context, beta_fast=beta))
    if method == "YaRN by turns":
        ramp = Llama3RopeConfig(factor=factor, original=c.context, low_freq=1.0, high_freq=beta)
        return llama3(plain, ramp)
    return plain


def stretch(
    model: Transformer,
    method: Method,
    factor: float,
    *,
    temperature: bool = False,
    beta: float = BETA,
    room: int | None = None,
) -> Transformer:
    """Return a copy of a model without extension that reads rows of up to factor x context.

    `temperature` multiplies all scores by YaRN's (0.1 ln factor + 1)^2, with any method. `room`
    makes place for longer rows than the factor is meant for.
    """
    freqs = turning(method, model.c, factor, beta=beta)
    scale = softmax_factor(YarnConfig(factor=factor, original=model.c.context))
    return with_positions(
        model, freqs, scale if temperature else 1.0, room or round(factor * model.c.context)
    )


def with_positions(
    model: Transformer, freqs: Float[Tensor, " half"], factor: float, context: int
) -> Transformer:
    """Return a copy of the model with other frequencies, and scores multiplied by `factor`."""
    longer = copy.deepcopy(model)
    longer.c = replace(model.c, context=context)
    turn = rotary(freqs, torch.arange(context))
    longer.cos, longer.sin = turn.cos.to(model.cos.device), turn.sin.to(model.sin.device)
    for block in longer.layers:
        block.attention.scale *= factor
    return longer


def accuracy(
    model: Transformer,
    length: int,
    *,
    rows: int = 32,
    seed: int = 0,
    depths: Sequence[float] = DEPTHS,
    writer: Transformer | None = None,
) -> list[float]:
    """Return the share of needles found in rows of `length` tokens, by depth.

    With a `writer`, the model reads up to the question, and the writer answers from its cache.
    """

    def last(tokens: Int[Tensor, "b t"]) -> Float[Tensor, "b v"]:
        if writer is not None:
            return answer(model, writer, tokens)
        return model(tokens, last=1).logits[:, -1]

    return needle.accuracy_by_depth(
        last, length, list(depths), rows=rows, seed=seed, device=model.cos.device
    )


def local_loss(
    model: Transformer, length: int, *, rows: int = 8, seed: int = 0, bins: int = 8
) -> list[float]:
    """Return the loss on filler that follows from the token three back, in bins of positions."""
    batch = needle.lessons(rows, length, seed)(10**6)
    counted = batch._replace(mask=needle.predictable(batch.tokens, batch.targets))
    parts = (
        [Batch(*(x[i : i + 1] for x in counted)) for i in range(rows)]
        if length > 4096
        else [counted]
    )
    return loss_by_position(
        lambda tokens: model(tokens).logits, parts, bins=bins, device=model.cos.device
    )


def answer(
    reader: Transformer, writer: Transformer, tokens: Int[Tensor, "b t"]
) -> Float[Tensor, "b v"]:
    """Return logits after the last token, which `writer` reads from the cache of `reader`."""
    x, cache = reader.embed(tokens), reader.new_cache(*tokens.shape)
    for model, part in ((reader, x[:, :-1]), (writer, x[:, -1:])):
        start = cache.length
        end = start + part.shape[1]
        turn = Rotary(model.cos[start:end], model.sin[start:end])
        for block, kept in zip(model.layers, cache.layers, strict=True):
            part, _ = block(part, turn, kept)
    return writer.head(writer.norm(part[:, -1]))
