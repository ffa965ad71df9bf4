"""04.predict: how many users fit beside the weights."""

from collections.abc import Iterator
from typing import Any

import torch

from minids import accounting
from minids.check import Claim, checker, close
from minids.check.answers import numbers_for
from minids.presets import preset

_CONTEXT = 16 * 1024

_PREDICT = ("bytes per token", "GB per user", "users", "users with MHA")


@checker(
    "04.predict",
    takes=dict,
    hints=(
        "Everything that is kept, over all layers, times the tokens of one text.",
        "(512 + 64) numbers x 60 layers x 2 bytes; x 16 x 1024 tokens; then 80e9 bytes divided "
        "by that, whole users only.",
        '"users": 80e9 // (bytes_per_token * 16 * 1024)',
    ),
)
def claims(attempt: dict[str, Any], g: torch.Generator) -> Iterator[Claim]:
    v2 = preset("deepseek-v2")
    size = accounting.cache_bytes(v2)
    user = size * _CONTEXT
    mha = 2 * accounting.mha_cache_elements(v2) * _CONTEXT
    yield numbers_for(attempt, _PREDICT, write="write numbers, without units.")
    yield Claim(
        "a token keeps the latent and the rotary key",
        attempt["bytes per token"] not in (2 * 512 * 60, 2 * 64 * 60),
        "both are kept: kv_rank + rope_dim numbers in a layer.",
    )
    yield Claim(
        "a token keeps them in every layer",
        attempt["bytes per token"] > 2 * 576,
        "each of the 60 layers has a latent of its own; and the question is in bytes, not in kB.",
    )
    yield Claim(
        "the bytes of one token, exactly",
        attempt["bytes per token"] == size,
        "(512 + 64) numbers, 60 layers, 2 bytes each; heads do not count.",
    )
    yield Claim(
        "one user at 16K",
        close(float(attempt["GB per user"]), user / 1e9, rtol=5e-3),
        "16K is 16 x 1024 tokens, and a GB here is 1e9 bytes; write three digits.",
    )
    yield Claim(
        "whole users in 80 GB",
        attempt["users"] == 80e9 // user,
        "a user who does not fit is not served: round down.",
    )
    yield Claim(
        "users with a key and a value for each of 128 heads",
        attempt["users with MHA"] == 80e9 // mha,
        "MHA keeps 2 x 128 x 128 numbers in a layer: how many GB is one user then?",
    )
