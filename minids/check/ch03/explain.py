"""03.explain: why a router with a constant gate stands still."""

import re
from collections.abc import Iterator
from typing import Any

import torch

from minids.check import Claim, checker, close
from minids.check.answers import number_entries, sentence

# One expert, or k = 1, is not yet a gate of 1.
_CONSTANT = re.compile(
    r"""constant | never\s+(changes|moves|varies) | always\s+the\s+same
    | p\s*(/|over|divided\s+by)\s*p\b
    | gate\b.{0,40}(\bnot|\bcannot|n't)\s+(change|depend|vary|move)
    | (\b(always|is|are|equals?|stays?|becomes?|remains?|be|gives?|to|at|of|gate|value|exactly)\b
      | (?<!k)(?<!k\s)=)
      (\s+\w+)?\s*\b(1|one)\b(?!\s+(chosen|single|expert|token|of\b))
    | \b(1|one)\b,?\s+(whatever|regardless|no\s+matter|independent|for\s+(any|all|every))""",
    re.VERBOSE,
)


@checker(
    "03.explain",
    takes=dict,
    hints=(
        "Write the output as gate times expert, and differentiate the gate by the first logit.",
        "d softmax_1 / d logit_1 = p (1 - p). What is p / p?",
        '"renormalised": 0, because 0.8 / 0.8 is 1 whatever the logits are',
    ),
)
def claims(attempt: dict[str, Any], g: torch.Generator) -> Iterator[Claim]:
    yield number_entries(attempt, "raw", "renormalised")
    raw = float(attempt["raw"])
    yield Claim(
        "raw: a larger logit makes the output larger",
        raw > 0,
        "the gate grows with its logit, and the expert returns 3, not -3: which sign is left?",
    )
    yield Claim(
        "raw: the gate is a softmax, which flattens towards 1",
        raw < 3 * 0.8,
        "a softmax does not grow as fast as its logit: differentiate it, dp / dlogit = p (1 - p).",
    )
    yield Claim(
        "raw: what the expert returns is a factor of the slope",
        not close(raw, 0.16, rtol=5e-3),
        "that is the slope of the gate alone, and the output is 3 p.",
    )
    yield Claim(
        "the slope with the raw gate",
        close(raw, 0.48, rtol=5e-3),
        "the other logit shares the softmax: with p = 0.8, p (1 - p) and not p p; times 3.",
    )
    yield Claim(
        "the slope with the renormalised gate",
        attempt["renormalised"] == 0,
        "over one expert the gate is p / p: what is its derivative?",
    )
    yield sentence(attempt)
    yield Claim(
        "it names the constant gate",
        _CONSTANT.search(attempt["because"].lower()) is not None,
        "say what value the gate has whatever the logits are.",
    )
