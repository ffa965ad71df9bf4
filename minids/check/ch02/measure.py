"""02.measure: the length at which a cache outweighs its model."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from minids import accounting
from minids.check import Attempt, Claim, checker
from minids.check.answers import is_number, is_whole
from minids.check.ch02.common import small_llama
from minids.check.sizes import draw
from minids.config import GQAConfig
from minids.model.cache import Cache
from minids.model.transformer import Transformer


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
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    c, batch = small_llama(g), draw(g, 2, 4)
    a = c.attention
    assert isinstance(a, GQAConfig)
    row = 2 * a.n_kv_heads * a.head_dim * c.n_layers  # numbers per token
    weights = accounting.parameters(c).total
    model = Transformer(c)
    found = attempt(model, batch)
    if isinstance(found, Tensor) and found.numel() == 1:
        found = found.item()
    whole = is_number(found) and found == found // 1
    yield Claim(
        "the answer is a whole number of tokens, 1 or more",
        is_whole(found) and found >= 1,
        f"{found} is a whole number, but a float: int(...) makes it an int."
        if whole and not is_whole(found)
        else "use // and not /, and add what is missing.",
    )
    yield Claim(
        "at that length the cache outweighs the weights",
        found * batch * row > weights,
        "strictly more; all weights count, and a batch has a cache for every text.",
    )
    yield Claim(
        "one token earlier it does not",
        (found - 1) * batch * row <= weights,
        "the smallest such length, without rounding to the nearest; every text of the batch, every "
        "layer, keys and values; for the weights model.parameters() alone.",
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
        "where 56.9 tokens would weigh as much, the answer is 57",
        attempt(Transformer(even), 8) == 57,
        "do not round to the nearest: // rounds down, and then + 1.",
    )
    yield Claim(
        "where 65 tokens of seven texts weigh exactly as much, the answer is 66",
        attempt(Transformer(even), 7) == 66,
        "strictly more: divide by the bytes of all texts first, and add 1 at the end.",
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
