"""08.predict: what eight bits save."""

from collections.abc import Iterator
from typing import Any

import torch

from minids import accounting
from minids.check import Claim, checker, close
from minids.check.answers import numbers_for
from minids.presets import preset

_PREDICT = ("bytes to one expert", "dispatch saves", "both ways save", "weights, GB")


@checker(
    "08.predict",
    takes=dict,
    hints=(
        "One byte a number instead of two, and four bytes for each scale.",
        "7168 + 4 x 7168 / 32 bytes to one expert. In bf16: 2 x 7168, there and back the same. "
        "Weights: 669.07e9 in FP8 with a scale for each 32, 1.96e9 in bf16.",
        '"both ways save": 1 - (8064 + 14336) / (2 * 14336)',
    ),
)
def claims(attempt: dict[str, Any], g: torch.Generator) -> Iterator[Claim]:
    c = preset("deepseek-v3")
    p = accounting.parameters(c)
    small, large = c.dim + 4 * c.dim // 32, 2 * c.dim
    in_fp8 = p.attention + p.dense + p.routed + p.shared
    yield numbers_for(attempt, _PREDICT, write="write numbers, without units.")
    yield Claim(
        "a token in FP8, with its scales",
        attempt["bytes to one expert"] == small,
        "a byte for each of 7168 numbers, and 4 bytes for each of 224 scales.",
    )
    yield Claim(
        "what is saved is a share",
        all(0 < attempt[name] < 1 for name in ("dispatch saves", "both ways save")),
        "a share of what bf16 sends: half of it is 0.5, not 50.",
    )
    yield Claim(
        "the share that is saved on the way there",
        close(float(attempt["dispatch saves"]), 1 - small / large, rtol=0.01),
        "compare with 2 bytes a number; scales cost a little, so it is less than half.",
    )
    yield Claim(
        "the share that is saved of both ways",
        close(float(attempt["both ways save"]), 1 - (small + large) / (2 * large), rtol=0.01),
        "results come back in bf16: only one of two ways gets shorter.",
    )
    yield Claim(
        "the weights, with their scales",
        close(
            float(attempt["weights, GB"]),
            (in_fp8 * (1 + 4 / 32) + 2 * (p.total - in_fp8)) / 1e9,
            rtol=2e-3,
        ),
        "one byte for 669.07e9 of them, two for the 1.96e9 that stay in bf16, and 4 bytes for each "
        "32 of the first; a GB is 1e9 bytes.",
    )
