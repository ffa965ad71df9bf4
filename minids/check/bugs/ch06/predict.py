"""Answers to 06.predict, right and wrong: V3's routing in four numbers."""

import math

NUMBERS = {"most nodes": 4, "nodes by chance": 5.29, "worst MaxVio": 31, "steps": 250}

COMPUTED = {
    "most nodes": 8 // 2,
    "nodes by chance": 8 * (1 - math.comb(224, 8) / math.comb(256, 8)),
    "worst MaxVio": 256 / 8 - 1.0,
    "steps": 0.25 / 0.001,
}

RIGHT = [NUMBERS, COMPUTED]

WRONG = [
    ("all eight nodes", NUMBERS | {"most nodes": 8}, "M = 4"),
    ("no node hit twice", NUMBERS | {"nodes by chance": 8}, "some share one"),
    ("with replacement, and wrong", NUMBERS | {"nodes by chance": 5.0}, "a node is missed"),
    (
        "with replacement",
        NUMBERS | {"nodes by chance": 8 * (1 - (7 / 8) ** 8)},
        "without replacement",
    ),
    ("all choices to one expert", NUMBERS | {"worst MaxVio": 255}, "1/8 of all choices"),
    ("minus 1 forgotten", NUMBERS | {"worst MaxVio": 32}, "minus 1"),
    ("scaled by the gap", NUMBERS | {"steps": 1000}, "distance over speed"),
    ("an answer left out", {"most nodes": 4}, "the keys are"),
]
