"""Answers to 07.predict, right and wrong: whether drafts pay, and why the text stays the same."""

NUMBERS = {
    "tokens per round": 1.9,
    "V3": 1.82,
    "needed": 0.8,
    "two drafts": 2.44,
    "fresh draw": 0.52,
    "because": "A fresh draw gives token 0 a chance of 0.52, not 0.7: a rejected draft was no "
    "token 0, so what is left over must make up for that.",
}

COMPUTED = {
    "tokens per round": 1 + 0.9,
    "V3": (1 + 0.9) / 1.044,
    "needed": 1.8 - 1,
    "two drafts": 1 + 0.8 + 0.8 * 0.8,
    "fresh draw": 0.1 + 0.6 * 0.7,
    "because": "Only tokens that q drafts too rarely were short, and they need all 60 % of "
    "rejections; spread over p, token 0 ends at 52 % instead of 70 %.",
}

RIGHT = [NUMBERS, COMPUTED]

WRONG = [
    ("the model's own token left out", NUMBERS | {"tokens per round": 0.9}, "one of its own"),
    ("the round for nothing", NUMBERS | {"V3": 1.9}, "divide by what a round costs"),
    ("the report's measurement", NUMBERS | {"V3": 1.7}, "1.9 tokens"),
    ("twice the steps", NUMBERS | {"needed": 0.9}, "1 + a"),
    ("cost as it stands", NUMBERS | {"needed": 1.8}, "a share"),
    ("both sure", NUMBERS | {"two drafts": 2.6}, "only if the first"),
    ("a fresh draw is right", NUMBERS | {"fresh draw": 0.7}, "nothing would be wrong"),
    ("accepted drafts alone", NUMBERS | {"fresh draw": 0.1}, "comes as a draft of q"),
    ("rejected drafts alone", NUMBERS | {"fresh draw": 0.42}, "0.1 + "),
    (
        "no numbers",
        NUMBERS | {"because": "A fresh draw forgets that the draft was rejected."},
        "both numbers",
    ),
    ("no words", NUMBERS | {"because": "0.52, not 0.7"}, "write a sentence"),
    ("an answer left out", {"V3": 1.82}, "has no 'tokens per round'"),
]
