"""02.predict: which is heavier, weights or cache."""

from collections.abc import Iterator
from typing import Any

import torch

from minids import accounting
from minids.check import Claim, checker
from minids.check.answers import answers_for, is_number
from minids.check.ch02.common import DENSE_67B
from minids.config import ModelConfig


def _gb(config: ModelConfig) -> tuple[float, float]:
    """Weights, and the cache of 8 texts of 4096 tokens: GB at 16 bits."""
    weights = 2 * accounting.parameters(config).total / 1e9
    return weights, 8 * 4096 * accounting.cache_bytes(config) / 1e9


_WEIGHTS, _CACHE = _gb(DENSE_67B)

NUMBERS = {
    "weights, GB": (_WEIGHTS, "about 67 billion numbers of 2 bytes."),
    "cache, GB": (
        _CACHE,
        "2 * 8 key heads * 128 * 95 layers * 2 bytes a token; 4096 tokens of 8 texts; "
        "a GB is 1e9 bytes.",
    ),
    "cache as MHA, GB": (
        _CACHE * 64 / 8,
        "all 64 heads would keep a key and a value: 8 times as many as now.",
    ),
}

WORDS = {
    "heavier": ("weights", "compare the first two numbers."),
    "heavier as MHA": ("weights", "compare the first and the third."),
    "heavier in the 7B": (
        "cache",
        "the 7B shares nothing: 32 key heads of 128 in 30 layers keep more per token than the 67B, "
        "beside a tenth of the weights.",
    ),
}


@checker(
    "02.predict",
    takes=dict,
    hints=(
        "Weights are read by all texts; every text has a cache of its own. Estimate both.",
        "weights: parameters x 2 bytes. cache: 2 x key heads x 128 x layers x 2 bytes x 4096 x 8.",
        "67.4e9 * 2 / 1e9 = 135 GB, and 2 * 8 * 128 * 95 * 2 bytes = 389 kB for each token.",
    ),
)
def claims(attempt: dict[str, Any], g: torch.Generator) -> Iterator[Claim]:
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
