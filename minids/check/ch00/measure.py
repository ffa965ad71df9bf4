"""00.measure: bytes that a built model keeps of a token."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from minids.check import Attempt, Claim, checker, close
from minids.check.sizes import draw
from minids.config import GQAConfig, MLAConfig, ModelConfig
from minids.model.cache import Cache
from minids.model.transformer import Output, Transformer


class _Wasteful(Transformer):
    """Stands for a model that keeps three times what it needs."""

    def new_cache(self, batch: int, max_len: int, pad: Tensor | None = None) -> Cache:
        cache = super().new_cache(batch, max_len, pad)
        cache.layers = 3 * cache.layers
        return cache


class _Listening(Transformer):
    """Stands for a model that counts the tokens it reads of each text."""

    heard = 0

    def forward(self, tokens: Tensor, *args: Any, **kwargs: Any) -> Output:
        self.heard += tokens.shape[1]
        return super().forward(tokens, *args, **kwargs)


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
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
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
    listening = _Listening(grouped)
    attempt(listening, 5)
    short, listening.heard = listening.heard, 0
    attempt(listening, 12)
    yield Claim(
        "the model reads n tokens, so more where n is larger",
        listening.heard > short > 0,
        "n is an argument: build the cache and the tokens for n, and divide by n.",
    )
