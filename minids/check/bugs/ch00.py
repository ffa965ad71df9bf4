"""Right answers and planted mistakes for chapter 00. Four of them hang in its bug museum."""

import math
from collections.abc import Callable
from typing import Any

import torch

from minids import accounting
from minids.accounting import swiglu_parameters
from minids.config import MLAConfig, ModelConfig

# 00.saving


def saving(elements: float, bits: float, old_elements: float, old_bits: float) -> float:
    return 100 * (1 - elements * bits / (old_elements * old_bits))


def saving_in_bytes(elements: float, bits: float, old_elements: float, old_bits: float) -> float:
    new, old = elements * bits / 8, old_elements * old_bits / 8
    return (old - new) / old * 100


def saving_factor_by_factor(elements, bits, old_elements, old_bits):
    return (1 - elements / old_elements * bits / old_bits) * 100


def saving_by_logarithms(elements, bits, old_elements, old_bits):
    return -100 * math.expm1(math.log(elements * bits) - math.log(old_elements * old_bits))


def what_remains(elements: float, bits: float, old_elements: float, old_bits: float) -> float:
    return 100 * elements * bits / (old_elements * old_bits)


def saving_upside_down(elements: float, bits: float, old_elements: float, old_bits: float) -> float:
    return 100 * (1 - old_elements * old_bits / (elements * bits))


def saving_of_the_new(elements: float, bits: float, old_elements: float, old_bits: float) -> float:
    return 100 * (old_elements * old_bits / (elements * bits) - 1)


def saving_as_fraction(elements: float, bits: float, old_elements: float, old_bits: float) -> float:
    return 1 - elements * bits / (old_elements * old_bits)


def saving_without_bits(
    elements: float, bits: float, old_elements: float, old_bits: float
) -> float:
    return 100 * (1 - elements / old_elements)


def saving_with_bits_swapped(
    elements: float, bits: float, old_elements: float, old_bits: float
) -> float:
    return 100 * (1 - elements * old_bits / (old_elements * bits))


def saving_rounded(elements: float, bits: float, old_elements: float, old_bits: float) -> float:
    return round(saving(elements, bits, old_elements, old_bits))


