"""00.predict: what one change to V3 moves."""

from collections.abc import Iterator
from typing import Any

import torch

from minids.check import Claim, checker
from minids.check.answers import what_moves

PREDICTED: dict[str, tuple[frozenset[str], str]] = {
    "twice the layers": (
        frozenset({"total", "active", "cache"}),
        "a layer brings weights, work and cache of its own.",
    ),
    "twice the routed experts": (
        frozenset({"total"}),
        "a token still meets top_k of them, and experts keep no cache.",
    ),
    "twice the experts per token": (
        frozenset({"active"}),
        "the experts are there already; more of them work.",
    ),
    "half the kv_rank": (
        frozenset({"cache"}),
        "the latent is what the cache keeps, and its matrices are small beside the experts.",
    ),
    "twice the query heads": (
        frozenset({"active"}),
        "attention is a third of what a token meets and 2 % of what is there; "
        "the latent cache does not know the heads.",
    ),
    "a second MTP module": (frozenset(), "by convention it is left out of all three figures."),
}


@checker(
    "00.predict",
    takes=dict,
    hints=(
        "Ask of each change: which matrices does it touch, and how large are they beside the rest?",
        "Routed experts are 97 % of the total and over half of the active parameters; the cache "
        "is (kv_rank + rope_dim) numbers a layer.",
        "vary(c, 'query heads', 2) and its friends in minids.study.viz_map make the changed model.",
    ),
)
def claims(attempt: dict[str, Any], g: torch.Generator) -> Iterator[Claim]:
    words = ("total", "active", "cache")
    yield from what_moves(attempt, PREDICTED, words=words, by=" by more than 5 %")
