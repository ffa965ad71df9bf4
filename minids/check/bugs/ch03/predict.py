"""Answers to 03.predict, right and wrong: in how many ways experts can be chosen."""

import math

NUMBERS = {"3 of 24": 2024, "12 of 96": math.comb(96, 12), "11 of 95": math.comb(95, 11)}

NUMBERS |= {"16B, share active": 8 / 66}

RIGHT = [NUMBERS, *(NUMBERS | {"16B, share active": share} for share in (0.1212, 0.12))]

WRONG = [
    ("in order", NUMBERS | {"3 of 24": 12_144}, "in all 6 orders"),
    ("with repetition", NUMBERS | {"12 of 96": 96**12}, "not 96 ** 12"),
    (
        "a product of floats",
        NUMBERS | {"12 of 96": math.prod((96 - i) / (12 - i) for i in range(12))},
        "exactly is a whole number",
    ),
    ("four times as many", NUMBERS | {"12 of 96": 8096}, "ways multiply"),
    ("shared one in the pool", NUMBERS | {"11 of 95": math.comb(96, 11)}, "leaves the pool"),
    ("shared ones forgotten", NUMBERS | {"16B, share active": 6 / 64}, "above and below"),
    ("shared ones above alone", NUMBERS | {"16B, share active": 8 / 64}, "above and below"),
    ("an answer left out", {"3 of 24": 2024}, "the keys are"),
]
