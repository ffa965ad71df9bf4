"""Answers to 12.explain, right and wrong: what verification costs."""

WHY = "Of 2,000,000 answers 1,200,000 are thrown away: they were written, and nobody learns."

PRICE = {"written": 2_000_000, "times": 15.5 / 8, "because": WHY}

RIGHT = [
    PRICE,
    PRICE | {"written": 8e5 / 0.4, "because": "The teacher writes 1.2 million in vain, so."},
]

WRONG = [
    ("multiplied", PRICE | {"written": 320_000}, "thrown away"),
    ("by the wrong share", PRICE | {"written": 800_000 / 0.6}, "divide"),
    ("learns from all", PRICE | {"times": 2.5}, "not learnt from"),
    ("the same price", PRICE | {"times": 1.0}, "for nothing there"),
    ("learning forgotten", PRICE | {"times": 12.5 / 8}, "against 5 + 3"),
    (
        "no number",
        PRICE | {"because": "Some of them are thrown away and so it is dear."},
        "for nothing",
    ),
    ("no words", PRICE | {"because": "1,200,000"}, "write a sentence"),
    ("no reason", {"written": 2_000_000, "times": 15.5 / 8}, "three entries"),
]
