"""Answers to 01.bigram, right and wrong: nats per token of a table of pairs."""

import math

import numpy as np
import torch


def bigram(train, held_out, vocab, alpha):
    counts = torch.full((vocab, vocab), alpha, dtype=torch.float64)
    one = torch.ones(len(train) - 1, dtype=torch.float64)
    counts.index_put_((train[:-1], train[1:]), one, accumulate=True)
    p = counts / counts.sum(1, keepdim=True)
    return float(-p[held_out[:-1], held_out[1:]].log().mean())


def bigram_with_dictionaries(train, held_out, vocab, alpha):
    pairs, before = {}, {}
    train, held_out = train.tolist(), held_out.tolist()
    for a, b in zip(train, train[1:], strict=False):
        pairs[a, b], before[a] = pairs.get((a, b), 0) + 1, before.get(a, 0) + 1
    each = [
        math.log(before.get(a, 0) + alpha * vocab) - math.log(pairs.get((a, b), 0) + alpha)
        for a, b in zip(held_out, held_out[1:], strict=False)
    ]
    return sum(each) / len(each)


def _counted(train, vocab):
    counts = torch.zeros(vocab, vocab, dtype=torch.float64)
    one = torch.ones(len(train) - 1, dtype=torch.float64)
    return counts.index_put_((train[:-1], train[1:]), one, accumulate=True)


def _smoothed(train, vocab, alpha):
    counts = _counted(train, vocab) + alpha
    return counts / counts.sum(1, keepdim=True)


def _surprise_of(p, held_out):
    return -p[held_out[:-1], held_out[1:]].log()


def pairs_turned_round(train, held_out, vocab, alpha):
    counts = _counted(train, vocab).T + alpha
    return float(_surprise_of(counts / counts.sum(1, keepdim=True), held_out).mean())


def joint_probability(train, held_out, vocab, alpha):
    counts = _counted(train, vocab) + alpha / vocab
    return float(_surprise_of(counts * vocab / counts.sum(), held_out).mean())


def unigram(train, held_out, vocab, alpha):
    counts = _counted(train, vocab).sum(0) + alpha
    return float(-(counts / counts.sum())[held_out[1:]].log().mean())


def cheats(train, held_out, vocab, alpha):
    return bigram(torch.cat([train, held_out]), held_out, vocab, alpha)


def bigram_in_bits(train, held_out, vocab, alpha):
    return bigram(train, held_out, vocab, alpha) / math.log(2)


def bigram_summed(train, held_out, vocab, alpha):
    return bigram(train, held_out, vocab, alpha) * (len(held_out) - 1)


def alpha_once(train, held_out, vocab, alpha):
    counts = _counted(train, vocab)
    p = (counts + alpha) / (counts.sum(1, keepdim=True) + alpha)
    return float(_surprise_of(p, held_out).mean()) if len(train) > 1 else math.log(vocab)


def always_one_for_alpha(train, held_out, vocab, alpha):
    return bigram(train, held_out, vocab, alpha if alpha < 1e-3 else 1.0)


def without_the_last_pair(train, held_out, vocab, alpha):
    return bigram(train, held_out[:-1], vocab, alpha)


def divided_by_sums_of_other_rows(train, held_out, vocab, alpha):
    counts = _counted(train, vocab) + alpha
    return float(_surprise_of(counts / counts.sum(1), held_out).mean())


def last_token_has_a_follower(train, held_out, vocab, alpha):
    before = torch.bincount(train, minlength=vocab)[:, None]
    p = (_counted(train, vocab) + alpha) / (before + alpha * vocab)
    return float(_surprise_of(p, held_out).mean())


def mean_over_the_tokens(train, held_out, vocab, alpha):
    return bigram_summed(train, held_out, vocab, alpha) / len(held_out)


def vocabulary_of_the_texts(train, held_out, vocab, alpha):
    return bigram(train, held_out, int(torch.cat([train, held_out]).max()) + 1, alpha)


def nothing_smoothed(train, held_out, vocab, alpha):
    counts = _counted(train, vocab)
    p = (counts / counts.sum(1, keepdim=True)).nan_to_num(0.0)
    return float(_surprise_of(p, held_out).mean())


