"""Answers to 07.shift, right and wrong: who predicts what."""

import torch


def shift(tokens, k):
    return tokens[:, k:-1], tokens[:, k + 1 :]


def shift_by_index(tokens, k):
    places = torch.arange(tokens.shape[1] - 1 - k)
    return tokens[:, places + k], tokens[:, places + k + 1]


def predicts_what_it_reads(tokens, k):
    return tokens[:, k:-1], tokens[:, k:-1]


def shift_one_early(tokens, k):
    return tokens[:, k - 1 : -2], tokens[:, k:-1]


def shift_as_the_model(tokens, k):
    return tokens[:, : -1 - k], tokens[:, 1:-k]


def shift_always_one(tokens, k):
    return tokens[:, 1:-1], tokens[:, 2:]


def shift_asks_further(tokens, k):
    """What it predicts moves with the depth, and what it is given does not."""
    return tokens[:, 1 : tokens.shape[1] - k], tokens[:, k + 1 :]


def shift_rolled(tokens, k):
    return tokens.roll(-k, 1), tokens.roll(-k - 1, 1)


def shift_rows(tokens, k):
    return tokens[k:-1], tokens[k + 1 :]


def shift_swapped(tokens, k):
    return shift(tokens, k)[::-1]


RIGHT = [shift, shift_by_index]

WRONG = [
    ("predicts what it reads", predicts_what_it_reads, "the token behind the one it reads"),
    ("one place early", shift_one_early, "place i reads token i + k"),
    ("like the model itself", shift_as_the_model, "place i reads token i + k"),
    ("depth 1 always", shift_always_one, "k counts"),
    ("depth in the target alone", shift_asks_further, "what is given moves with the depth"),
    ("rolled", shift_rolled, "right shape"),
    ("rows instead of places", shift_rows, "along the row"),
    ("the two swapped", shift_swapped, "which is asked"),
]
