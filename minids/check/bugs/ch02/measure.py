"""Answers to 02.measure, right and wrong: the length at which a cache outweighs its model."""

import math

import numpy as np
import torch

from minids import accounting


def outweighs(model, batch):
    weights = sum(p.nbytes for p in model.parameters())
    cache = model.new_cache(batch, 4)
    model(torch.zeros(batch, 4, dtype=torch.long), cache)
    return weights // (cache.nbytes // 4) + 1


def outweighs_by_growth(model, batch):
    cache, sizes = model.new_cache(batch, 2), []
    for _ in range(2):
        model(torch.ones(batch, 1, dtype=torch.long), cache, last=1)
        sizes.append(cache.nbytes)
    kept, n = sizes[1] - sizes[0], 0
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    while n * kept <= weights:
        n += 1
    return n


def outweighs_for_one_text(model, batch):
    return outweighs(model, 1)


def outweighs_as_a_fraction(model, batch):
    cache = model.new_cache(batch, 1)
    model(torch.zeros(batch, 1, dtype=torch.long), cache)
    return sum(p.nbytes for p in model.parameters()) / cache.nbytes


def outweighs_one_too_early(model, batch):
    return outweighs(model, batch) - 1


def outweighs_rounded_up(model, batch):
    return math.ceil(outweighs_as_a_fraction(model, batch))


def outweighs_numbers_by_bytes(model, batch):
    return outweighs(model, batch) // 4


def outweighs_without_tables(model, batch):
    weights = sum(p.nbytes for p in model.layers.parameters())
    cache = model.new_cache(batch, 1)
    model(torch.zeros(batch, 1, dtype=torch.long), cache)
    return weights // cache.nbytes + 1


def outweighs_with_tables_twice(model, batch):
    weights = sum(p.nbytes for p in model.state_dict().values())
    cache = model.new_cache(batch, 1)
    model(torch.zeros(batch, 1, dtype=torch.long), cache)
    return weights // cache.nbytes + 1


def outweighs_by_formula(model, batch):
    bits = 8 * model.embed.weight.element_size()
    weights = sum(p.nbytes for p in model.parameters())
    return int(weights // (batch * accounting.cache_bytes(model.c, bits)) + 1)


def outweighs_in_float32(model, batch):
    cache = model.new_cache(batch, 1)
    model(torch.zeros(batch, 1, dtype=torch.long), cache)
    return 4 * sum(p.numel() for p in model.parameters()) // cache.nbytes + 1


def outweighs_by_one_layer(model, batch):
    cache = model.new_cache(batch, 1)
    model(torch.zeros(batch, 1, dtype=torch.long), cache)
    return sum(p.nbytes for p in model.parameters()) // cache.layers[0].nbytes + 1


def outweighs_in_numpy(model, batch):
    return np.int64(outweighs(model, batch))


def outweighs_in_torch(model, batch):
    return torch.tensor(outweighs(model, batch))


def outweighs_by_float(model, batch):
    return 1.0 * outweighs(model, batch)


def outweighs_shared_out(model, batch):
    return outweighs(model, 1) // batch


def outweighs_rounded(model, batch):
    return round(outweighs_as_a_fraction(model, batch)) + 1


RIGHT = [outweighs, outweighs_by_growth, outweighs_in_numpy, outweighs_in_torch]

WRONG = [
    ("one text for the batch", outweighs_for_one_text, "the smallest such length"),
    ("a fraction", outweighs_as_a_fraction, "a whole number"),
    ("a whole float", outweighs_by_float, "but a float: int(...)"),
    ("rounded to the nearest", outweighs_rounded, "to the nearest"),
    ("one too early", outweighs_one_too_early, "strictly more"),
    ("rounded up", outweighs_rounded_up, "as heavy is not heavier"),
    ("one text's answer, shared out", outweighs_shared_out, "strictly more"),
    ("numbers against bytes", outweighs_numbers_by_bytes, "strictly more"),
    ("layers without tables", outweighs_without_tables, "all weights count"),
    ("a tied table twice", outweighs_with_tables_twice, "a tied table is one"),
    ("the formula, and no measurement", outweighs_by_formula, "measure the cache"),
    ("four bytes for every weight", outweighs_in_float32, "do not assume 4"),
    ("one layer's cache", outweighs_by_one_layer, "every layer"),
]
