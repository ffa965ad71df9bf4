"""Answers to 00.mla, right and wrong: parameters of a layer of latent attention.

Every mistake is a change of three terms (query path, key-value path, output).
"""

from collections.abc import Callable
from typing import Any


def mla_parameters(
    dim: int,
    n_heads: int,
    kv_rank: int,
    q_rank: int | None,
    nope_dim: int,
    rope_dim: int,
    value_dim: int,
) -> int:
    query = n_heads * (nope_dim + rope_dim)
    q = dim * query if q_rank is None else dim * q_rank + q_rank * query
    kv = dim * (kv_rank + rope_dim) + kv_rank * n_heads * (nope_dim + value_dim)
    return q + kv + n_heads * value_dim * dim


def mla_matrix_by_matrix(**w: Any) -> int:
    heads, dim, rank = w["n_heads"], w["dim"], w["kv_rank"]
    shapes = [(dim, rank), (dim, w["rope_dim"])]
    shapes += [(rank, heads * w["nope_dim"]), (rank, heads * w["value_dim"])]
    shapes += [(heads * w["value_dim"], dim)]
    source = dim
    if w["q_rank"] is not None:
        shapes += [(dim, w["q_rank"])]
        source = w["q_rank"]
    shapes += [(source, heads * w["nope_dim"]), (source, heads * w["rope_dim"])]
    return sum(rows * columns for rows, columns in shapes)


def kv_for_every_head(
    dim: int,
    n_heads: int,
    kv_rank: int,
    q_rank: int | None,
    nope_dim: int,
    rope_dim: int,
    value_dim: int,
) -> int:
    query = n_heads * (nope_dim + rope_dim)
    q = dim * query if q_rank is None else dim * q_rank + q_rank * query
    kv = dim * rope_dim + dim * n_heads * (nope_dim + value_dim)
    return q + kv + n_heads * value_dim * dim


def _off_by(term: Callable[[dict[str, Any]], int]) -> Callable[..., int]:
    """The right count of MLA and a term that should not be there."""

    def attempt(**w: Any) -> int:
        return mla_parameters(**w) + term(w)

    return attempt


rope_key_for_every_head = _off_by(lambda w: w["dim"] * w["rope_dim"] * (w["n_heads"] - 1))

rope_key_once_for_queries = _off_by(
    lambda w: (w["q_rank"] or w["dim"]) * w["rope_dim"] * (1 - w["n_heads"])
)

keys_without_a_way_up = _off_by(lambda w: -w["kv_rank"] * w["n_heads"] * w["nope_dim"])

output_from_the_model_width = _off_by(
    lambda w: w["dim"] * (w["dim"] - w["n_heads"] * w["value_dim"])
)

no_query_latent_down = _off_by(lambda w: -w["dim"] * (w["q_rank"] or 0))

latent_norms_too = _off_by(lambda w: w["kv_rank"] + (w["q_rank"] or 0))

one_bias = _off_by(lambda w: w["dim"])


def query_latent_always(**w: Any) -> int:
    if w["q_rank"] is None:
        w["q_rank"] = w["kv_rank"]
    return mla_parameters(**w)


RIGHT: list[Any] = [mla_parameters, mla_matrix_by_matrix]

WRONG: list[tuple[str, Any, str]] = [
    ("keys and values for every head from the model width", kv_for_every_head, "not from the"),
    ("a rotary key for every head", rope_key_for_every_head, "rotary key is one"),
    ("one rotary query for all heads", rope_key_once_for_queries, "costs a row of the matrix"),
    ("no way up for the keys", keys_without_a_way_up, "costs a row down, and keys and"),
    ("output as wide as the model", output_from_the_model_width, "out through the output"),
    ("no matrix down to the query latent", no_query_latent_down, "in the query latent costs"),
    ("a query latent where there is none", query_latent_always, "V2-Lite has none"),
    ("the norms of the latents too", latent_norms_too, "one more number in the query"),
    ("a bias", one_bias, "no biases"),
]
