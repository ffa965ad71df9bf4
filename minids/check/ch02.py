"""Checks of chapter 02: shared key heads, a step with a cache, and what the cache weighs.

Steps are judged by what they give, never by how: a text read in any pieces must come out as the
same text read at once, and that must be what attention is.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from minids import accounting
from minids.check import Claim, checker, close, shaped
from minids.check.answers import answers_for, is_number
from minids.check.sizes import draw
from minids.config import GQAConfig, ModelConfig
from minids.model.cache import Cache
from minids.model.transformer import Transformer
from minids.presets import preset


@checker(
    "02.repeat_kv",
    hints=(
        "Query head i uses key head i // n: neighbours share. So the first key head must come n "
        "times before the second one comes.",
        "Only the axis of heads grows: (b, g, s, d) becomes (b, g * n, s, d), and head i of the "
        "result is head i // n of the input.",
        "return x.repeat_interleave(n, dim=1)",
    ),
)
def _(attempt: Callable[..., Any], g: torch.Generator) -> Iterator[Claim]:
    n, heads = draw(g, 2, 4), draw(g, 2, 3)
    x = torch.randn(2, heads, 5, 6, generator=g)
    out = attempt(x, n)
    yield shaped(out, (2, heads * n, 5, 6), like=x)
    alike = torch.arange(1.0, heads + 1)[None, :, None, None].expand(2, heads, 5, 6).clone()
    got = attempt(alike, n)
    yield Claim(
        "every query head gets the numbers of one key head as they are",
        set(got.unique().tolist()) <= set(alike.unique().tolist()),
        "copy, and calculate nothing: no mean over the group, and nothing divided by n.",
    )
    yield Claim(
        "every key head is read by n query heads",
        all(int((got == i + 1).sum()) == n * x[:, i].numel() for i in range(heads)),
        "no key head may be left out: each of the g comes n times.",
    )
    yield Claim(
        "the first n query heads all get the first key head",
        bool((out[:, :n] == x[:, :1]).all()),
        "neighbours share a key head: repeat_interleave gives 0 0 1 1, repeat gives 0 1 0 1.",
    )
    yield Claim(
        "query head i gets key head i // n, with its tokens and numbers in place",
        all(bool((out[:, i] == x[:, i // n]).all()) for i in range(heads * n)),
        "the heads are the axis that grows; tokens and numbers stay where they are.",
    )
    yield Claim(
        "with one query head for each key head nothing changes (n = 1 is MHA)",
        torch.equal(attempt(x, 1), x),
        "n says how often each head comes: once, here.",
    )
    one = torch.randn(1, 1, 1, 4, generator=g)
    yield Claim(
        "one key head serves all (MQA), also for a batch of 1 and a length of 1",
        torch.equal(attempt(one, 6), one.expand(1, 6, 1, 4)),
        "count axes from the left: batch, heads, tokens, numbers.",
    )
    x.requires_grad_()
    if (heard := attempt(x, n)).requires_grad:
        heard.sum().backward()
    yield Claim(
        "a shared key head hears from each of its n query heads in training",
        x.grad is not None and bool((x.grad == n).all()),
        "the gradient of a copy is the sum over its readers; do not detach, nor average.",
    )


def _angles(width: int) -> Tensor:
    return 0.7 ** torch.arange(width // 2)


def turn(x: Tensor, start: int) -> Tensor:
    """Turn vectors [..., t, d] to the positions start, start + 1, ... (half-split RoPE)."""
    at = (start + torch.arange(x.shape[-2], device=x.device))[:, None] * _angles(x.shape[-1])
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * at.cos() - b * at.sin(), b * at.cos() + a * at.sin()], dim=-1)


def _whole(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal attention of a whole text, one head and one token at a time."""
    q, k, share = turn(q, 0), turn(k, 0), q.shape[1] // k.shape[1]
    out = torch.zeros(*q.shape[:3], v.shape[3])
    for h in range(q.shape[1]):
        for t in range(q.shape[2]):
            keys, values = k[:, h // share, : t + 1], v[:, h // share, : t + 1]
            scores = (keys @ q[:, h, t, :, None])[..., 0] * q.shape[3] ** -0.5
            out[:, h, t] = (scores.softmax(-1)[..., None] * values).sum(1)
    return out


def _in_pieces(attempt: Any, parts: list[Tensor], sizes: list[int]) -> tuple[Tensor, Any]:
    past, outs = None, []
    for q, k, v in zip(*(part.split(sizes, dim=2) for part in parts), strict=True):
        out, past = attempt(q, k, v, past, turn)
        outs.append(out)
    return torch.cat(outs, dim=2), past


def _three(
    g: torch.Generator, b: int, heads: int, keys: int, t: int, d: int, dv: int
) -> list[Tensor]:
    """Queries, keys and values of a drawn text."""
    return [torch.randn(b, h, t, w, generator=g) for h, w in ((heads, d), (keys, d), (keys, dv))]


@checker(
    "02.cache_step",
    hints=(
        "A new token is the only one whose query is needed. It looks at the keys and values of all "
        "tokens so far: those that were kept, and its own.",
        "start = number of tokens kept; turn q and k to start; append k and v to what was kept; "
        "attend with each key head repeated for its group; among the new tokens, no look ahead.",
        "k = k if past is None else torch.cat([past[0], k], dim=2)",
    ),
)
def _(attempt: Callable[..., Any], g: torch.Generator) -> Iterator[Claim]:
    heads, keys, t, d = 6, draw(g, 2, 3), draw(g, 6, 9), 8
    parts = _three(g, 2, heads, keys, t, d, 5)
    result = attempt(*(part[:, :, :1] for part in parts), None, turn)
    yield Claim(
        "a step returns two things: what is mixed, and the pair (keys, values) to keep",
        isinstance(result, tuple | list)
        and len(result) == 2
        and isinstance(result[1], tuple | list)
        and len(result[1]) == 2,
        "end with `return mixed, (k, v)`.",
    )
    out, kept = result
    yield shaped(out, (2, heads, 1, 5), like=parts[0], what="what is mixed")
    first = parts[2][:, :, :1].repeat_interleave(heads // keys, dim=1)
    yield Claim(
        "the first token sees itself alone: each query head gets the value of its group",
        close(out, first),
        "query head i reads key head i // (h / g), and weights sum to 1.",
    )
    yield shaped(kept[0], (2, keys, 1, d), what="what is kept of one token's keys")
    yield shaped(kept[1], (2, keys, 1, 5), what="what is kept of one token's values")
    expected = _whole(*parts)
    yield Claim(
        "a whole text in one step is causal attention",
        close(_in_pieces(attempt, parts, [t])[0], expected),
        "no query may look at later tokens, scores are divided by the root of d, and queries and "
        "keys are both turned; values are not.",
    )
    out, kept = _in_pieces(attempt, parts, [1] * t)
    yield Claim(
        "after t steps, t keys and values are kept for each key head",
        tuple(kept[0].shape) == (2, keys, t, d) and tuple(kept[1].shape) == (2, keys, t, 5),
        "append along the axis of tokens (dim=2), old tokens first, and keep the g key heads: "
        "repeat them for their groups only after appending, or the cache saves nothing.",
    )
    yield Claim(
        "three steps of one token are the same as one step of three",
        close(out[:, :, :3], expected[:, :, :3]),
        "the second token sits at position 1, not at 0: positions go on where the kept tokens end; "
        "and what is kept must be turned when it is used, each key to its own position.",
    )
    yield Claim("token by token gives what the whole text gives", close(out, expected),
                "every step must see all that was kept, and keep what it saw.")  # fmt: skip
    sizes = [3, 1, t - 4]
    yield Claim(
        "pieces of any length give what the whole text gives",
        close(_in_pieces(attempt, parts, sizes)[0], expected),
        "among several new tokens, the i-th sees all that was kept and i + 1 new ones: "
        "torch.ones(new, all).tril(all - new).",
    )
    small = _three(g, 1, 4, 1, 3, 2, 2)
    yield Claim(
        "one key head, a batch of 1 and the narrowest head work too",
        close(_in_pieces(attempt, small, [1, 2])[0], _whole(*small)),
        "take every size from the shapes.",
    )


def _llama(g: torch.Generator) -> ModelConfig:
    """A small model whose widths are drawn; heads do not fill the model's width."""
    keys = draw(g, 2, 3)
    heads = GQAConfig(n_heads=2 * keys, n_kv_heads=keys, head_dim=2 * draw(g, 2, 4))
    return ModelConfig(
        name="drawn", vocab=draw(g, 20, 40), dim=8 * draw(g, 3, 5) + 4, hidden=12,
        n_layers=draw(g, 2, 4), attention=heads, context=64,
    )  # fmt: skip


@checker(
    "02.cache_bytes",
    hints=(
        "Who is remembered? Every token of every text, in every layer, by every key head.",
        "A key and a value, each head_dim wide, for n_kv_heads heads, in n_layers layers; then "
        "times tokens, times texts, times bits / 8.",
        "2 * a.n_kv_heads * a.head_dim * config.n_layers * context * batch * bits / 8",
    ),
)
def _(attempt: Callable[..., Any], g: torch.Generator) -> Iterator[Claim]:
    c, n, batch = _llama(g), draw(g, 5, 20), draw(g, 2, 5)
    a = c.attention
    assert isinstance(a, GQAConfig)
    here = attempt(c, n, batch, 16)
    yield Claim("an empty context keeps nothing", attempt(c, 0, batch, 16) == 0,
                "one token more is one token's bytes more: nothing comes on top.")  # fmt: skip
    yield Claim(
        "the cache grows in proportion to the batch",
        attempt(c, n, 3 * batch, 16) == 3 * here,
        "every text of the batch has its own keys and values.",
    )
    yield Claim(
        "the cache grows in proportion to the layers",
        attempt(replace(c, n_layers=5 * c.n_layers), n, batch, 16) == 5 * here,
        "every layer keeps keys and values of its own.",
    )
    yield Claim(
        "a wider model with the same heads keeps nothing more",
        attempt(replace(c, dim=2 * c.dim), n, batch, 16) == here,
        "the width of a head is head_dim; dim / n_heads is another number here.",
    )
    more = replace(c, attention=replace(a, n_heads=4 * a.n_heads))
    yield Claim(
        "more query heads keep nothing more",
        attempt(more, n, batch, 16) == here,
        "queries are used once and forgotten: count n_kv_heads, not n_heads.",
    )
    yield Claim(
        "half the bits are half the bytes",
        attempt(c, n, batch, 8) == here / 2,
        "a byte has 8 bits.",
    )
    yield Claim(
        "numbers of 6 bits take three quarters of what numbers of 8 bits take",
        attempt(c, n, batch, 6) == 0.75 * attempt(c, n, batch, 8),
        "a number may take less than a byte: bits / 8, not bits // 8.",
    )
    cache = Transformer(c).new_cache(batch, n)
    for layer in cache.layers:
        layer.append(*torch.zeros(2, batch, a.n_kv_heads, n, a.head_dim))
    yield Claim(
        "it equals what the tensors of a real cache take, in float32",
        attempt(c, n, batch, 32) == cache.nbytes,
        "a key AND a value are kept, each head_dim wide; in bytes, not in bits or numbers.",
    )
    big = preset("deepseek-llm-67b")
    yield Claim(
        "one token of DeepSeek LLM 67B keeps 389,120 bytes at 16 bits",
        attempt(big, 1, 1, 16) == 389_120,
        "95 layers, 8 key heads of 128.",
    )


def _gb(config: ModelConfig) -> tuple[float, float]:
    """Weights, and the cache of 32 texts of 4096 tokens: GB at 16 bits."""
    weights = 2 * accounting.parameters(config).total / 1e9
    return weights, 32 * 4096 * accounting.cache_bytes(config) / 1e9


_67B = preset("deepseek-llm-67b")
_WEIGHTS, _CACHE = _gb(_67B)
NUMBERS = {
    "weights, GB": (_WEIGHTS, "about 67 billion numbers of 2 bytes."),
    "cache, GB": (
        _CACHE,
        "2 * 8 key heads * 128 * 95 layers * 2 bytes a token; 4096 tokens of 32 texts; "
        "a GB is 1e9 bytes.",
    ),
    "cache as MHA, GB": (
        _CACHE * 64 / 8,
        "all 64 heads would keep a key and a value: 8 times as many as now.",
    ),
}
WORDS = {
    "heavier": ("weights", "compare the first two numbers."),
    "heavier as MHA": ("cache", "compare the first and the third: that is why 67B shares."),
    "heavier in the 7B": (
        "cache",
        "the 7B shares nothing: 32 key heads of 128 in 30 layers keep more per token than the 67B, "
        "beside a tenth of the weights.",
    ),
}
"""What 02.predict asks for; tests compute it again."""


@checker(
    "02.predict",
    takes=dict,
    hints=(
        "Weights are read by all texts; every text has a cache of its own. Estimate both.",
        "weights: parameters x 2 bytes. cache: 2 x key heads x 128 x layers x 2 bytes x 4096 x 32.",
        "67.4e9 * 2 / 1e9 = 135 GB, and 2 * 8 * 128 * 95 * 2 bytes = 389 kB for each token.",
    ),
)
def _(attempt: dict[str, Any], g: torch.Generator) -> Iterator[Claim]:
    yield answers_for(attempt, (*NUMBERS, *WORDS))
    for name, (expected, why) in NUMBERS.items():
        said = attempt[name]
        yield Claim(
            f"{name}: the answer is a number",
            is_number(said),
            f"you wrote {said!r}: write a plain number.",
        )
        ok = abs(said - expected) <= 0.1 * expected
        yield Claim(f"{name}: within 10 %", ok, why)
    for name, (word, why) in WORDS.items():
        said = attempt[name]
        yield Claim(
            f"{name}: the answer is one of weights, cache",
            said in ("weights", "cache"),
            "see the task.",
        )
        yield Claim(f"{name}: you said which", said == word, why)


def _if_mha(config: ModelConfig) -> ModelConfig:
    a = config.attention
    assert isinstance(a, GQAConfig)
    return replace(config, attention=replace(a, n_kv_heads=a.n_heads))


def _steps(config: ModelConfig) -> tuple[float, float, float]:
    """Operations on the cache, bytes of it, and weights, of a decode step."""
    a = config.attention
    assert isinstance(a, GQAConfig)
    return (
        accounting.flops_per_token(config, 4096, "decode")
        - accounting.flops_per_token(config, 0, "decode"),
        4096 * accounting.cache_bytes(config),
        accounting.parameters(config).total,
    )


_SHARED, _FULL = _steps(_67B), _steps(_if_mha(_67B))
RATIOS = {
    "operations on the cache": (
        _SHARED[0] / _FULL[0],
        "every one of the 64 query heads still meets every token: sharing copies no work away.",
    ),
    "bytes of cache read": (_SHARED[1] / _FULL[1], "8 key heads are read where 64 were."),
    "operations per byte": (
        (_SHARED[0] / _SHARED[1]) / (_FULL[0] / _FULL[1]),
        "the first divided by the second: a key that is read once serves 8 queries.",
    ),
    "parameters": (
        _SHARED[2] / _FULL[2],
        "only the matrices of keys and values shrink: 2 of 4 in attention, beside the "
        "feed-forward. accounting.parameters counts both models.",
    ),
}
"""67B as it is over 67B with 64 key heads, in one decode step at 4096 tokens."""


@checker(
    "02.explain",
    takes=dict,
    hints=(
        "A step reads each cached number once from memory and computes with it. Which of the two "
        "does sharing change?",
        "Count for 64 key heads, then for 8: products with the cache, bytes of the cache, one over "
        "the other, all parameters.",
        "operations 1, bytes 1/8, so operations per byte 8; the parameters need accounting.",
    ),
)
def _(attempt: dict[str, Any], g: torch.Generator) -> Iterator[Claim]:
    yield answers_for(attempt, (*RATIOS, "so it is faster where the time goes into"))
    for name, (expected, why) in RATIOS.items():
        said = attempt[name]
        yield Claim(
            f"{name}: the answer is a number",
            is_number(said),
            f"you wrote {said!r}: write a plain number.",
        )
        ok = abs(said - expected) <= 0.02 * expected
        yield Claim(f"{name}: with 8 key heads over with 64, within 2 %", ok, why)
    yield Claim(
        "you said where the time has to go for this to be faster",
        attempt["so it is faster where the time goes into"] == "reading",
        "the operations are the same, and the bytes are not: 'reading' or 'computing'?",
    )


class _Wasteful(Transformer):
    """Stands for a model that keeps twice what it needs."""

    def new_cache(self, batch: int, max_len: int, pad: Tensor | None = None) -> Cache:
        cache = super().new_cache(batch, max_len, pad)
        cache.layers = 2 * cache.layers
        return cache


@checker(
    "02.measure",
    hints=(
        "Weights stay, the cache grows by the same bytes with every token: measure both, divide.",
        "Sum p.nbytes over model.parameters(). Let the model read a few tokens with a cache for "
        "the batch, and take cache.nbytes per token. The answer is the first whole number above.",
        "return weights // per_token + 1",
    ),
)
def _(attempt: Callable[..., Any], g: torch.Generator) -> Iterator[Claim]:
    c, batch = _llama(g), draw(g, 2, 4)
    a = c.attention
    assert isinstance(a, GQAConfig)
    row = 2 * a.n_kv_heads * a.head_dim * c.n_layers  # numbers per token
    weights = accounting.parameters(c).total
    model = Transformer(c)
    found = attempt(model, batch)
    yield Claim(
        "the answer is a whole number of tokens, 1 or more",
        isinstance(found, int) and found >= 1,
        "use // and not /, and add what is missing.",
    )
    yield Claim(
        "at that length the cache outweighs the weights",
        found * batch * row > weights,
        "strictly more; all weights count, and a batch has a cache for every text.",
    )
    yield Claim(
        "one token earlier it does not",
        (found - 1) * batch * row <= weights,
        "the smallest such length; every text of the batch, every layer, keys and values.",
    )
    even = replace(
        c, vocab=22, dim=28, n_layers=3, attention=GQAConfig(n_heads=2, n_kv_heads=1, head_dim=2)
    )
    assert accounting.parameters(even).total == 5460 == 455 * 12  # 12 numbers per token
    yield Claim(
        "where 455 tokens weigh exactly as much as the weights, the answer is 456",
        attempt(Transformer(even), 1) == 456,
        "as heavy is not heavier: // and then + 1, which is not rounding up.",
    )
    yield Claim(
        "twice the batch needs half the tokens",
        attempt(model, 2 * batch) == weights // (2 * batch * row) + 1,
        "measure with a cache for as many texts as the batch has.",
    )
    tied = replace(c, tied=True)
    yield Claim(
        "a tied table is one table",
        attempt(Transformer(tied), 1) == accounting.parameters(tied).total // row + 1,
        "model.parameters() gives it once.",
    )
    yield Claim(
        "in bfloat16 both are half as heavy, and the length is the same",
        attempt(Transformer(c).bfloat16(), batch) == weights // (batch * row) + 1,
        "count bytes as they lie there (p.nbytes); do not assume 4 for each number.",
    )
    yield Claim(
        "a model whose cache keeps twice too much is found out",
        attempt(_Wasteful(c), 1) == weights // (2 * row) + 1,
        "measure the cache; a formula from the config cannot notice what the model really keeps.",
    )
