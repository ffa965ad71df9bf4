"""Answers to 09.predict, right and wrong: how long devices idle."""

predicted = {"1F1B": 18.99, "ZB1P": 7.25, "DualPipe": 6.80, "micro-batches": 135}

predicted_by_arithmetic = {
    "1F1B": 100 * 45 / (45 + 192),
    "ZB1P": 100 * 15 / (15 + 192),
    "DualPipe": 100 * 14 / (14 + 192),
    "micro-batches": 135,
}

RIGHT = [predicted, predicted_by_arithmetic]

WRONG = [
    ("share of the work", predicted | {"1F1B": 100 * 45 / 192}, "whole step"),
    ("PP for PP - 1", predicted | {"1F1B": 100 * 48 / 240}, "PP - 1"),
    ("one W only", predicted | {"ZB1P": 100 * 30 / 222}, "2W"),
    ("PP - 1 for DualPipe", predicted | {"DualPipe": 100 * 30 / 222}, "PP/2"),
    ("one too few", predicted | {"micro-batches": 134}, "at most 10 %"),
    (
        "fractions",
        {"1F1B": 0.19, "ZB1P": 0.0725, "DualPipe": 0.068, "micro-batches": 135},
        "percent",
    ),
    ("one missing", {"1F1B": 18.99, "ZB1P": 7.25, "DualPipe": 6.8}, "every question"),
]
