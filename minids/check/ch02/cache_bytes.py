"""02.cache_bytes: bytes that a cache holds."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch

from minids.check import Attempt, Claim, checker
from minids.check.ch02.common import small_llama
from minids.check.sizes import draw
from minids.config import GQAConfig
from minids.model.transformer import Transformer
from minids.presets import preset


def _same(got: Any, expected: Any) -> bool:
    """Whether two numbers of bytes are the same, but for what floats round."""
    return bool(abs(got - expected) <= 1e-9 * abs(expected))


@checker(
    "02.cache_bytes",
    hints=(
        "Who is remembered? Every token of every text, in every layer, by every key head.",
        "A key and a value, each head_dim wide, for n_kv_heads heads, in n_layers layers; then "
        "times tokens, times texts, times bits / 8.",
        "2 * a.n_kv_heads * a.head_dim * config.n_layers * context * batch * bits / 8",
    ),
)
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    c, n, batch = small_llama(g), draw(g, 5, 20), draw(g, 2, 5)
    a = c.attention
    assert isinstance(a, GQAConfig)
    here = attempt(c, n, batch, 16)
    yield Claim("an empty context keeps nothing", attempt(c, 0, batch, 16) == 0,
                "one token more is one token's bytes more: nothing comes on top.")  # fmt: skip
    yield Claim(
        "the cache grows in proportion to the batch",
        _same(attempt(c, n, 3 * batch, 16), 3 * here),
        "every text of the batch has its own keys and values.",
    )
    yield Claim(
        "the cache grows in proportion to the layers",
        _same(attempt(replace(c, n_layers=5 * c.n_layers), n, batch, 16), 5 * here),
        "every layer keeps keys and values of its own.",
    )
    yield Claim(
        "a wider model with the same heads keeps nothing more",
        _same(attempt(replace(c, dim=2 * c.dim), n, batch, 16), here),
        "the width of a head is head_dim; dim / n_heads is another number here.",
    )
    more = replace(c, attention=replace(a, n_heads=4 * a.n_heads))
    yield Claim(
        "more query heads keep nothing more",
        _same(attempt(more, n, batch, 16), here),
        "queries are used once and forgotten: count n_kv_heads, not n_heads.",
    )
    yield Claim(
        "half the bits are half the bytes",
        _same(attempt(c, n, batch, 8), here / 2),
        "a byte has 8 bits.",
    )
    yield Claim(
        "numbers of 6 bits take three quarters of what numbers of 8 bits take",
        _same(attempt(c, n, batch, 6), 0.75 * attempt(c, n, batch, 8)),
        "a number may take less than a byte: bits / 8, not bits // 8.",
    )
    cache = Transformer(c).new_cache(batch, n)
    for layer in cache.layers:
        layer.append(*torch.zeros(2, batch, a.n_kv_heads, n, a.head_dim))
    yield Claim(
        "it equals what the tensors of a real cache take, in float32",
        _same(attempt(c, n, batch, 32), cache.nbytes),
        "a key AND a value are kept, each head_dim wide; in bytes, not in bits or numbers.",
    )
    yield Claim(
        "numbers have 16 bits where nothing else is said",
        _same(attempt(c, n, batch), here),
        "keep the default of the task: bits=16.",
    )
    big = preset("deepseek-llm-67b")
    yield Claim(
        "one token of DeepSeek LLM 67B keeps 389,120 bytes at 16 bits",
        _same(attempt(big, 1, 1, 16), 389_120),
        "95 layers, 8 key heads of 128.",
    )
