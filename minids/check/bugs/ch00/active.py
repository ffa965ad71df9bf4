"""Answers to 00.active, right and wrong: parameters that one token meets."""

from typing import Any

from minids import accounting
from minids.accounting import swiglu_parameters
from minids.config import ModelConfig


def active(c: ModelConfig, tables: int) -> int:
    p = accounting.parameters(c)
    chosen = p.routed * c.moe.top_k // c.moe.n_routed if c.moe else 0
    always = p.attention + p.dense + p.shared + p.router + p.norms
    return always + chosen + tables * c.vocab * c.dim


def active_by_subtraction(c: ModelConfig, tables: int) -> int:
    p = accounting.parameters(c)
    asleep = 0
    if c.moe is not None:
        expert = swiglu_parameters(c.dim, c.moe.hidden)
        asleep = (c.moe.n_routed - c.moe.top_k) * expert * (c.n_layers - c.n_dense)
    return p.total - asleep - (2 - tables) * c.vocab * c.dim


def active_without_the_sleeping(c, tables):
    p = accounting.parameters(c)
    one = p.routed // c.moe.n_routed if c.moe else 0
    idle = one * (c.moe.n_routed - c.moe.top_k) if c.moe else 0
    return p.total - idle - p.embedding - p.head + tables * c.vocab * c.dim


def active_layer_by_layer(c, tables):
    p = accounting.parameters(c)
    total = p.attention + p.norms + p.router + tables * c.vocab * c.dim
    for layer in range(c.n_layers):
        if c.moe is None or layer < c.n_dense:
            total += swiglu_parameters(c.dim, c.hidden)
        else:
            total += swiglu_parameters(c.dim, c.moe.hidden) * (c.moe.n_shared + c.moe.top_k)
    return total


def active_norms_twice(c: ModelConfig, tables: int) -> int:
    return active(c, tables) + accounting.parameters(c).norms


def active_both_tables(c: ModelConfig, tables: int) -> int:
    return active(c, 2)


def active_tables_as_rows(c: ModelConfig, tables: int) -> int:
    return active(c, 0) + tables * c.vocab


def active_everything(c: ModelConfig, tables: int) -> int:
    return accounting.parameters(c).total - (2 - tables) * c.vocab * c.dim


def active_experts_alone(c: ModelConfig, tables: int) -> int:
    p = accounting.parameters(c)
    return p.shared + (p.routed * c.moe.top_k // c.moe.n_routed if c.moe else 0)


def active_without_shared(c: ModelConfig, tables: int) -> int:
    return active(c, tables) - accounting.parameters(c).shared


def active_shared_among_chosen(c: ModelConfig, tables: int) -> int:
    if c.moe is None:
        return active(c, tables)
    expert = swiglu_parameters(c.dim, c.moe.hidden) * c.n_moe
    return active(c, tables) - c.moe.n_shared * expert


def active_router_rows(c: ModelConfig, tables: int) -> int:
    if c.moe is None:
        return active(c, tables)
    return active(c, tables) - (c.moe.n_routed - c.moe.top_k) * c.dim * c.n_moe


def active_dense_everywhere(c: ModelConfig, tables: int) -> int:
    return active(c, tables) + c.n_moe * swiglu_parameters(c.dim, c.hidden)


def active_final_norm_forgotten(c: ModelConfig, tables: int) -> int:
    return active(c, tables) - (c.dim if c.moe else 0)


def active_by_a_share(c, tables):
    p = accounting.parameters(c)
    idle = p.routed * (1 - c.moe.top_k / c.moe.n_routed) if c.moe else 0
    return p.total - idle - (2 - tables) * c.vocab * c.dim


def active_in_the_share_of_v3(c, tables):
    p = accounting.parameters(c)
    always = p.attention + p.dense + p.shared + p.router + p.norms
    return always + p.routed * 8 // 256 + tables * c.vocab * c.dim


def active_with_mtp(c, tables):
    return active(c, tables) + accounting.parameters(c).mtp


def active_dense_in_full(c, tables):
    return active(c, tables) if c.moe else accounting.parameters(c).total


RIGHT: list[Any] = [
    active,
    active_by_subtraction,
    active_without_the_sleeping,
    active_layer_by_layer,
    active_by_a_share,
]

WRONG: list[tuple[str, Any, str]] = [
    ("all experts", active_everything, "routed experts count top_k times"),
    ("experts alone", active_experts_alone, "both tables count"),
    ("both tables always", active_both_tables, "every table counted adds"),
    ("both tables of a dense model always", active_dense_in_full, "every table counted adds"),
    ("multi-token prediction counted", active_with_mtp, "`mtp` stays outside"),
    ("rows of the tables", active_tables_as_rows, "both tables count"),
    ("no shared experts", active_without_shared, "shared experts see every token"),
    ("shared experts among the chosen", active_shared_among_chosen, "shared experts see"),
    ("the router's chosen rows", active_router_rows, "all of its rows count"),
    ("the share of V3", active_in_the_share_of_v3, "top_k of n_routed"),
    ("a dense feed-forward in every layer", active_dense_everywhere, "first n_dense layers"),
    ("norms twice", active_norms_twice, "both tables count"),
    ("no norm at the end", active_final_norm_forgotten, "norms included"),
]
