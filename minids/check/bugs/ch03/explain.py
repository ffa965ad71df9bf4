"""Answers to 03.explain, right and wrong: why a router with a constant gate stands still."""

EXPLAINED = {
    "raw": 0.48,
    "renormalised": 0,
    "because": "Over one expert the gate is p / p, which is 1 whatever the logits are.",
}

RIGHT = [
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
    ("text", EXPLAINED | {"raw": "0.48"}, "write a plain number"),
    ("an entry left out", {"raw": 0.48}, "three entries"),
]
