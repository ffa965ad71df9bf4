"""Answers to 05.temperature, right and wrong: scores made sharper as the context grows."""

import math
from functools import partial

import torch
from torch.nn import functional as F


def _scores(q, k):
    return torch.einsum("bd,bsd->bs", q, k) / q.shape[-1] ** 0.5


def _sharper(factor, mscale):
    return 0.1 * mscale * math.log(factor) + 1 if factor > 1 else 1.0


def weights(q, k, factor, mscale):
    return (_scores(q, k) * _sharper(factor, mscale) ** 2).softmax(-1)


def weights_both_sides(q, k, factor, mscale):
    t = _sharper(factor, mscale)
    return F.softmax(((t * q)[:, None] * (t * k)).sum(-1) / math.sqrt(q.shape[-1]), dim=-1)


def weights_once(q, k, factor, mscale):
    return _scores(_sharper(factor, mscale) * q, k).softmax(-1)


def weights_flatter(q, k, factor, mscale):
    return (_scores(q, k) / _sharper(factor, mscale) ** 2).softmax(-1)


def weights_decimal(q, k, factor, mscale):
    t = 0.1 * mscale * math.log10(factor) + 1 if factor > 1 else 1.0
    return (_scores(q, k) * t**2).softmax(-1)


def weights_without_mscale(q, k, factor, mscale):
    return weights(q, k, factor, 1.0)


def weights_without_root(q, k, factor, mscale):
    return (_scores(q, k) * q.shape[-1] ** 0.5 * _sharper(factor, mscale) ** 2).softmax(-1)


def weights_of_one_width(q, k, factor, mscale, width=16):
    return ((q[:, None] * k).sum(-1) / width**0.5 * _sharper(factor, mscale) ** 2).softmax(-1)


def weights_after_softmax(q, k, factor, mscale):
    return _scores(q, k).softmax(-1) * _sharper(factor, mscale) ** 2


def weights_over_rows(q, k, factor, mscale):
    return (_scores(q, k) * _sharper(factor, mscale) ** 2).softmax(0)


def weights_shrunk_too(q, k, factor, mscale):
    return (_scores(q, k) * (0.1 * mscale * math.log(factor) + 1) ** 2).softmax(-1)


def weights_forgotten(q, k, factor, mscale):
    return _scores(q, k).softmax(-1)


RIGHT = [weights, weights_both_sides]

WRONG = [
    ("applied once", weights_once, "it counts once"),
    ("divided", weights_flatter, "do not divide"),
    ("decimal logarithm", weights_decimal, "the natural logarithm"),
    ("mscale forgotten", weights_without_mscale, "V2 has 0.707"),
    ("no root of the width", weights_without_root, "divide q . k by sqrt(d)"),
    ("always the root of 16", weights_of_one_width, "the width of q"),
    ("always the root of 12", partial(weights_of_one_width, width=12), "the width of q"),
    ("after the softmax", weights_after_softmax, "not the weights after it"),
    ("softmax over the rows", weights_over_rows, "softmax over the keys"),
    ("factors below 1 too", weights_shrunk_too, "only a longer context is sharpened"),
    ("forgotten", weights_forgotten, "makes attention sharper"),
]
