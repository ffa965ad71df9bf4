"""A stage of training: a copy of a model, made better, and what it scores afterwards.

Both kinds of stage that R1 is made of stand here, tuning on examples and reinforcement; which
stage does what, and in which order, is in r1.py.
"""

import copy
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from minids.model.products import Products
from minids.model.transformer import Transformer
from minids.rl.grpo import Settings, grpo
from minids.rl.grpo import Step as Practice
from minids.rl.r1_recipe import Recipe
from minids.rl.rewards import Rewards
from minids.rl.scores import Scores, scores
from minids.rl.sft import tuned, updates
from minids.text.arithmetic import Problem
from minids.text.bilingual import bilingual
from minids.text.lessons import asked
from minids.train.loop import Step as Reading
from minids.train.schedule import cosine


class Stage(NamedTuple):
    """A model, how it scores on held-out questions, and how it came to be."""

    name: str
    model: Transformer
    scores: Scores
    history: tuple[Mapping[str, float], ...]  # loss and parts of each step
    seconds: float  # of training, the scores not included


def tuned_on(
    examples: Sequence[tuple[Problem, str]],
    start: Transformer,
    recipe: Recipe,
    *,
    name: str,
    seed: int,
    kind: Products = "plain",
) -> Stage:
    """Return a copy of `start` that has imitated these responses; `start` stays as it was."""
    began, model, codec = time.perf_counter(), copy.deepcopy(start), bilingual()
    tokens = [
        (codec.encode(asked(problem), special=True), codec.encode(response, special=True))
        for problem, response in examples
    ]
    epochs, batch = recipe.epochs, recipe.sft_batch
    steps = tuned(
        model,
        tokens,
        epochs=epochs,
        batch=batch,
        lr=recipe.sft_lr,
        seed=seed,
        schedule=cosine(updates(len(tokens), epochs=epochs, batch=batch)),
        products=kind,
    )
    return finished(name, model, steps, recipe, seed=seed, kind=kind, began=began)


def practised(
    ask: Callable[[int], Problem],
    rewards: Rewards,
    settings: Settings,
    start: Transformer,
    recipe: Recipe,
    *,
    name: str,
    seed: int,
    kind: Products = "plain",
) -> Stage:
    """Return a copy of `start` after reinforcement by `rewards`; `start` stays as it was."""
    began, model = time.perf_counter(), copy.deepcopy(start)
    steps = grpo(
        model,
        ask,
        bilingual(),
        rewards,
        steps=recipe.practice,
        settings=settings,
        seed=seed,
        schedule=cosine(recipe.practice, warmup=0),
        kind=kind,
    )
    return finished(name, model, steps, recipe, seed=seed, kind=kind, began=began)


def finished(
    name: str,
    model: Transformer,
    steps: Iterable[Reading] | Iterable[Practice],
    recipe: Recipe,
    *,
    seed: int,
    kind: Products,
    began: float,
) -> Stage:
    """Return the stage that these steps make: take them all, then score the model."""
    history = tuple({"loss": step.loss, **step.parts} for step in steps)
    seconds = time.perf_counter() - began
    row = scores(
        model,
        bilingual(),
        questions=recipe.tested,
        max_new=recipe.first.max_new,
        seed=seed,
        kind=kind,
    )
    return Stage(name, model, row, history, seconds)
