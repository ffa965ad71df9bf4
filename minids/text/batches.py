"""Text to batches: cut into rows, shifted by one, and marked where a prediction counts.

Batch `i` is a function of `(seed, i)`: asked for twice, in any order or on a resumed run, it
is the same. The shift from tokens to targets happens here and nowhere else, and so does the mask.
Documents are packed one after another, and a row may begin in one and end in the next: attention
is not cut there, as in DeepSeek-V3 (section 4.1, "document packing").

axes: b rows of a batch, t tokens of a row, n tokens of a text
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from minids.text.chance import chance
from minids.text.tokenizer import Tokenizer


class Batch(NamedTuple):
    """Rows to predict: `targets[b, t]` is the token that follows `tokens[b, t]`."""

    tokens: Int[Tensor, "b t"]
    targets: Int[Tensor, "b t"]
    mask: Bool[Tensor, "b t"]  # True where the target counts

    @property
    def read(self) -> Bool[Tensor, "b t"]:
        """True on what is read for a target that counts: on padding behind the last one, False."""
        return up_to_the_last(self.mask)

    def to(self, device: torch.device | str) -> "Batch":
        """Return the same batch on another device."""
        return Batch(*(part.to(device) for part in self))

    def pieces(self, rows: int) -> "list[Batch]":
        """Return the same rows in order, so many at a time: all at once would take memory."""
        return [Batch(*few) for few in zip(*(part.split(rows) for part in self), strict=True)]


def up_to_the_last(mask: Bool[Tensor, "b t"]) -> Bool[Tensor, "b t"]:
    """Return True in each row up to its last True, and False behind it."""
    return mask.flip(-1).cummax(-1).values.flip(-1)


def stream(tokenizer: Tokenizer, texts: Iterable[str]) -> Int[Tensor, " n"]:
    """Return the tokens of documents, one after another, each followed by <|end|>."""
    end = tokenizer.id("<|end|>")
    ids = [token for text in texts for token in (*tokenizer.encode(text), end)]
    return torch.tensor(ids, dtype=torch.long)


def renumbered(*texts: Int[Tensor, " _n"]) -> tuple[list[Int[Tensor, " _n"]], int]:
    """Return the texts with the tokens that occur in them numbered anew, and a size for the head.

    Numbers go up from 0 in the old order. The size is their count, rounded up to a multiple of 16,
    which products of matrices like. A model of one kind of text does without the other tokens: a
    head over 1,024, of which 237 ever come, would take more time than a layer.
    """
    known = torch.cat(texts).unique()
    return [torch.searchsorted(known, text) for text in texts], 16 * math.ceil(len(known) / 16)


def packed(
    tokens: Int[Tensor, " n"], *, batch: int, length: int, seed: int
) -> Callable[[int], Batch]:
    """Return the function from `i` to batch `i`: `batch` rows of `length` tokens, all counting.

    Rows come in epochs: each cuts the text into neighbouring rows and mixes them, so that every
    row is seen once before one is seen twice; the next epoch begins its cuts at another token.
    ValueError if the text has fewer than `length + 1` tokens: the last one is only a target.
    """
    _positive(batch=batch, length=length)
    _enough(tokens, length + 1)
    rows = max(1, (len(tokens) - length) // length)
    spare = len(tokens) - 1 - rows * length

    def batch_number(i: int) -> Batch:
        epoch, row = _mixed(i, batch=batch, rows=rows, seed=seed)
        cut = {
            e: int(torch.randint(spare + 1, (), generator=chance(seed, "cut", e)))
            for e in epoch.unique().tolist()
        }
        return _rows(tokens, row * length + torch.tensor([cut[e] for e in epoch.tolist()]), length)

    return batch_number


def windows(tokens: Int[Tensor, " n"], *, length: int, n: int | None = None) -> Batch:
    """Return `n` rows spread evenly over a text, none touching another: fixed, for evaluation.

    All that fit if `n` is None. ValueError if fewer fit.
    """
    _positive(length=length, n=1 if n is None else n)
    n = max(1, (len(tokens) - 1) // length) if n is None else n
    _enough(tokens, n * length + 1)
    return _rows(tokens, torch.arange(n) * ((len(tokens) - 1) // n), length)


def padded(
    prompts: Sequence[Sequence[int]], responses: Sequence[Sequence[int]], *, pad: int
) -> Batch:
    """Return one row for each prompt and response; only the tokens of the response count.

    Rows are filled up on the right with `pad`, where nothing counts and no real token looks.
    The row is as long as the longest pair less one: its last token is only a target.
    """
    if len(prompts) != len(responses) or not prompts:
        raise ValueError(f"got {len(prompts)} prompts and {len(responses)} responses: pair them up")
    if not all(map(len, prompts)) or not all(map(len, responses)):
        raise ValueError("a prompt or a response is empty: there is nothing to predict, or from")
    pairs = [[*p, *r] for p, r in zip(prompts, responses, strict=True)]
    longest = max(map(len, pairs))
    rows = torch.tensor([pair + [pad] * (longest - len(pair)) for pair in pairs])
    place = torch.arange(1, longest)
    start, end = torch.tensor([[len(p) for p in prompts], [len(pair) for pair in pairs]])[
        :, :, None
    ]
    return Batch(rows[:, :-1], rows[:, 1:], (place >= start) & (place < end))


def paired(
    prompts: Sequence[Sequence[int]],
    responses: Sequence[Sequence[int]],
    *,
    batch: int,
    pad: int,
    seed: int,
) -> Callable[[int], Batch]:
    """Return the function from `i` to batch `i` of `padded` pairs, each once an epoch."""
    _positive(batch=batch)
    padded(prompts, responses, pad=pad)

    def batch_number(i: int) -> Batch:
        rows = _mixed(i, batch=batch, rows=len(prompts), seed=seed)[1].tolist()
        return padded([prompts[r] for r in rows], [responses[r] for r in rows], pad=pad)

    return batch_number


def _mixed(
    i: int, *, batch: int, rows: int, seed: int
) -> tuple[Int[Tensor, " b"], Int[Tensor, " b"]]:
    """Return epoch and row of each place in batch `i`: all rows in a new order each epoch."""
    if i < 0:
        raise ValueError(f"batches are numbered from 0, got {i}")
    places = torch.arange(i * batch, (i + 1) * batch)
    epoch = places // rows
    orders = [
        torch.randperm(rows, generator=chance(seed, "order", e)) for e in epoch.unique().tolist()
    ]
    return epoch, torch.cat(orders)[places - epoch[0] * rows]


def _rows(tokens: Int[Tensor, " n"], starts: Int[Tensor, " b"], length: int) -> Batch:
    at = (starts[:, None] + torch.arange(length)).to(tokens.device)
    rows, targets = tokens[at].long(), tokens[at + 1].long()
    return Batch(rows, targets, torch.ones_like(rows, dtype=torch.bool))


def _positive(**sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} must be 1 or more, got {size}")


def _enough(tokens: Tensor, needed: int) -> None:
    if len(tokens) < needed:
        raise ValueError(
            f"{needed} tokens are needed, the text has {len(tokens)}: "
            "give a longer text, or ask for shorter or fewer rows"
        )
