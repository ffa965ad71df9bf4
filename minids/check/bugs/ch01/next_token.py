"""Answers to 01.next_token, right and wrong: the loss of the next token, with a mask."""

import math

import torch
from torch import nn


def next_token(logits, tokens, counts):
    logp = logits[:, :-1].log_softmax(-1).gather(-1, tokens[:, 1:, None])[..., 0]
    return -logp[counts[:, 1:]].mean()


def next_token_by_cross_entropy(logits, tokens, counts):
    targets = torch.where(counts, tokens, -100)[:, 1:].flatten()
    return nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), targets)


def next_token_word_by_word(logits, tokens, counts):
    losses = []
    for row, words, count in zip(logits, tokens, counts, strict=True):
        for t in range(1, len(words)):
            if count[t]:
                losses.append(row[t - 1].logsumexp(-1) - row[t - 1, words[t]])
    return torch.stack(losses).mean()


def next_token_with_one_hot(logits, tokens, counts):
    wanted = nn.functional.one_hot(tokens[:, 1:], logits.shape[-1]) * counts[:, 1:, None]
    return -(wanted * logits[:, :-1].log_softmax(-1)).sum() / counts[:, 1:].sum()


def this_token(logits, tokens, counts):
    logp = logits.log_softmax(-1).gather(-1, tokens[..., None])[..., 0]
    return -logp[counts].mean()


def previous_token(logits, tokens, counts):
    logp = logits[:, 1:].log_softmax(-1).gather(-1, tokens[:, :-1, None])[..., 0]
    return -logp[counts[:, :-1]].mean()


def _surprise(logits, tokens):
    return -logits[:, :-1].log_softmax(-1).gather(-1, tokens[:, 1:, None])[..., 0]


def counts_not_shifted(logits, tokens, counts):
    return _surprise(logits, tokens)[counts[:, :-1]].mean()


def mean_of_rows(logits, tokens, counts):
    kept, surprise = counts[:, 1:], _surprise(logits, tokens)
    rows = surprise.where(kept, 0.0).sum(-1) / kept.sum(-1).clamp(min=1)
    return rows[kept.any(-1)].mean()


def mean_over_everything(logits, tokens, counts):
    return _surprise(logits, tokens).where(counts[:, 1:], 0.0).mean()


def everything_counts(logits, tokens, counts):
    return _surprise(logits, tokens).mean()


def in_bits(logits, tokens, counts):
    return next_token(logits, tokens, counts) / math.log(2)


def summed(logits, tokens, counts):
    return _surprise(logits, tokens)[counts[:, 1:]].sum()


def sign_forgotten(logits, tokens, counts):
    return -next_token(logits, tokens, counts)


def log_of_softmax(logits, tokens, counts):
    p = logits[:, :-1].softmax(-1).gather(-1, tokens[:, 1:, None])[..., 0]
    return -p.log()[counts[:, 1:]].mean()


def log_of_a_little_more(logits, tokens, counts):
    p = logits[:, :-1].softmax(-1).gather(-1, tokens[:, 1:, None])[..., 0]
    return -(p + 1e-9).log()[counts[:, 1:]].mean()


def next_token_reshaped(logits, tokens, counts):
    b, t, v = logits.shape
    targets = torch.where(counts, tokens, -100)[:, 1:]
    return nn.functional.cross_entropy(logits[:, :-1].reshape(b, v, t - 1), targets)


def as_a_number(logits, tokens, counts):
    return next_token(logits, tokens, counts).detach()


def first_token_counted(logits, tokens, counts):
    return _surprise(logits, tokens)[counts[:, 1:]].sum() / counts.sum()


def shifted_across_rows(logits, tokens, counts):
    logp = logits.flatten(0, 1)[:-1].log_softmax(-1)
    surprise = -logp.gather(-1, tokens.flatten()[1:, None])[..., 0]
    return surprise[counts.flatten()[1:]].mean()


def next_token_padded_with_0(logits, tokens, counts):
    targets = (tokens * counts)[:, 1:].flatten()
    return nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), targets, ignore_index=0)


def next_token_softmax_twice(logits, tokens, counts):
    return next_token_by_cross_entropy(logits.softmax(-1), tokens, counts)


RIGHT = [
    next_token,
    next_token_by_cross_entropy,
    next_token_word_by_word,
    next_token_with_one_hot,
]

WRONG = [
    ("bits", in_bits, "natural logarithm"),
    ("sum", summed, "the mean of"),
    ("sign", sign_forgotten, "-ln(probability"),
    ("no shift", this_token, "place t predicts token t + 1"),
    ("shift the other way", previous_token, "place t predicts token t + 1"),
    ("mask ignored", everything_counts, "counts[:, 1:]"),
    ("mask not shifted", counts_not_shifted, "shift counts together"),
    ("mean of rows", mean_of_rows, "no mean of means"),
    ("mean over everything", mean_over_everything, "number of targets that count"),
    ("first token counted", first_token_counted, "nothing comes before it"),
    ("shifted across rows", shifted_across_rows, "cut each row before you count"),
    ("token 0 for padding", next_token_padded_with_0, "a word like any other"),
    ("softmax before cross_entropy", next_token_softmax_twice, "takes logits"),
    ("log of softmax", log_of_softmax, "never takes log(0)"),
    ("log of softmax and a little more", log_of_a_little_more, "nothing small added"),
    ("reshape for transpose", next_token_reshaped, "not reshape"),
    ("detached", as_a_number, "no detach"),
]