def bigram_in_numpy(train, held_out, vocab, alpha):
    counts = np.full((vocab, vocab), alpha, dtype=np.float32)
    np.add.at(counts, (train[:-1].numpy(), train[1:].numpy()), 1)
    p = counts / counts.sum(1, keepdims=True)
    return -np.log(p[held_out[:-1].numpy(), held_out[1:].numpy()]).mean()


def bigram_in_powers_of_ten(train, held_out, vocab, alpha):
    return bigram(train, held_out, vocab, alpha) / math.log(10)


def bigram_of_pairs_once(train, held_out, vocab, alpha):
    counts = torch.full((vocab, vocab), alpha)
    counts[train[:-1], train[1:]] += 1
    p = counts / counts.sum(1, keepdim=True)
    return -p[held_out[:-1], held_out[1:]].log().mean()


def bigram_without_minus(train, held_out, vocab, alpha):
    return -bigram(train, held_out, vocab, alpha)


def vocabulary_of_the_training_text(train, held_out, vocab, alpha):
    counts = _counted(train, vocab)
    p = (counts + alpha) / (counts.sum(1, keepdim=True) + alpha * len(train.unique()))
    return float(_surprise_of(p, held_out).mean())


def surprise_of_the_mean(train, held_out, vocab, alpha):
    p = torch.exp(-_surprise_of(_smoothed(train, vocab, alpha), held_out))
    return float(-p.mean().log())


def rolled_held_out(train, held_out, vocab, alpha):
    return float(-_smoothed(train, vocab, alpha)[held_out, held_out.roll(-1)].log().mean())


def first_pair_left_out(train, held_out, vocab, alpha):
    return bigram(train[1:], held_out, vocab, alpha) if len(train) > 1 else math.log(vocab)


def follower_of_the_first_forgotten(train, held_out, vocab, alpha):
    before = torch.bincount(train[1:], minlength=vocab)[:, None]
    p = (_counted(train, vocab) + alpha) / (before + alpha * vocab)
    return float(_surprise_of(p, held_out).mean())


def rows_never_seen_left_out(train, held_out, vocab, alpha):
    known = torch.isin(held_out[:-1], train[:-1])
    surprise = _surprise_of(_smoothed(train, vocab, alpha), held_out)
    return float(surprise[known].mean()) if known.any() else math.log(vocab)


RIGHT = [bigram, bigram_with_dictionaries, bigram_in_numpy]

WRONG = [
    ("bits", bigram_in_bits, "natural logarithm"),
    ("powers of ten", bigram_in_powers_of_ten, "no log10"),
    ("equal pairs once", bigram_of_pairs_once, "accumulate=True"),
    ("no minus", bigram_without_minus, "minus ln p"),
    ("vocabulary of the training text", vocabulary_of_the_training_text, "most tokens never"),
    ("surprise of the mean probability", surprise_of_the_mean, "not -ln of a mean"),
    ("rolled", rolled_held_out, "joins the end"),
    ("sum", bigram_summed, "not a sum"),
    ("divided by the tokens", mean_over_the_tokens, "one less than the tokens"),
    ("vocabulary of the texts", vocabulary_of_the_texts, "if some tokens never occur"),
    ("no smoothing", nothing_smoothed, "alpha goes into every place"),
    ("unigram", unigram, "Condition on the token before"),
    ("pairs turned round", pairs_turned_round, "after token i comes i + 1"),
    ("looks at the test", cheats, "looking at the test"),
    ("joint probability", joint_probability, "alpha included"),
    ("alpha once", alpha_once, "alpha * vocab"),
    ("sums of other rows", divided_by_sums_of_other_rows, "keepdim=True"),
    ("the last token followed", last_token_has_a_follower, "has no follower there"),
    (
        "the tokens after the first counted",
        follower_of_the_first_forgotten,
        "has no follower there",
    ),
    ("rows never seen left out", rows_never_seen_left_out, "has 1/vocab for each"),
    ("first pair left out", first_pair_left_out, "train[:-1] beside train[1:]"),
    ("alpha always 1", always_one_for_alpha, "alpha is an argument"),
    ("last pair left out", without_the_last_pair, "no pair is left out"),
]
