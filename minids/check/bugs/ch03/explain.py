"""Answers to 03.explain, right and wrong: why a router with a constant gate stands still."""

EXPLAINED = {
    "raw": 0.48,
    "renormalised": 0,
    "because": "Over one expert the gate is p / p, which is 1 whatever the logits are.",
}

HONEST = (
    "Because g / g = 1 regardless of the logits, the slope of the output vanishes.",
    "Dividing 0.8 by itself yields unity, so no logit can move the output any more.",
    "The gate turns into 1 after division by its own sum, whatever the logits are.",
    "The second gate is the number 1, so its derivative with respect to logits vanishes.",
    "The second gate is independent of the logits, because the sum has one term only.",
    "With one chosen expert the second gate is 100 % whichever logits there are.",
    "It is fixed: the gate over itself, which no logit can change in any way.",
    "Renormalising a single probability produces a 1, whose derivative is 0 for any logit.",
    "The second gate does not respond to the logits because it is divided by itself.",
    "The slope is zero because the gate is 1 and an expert has no part in it.",
    "The gate of a single chosen expert is 1 whatever the logits of the router are.",
    "It is 1 whatever the logits are, and what never moves has no derivative.",
    "The weight for any logits is one, because there is nothing to share it with.",
    "Normalised over one expert, the gate no longer moves: its value is 1.0 for all logits.",
)

OPPOSITE = {
    "never 1": "The gate is never 1, it keeps growing without limit as the logits grow larger.",
    "not constant": "The gate is not constant at all: it follows each of the logits as before.",
    "a slope of 1": "The slope is 1 because the softmax is linear in the logit of the expert.",
    "the slope of the gate": "The slope of the gate is 1 because it grows just as its logit does.",
    "a constant expert": "The expert returns a constant 3, so the router gets no gradient here.",
    "not always 1": "The gate isn't always one, since the logits of the router still move it.",
    "the only one": "The expert behind this gate is the only one that gets any gradient here.",
}

RIGHT = [
    *(EXPLAINED | {"because": words} for words in HONEST),
    EXPLAINED,
    {
        "raw": 3 * 0.8 * 0.2,
        "renormalised": 0.0,
        "because": "A constant gate has derivative zero, so nothing flows back to the router.",
    },
    EXPLAINED | {"because": "With one expert chosen the gate never changes: it is p over p."},
    EXPLAINED | {"because": "Divided by itself, the gate is always one, and has no slope."},
]

WRONG = [
    ("the expert's output", EXPLAINED | {"raw": 3}, "dp / dlogit"),
    ("the gate squared", EXPLAINED | {"raw": 1.92}, "not p p"),
    ("without the expert", EXPLAINED | {"raw": 0.16}, "the gate alone"),
    ("sign flipped", EXPLAINED | {"raw": -0.48}, "which sign"),
    ("both alike", EXPLAINED | {"renormalised": 0.48}, "p / p"),
    ("a word", EXPLAINED | {"because": "It is constant."}, "a sentence"),
    (
        "no reason",
        EXPLAINED | {"because": "The router just does not learn well in this case."},
        "whatever the logits are",
    ),
    (
        "one expert, no gate",
        EXPLAINED | {"because": "Only one expert was chosen and the router is not trained well."},
        "whatever the logits are",
    ),
    *(
        (name, EXPLAINED | {"because": words}, "whatever the logits are")
        for name, words in OPPOSITE.items()
    ),
    ("text", EXPLAINED | {"raw": "0.48"}, "write a plain number"),
    ("an entry left out", {"raw": 0.48}, "three entries"),
]
