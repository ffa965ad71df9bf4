"""07.predict: whether drafts pay, and why the text stays the same."""

from collections.abc import Iterator
from typing import Any

import torch

from minids.check import Claim, checker, close
from minids.check.answers import answers_for, explains, numbers_for

_PREDICT = ("tokens per round", "V3", "needed", "two drafts", "fresh draw")


@checker(
    "07.predict",
    takes=dict,
    hints=(
        "A round brings one token of the model's own, and every draft that is kept. For the last: "
        "chance to be drafted and kept, plus what comes instead of a rejected draft.",
        "1 + a tokens for one draft, 1 + a + a * a for two; divided by what a round costs. q "
        "drafts token 0 with 0.2, and it is kept; a fresh draw gives it with 0.6.",
        '"V3": 1.8 / 1.044, "fresh draw": 0.2 + 0.4 * 0.6',
    ),
)
def claims(attempt: dict[str, Any], g: torch.Generator) -> Iterator[Claim]:
    yield answers_for(attempt, (*_PREDICT, "because"))
    yield numbers_for({name: attempt[name] for name in _PREDICT}, _PREDICT)
    yield Claim(
        "tokens of a round at 80 %",
        close(float(attempt["tokens per round"]), 1.8, rtol=5e-3),
        "a round brings its drafts that are kept and one of its own.",
    )
    yield Claim(
        "V3's speed-up, at a cost of 1.044",
        close(float(attempt["V3"]), 1.8 / 1.044, rtol=5e-3),
        "1.8 tokens for 1.044 steps: divide by what a round costs.",
    )
    yield Claim(
        "what must be kept if a round costs 1.6 steps",
        close(float(attempt["needed"]), 0.6, rtol=5e-3),
        "it pays if 1 + a is more than the cost: a share between 0 and 1.",
    )
    yield Claim(
        "tokens of a round with two drafts, each kept at 70 %",
        close(float(attempt["two drafts"]), 1 + 0.7 + 0.49, rtol=5e-3),
        "the second is kept only if the first was.",
    )
    fresh = float(attempt["fresh draw"])
    yield Claim(
        "how often is a share",
        0 < fresh < 1,
        "half of the time is 0.5, not 50.",
    )
    yield Claim(
        "a fresh draw brings token 0 sometimes, and less often than p does",
        0.2 < fresh < 0.599,
        "it comes as a draft of q, which is always kept, or instead of one that was rejected. "
        "Were both together 0.6, nothing would be wrong with it.",
    )
    yield Claim(
        "how often token 0 comes out after a fresh draw",
        close(fresh, 0.44, rtol=5e-3),
        "0.2 + (share of rejected drafts) x 0.6: how often is a draft rejected?",
    )
    yield from explains(
        attempt,
        (0.44, 44),
        (0.6, 60),
        says="it says how often token 0 comes, and how often it should",
        hint="say both numbers, and what a fresh draw forgets about the draft that was rejected.",
    )
