"""Answers to 01.predict, right and wrong: six numbers, and the reason for one."""

from minids.check.ch01.predict import PREDICTED

NUMBERS = {name: value for name, (value, _) in PREDICTED.items()} | {
    "because": "Who knows nothing loses 11.54 nats: a first loss far below has seen answers."
}

ROUNDED = {name: float(f"{value:.4g}") for name, (value, _) in PREDICTED.items()} | {
    "because": "ln of the vocabulary, 11.5, is what a guess costs; less is a loss counted wrongly."
}

WITHIN_ONE_PERCENT = NUMBERS | {
    "first loss": 11.6,
    "because": "A guess costs 11.6 nats, so half of that is a loss that was counted wrongly.",
}

RIGHT = [NUMBERS, ROUNDED, WITHIN_ONE_PERCENT]

WRONG = [
    ("one left out", {"first loss": 11.5}, "the dictionary has no"),
    ("text", NUMBERS | {"length": "64"}, "the answer is a number"),
    ("loss in bits", NUMBERS | {"first loss": 16.64}, "ln(vocab), in nats"),
    ("length 1", NUMBERS | {"length": 1}, "the length is its root"),
    ("bits per token", NUMBERS | {"bits per byte": 2.885}, "bytes that a token stands for"),
    ("nats per byte", NUMBERS | {"bits per byte": 0.667}, "divide by ln 2"),
    ("two feed-forward matrices", NUMBERS | {"block": 157_294_592}, "three of the feed-"),
    ("norms forgotten, GQA counted", NUMBERS | {"block": 164_626_432}, "four square matrices"),
    ("rate rises", NUMBERS | {"learning rate": 3.162}, "rate falls with the budget"),
    ("batch falls", NUMBERS | {"batch": 0.0492}, "the batch grows"),
    (
        "no number",
        NUMBERS | {"because": "A first loss that is far too low has seen the answer."},
        "say how large",
    ),
    ("no words", NUMBERS | {"because": "11.54"}, "write a sentence"),
]
