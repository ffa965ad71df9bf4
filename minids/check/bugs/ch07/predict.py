"""Answers to 07.predict, right and wrong: whether drafts pay, and why the text stays the same."""

NUMBERS = {
    "tokens per round": 1.8,
    "V3": 1.724,
    "needed": 0.6,
    "two drafts": 2.19,
    "fresh draw": 0.44,
    "because": "A fresh draw gives token 0 a chance of 0.44, not 0.6: a rejected draft was no "
    "token 0, so what is left over must make up for that.",
}

COMPUTED = {
    "tokens per round": 1 + 0.8,
    "V3": (1 + 0.8) / 1.044,
    "needed": 1.6 - 1,
    "two drafts": 1 + 0.7 + 0.7 * 0.7,
    "fresh draw": 0.2 + 0.4 * 0.6,
    "because": "Only tokens that q drafts too rarely were short, and they need all 40 % of "
    "rejections; spread over p, token 0 ends at 44 % instead of 60 %.",
}

RIGHT = [NUMBERS, COMPUTED]

WRONG = [
    ("the model's own token left out", NUMBERS | {"tokens per round": 0.8}, "one of its own"),
    ("the round for nothing", NUMBERS | {"V3": 1.8}, "divide by what a round costs"),
    ("the report's measurement", NUMBERS | {"V3": 1.83}, "1.8 tokens"),
    ("twice the steps", NUMBERS | {"needed": 0.8}, "1 + a"),
    ("cost as it stands", NUMBERS | {"needed": 1.6}, "a share"),
    ("both sure", NUMBERS | {"two drafts": 2.4}, "only if the first"),
    ("a fresh draw is right", NUMBERS | {"fresh draw": 0.6}, "nothing would be wrong"),
    ("accepted drafts alone", NUMBERS | {"fresh draw": 0.2}, "comes as a draft of q"),
    ("rejected drafts alone", NUMBERS | {"fresh draw": 0.24}, "0.2 + "),
    (
        "no numbers",
        NUMBERS | {"because": "A fresh draw forgets that the draft was rejected."},
        "both numbers",
    ),
    ("no words", NUMBERS | {"because": "0.44, not 0.6"}, "write a sentence"),
    ("an answer left out", {"V3": 1.724}, "has no 'tokens per round'"),
]
