"""Ways to make a model that was trained on short rows read long ones.

    longer = stretch(model, "YaRN", factor=8)       # the same weights, rows eight times as long

The methods differ in two things: how fast each pair of a rotary head turns, and by what factor
the scores before the softmax grow. Here both can be chosen by themselves, which a config cannot
say. YaRN with its temperature is the package's own `rope_scaling`: a test holds the two together.

axes: b rows, t tokens, v vocabulary, half pairs of a rotary head
"""

import copy
from dataclasses import replace
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from minids.config import GQAConfig, Llama3RopeConfig, ModelConfig, YarnConfig
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
from minids.model.transformer import Transformer

Method = Literal["none", "PI", "NTK", "YaRN", "YaRN by turns"]
"""YaRN as DeepSeek runs it, with a ramp over pairs; "by turns" as its paper prints it."""


def turning(
    method: Method, c: ModelConfig, factor: float, *, beta: float
) -> Float[Tensor, " half"]:
    """Return how fast each pair turns when `c` is stretched by `factor`, in radians per token.

    `beta` is YaRN's: turns within the trained context above which a pair is left alone.
    """
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
    if method == "YaRN by turns":  # the same formula as Llama 3.1's, with other bounds
        ramp = Llama3RopeConfig(factor=factor, original=c.context, low_freq=1.0, high_freq=beta)
        return llama3(plain, ramp)
    return plain


def sharpening(c: ModelConfig, factor: float) -> float:
    """Return by what YaRN's temperature multiplies all scores: (0.1 ln factor + 1) squared."""
    return softmax_factor(YarnConfig(factor=factor, original=c.context))


def stretch(
    model: Transformer,
    method: Method,
    factor: float,
    *,
    temperature: bool = False,
    beta: float = 8.0,
    room: int | None = None,
) -> Transformer:
    """Return a copy of a model without extension that reads rows of up to factor x context.

    `temperature` sharpens the scores, with any method. `room` makes place for longer rows than
    the factor is meant for.
    """
    freqs = turning(method, model.c, factor, beta=beta)
    scale = sharpening(model.c, factor) if temperature else 1.0
    return with_positions(model, freqs, scale, room or round(factor * model.c.context))


def with_positions(
    model: Transformer, freqs: Float[Tensor, " half"], scale: float, context: int
) -> Transformer:
    """Return a copy of the model with other frequencies, and all scores multiplied by `scale`."""
    if not isinstance(model.c.attention, GQAConfig):
        raise TypeError("this study stretches grouped-query attention: give a GQAConfig")
    longer = copy.deepcopy(model)
    longer.c = replace(model.c, context=context)
    turn = rotary(freqs, torch.arange(context))
    longer.cos, longer.sin = turn.cos.to(model.cos.device), turn.sin.to(model.sin.device)
    for attention in attentions(longer):
        attention.scale *= scale
    return longer


def attentions(model: Transformer) -> list[Any]:
    """Return the attention modules of a model, first layer first."""
    blocks: list[Any] = list(model.layers)
    return [block.attention for block in blocks]


@torch.inference_mode()
def answer(
    reader: Transformer, writer: Transformer, tokens: Int[Tensor, "b t"]
) -> Float[Tensor, "b v"]:
    """Return logits after the last token, which `writer` reads from the cache of `reader`.

    With one model for both this is decoding, and equals reading all tokens at once. With two it
    shows what happens when the decoder's positions are not those that the cache was made with.
    """
    x, cache = reader.embed(tokens), reader.new_cache(*tokens.shape)
    for model, part in ((reader, x[:, :-1]), (writer, x[:, -1:])):
        start = cache.length
        turn = Rotary(*(a[start : start + part.shape[1]] for a in (model.cos, model.sin)))
        for block, kept in zip(model.layers, cache.layers, strict=True):
            part, _ = block(part, turn, kept)
    return writer.head(writer.norm(part[:, -1]))
