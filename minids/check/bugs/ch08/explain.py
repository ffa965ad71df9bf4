"""Answers to 08.explain, right and wrong: which errors average out."""

REASON = (
    "Rounding errors have both signs and average out, 5.7 times over 32 times as many terms; what "
    "is cut off a growing sum always has the same sign, and the error grows 127 times."
)

EXPLAINED = {"rounding shrinks by": 5.7, "sums grow by": 127.0, "because": REASON}

NO_NUMBERS = EXPLAINED | {"because": "One error has one sign, the other both, so one averages out."}

EXPLAINED_AGAIN = {
    "rounding shrinks by": 32**0.5,
    "sums grow by": 120,
    "because": "Independent errors of both signs grow by the root of 32 while the sum grows by 32, "
    "so 5.66 times less is left; cut-off parts all pull down: 120 times more.",
}

RIGHT = [EXPLAINED, EXPLAINED_AGAIN]

WRONG = [
    ("no root", EXPLAINED | {"rounding shrinks by": 32.0}, "the root of 32"),
    ("upside down", EXPLAINED | {"sums grow by": 0.0079}, "both ratios are above 1"),
    ("sums of both signs", EXPLAINED | {"sums grow by": 10.9}, "positive numbers"),
    ("no numbers", NO_NUMBERS, "both numbers of your own"),
    ("no words", EXPLAINED | {"because": "5.7 and 127"}, "write a sentence"),
    ("an entry left out", {"because": REASON}, "three entries"),
    ("no shrinking", EXPLAINED | {"rounding shrinks by": 1.5}, "errors of both signs cancel"),
]
