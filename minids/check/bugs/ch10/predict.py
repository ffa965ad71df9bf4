"""Answers to 10.predict, right and wrong: when a group teaches."""

TEACHES = {
    "silent at 0.5": 2 / 256,
    "silent at 0.01": 0.99**8 + 0.01**8,
    "silent at 0.99": 0.99**8 + 0.01**8,
    "answers needed at 0.01": 69,
    "because": "At 0.01 a share of 0.923 of groups is silent: a base must succeed at times.",
}

TEACHES_ROUNDED = TEACHES | {
    "silent at 0.5": 0.0078,
    "silent at 0.01": 0.92,
    "silent at 0.99": 0.92,
    "because": "Of groups of eight 0.92 hold no right answer, so a base must be lucky.",
}

TEACHES_IN_PERCENT = TEACHES | {
    "because": "At 0.01, 92.3 % of all groups are silent, so a base has to be right now and then.",
}

IN_WORDS = "Nine in ten groups are silent there, so a base has to be right now and then."

RIGHT = [TEACHES, TEACHES_ROUNDED, TEACHES_IN_PERCENT]

WRONG = [
    ("all wrong alone", TEACHES | {"silent at 0.5": 1 / 256}, "as well as all eight wrong"),
    ("the groups that teach", TEACHES | {"silent at 0.01": 0.077}, "0.99 to the 8"),
    ("nearly always right teaches", TEACHES | {"silent at 0.99": 0.077}, "no more than that"),
    ("one over p, halved", TEACHES | {"answers needed at 0.01": 50}, "how often must 0.99"),
    ("one over p", TEACHES | {"answers needed at 0.01": 100}, "how often must 0.99"),
    ("text", TEACHES | {"silent at 0.5": "seldom"}, "the answer is a number"),
    (
        "no number",
        TEACHES | {"because": "Most groups are silent there, so the base must know."},
        "which share of groups",
    ),
    ("a number in words", TEACHES | {"because": IN_WORDS}, "in figures"),
    ("no words", TEACHES | {"because": "0.92"}, "write a sentence"),
]
