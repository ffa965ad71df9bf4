"""Answers to 11.weigh, right and wrong: what a second reward pushes."""

import statistics

import numpy as np
import torch

weighed = {
    "right and mixed, accuracy alone": 1.0,
    "right and pure, language at 1": 1.3,
    "right and mixed, language at 1": 0.557,
    "wrong and pure, language at 1": -0.557,
    "weight at which wrong and pure equals right and mixed": 2.5,
    "because": "Above a weight of 2.5 a wrong answer in pure English earns more than a right one.",
}


def _computed():
    def advantages(weight):
        rewards = [1 + weight, 1 + 0.6 * weight, weight, 0.6 * weight]
        mean, spread = statistics.fmean(rewards), statistics.pstdev(rewards)
        return [(r - mean) / spread for r in rewards]

    pure, mixed, wrong, _ = advantages(1)
    why = "At 2.5 it is all the same whether an answer is right or its thoughts are pure."
    return dict(
        zip(weighed, (advantages(0)[1], pure, mixed, wrong, 1 / (1 - 0.6), why), strict=True)
    )


def _but(name, value):
    return {**weighed, name: value}


_NAMES = list(weighed)

_of_numpy = {**weighed, _NAMES[1]: np.float32(1.3), _NAMES[4]: np.float64(2.5)}

RIGHT = [weighed, _computed(), _of_numpy]

WRONG = [
    ("the language is looked at", _but(_NAMES[0], 0.557), "Nobody looks"),
    ("deviation of n - 1", _but(_NAMES[1], 1.126), "deviation 0.539"),
    ("as good as ever", _but(_NAMES[2], 1.0), "half as hard"),
    ("good language pays", _but(_NAMES[3], 0.557), "does not pay"),
    ("equal weights", _but(_NAMES[4], 1.0), "1 + 0.6 w"),
    ("True for 1", _but(_NAMES[0], True), "write a plain number"),
    ("a tensor", _but(_NAMES[0], torch.tensor(1.0)), "write a plain number"),
    ("a number as text", _but(_NAMES[1], "1.3"), "write a plain number"),
    ("an answer is missing", dict(list(weighed.items())[:-1]), "has no"),
    (
        "other numbers",
        _but("because", "There are 2 right answers and 2 wrong ones in this group of four."),
        "from which weight on",
    ),
    (
        "a number in words",
        _but(
            "because",
            "Above a weight of two and a half wrong answers earn more than right mixed ones.",
        ),
        "in figures",
    ),
    ("no words", _but("because", "2.5"), "write a sentence"),
]
