"""R1-Zero in a minute: a base model that adds badly teaches itself, from right and wrong alone.

The base has read answers of two kinds. Most come without working and are wrong by ten. About a
third are worked aloud, right in every second case: the others write the columns in the order in
which they were found. So its likeliest answer is wrong, and a right way is among its samples. The
rewards are R1-Zero's, accuracy and form; empty thoughts keep the form, so working is not asked for.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch

from minids.config import GQAConfig, ModelConfig
from minids.model.products import Products
from minids.model.transformer import Transformer
from minids.rl.exam import TEST_SEED
from minids.rl.grpo import Settings, grpo
from minids.rl.grpo import Step as Practice
from minids.rl.rewards import R1_ZERO, Rewards
from minids.text.alphabet import alphabet
from minids.text.arithmetic import Problem, problems
from minids.text.lessons import Lessons, taught
from minids.text.working import Mistakes
from minids.train.loop import Step as Reading
from minids.train.loop import fit
from minids.train.schedule import cosine
from minids.train.world import World

LONGEST = {"countdown": 40}
"""Tokens of the longest worked answer, of levels that need more than the usual 32."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One run from nothing to a model that adds. The defaults are the toy that was measured."""

    lessons: Lessons = field(
        default_factory=lambda: Lessons(mistakes=Mistakes(slip=0.05, habit=0.5, guess=1.0))
    )
    dim: int = 64
    n_layers: int = 2
    hidden: int = 192
    reading: int = 1200  # steps of the base
    reading_lr: float = 4e-3
    batch: int = 32
    practice: int = 150  # steps of reinforcement learning
    settings: Settings = field(
        default_factory=lambda: Settings(prompts=16, group=16, max_new=32, minibatches=2, lr=1.2e-3)
    )
    rewards: Rewards = field(default_factory=lambda: R1_ZERO)

    def __post_init__(self) -> None:
        wanted = LONGEST.get(self.lessons.level, 0)
        if self.settings.max_new < wanted:
            raise ValueError(
                f"an answer of {self.lessons.level} takes up to {wanted} tokens: give "
                f"settings=Settings(max_new={wanted}), not {self.settings.max_new}"
            )

    @property
    def config(self) -> ModelConfig:
        """The model: a small Llama over the alphabet of arithmetic."""
        heads = GQAConfig(n_heads=4, n_kv_heads=4, head_dim=self.dim // 4)
        return ModelConfig(
            name="toy-zero",
            vocab=alphabet().vocab,
            dim=self.dim,
            n_layers=self.n_layers,
            hidden=self.hidden,
            attention=heads,
            context=16 + self.settings.max_new,
            init_std=0.05,
        )


def newborn(recipe: Recipe, *, seed: int) -> Transformer:
    """Return the model before it has read anything."""
    return Transformer(recipe.config, seed=seed)


def read_lessons(
    model: Transformer,
    recipe: Recipe,
    *,
    seed: int,
    kind: Products = "plain",
    world: World | None = None,
) -> Iterator[Reading]:
    """Return a generator that makes `model` the base: next-token training on the lessons."""
    return fit(
        model,
        taught(recipe.lessons, alphabet(), batch=recipe.batch, seed=seed),
        steps=recipe.reading,
        lr=recipe.reading_lr,
        schedule=cosine(recipe.reading),
        products=kind,
        world=world,
    )


def practise(
    model: Transformer,
    recipe: Recipe,
    *,
    seed: int,
    kind: Products = "plain",
    reference: Transformer | None = None,
    start: int = 0,
    optimizer: torch.optim.Optimizer | None = None,
    world: World | None = None,
) -> Iterator[Practice]:
    """Return a generator that improves `model` by reinforcement; the arguments are `grpo`'s."""
    return grpo(
        model,
        problems(recipe.lessons.level, seed=seed),
        alphabet(),
        recipe.rewards,
        steps=recipe.practice,
        settings=recipe.settings,
        seed=seed,
        schedule=cosine(recipe.practice, warmup=0),
        kind=kind,
        reference=reference,
        start=start,
        optimizer=optimizer,
        world=world,
    )


def questions(recipe: Recipe, n: int = 192, *, seed: int = 0) -> list[Problem]:
    """Return n problems to test with, none of which training can ask."""
    drawn = problems(recipe.lessons.level, seed=TEST_SEED + seed, held_out=True)
    return [drawn(i) for i in range(n)]
