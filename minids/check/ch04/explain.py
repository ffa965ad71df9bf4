"""04.explain: why nobody merges the two matrices."""

from collections.abc import Iterator
from typing import Any

import torch

from minids.check import Claim, checker
from minids.check.answers import explains, number_entries


@checker(
    "04.explain",
    takes=dict,
    hints=(
        "A product of a tall and a wide matrix can be larger than both. Count one head of V3.",
        "W_UQ of a head: 128 x 1536. W_UK of a head: 128 x 512. Merged: 1536 x 512.",
        '"two factors": 128 * 1536 + 128 * 512',
    ),
)
def claims(attempt: dict[str, Any], g: torch.Generator) -> Iterator[Claim]:
    factors, merged = 128 * 1536 + 128 * 512, 1536 * 512
    yield number_entries(attempt, "two factors", "merged")
    stored = attempt["two factors"]
    yield Claim(
        "two factors: what is stored side by side adds up",
        stored != 128 * 1536 * 128 * 512,
        "count each matrix, then add them: they are not multiplied out.",
    )
    yield Claim(
        "two factors: of one head, not of all 128",
        stored != 128 * factors,
        "every head has its own two factors, and the question is about one head.",
    )
    yield Claim(
        "what one head has in its two factors",
        stored == factors,
        "one head, position-free part: 128 x 1536 from the query latent, 128 x 512 from the "
        "key-value latent.",
    )
    yield Claim(
        "merged: the product has more numbers than its two factors",
        attempt["merged"] > factors,
        "the product of a tall and a wide matrix has all rows of one and all columns of the other.",
    )
    yield Claim(
        "what their product has",
        attempt["merged"] == merged,
        "the product goes from one latent to the other: 1536 rows, 512 columns; the 128 between "
        "them is gone.",
    )
    yield from explains(
        attempt,
        (factors, 256e3, 260e3),
        (merged, 768e3, 790e3),
        says="it says both numbers",
        hint="write both numbers out, and say why one is larger: what does merging throw away?",
    )
