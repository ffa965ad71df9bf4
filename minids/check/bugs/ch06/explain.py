"""Answers to 06.explain, right and wrong: why no batch is even."""

REASON = (
    "Even a perfect router gives an expert 128 choices in a batch only on average, give or take "
    "10.6, and MaxVio looks at the busiest of sixteen."
)

EXPLAINED = {"mean": 128, "spread": 10.58, "batches": 69, "because": REASON}

EXPLAINED_AGAIN = {
    "mean": 1024 * 2 / 16,
    "spread": (128 * (1 - 2 / 16)) ** 0.5,
    "batches": 128 * 14 / 16 / 1.28**2,
    "because": "Chance moves a load of 128 by about 11 from batch to batch, so that one expert "
    "always stands out.",
}

EXPLAINED_ROUNDED = EXPLAINED | {
    "spread": 10.6,
    "because": "Even a perfect router scatters around 128 choices, by 10.58 or so in each batch.",
}

RIGHT = [EXPLAINED, EXPLAINED_AGAIN, EXPLAINED_ROUNDED]

WRONG = [
    ("one choice a token", EXPLAINED | {"mean": 64}, "2 choices each"),
    ("the variance", EXPLAINED | {"spread": 112.0}, "the ROOT"),
    ("the chance of one choice", EXPLAINED | {"spread": (128 * 15 / 16) ** 0.5}, "p = 2/16"),
    ("the chance of one choice, rounded", EXPLAINED | {"spread": 11.0}, "in both places"),
    ("n p without 1 - p", EXPLAINED | {"spread": 128**0.5}, "in both places"),
    ("n p without 1 - p, rounded", EXPLAINED | {"spread": 11.3}, "in both places"),
    ("cut to a half", EXPLAINED | {"spread": 10.5}, "to one decimal"),
    ("not squared", EXPLAINED | {"batches": 8}, "squared"),
    ("one batch will do", EXPLAINED | {"batches": 1}, "is it a hundredth"),
    (
        "no numbers",
        EXPLAINED | {"because": "Chance moves every load a little in every batch."},
        "with both numbers",
    ),
    ("text", EXPLAINED | {"spread": "10.58"}, "write a plain number"),
    ("an entry left out", {"mean": 128}, "four entries"),
]
