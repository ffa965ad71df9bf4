"""Answers to 11.weigh, right and wrong: what a second reward pushes."""

import statistics

import numpy as np
import torch

weighed = {
    "right and mixed, accuracy alone": 1.0,
    "right and pure, language at 1": 1.342,
    "right and mixed, language at 1": 0.447,
    "wrong and pure, language at 1": -0.447,
    "weight at which wrong and pure equals right and mixed": 2,
    "because": "With a weight above 2 a wrong answer in pure English earns more than a right one.",
}


def _computed():
    def advantages(weight):
        rewards = [1 + weight, 1 + weight / 2, weight, weight / 2]
        mean, spread = statistics.fmean(rewards), statistics.pstdev(rewards)
        return [(r - mean) / spread for r in rewards]

    pure, mixed, wrong, _ = advantages(1)
    why = "At 2 it is all the same whether an answer is right or its thoughts are pure."
    return dict(
        zip(weighed, (advantages(0)[1], pure, mixed, wrong, 1 / (1 - 0.5), why), strict=True)
    )


def _but(name, value):
    return {**weighed, name: value}


_NAMES = list(weighed)

_of_numpy = {**weighed, _NAMES[1]: np.float32(1.342), _NAMES[4]: np.int64(2)}

RIGHT = [weighed, _computed(), _of_numpy]

WRONG = [
    ("the language is looked at", _but(_NAMES[0], 0.447), "Nobody looks"),
    ("deviation of n - 1", _but(_NAMES[1], 1.162), "deviation 0.559"),
    ("as good as ever", _but(_NAMES[2], 1.0), "half as hard"),
    ("good language pays", _but(_NAMES[3], 0.447), "does not pay"),
    ("equal weights", _but(_NAMES[4], 1.0), "1 + w / 2"),
    ("True for 1", _but(_NAMES[0], True), "write a plain number"),
    ("a tensor", _but(_NAMES[0], torch.tensor(1.0)), "write a plain number"),
    ("a number as text", _but(_NAMES[1], "1.342"), "write a plain number"),
    ("an answer is missing", dict(list(weighed.items())[:-1]), "has no"),
    (
        "no number",
        _but("because", "A large weight would pay for language and not for being right."),
        "from which weight on",
    ),
    (
        "a number in words",
        _but("because", "Above a weight of two wrong answers earn more than right mixed ones."),
        "in figures",
    ),
    ("no words", _but("because", "2"), "write a sentence"),
]
