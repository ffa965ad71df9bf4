"""03.explain: why a router with a constant gate stands still."""

import re
from collections.abc import Iterator
from typing import Any

import torch

from minids.check import Claim, checker, close
from minids.check.answers import number_entries, sentence

# Of whom it may be said.
_GATE = re.compile(
    r"""gate | \b(?P<q>[a-z]\w*)\s*(/|over|divided\s+by)\s*(?P=q)\b | itself | divid | normali
    | probabilit | weight | factor | ratio | fraction | \bit\s+(is|stays|equals|never)\b""",
    re.VERBOSE,
)

# What may be said. One expert, or k = 1, is not yet a gate of 1.
_CONSTANT = re.compile(
    r"""(?<!non-)constant(?!\s+(of\s+)?(3|three|output)) | \bfixed\b
    | never\s+(changes|moves|varies) | always\s+the\s+same
    | \b(?P<q>[a-z]\w*)\s*(/|over|divided\s+by)\s*(?P=q)\b | \b(over|divided\s+by)\s+itself\b
    | \bindependent\s+of\b
    | gate\b.{0,40}(\bnot|\bcannot|n't)\s+(change|depend|vary|move|respond|react)
    | (\b(always|is|are|equals?|stays?|becomes?|remains?|be|gives?|to|at|of|gate|value|exactly
          |yields?|produces?|makes?|leaves?|into)\b
      | (?<!k)(?<!k\s)=)
      (\s+(?!(not|never|no|only)\b)\w+){0,2}
      \s*\b((1|one|unity)\b|100\s*(%|per\s?cent))(?![.,]\d*[1-9])
      (?!\s+(chosen|single|expert|token|of\b))
    | \b(1|one)\b,?\s+(whatever|regardless|no\s+matter|independent|for\s+(any|all|every))""",
    re.VERBOSE,
)

# What stands right before it where it is denied, or said of somebody else.
_NOT_SO = re.compile(
    r"""(\b(not|never|hardly|no\s+longer)|n't)
        (\s+(at\s+all|always|really|simply|quite|exactly|a|the|stay|remain|be))*\s*$
    | \b(slope|derivative|gradient)(\s+of\s+(the\s+|its\s+)?\w+)?(\s+(is|stays|remains)(\s+a)?)?\s*$
    | \blogits?\s+(is|are|stays?|remains?)\s*$""",
    re.VERBOSE,
)


def _names_the_constant_gate(words: str) -> bool:
    said = [x for x in _CONSTANT.finditer(words) if not _NOT_SO.search(words[: x.start()])]
    return bool(said) and _GATE.search(words) is not None


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
        _names_the_constant_gate(attempt["because"].lower()),
        "say what value the gate has whatever the logits are.",
    )
