"""00.mla: parameters of a layer of latent attention."""

from collections.abc import Iterator
from typing import Any

import torch

from minids.check import Attempt, Claim, checker
from minids.check.sizes import draw

_MLA_WIDTHS = ("dim", "n_heads", "kv_rank", "q_rank", "nope_dim", "rope_dim", "value_dim")


@checker(
    "00.mla",
    hints=(
        "Follow a vector: down to the query latent, up to the queries; down to the key-value "
        "latent and the one rotary key, up to keys and values; heads back to the model width.",
        "dim -> q_rank -> n_heads (nope + rope); dim -> kv_rank + rope; "
        "kv_rank -> n_heads (nope + value); n_heads value -> dim.",
        "kv = dim * (kv_rank + rope_dim) + kv_rank * n_heads * (nope_dim + value_dim)",
    ),
)
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    w = {name: draw(g, 3, 40) for name in _MLA_WIDTHS}

    def slope(name: str) -> Any:
        return attempt(**(w | {name: w[name] + 1})) - attempt(**w)

    heads, both = w["n_heads"], w["nope_dim"] + w["rope_dim"]
    yield Claim(
        "one more number in the query latent costs a row of the matrix down and of the one up",
        slope("q_rank") == w["dim"] + heads * both,
        "dim -> q_rank, then q_rank -> n_heads * (nope_dim + rope_dim).",
    )
    yield Claim(
        "one more number in the key-value latent costs a row down, and keys and values up",
        slope("kv_rank") == w["dim"] + heads * (w["nope_dim"] + w["value_dim"]),
        "dim -> kv_rank once, then kv_rank -> n_heads * (nope_dim + value_dim): keys and values of "
        "all heads come from the latent, not from the model width.",
    )
    yield Claim(
        "the rotary key is one for all heads, the rotary query one for each",
        slope("rope_dim") == w["dim"] + heads * w["q_rank"],
        "dim -> rope_dim once, beside the latent; n_heads * rope_dim only for the queries: the "
        "output matrix reads values.",
    )
    yield Claim(
        "the position-free part of queries and keys comes up from both latents",
        slope("nope_dim") == heads * (w["q_rank"] + w["kv_rank"]),
        "nope_dim is in the queries and in the keys, for every head.",
    )
    yield Claim(
        "values come up from the latent and go out through the output matrix",
        slope("value_dim") == heads * (w["kv_rank"] + w["dim"]),
        "the output matrix reads n_heads * value_dim, which is not dim in these models.",
    )
    direct = attempt(**w) - attempt(**(w | {"q_rank": None}))
    yield Claim(
        "without a query latent (q_rank None) the queries come straight from the model width",
        direct == w["q_rank"] * (w["dim"] + heads * both) - w["dim"] * heads * both,
        "V2-Lite has none: one matrix dim -> n_heads * (nope_dim + rope_dim).",
    )
    v3 = dict(zip(_MLA_WIDTHS, (7168, 128, 512, 1536, 128, 64, 128), strict=True))
    yield Claim(
        "one layer of DeepSeek-V3 has 187,105,280",
        attempt(**v3) == 187_105_280,
        "no biases, no norms, nothing twice.",
    )
