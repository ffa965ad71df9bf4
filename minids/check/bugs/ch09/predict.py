"""Answers to 09.predict, right and wrong: how long devices idle."""

predicted = {"1F1B": 18.64, "ZB1P": 7.10, "DualPipe": 6.49, "micro-batches": 99}

predicted_by_arithmetic = {
    "1F1B": 100 * 33 / (33 + 144),
    "ZB1P": 100 * 11 / (11 + 144),
    "DualPipe": 100 * 10 / (10 + 144),
    "micro-batches": 99,
}

RIGHT = [predicted, predicted_by_arithmetic]

WRONG = [
    ("share of the work", predicted | {"1F1B": 100 * 33 / 144}, "whole step"),
    ("PP for PP - 1", predicted | {"1F1B": 100 * 36 / 180}, "PP - 1"),
    ("one W only", predicted | {"ZB1P": 100 * 22 / 166}, "2W"),
    ("PP - 1 for DualPipe", predicted | {"DualPipe": 100 * 22 / 166}, "PP/2"),
    ("one too few", predicted | {"micro-batches": 98}, "at most 10 %"),
    (
        "fractions",
        {"1F1B": 0.186, "ZB1P": 0.071, "DualPipe": 0.0649, "micro-batches": 99},
        "percent",
    ),
    ("one missing", {"1F1B": 18.64, "ZB1P": 7.1, "DualPipe": 6.49}, "every question"),
]
