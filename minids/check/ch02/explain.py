"""02.explain: why sharing makes a step faster."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch

from minids import accounting
from minids.check import Claim, checker
from minids.check.answers import answers_for, is_number
from minids.check.ch02.common import DENSE_67B
from minids.config import GQAConfig, ModelConfig


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


_SHARED, _FULL = _steps(DENSE_67B), _steps(_if_mha(DENSE_67B))

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
def claims(attempt: dict[str, Any], g: torch.Generator) -> Iterator[Claim]:
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
