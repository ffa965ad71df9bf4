"""Checks of chapter 00, the map: counting parameters, cache and activated parameters.

Most claims change one width and look at the difference: a wrong term shows alone.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from minids import accounting
from minids.check import Claim, checker, close
from minids.check.answers import answers_for, explains, is_number, what_moves
from minids.check.sizes import draw
from minids.config import GQAConfig, MLAConfig, ModelConfig, MoEConfig
from minids.model.cache import Cache
from minids.model.transformer import Transformer
from minids.presets import preset


@checker(
    "00.saving",
    hints=(
        "A cache has a size in bytes: numbers kept, times bits for each, over 8.",
        "new = elements * bits; old = old_elements * old_bits; the 8 cancels.",
        "return 100 * (1 - elements * bits / (old_elements * old_bits))",
    ),
)
def _(attempt: Callable[..., Any], g: torch.Generator) -> Iterator[Claim]:
    n, bits = 2 * draw(g, 50, 499) + 1, 2 * draw(g, 1, 7) + 1  # odd: no whole number of bytes
    yield Claim(
        "a cache of the same size saves nothing",
        abs(attempt(n, bits, n, bits)) < 1e-9,
        "100 % of the old size remains, so 0 % is saved: subtract from one.",
    )
    half = attempt(n, bits, 2 * n, bits)
    yield Claim(
        "a smaller cache saves something",
        half > 0,
        "the saving is positive when the new cache is the smaller one: one minus new over old.",
    )
    yield Claim(
        "a cache ten times smaller saves less than all of it",
        attempt(n, bits, 10 * n, bits) < 100,
        "divide by the OLD cache: it is what you compare with.",
    )
    yield Claim(
        "half the numbers at equal bits save 50",
        close(half, 50.0, rtol=0.05),
        "the answer is in percent, so 50 and not 0.5.",
    )
    yield Claim(
        "half the bits at equal numbers save 50 too",
        close(attempt(n, bits, n, 2 * bits), 50.0, rtol=0.05),
        "bytes are numbers times bits: both caches need their own bits.",
    )
    yield Claim(
        "a cache that grew saves less than nothing",
        attempt(2 * n, bits, n, bits) < 0,
        "no abs and no max: where the new cache is larger, the saving is negative.",
    )
    old_n, old_bits = 8 * draw(g, 125, 1249), draw(g, 16, 32)
    expected = 100 * (1 - n * bits / (old_n * old_bits))
    yield Claim(
        "numbers and bits together, to the last digit",
        close(attempt(n, bits, old_n, old_bits), expected, rtol=1e-6),
        "do not round, not even to whole bytes (//): the reader rounds.",
    )


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
def _(attempt: Callable[..., Any], g: torch.Generator) -> Iterator[Claim]:
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
        "keys and values of all heads come from the latent, not from the model width.",
    )
    yield Claim(
        "the rotary key is one for all heads, the rotary query one for each",
        slope("rope_dim") == w["dim"] + heads * w["q_rank"],
        "dim -> rope_dim once, beside the latent; n_heads * rope_dim only for the queries.",
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


def _mixture(g: torch.Generator) -> ModelConfig:
    """A small V3-like config whose widths are drawn."""
    return ModelConfig(
        name="drawn",
        vocab=draw(g, 50, 99),
        dim=draw(g, 5, 20),
        n_layers=draw(g, 4, 7),
        hidden=draw(g, 30, 60),
        attention=MLAConfig(
            n_heads=draw(g, 2, 5),
            kv_rank=draw(g, 3, 9),
            q_rank=draw(g, 3, 9),
            nope_dim=draw(g, 3, 9),
            rope_dim=2 * draw(g, 1, 4),
            value_dim=draw(g, 3, 9),
        ),
        moe=MoEConfig(
            n_routed=draw(g, 6, 12), n_shared=draw(g, 1, 3), top_k=draw(g, 2, 4), hidden=7
        ),
        n_dense=draw(g, 1, 2),
        context=64,
    )


@checker(
    "00.active",
    hints=(
        "Take the total and leave out what a token does not meet.",
        "attention, norms, router, shared experts, dense feed-forwards: all of them. Routed "
        "experts: top_k of n_routed. Vocabulary: as many tables as asked for.",
        "p = accounting.parameters(c); p.routed * c.moe.top_k // c.moe.n_routed + ...",
    ),
)
def _(attempt: Callable[..., Any], g: torch.Generator) -> Iterator[Claim]:
    c = _mixture(g)
    m = c.moe
    assert m is not None
    dense = replace(preset("toy-llama"), n_layers=draw(g, 1, 5))
    yield Claim(
        "a dense model activates all it has, when both tables count",
        attempt(dense, 2) == accounting.parameters(dense).total,
        "attention, dense feed-forwards, norms and both tables, each once; moe is None here.",
    )
    yield Claim(
        "every table counted adds vocab x dim",
        attempt(c, 2) - attempt(c, 1) == attempt(c, 1) - attempt(c, 0) == c.vocab * c.dim,
        "`tables` is 0, 1 or 2, and a table has vocab * dim numbers.",
    )
    expert = 3 * c.dim * m.hidden * c.n_moe

    def changed(**fields: Any) -> Any:
        return attempt(replace(c, moe=replace(m, **fields)), 1) - attempt(c, 1)

    more = changed(n_routed=m.n_routed + 5)
    yield Claim(
        "experts that are not chosen do not count",
        more < expert,
        "routed experts count top_k times, not n_routed times.",
    )
    yield Claim(
        "more experts to choose from cost a token the router's rows, and nothing else",
        more == 5 * c.dim * c.n_moe,
        "the router scores every expert, chosen or not, so all of its rows count.",
    )
    yield Claim(
        "one more expert per token adds one expert in each MoE layer",
        changed(top_k=m.top_k + 1) == expert,
        "three matrices of dim x hidden, in n_layers - n_dense layers.",
    )
    yield Claim(
        "one more shared expert adds one expert in each MoE layer",
        changed(n_shared=m.n_shared + 1) == expert,
        "shared experts see every token: all of them count, beside the chosen ones.",
    )
    yield Claim(
        "a wider dense feed-forward is felt in the first n_dense layers only",
        attempt(replace(c, hidden=c.hidden + 1), 1) - attempt(c, 1) == 3 * c.dim * c.n_dense,
        "layers from n_dense on have experts in place of the dense feed-forward.",
    )
    yield Claim(
        "nothing is missing and nothing counted twice, norms included",
        attempt(c, 1) == accounting.activated(c, "head only"),
        "two norms a layer, one at the end, and one on each latent of MLA, each once.",
    )


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
"""What moves by more than 5 % when DeepSeek-V3 is changed, and why; tests compute it again."""


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
def _(attempt: dict[str, Any], g: torch.Generator) -> Iterator[Claim]:
    words = ("total", "active", "cache")
    yield from what_moves(attempt, PREDICTED, words=words, by=" by more than 5 %")


@checker(
    "00.explain",
    takes=dict,
    hints=(
        "The three counts differ by a vocabulary table each. How large is one in V3?",
        "A table has vocab times width entries; `active(config, tables)` counts 0, 1 or 2 of them.",
        "active(preset('deepseek-v3'), 1) / 1e9, and the same with 0 and 2",
    ),
)
def _(attempt: dict[str, Any], g: torch.Generator) -> Iterator[Claim]:
    counts = {"no table": 35.699, "head only": 36.626, "both tables": 37.552}
    yield answers_for(attempt, (*counts, "rounds to 37", "because"))
    for name, billions in counts.items():
        said = attempt[name]
        yield Claim(
            f"{name}: the answer is a number",
            is_number(said),
            f"you wrote {said!r}: write a plain number.",
        )
        yield Claim(
            f"{name}: counted, in billions",
            close(float(said), billions, rtol=2e-3),
            "every table has 129,280 x 7,168 entries, 0.927 billion. Write 36.6 and not 36.6e9.",
        )
    yield Claim(
        "you named the count that rounds to 37",
        attempt["rounds to 37"] == "head only",
        "round all three to whole billions: 36, 37 and 38.",
    )
    why = "write a sentence with the count that the report must mean, and say what it counts."
    yield from explains(attempt, (36.626, 36_626, 36_626_000_000), hint=why)


class _Wasteful(Transformer):
    """Stands for a model that keeps three times what it needs."""

    def new_cache(self, batch: int, max_len: int, pad: Tensor | None = None) -> Cache:
        cache = super().new_cache(batch, max_len, pad)
        cache.layers = 3 * cache.layers
        return cache


def _toy(g: torch.Generator, attention: GQAConfig | MLAConfig) -> ModelConfig:
    return ModelConfig(
        name="drawn",
        vocab=draw(g, 20, 40),
        dim=8,
        n_layers=2 * draw(g, 1, 2) + 1,
        hidden=12,
        attention=attention,
        context=64,
    )


@checker(
    "00.measure",
    hints=(
        "Let the model read, and look at what its cache then holds.",
        "cache = model.new_cache(1, n); model(tokens [1, n], cache); cache.nbytes over n.",
        "model(torch.zeros(1, n, dtype=torch.long), cache)",
    ),
)
def _(attempt: Callable[..., Any], g: torch.Generator) -> Iterator[Claim]:
    kv = draw(g, 1, 2)
    grouped = _toy(g, GQAConfig(n_heads=4, n_kv_heads=kv, head_dim=2 * draw(g, 1, 3)))
    latent = _toy(
        g,
        MLAConfig(n_heads=3, kv_rank=draw(g, 3, 9), q_rank=5, nope_dim=4, rope_dim=2, value_dim=3),
    )
    model = Transformer(grouped)
    measured = [attempt(model, n) for n in (1, 5, 12)]
    yield Claim(
        "the cache holds something after reading",
        all(x > 0 for x in measured),
        "a new cache is empty: its nbytes count the tokens held. Call the model with the cache.",
    )
    yield Claim(
        "bytes per token do not depend on how many tokens were read",
        measured[0] == measured[1] == measured[2],
        "divide by the number of tokens, and give the cache no other length than what it read.",
    )
    layer = 2 * grouped.attention.n_kv_heads * grouped.attention.head_dim  # type: ignore[union-attr]
    yield Claim(
        "all layers are counted",
        measured[1] != 4 * layer,
        "cache.nbytes sums over cache.layers; one layer is not enough.",
    )
    yield Claim(
        "a float32 model keeps 4 bytes for every number that the formula counts",
        close(measured[1], 4.0 * layer * grouped.n_layers),
        "is it bytes, per token, for a batch of one?",
    )
    yield Claim(
        "the same model in bfloat16 keeps half",
        close(attempt(Transformer(grouped).bfloat16(), 5), 2.0 * layer * grouped.n_layers),
        "count bytes as they lie there; do not assume the size of a number.",
    )
    width = latent.attention.cached_width * latent.n_layers
    yield Claim(
        "latent attention keeps latents",
        close(attempt(Transformer(latent), 7), 4.0 * width),
        "the model builds its own kind of cache: use model.new_cache.",
    )
    yield Claim(
        "a model whose cache keeps three times too much is found out",
        close(attempt(_Wasteful(latent), 7), 12.0 * width),
        "measure the cache; a formula from the config cannot notice what the model really keeps.",
    )
