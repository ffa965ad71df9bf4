"""Answers to 05.measure, right and wrong: loss by position in a long row."""

import math

import torch
from torch.nn import functional as F


def by_position(logits, targets, mask, bins):
    surprise = F.cross_entropy(logits.transpose(1, 2), targets, reduction="none")
    cut = [targets.shape[1] * i // bins for i in range(bins + 1)]
    return [
        surprise[:, a:b][mask[:, a:b]].mean().item() for a, b in zip(cut, cut[1:], strict=False)
    ]


def by_position_weighed(logits, targets, mask, bins):
    surprise = -logits.log_softmax(-1).gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    t = targets.shape[1]
    out = torch.zeros(bins)
    for i in range(bins):
        here = slice(i * t // bins, (i + 1) * t // bins)
        out[i] = (surprise[:, here] * mask[:, here]).sum() / mask[:, here].sum()
    return out


def by_position_unmasked(logits, targets, mask, bins):
    return by_position(logits, targets, torch.ones_like(mask), bins)


def by_position_over_size(logits, targets, mask, bins):
    surprise = F.cross_entropy(logits.transpose(1, 2), targets, reduction="none") * mask
    return [part.mean().item() for part in surprise.tensor_split(_cuts(targets, bins), dim=1)]


def by_position_row_by_row(logits, targets, mask, bins):
    rows = [
        by_position(logits[i : i + 1], targets[i : i + 1], mask[i : i + 1], bins)
        for i in range(len(targets))
    ]
    return torch.tensor(rows).nanmean(0)


def by_position_summed(logits, targets, mask, bins):
    surprise = F.cross_entropy(logits.transpose(1, 2), targets, reduction="none") * mask
    return [part.sum().item() for part in surprise.tensor_split(_cuts(targets, bins), dim=1)]


def by_position_overflows(logits, targets, mask, bins):
    p = logits.softmax(-1).gather(-1, targets[..., None])[..., 0]
    return by_position(torch.stack([p.log(), (1 - p).log()], -1), 0 * targets, mask, bins)


def by_position_in_bits(logits, targets, mask, bins):
    return [x / math.log(2) for x in by_position(logits, targets, mask, bins)]


def by_position_shifted(logits, targets, mask, bins):
    return by_position(logits, targets.roll(-1, 1), mask, bins)


def by_position_one_mean(logits, targets, mask, bins):
    return bins * by_position(logits, targets, mask, 1)


def by_position_without_the_rest(logits, targets, mask, bins):
    n = targets.shape[1] // bins * bins
    return by_position(logits[:, :n], targets[:, :n], mask[:, :n], bins)


def by_position_reshaped(logits, targets, mask, bins):
    b, t, v = logits.shape
    surprise = F.cross_entropy(logits.reshape(b, v, t), targets, reduction="none")
    parts = (x.tensor_split(_cuts(targets, bins), dim=1) for x in (surprise, mask))
    return [part[counts].mean().item() for part, counts in zip(*parts, strict=True)]


def by_position_just_one(logits, targets, mask, bins):
    return by_position(logits, targets, mask, 1)


def _cuts(targets, bins):
    return [targets.shape[1] * i // bins for i in range(1, bins)]


RIGHT = [by_position, by_position_weighed]

WRONG = [
    ("mask ignored", by_position_unmasked, "left out before anything"),
    ("over the size of the bin", by_position_over_size, "not by its size"),
    ("row by row", by_position_row_by_row, "not row by row"),
    ("sums", by_position_summed, "as a mean over targets"),
    ("logarithm of a softmax", by_position_overflows, "log_softmax keeps its digits"),
    ("bits", by_position_in_bits, "the natural logarithm"),
    ("targets shifted once more", by_position_shifted, "belong to the target at that"),
    ("one mean for all bins", by_position_one_mean, "mean of its own positions"),
    ("the rest thrown away", by_position_without_the_rest, "every target once"),
    ("reshape for transpose", by_position_reshaped, "not reshape"),
    ("one bin", by_position_just_one, "a number for every bin"),
]
