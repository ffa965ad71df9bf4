"""Answers to 06.predict, right and wrong: routing as V3 does it, in four numbers."""

import math

COMPUTED = {
    "most nodes": 4 // 2,
    "nodes by chance": 4 * (1 - math.comb(96, 8) / math.comb(128, 8)),
    "worst MaxVio": 128 / 8 - 1.0,
    "steps": 0.4 / 0.002,
}

NUMBERS = {"most nodes": 2, "nodes by chance": 3.63, "worst MaxVio": 15, "steps": 200}

RIGHT = [NUMBERS, COMPUTED]

WRONG = [
    ("all four nodes", NUMBERS | {"most nodes": 4}, "M = 2"),
    ("no node is missed", NUMBERS | {"nodes by chance": 4}, "some share one"),
    ("with replacement, and wrong", NUMBERS | {"nodes by chance": 3.2}, "a node is missed"),
    (
        "with replacement",
        NUMBERS | {"nodes by chance": 4 * (1 - (3 / 4) ** 8)},
        "4 x (1 - the chance that a node is missed); without replacement",
    ),
    ("all choices to one expert", NUMBERS | {"worst MaxVio": 127}, "1/8 of all choices"),
    ("minus 1 forgotten", NUMBERS | {"worst MaxVio": 16}, "minus 1"),
    ("the speed forgotten", NUMBERS | {"steps": 400}, "distance over speed"),
    ("an answer left out", {"most nodes": 2}, "the keys are"),
]
