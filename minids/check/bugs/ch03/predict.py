"""Answers to 03.predict, right and wrong: in how many ways experts can be chosen."""

NUMBERS = {"2 of 16": 120, "8 of 64": 4_426_165_368, "7 of 63": 553_270_671}

NUMBERS |= {"16B, share active": 8 / 66}

RIGHT = [NUMBERS, NUMBERS | {"16B, share active": 0.1212}]

WRONG = [
    ("ordered pairs", NUMBERS | {"2 of 16": 240}, "halve them"),
    ("with repetition", NUMBERS | {"8 of 64": 64**8}, "not 64 ** 8"),
    ("four times as many", NUMBERS | {"8 of 64": 480}, "ways multiply"),
    ("shared one in the pool", NUMBERS | {"7 of 63": 621_216_192}, "leaves the pool"),
    ("shared ones forgotten", NUMBERS | {"16B, share active": 6 / 64}, "above and below"),
    ("an answer left out", {"2 of 16": 120}, "the keys are"),
]
