"""Batches whose rows each come from one domain, in equal shares, with the domain's number.

What a mixture of experts does with different kinds of text can only be seen when it is known
which token is of which kind.

axes: b rows of a batch, t tokens of a row, n tokens of a text, d domains, s rows of each domain
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from einops import rearrange
from jaxtyping import Int
from torch import Tensor

from minids.text.batches import Batch, packed, stream, windows
from minids.text.domains import DOMAINS, documents
from minids.text.tokenizer import Tokenizer


class Labelled(NamedTuple):
    """Batches whose row b comes from the one domain `names[domain[b]]`, the same in each batch."""

    batches: Callable[[int], Batch]
    domain: Int[Tensor, " b"]
    names: tuple[str, ...]


def domain_streams(tokenizer: Tokenizer, *, seed: int, n_chars: int) -> dict[str, Tensor]:
    """Return the tokens of each synthetic domain: whole documents, `n_chars` characters or more."""
    return {d: stream(tokenizer, documents(d, seed=seed, n_chars=n_chars)) for d in DOMAINS}


def labelled(
    domains: Mapping[str, Int[Tensor, " _n"]], *, batch: int, length: int, seed: int
) -> Labelled:
    """Return batches with as many rows of each domain, in turns; no row mixes two domains.

    Each domain comes in epochs of its own, as in `packed`. ValueError if `batch` is no multiple
    of the number of domains, or one of them is too short.
    """
    if not domains or batch % len(domains):
        raise ValueError(
            f"{batch} rows cannot hold equal shares of {len(domains)} domains "
            f"({', '.join(domains)}): take a multiple of their number"
        )
    share = batch // len(domains)
    each = [packed(text, batch=share, length=length, seed=seed) for text in domains.values()]
    return Labelled(
        lambda i: _in_turns([batches(i) for batches in each]),
        torch.arange(len(each)).repeat(share),
        tuple(domains),
    )


def labelled_windows(
    domains: Mapping[str, Int[Tensor, " _n"]], *, length: int, n: int
) -> tuple[Batch, Int[Tensor, " b"]]:
    """Return `n` fixed rows of each domain, in turns, and the number of each row's domain.

    For evaluation: compute a loss per row and average it over `domain == d`.
    """
    if not domains:
        raise ValueError("there are no domains to take rows from")
    batch = _in_turns([windows(text, length=length, n=n) for text in domains.values()])
    return batch, torch.arange(len(domains)).repeat(n)


def _in_turns(batches: Sequence[Batch]) -> Batch:
    """Return the first row of each batch, then the second of each, and so on."""
    return Batch(
        *(rearrange(list(part), "d s t -> (s d) t") for part in zip(*batches, strict=True))
    )
