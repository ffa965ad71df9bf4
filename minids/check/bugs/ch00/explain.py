"""Answers to 00.explain, right and wrong: which 37 billion are meant, with numbers."""

from typing import Any

WHICH = {
    "no table": 35.70,
    "head only": 36.63,
    "both tables": 37.55,
    "rounds to 37": "head only",
    "because": "Only 36.63 rounds to 37: it counts the head and leaves out the embedding.",
}

WHICH_TO_THE_LAST = WHICH | {
    "no table": 35.699337216,
    "because": "A look-up multiplies nothing, so only the head counts: that makes 36.6 billion.",
}

WHICH_IN_FULL = WHICH | {
    "because": "The head counts and the embedding does not: 36,626,193,408 parameters.",
}

WHICH_ROUNDED = WHICH | {
    "because": "The 37 billion count the head, which is multiplied whole, and no embedding.",
}

RIGHT: list[Any] = [WHICH, WHICH_TO_THE_LAST, WHICH_IN_FULL, WHICH_ROUNDED]

WRONG: list[tuple[str, Any, str]] = [
    ("not in billions", WHICH | {"head only": 36_626_000_000}, "and not 36.6e9"),
    ("all there are", WHICH | {"both tables": 671.026}, "and not 36.6e9"),
    ("a table left in", WHICH | {"no table": 36.626}, "every table has"),
    ("both tables", WHICH | {"rounds to 37": "both tables"}, "36, 37 and 38"),
    ("a number for a name", WHICH | {"rounds to 37": 36.63}, "one of the three names"),
    ("text", WHICH | {"no table": "36 billion"}, "the answer is a number"),
    (
        "no number",
        WHICH | {"because": "The report must mean what every token really meets."},
        "write a sentence",
    ),
    ("no words", WHICH | {"because": "36.6"}, "write a sentence"),
    ("no reason", {"no table": 35.7, "head only": 36.63, "both tables": 37.55}, "has no"),
]
