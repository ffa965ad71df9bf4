"""How far a stretched model reads, and how well: near by its loss, far by needles.

    results = compare(score, arms, seeds)       # score(seed=..., method="PI", factor=8, ...)

Far: the share of needles found, by depth, and the attention that the question pays to them. Near:
the loss on filler that follows from the token three back, by position. Everything takes a length
and a device, so that a GPU can ask the same of rows of many thousand tokens.

axes: b rows, t tokens, v vocabulary, h heads, d head width
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

from minids.model.products import Products
from minids.model.rope import Rotary, rotate_halves
from minids.model.transformer import Transformer
from minids.study import needle
from minids.study.positions import loss_by_position
from minids.study.recall import build, tune
from minids.study.stretch import Method, answer, stretch

DEPTHS = (0.0, 0.25, 0.5, 0.75, 1.0)


def score(
    *,
    seed: int,
    weights: Mapping[int, Mapping[str, Tensor]],
    method: Method,
    factor: float,
    temperature: bool = False,
    beta: float = 8.0,
    tuning: int = 0,
    length: int = 64,
    rows: int = 16,
    bins: int = 8,
    device: str = "cpu",
    products: Products = "plain",
) -> dict[str, float]:
    """Return the numbers of one method: "needle" and "near", and both in detail.

    `weights` holds the weights of a lesson for every seed. "needle" is the mean over `DEPTHS`,
    "far" that of the farthest three, "near" the loss on filler in the second half of the row,
    "weight" the attention that the question pays to the needle's value.
    """
    short = build(length, seed, weights[seed]).to(device)
    model = stretch(short, method, factor, temperature=temperature, beta=beta)
    n = model.c.context
    if tuning:
        tune(model, n, seed=seed + 1000, steps=tuning, products=products)
    found = accuracy(model, n, rows=rows)
    loss = local_loss(model, n, rows=max(4, 8192 // n), bins=bins)
    numbers = {
        "needle": sum(found) / len(found),
        "far": sum(found[:3]) / 3,
        "near": sum(loss[bins // 2 :]) / (bins - bins // 2),
    }
    numbers["weight"] = weight_on_needle(model, n, rows=2 * rows)
    numbers |= {f"depth {d}": a for d, a in zip(DEPTHS, found, strict=True)}
    return numbers | {f"bin {i}": x for i, x in enumerate(loss)}


def grid(
    *,
    seed: int,
    weights: Mapping[int, Mapping[str, Tensor]],
    method: Method,
    factor: float,
    lengths: Sequence[int],
    depths: Sequence[float],
    temperature: bool = False,
    beta: float = 8.0,
    tuning: int = 0,
    length: int = 64,
    rows: int = 16,
    device: str = "cpu",
    products: Products = "plain",
) -> dict[str, float]:
    """Return the share of needles found for every length and depth, named by `cell`.

    Lengths may lie beyond what the factor is meant for: positions go on, tuning does not.
    """
    short = build(length, seed, weights[seed]).to(device)
    room = max(*lengths, round(factor * length))
    model = stretch(short, method, factor, temperature=temperature, beta=beta, room=room)
    if tuning:
        tune(model, round(factor * length), seed=seed + 1000, steps=tuning, products=products)
    found = {n: accuracy(model, n, rows=rows, depths=depths) for n in lengths}
    return {cell(n, d): a for n in lengths for d, a in zip(depths, found[n], strict=True)}


def cell(length: int, depth: float) -> str:
    """Return the name of a cell of the grid, as in "512 at 0.25"."""
    return f"{length} at {depth:g}"


def accuracy(
    model: Transformer,
    length: int,
    *,
    rows: int = 16,
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

    device = model.cos.device
    return needle.accuracy_by_depth(last, length, depths, rows=rows, seed=seed, device=device)


def local_loss(
    model: Transformer, length: int, *, rows: int = 8, seed: int = 0, bins: int = 8
) -> list[float]:
    """Return the loss on filler that follows from the token three back, in bins of positions."""
    batch = needle.lessons(rows, length, seed)(10**6)  # a number that no training reaches
    counted = batch._replace(mask=needle.predictable(batch.tokens, batch.targets))
    at_once = max(1, needle.AT_ONCE // length)
    return loss_by_position(
        lambda tokens: model(tokens).logits,
        counted.pieces(at_once),
        bins=bins,
        device=model.cos.device,
    )


@torch.inference_mode()
def weight_on_needle(
    model: Transformer, length: int, *, depth: float = 0.5, rows: int = 32, seed: int = 0
) -> float:
    """Return the share of attention that the question pays to the needle's value.

    Mean over rows; of all heads and layers the one that looks there most.
    """
    hay = needle.haystacks(rows, length, depth, seed=seed)
    turn = Rotary(model.cos[:length], model.sin[:length])
    at = round(depth * (length - 3)) + 1
    parts = hay.tokens.to(model.cos.device).split(max(1, needle.AT_ONCE // length))
    return float(torch.cat([_looks_at(model, part, turn, at) for part in parts]).mean(0).max())


def _looks_at(
    model: Transformer, tokens: Int[Tensor, "b t"], turn: Rotary, at: int
) -> Float[Tensor, "b heads"]:
    """What the last token pays to token `at`, by head, one layer after another."""
    x, found = model.embed(tokens), []
    blocks: list[Any] = list(model.layers)
    for block in blocks:
        a = block.attention
        q, k, _ = (
            rearrange(part, "b t (h d) -> b h t d", d=a.head_dim)
            for part in a.qkv(block.attention_norm(x)).split(a.widths, dim=-1)
        )
        q, k = rotate_halves(q, turn)[:, :, -1:], rotate_halves(k, turn)
        found.append((q @ k.mT * a.scale).softmax(-1)[:, :, 0, at])
        x, _ = block(x, turn)
    return torch.cat(found, dim=1)
