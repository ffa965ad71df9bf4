"""06.explain: why no batch is even."""

from collections.abc import Iterator
from typing import Any

import torch

from minids.check import Claim, checker
from minids.check.answers import explains, number_entries


@checker(
    "06.explain",
    takes=dict,
    hints=(
        "A perfectly even router is like a die: it is even on average, and no single batch is.",
        "Each of 1,024 tokens chooses an expert with probability 2/16: mean n p, spread "
        "sqrt(n p (1 - p)). m batches together: both the mean times m, the spread times sqrt(m).",
        '"spread": (1024 * 2 / 16 * 14 / 16) ** 0.5',
    ),
)
def claims(attempt: dict[str, Any], g: torch.Generator) -> Iterator[Claim]:
    yield number_entries(attempt, "mean", "spread", "batches")
    spread, exact = float(attempt["spread"]), (1024 * 2 / 16 * 14 / 16) ** 0.5
    yield Claim(
        "what an expert gets on average",
        attempt["mean"] == 128,
        "1,024 tokens make 2 choices each, among 16 experts.",
    )
    yield Claim(
        "how much that varies from batch to batch",
        abs(spread - exact) < 0.06,
        "a standard deviation is the ROOT of n p (1 - p), with p = 2/16 in both places; to one "
        "decimal.",
    )
    yield Claim(
        "one batch is not enough",
        attempt["batches"] > 1,
        "compare the spread of one batch with the mean: is it a hundredth?",
    )
    yield Claim(
        "batches until the spread is a hundredth of the mean",
        66 <= attempt["batches"] <= 71,
        "spread / mean falls with the root of the number of batches: (spread / mean / 0.01) "
        "squared.",
    )
    yield from explains(
        attempt,
        (128,),
        (spread, exact, 10, 10.5, 11),
        says="it says the mean and the spread",
        hint="say what even a perfect router does in one batch, with both numbers.",
    )
