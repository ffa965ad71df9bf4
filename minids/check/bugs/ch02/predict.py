"""Answers to 02.predict, right and wrong: which is heavier, weights or cache."""

import torch

from minids.check.ch02.predict import NUMBERS, WORDS

HEAVY = {name: value for name, (value, _) in NUMBERS.items()}

HEAVY |= {name: word for name, (word, _) in WORDS.items()}

RIGHT = [HEAVY, HEAVY | {"weights, GB": 135, "cache, GB": 13, "cache as MHA, GB": 100}]

WRONG = [
    ("a tensor", HEAVY | {"weights, GB": torch.tensor(135.0)}, "write a plain number"),
    ("a byte for a weight", HEAVY | {"weights, GB": 67.4}, "2 bytes"),
    ("keys without values", HEAVY | {"cache, GB": HEAVY["cache, GB"] / 2}, "2 * 8 key heads"),
    ("one text", HEAVY | {"cache, GB": HEAVY["cache, GB"] / 8}, "4096 tokens of 8 texts"),
    ("no sharing to undo", HEAVY | {"cache as MHA, GB": HEAVY["cache, GB"]}, "8 times"),
    ("the cache is always heavier", HEAVY | {"heavier": "cache"}, "compare the first two"),
    ("sharing must have been needed", HEAVY | {"heavier as MHA": "cache"}, "first and the third"),
    ("small models, small caches", HEAVY | {"heavier in the 7B": "weights"}, "shares nothing"),
    ("an answer left out", {"heavier": "weights"}, "every question has an answer"),
    ("a third word", HEAVY | {"heavier": "both"}, "one of weights, cache"),
]
