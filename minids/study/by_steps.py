"""A trained model read through a cache step of your own: how a broken step shows itself.

    def step(q, k, v, past, turn):      # what 02.cache_step asks for
        ...
        return mixed, (keys, values)

    read(model, tokens, step, chunk=1)              # token by token, as in decoding
    read(model, tokens, step, chunk=tokens.shape[1])    # all at once, as in training

A step gets queries, keys and values of the new tokens, not yet turned to their positions, what
earlier steps kept (None at first), and `turn(x, start)`, which turns vectors to the positions
start, start + 1, ... It returns the mixed values and what to keep.

axes: b batch, t new tokens, s tokens so far, h query heads, g key heads, d head width
"""

import copy
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

from minids.config import GQAConfig
from minids.model.rope import Rotary, rotate_halves
from minids.model.transformer import Transformer

Past = tuple[Tensor, Tensor]
Turn = Callable[[Tensor, int], Tensor]
Step = Callable[[Tensor, Tensor, Tensor, Past | None, Turn], tuple[Tensor, Past]]


class Reading(NamedTuple):
    """What a model said while it read, and what it kept."""

    logits: Float[Tensor, "b t v"]
    cache_bytes: int  # of all rows and layers, after the last token


@torch.no_grad()
def read(model: Transformer, tokens: Int[Tensor, "b t"], step: Step, *, chunk: int) -> Reading:
    """Return the logits at every token, with attention by `step`, `chunk` tokens at a time."""
    if chunk < 1 or tokens.shape[1] == 0:
        raise ValueError(f"chunk={chunk} and {tokens.shape[1]} tokens: both must be 1 or more")
    past: list[Past | None] = [None] * len(model.layers)
    turn, logits = turner(model), []
    for part in tokens.split(chunk, dim=1):
        x = model.embed(part)
        for i, block in enumerate(_blocks(model)):
            q, k, v = _heads(block, x)
            mixed, past[i] = step(q, k, v, past[i], turn)
            x = x + block.attention.out(rearrange(mixed, "b h t d -> b t (h d)"))
            x = x + block.ffn(block.ffn_norm(x))
        logits.append(model.head(model.norm(x)))
    kept = sum(kind.nbytes for pair in past if pair is not None for kind in pair)
    return Reading(torch.cat(logits, dim=1), kept)


def turner(model: Transformer) -> Turn:
    """Return the function that turns vectors [..., t, d] to positions from `start` on."""

    def turn(x: Float[Tensor, "b h t d"], start: int) -> Float[Tensor, "b h t d"]:
        end = start + x.shape[-2]
        return rotate_halves(x, Rotary(model.cos[start:end], model.sin[start:end]))

    return turn


def _blocks(model: Transformer) -> Iterable[Any]:
    """The layers, as parts of which a checker of types knows nothing."""
    return model.layers


def _heads(block: Any, x: Float[Tensor, "b t dim"]) -> list[Tensor]:
    """Queries, keys and values of one layer, by heads, not yet turned."""
    a = block.attention
    parts = a.qkv(block.attention_norm(x)).split(a.widths, dim=-1)
    return [rearrange(part, "b t (h d) -> b h t d", d=a.head_dim) for part in parts]


def as_if_tiled(model: Transformer) -> Transformer:
    """Return the model that training would have found had the key heads been tiled.

    Tiling gives query head j the key head j mod g, sharing in groups gives head i the key head
    i // (h / g). So the same model is there with its query heads in another order, and learns
    exactly as well: in training nothing can be seen.
    """
    a = model.c.attention
    if not isinstance(a, GQAConfig):
        raise TypeError("only grouped queries can be tiled: give a model with a GQAConfig")
    by_group = torch.arange(a.n_heads).view(a.n_kv_heads, -1)
    rows = (by_group.t().reshape(-1, 1) * a.head_dim + torch.arange(a.head_dim)).flatten()
    tiled = copy.deepcopy(model)
    with torch.no_grad():
        for block in _blocks(tiled):
            qkv, out = block.attention.qkv, block.attention.out
            for part in (qkv.weight, *([] if qkv.bias is None else [qkv.bias])):
                part[: len(rows)] = part[rows]
            out.weight.copy_(out.weight[:, rows])
    return tiled
