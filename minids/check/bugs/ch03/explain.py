"""Answers to 03.explain, right and wrong: why a router with a constant gate stands still."""

EXPLAINED = {
    "raw": 0.48,
    "renormalised": 0,
    "second gate": 1,
    "because": "Over one expert the gate is p / p, which is 1 whatever the logits are.",
}

CANCELLED = {
    "raw": 3 * 0.8 * 0.2,
    "renormalised": 0.0,
    "second gate": 0.8 / 0.8,
    "because": "Numerator and denominator cancel, so nothing is left that a logit could move.",
}

RIGHT = [EXPLAINED, CANCELLED]

WRONG = [
    ("the expert's output", EXPLAINED | {"raw": 3}, "dp / dlogit"),
    ("the gate squared", EXPLAINED | {"raw": 1.92}, "not p p"),
    ("without the expert", EXPLAINED | {"raw": 0.16}, "the gate alone"),
    ("sign flipped", EXPLAINED | {"raw": -0.48}, "which sign"),
    ("both alike", EXPLAINED | {"renormalised": 0.48}, "p / p"),
    ("the second gate as the first", EXPLAINED | {"second gate": 0.8}, "is its own gate"),
    ("the second gate as its slope", EXPLAINED | {"second gate": 0}, "is its own gate"),
    ("one divided by the gate", EXPLAINED | {"second gate": 1.25}, "is its own gate"),
    ("a word", EXPLAINED | {"because": "It is constant."}, "a sentence"),
    ("text", EXPLAINED | {"raw": "0.48"}, "write a plain number"),
    ("an entry left out", {"raw": 0.48}, "four entries"),
]
