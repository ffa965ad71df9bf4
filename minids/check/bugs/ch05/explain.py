"""Answers to 05.explain, right and wrong: why interpolated positions are lost at once."""

ANGLES = {
    "as trained": 3.0,
    "after PI": 0.375,
    "between": (0, 1),
    "because": "An angle of 0.375 lies between no token and one: training showed 0, 1, 2 and 3.",
}

ANGLES_IN_WHOLE = ANGLES | {
    "as trained": 3,
    "after PI": 3 / 8,
    "between": [0, 1],
    "because": "Training showed whole radians, so 0.375 means neither this token nor the last one.",
}

RIGHT = [ANGLES, ANGLES_IN_WHOLE]

WRONG = [
    ("turns", ANGLES | {"as trained": 0.477}, "not turns"),
    ("one token", ANGLES | {"as trained": 1.0}, "three tokens back"),
    ("PI multiplies", ANGLES | {"after PI": 24.0}, "divides every pace"),
    ("PI leaves it", ANGLES | {"after PI": 3.0}, "divides every pace"),
    ("one token after PI", ANGLES | {"after PI": 0.125}, "the same three tokens"),
    ("between two and three", ANGLES | {"between": (2, 3)}, "showed whole tokens"),
    ("one distance", ANGLES | {"between": 0}, "as a pair"),
    ("angles in words", ANGLES | {"after PI": "0.375"}, "write plain numbers"),
    (
        "no number",
        ANGLES | {"because": "Training never showed an angle as small as that."},
        "say that number",
    ),
    ("no words", ANGLES | {"because": "0.375"}, "write a sentence"),
    ("no reason", {"as trained": 3.0, "after PI": 0.375}, "four entries"),
]
