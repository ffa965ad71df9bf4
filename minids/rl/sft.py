"""Supervised fine-tuning: a model imitates responses, written by hand or sampled and chosen.

R1 uses it three times: for the cold start, for the base that reads what rejection sampling kept,
and for the dense students of its distillation (DeepSeek-R1, 2.3.1, 2.3.3 and 2.4). The loss is that
of pre-training, on the tokens of the response alone.
"""

import math
from collections.abc import Callable, Iterator, Sequence

from minids.model.products import Products
from minids.model.transformer import Transformer
from minids.text.batches import paired
from minids.train.loop import Step, fit

PAD = 0
"""What fills short rows up on the right: no real token looks there, so any token does."""


def tuned(
    model: Transformer,
    examples: Sequence[tuple[list[int], list[int]]],
    *,
    epochs: int,
    batch: int,
    lr: float,
    seed: int,
    schedule: Callable[[int], float] | None = None,
    products: Products = "plain",
) -> Iterator[Step]:
    """Return a generator that trains `model` in place on (prompt, response) pairs of tokens.

    Every example is read `epochs` times, in a new order each time, `batch` at once; the last batch
    may begin a further round, so that all batches are full. Step i learns at the rate
    `lr * schedule(i)`, or less during the first ten steps. ValueError if an example or a side of
    it is empty, or if `epochs` or `batch` is no positive number.
    """
    if epochs < 1 or batch < 1:
        raise ValueError(f"epochs={epochs} and batch={batch} must be 1 or more")
    if not examples:
        raise ValueError("there are no examples to learn from: give at least one pair")
    prompts, responses = zip(*examples, strict=True)
    return fit(
        model,
        paired(prompts, responses, batch=min(batch, len(examples)), pad=PAD, seed=seed),
        steps=updates(len(examples), epochs=epochs, batch=batch),
        lr=lr,
        schedule=schedule,
        products=products,
    )


def updates(n: int, *, epochs: int, batch: int) -> int:
    """Return the number of steps that `tuned` takes on `n` examples: for a schedule."""
    return math.ceil(n * epochs / min(batch, n))
