"""Answers to 00.measure, right and wrong: bytes that a built model keeps of a token."""

from typing import Any

import torch

from minids import accounting
from minids.config import MLAConfig


def measure(model: Any, n: int) -> float:
    cache = model.new_cache(1, n)
    model(torch.zeros(1, n, dtype=torch.long), cache)
    return cache.nbytes / n


def measure_growth(model: Any, n: int) -> float:
    cache = model.new_cache(2, n + 1)
    for _ in range(n):
        before = cache.nbytes
        model(torch.ones(2, 1, dtype=torch.long), cache, last=1)
    return (cache.nbytes - before) / 2


def measure_without_reading(model: Any, n: int) -> float:
    return model.new_cache(1, n).nbytes / n


def measure_in_total(model: Any, n: int) -> float:
    return n * measure(model, n)


def measure_by_capacity(model: Any, n: int) -> float:
    cache = model.new_cache(1, 32)
    model(torch.zeros(1, n, dtype=torch.long), cache)
    return cache.nbytes / cache.max_len


def measure_one_layer(model: Any, n: int) -> float:
    cache = model.new_cache(1, n)
    model(torch.zeros(1, n, dtype=torch.long), cache)
    return cache.layers[0].nbytes / n


def measure_a_batch(model: Any, n: int) -> float:
    cache = model.new_cache(4, n)
    model(torch.zeros(4, n, dtype=torch.long), cache)
    return cache.nbytes / n


def measure_elements(model: Any, n: int) -> float:
    return measure(model, n) / 4


def by_formula(model: Any, n: int) -> float:
    return accounting.cache_bytes(model.c, bits=8 * model.embed.weight.element_size())


def by_formula_in_fp32(model: Any, n: int) -> float:
    return accounting.cache_bytes(model.c, bits=32)


def by_formula_with_keys_and_values(model: Any, n: int) -> float:
    a, size = model.c.attention, model.embed.weight.element_size()
    if isinstance(a, MLAConfig):
        return accounting.mha_cache_elements(model.c) * size
    return measure(model, n)


def measure_four(model: Any, n: int) -> float:
    return measure(model, 4)


def measure_without_gradients(model: Any, n: int) -> float:
    with torch.no_grad():
        return measure(model, n)


def measure_and_leave_gradients_off(model: Any, n: int) -> float:
    torch.set_grad_enabled(False)
    return measure(model, n)


RIGHT: list[Any] = [measure, measure_growth, measure_without_gradients]

WRONG: list[tuple[str, Any, str]] = [
    ("gradients left off", measure_and_leave_gradients_off, "leaves gradients switched off"),
    ("nothing read", measure_without_reading, "a new cache is empty"),
    ("the whole cache", measure_in_total, "divide by the number of tokens"),
    ("over the room, not the tokens", measure_by_capacity, "no other length than"),
    ("one layer", measure_one_layer, "one layer is not enough"),
    ("a batch of four as one", measure_a_batch, "for a batch of one"),
    ("numbers, not bytes", measure_elements, "keeps 4 bytes for every number"),
    ("always four tokens", measure_four, "n is an argument"),
    ("the formula, with 32 bits", by_formula_in_fp32, "do not assume"),
    ("the formula of MHA for a latent cache", by_formula_with_keys_and_values, "keeps latents"),
    ("the formula, and no measurement", by_formula, "what the model really keeps"),
]