def saving_in_whole_bytes(elements, bits, old_elements, old_bits):
    return 100 * (1 - (elements * bits // 8) / (old_elements * old_bits // 8))


def saving_without_sign(elements, bits, old_elements, old_bits):
    return abs(saving(elements, bits, old_elements, old_bits))


def saving_never_negative(elements, bits, old_elements, old_bits):
    return max(0, saving(elements, bits, old_elements, old_bits))


# 00.mla: every mistake is a change of three terms (query path, key-value path, output)


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


# 00.active


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


# 00.predict

SIGNS: dict[str, Any] = {
    "twice the layers": {"total", "active", "cache"},
    "twice the routed experts": {"total"},
    "twice the experts per token": {"active"},
    "half the kv_rank": {"cache"},
    "twice the query heads": {"active"},
    "a second MTP module": set(),
}

# 00.measure


def measure(model: Any, n: int) -> float:
    cache = model.new_cache(1, n)
    model(torch.zeros(1, n, dtype=torch.long), cache)
    return cache.nbytes / n


def measure_growth(model: Any, n: int) -> float:
    cache = model.new_cache(2, n + 1)
    for _ in range(n):
        before = cache.nbytes
        model(torch.ones(2, 1, dtype=torch.long), cache, last=1)
    return (cache.nbytes - before) / 2


def measure_without_reading(model: Any, n: int) -> float:
    return model.new_cache(1, n).nbytes / n


def measure_in_total(model: Any, n: int) -> float:
    return n * measure(model, n)


def measure_by_capacity(model: Any, n: int) -> float:
    cache = model.new_cache(1, 32)
    model(torch.zeros(1, n, dtype=torch.long), cache)
    return cache.nbytes / cache.max_len


def measure_one_layer(model: Any, n: int) -> float:
    cache = model.new_cache(1, n)
    model(torch.zeros(1, n, dtype=torch.long), cache)
    return cache.layers[0].nbytes / n


def measure_a_batch(model: Any, n: int) -> float:
    cache = model.new_cache(4, n)
    model(torch.zeros(4, n, dtype=torch.long), cache)
    return cache.nbytes / n


def measure_elements(model: Any, n: int) -> float:
    return measure(model, n) / 4


def by_formula(model: Any, n: int) -> float:
    return accounting.cache_bytes(model.c, bits=8 * model.embed.weight.element_size())


def by_formula_in_fp32(model: Any, n: int) -> float:
    return accounting.cache_bytes(model.c, bits=32)


def by_formula_with_keys_and_values(model: Any, n: int) -> float:
    a, size = model.c.attention, model.embed.weight.element_size()
    if isinstance(a, MLAConfig):
        return accounting.mha_cache_elements(model.c) * size
    return measure(model, n)


# 00.explain

WHICH = {
    "no table": 35.70,
    "head only": 36.63,
    "both tables": 37.55,
    "rounds to 37": "head only",
    "because": "Only 36.63 rounds to 37: it counts the head and leaves out the embedding.",
}
WHICH_TO_THE_LAST = WHICH | {
    "no table": 35.699337216,
    "because": "A look-up multiplies nothing, so only the head counts: that makes 36.6 billion.",
}
WHICH_IN_FULL = WHICH | {
    "because": "The head counts and the embedding does not: 36,626,193,408 parameters.",
}

RIGHT: dict[str, list[Any]] = {
    "00.explain": [WHICH, WHICH_TO_THE_LAST, WHICH_IN_FULL],
    "00.saving": [saving, saving_in_bytes, saving_factor_by_factor, saving_by_logarithms],
    "00.mla": [mla_parameters, mla_matrix_by_matrix],
    "00.active": [
        active,
        active_by_subtraction,
        active_without_the_sleeping,
        active_layer_by_layer,
    ],
    "00.predict": [SIGNS, {change: sorted(words) for change, words in SIGNS.items()}],
    "00.measure": [measure, measure_growth],
}

WRONG: dict[str, list[tuple[str, Any, str]]] = {
    "00.saving": [
        ("what remains, not what is saved", what_remains, "so 0 % is saved"),
        ("old over new", saving_upside_down, "one minus new over old"),
        ("compared with the new cache", saving_of_the_new, "divide by the OLD cache"),
        ("a fraction", saving_as_fraction, "in percent"),
        ("bits forgotten", saving_without_bits, "both caches need their own bits"),
        ("bits swapped", saving_with_bits_swapped, "half the bits"),
        ("no sign", saving_without_sign, "no abs and no max"),
        ("never negative", saving_never_negative, "no abs and no max"),
        ("rounded", saving_rounded, "do not round"),
        ("whole bytes", saving_in_whole_bytes, "not even to whole bytes"),
    ],
    "00.mla": [
        ("keys and values for every head from the model width", kv_for_every_head, "not from the"),
        ("a rotary key for every head", rope_key_for_every_head, "rotary key is one"),
        ("one rotary query for all heads", rope_key_once_for_queries, "costs a row of the matrix"),
        ("no way up for the keys", keys_without_a_way_up, "costs a row down, and keys and"),
        ("output as wide as the model", output_from_the_model_width, "out through the output"),
        ("no matrix down to the query latent", no_query_latent_down, "in the query latent costs"),
        ("a query latent where there is none", query_latent_always, "V2-Lite has none"),
        ("the norms of the latents too", latent_norms_too, "one more number in the query"),
        ("a bias", one_bias, "no biases"),
    ],
    "00.active": [
        ("all experts", active_everything, "routed experts count top_k times"),
        ("experts alone", active_experts_alone, "both tables count"),
        ("both tables always", active_both_tables, "every table counted adds"),
        ("rows of the tables", active_tables_as_rows, "both tables count"),
        ("no shared experts", active_without_shared, "shared experts see every token"),
        ("shared experts among the chosen", active_shared_among_chosen, "shared experts see"),
        ("the router's chosen rows", active_router_rows, "all of its rows count"),
        ("a dense feed-forward in every layer", active_dense_everywhere, "first n_dense layers"),
        ("norms twice", active_norms_twice, "both tables count"),
        ("no norm at the end", active_final_norm_forgotten, "norms included"),
    ],
    "00.predict": [
        ("layers keep no cache", SIGNS | {"twice the layers": {"total", "active"}}, "of its own"),
        ("experts there are experts met", SIGNS | {"twice the routed experts": {"total", "active"}},
         "still meets top_k"),
        ("more experts met means more there",
         SIGNS | {"twice the experts per token": {"total", "active"}}, "are there already"),
        ("the latent weighs much", SIGNS | {"half the kv_rank": {"cache", "total"}},
         "is what the cache keeps"),
        ("heads fill the latent cache", SIGNS | {"twice the query heads": {"active", "cache"}},
         "does not know the heads"),
        ("MTP counts", SIGNS | {"a second MTP module": {"total"}}, "by convention"),
        ("a change left out", {"twice the layers": {"total"}}, "every change has an answer"),
        ("a word that is none of the three", SIGNS | {"twice the layers": {"everything"}},
         "every word is total"),
    ],
    "00.explain": [
        ("not in billions", WHICH | {"head only": 36_626_000_000}, "and not 36.6e9"),
        ("all there are", WHICH | {"both tables": 671.026}, "and not 36.6e9"),
        ("a table left in", WHICH | {"no table": 36.626}, "every table has"),
        ("both tables", WHICH | {"rounds to 37": "both tables"}, "36, 37 and 38"),
        ("text", WHICH | {"no table": "36 billion"}, "the answer is a number"),
        ("no number", WHICH | {"because": "The report must mean what every token really meets."},
         "write a sentence"),
        ("no words", WHICH | {"because": "36.6"}, "write a sentence"),
        ("no reason", {"no table": 35.7, "head only": 36.63, "both tables": 37.55}, "has no"),
    ],
    "00.measure": [
        ("nothing read", measure_without_reading, "a new cache is empty"),
        ("the whole cache", measure_in_total, "divide by the number of tokens"),
        ("over the room, not the tokens", measure_by_capacity, "no other length than"),
        ("one layer", measure_one_layer, "one layer is not enough"),
        ("a batch of four as one", measure_a_batch, "for a batch of one"),
        ("numbers, not bytes", measure_elements, "keeps 4 bytes for every number"),
        ("the formula, with 32 bits", by_formula_in_fp32, "do not assume"),
        ("the formula of MHA for a latent cache", by_formula_with_keys_and_values, "keeps latents"),
        ("the formula, and no measurement", by_formula, "what the model really keeps"),
    ],
}  # fmt: skip
