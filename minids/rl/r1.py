"""R1 in four stages, and R1-Zero, which is reinforcement alone (DeepSeek-R1, 2.2 and 2.3).

    base -- cold start --> Dev1 -- reasoning --> Dev2 -- harvest --> what is right and readable
    base -- tuning on the harvest --> Dev3 -- all scenarios --> R1
    base -- reasoning, no reward for language --> R1-Zero

A stage is a function from a model to a `Stage`, which holds another model: the one it was given
stays as it was. The third starts from the base again, and only its data come from Dev2.

Left out: MTP, which DeepSeek-V3 has and reinforcement does not train; learned rewards.
"""

import random
import time
import zlib
from collections.abc import Iterator, Sequence

import torch

from minids.model.products import Products
from minids.model.transformer import Transformer
from minids.rl.r1_recipe import Recipe
from minids.rl.rejection import Sample, kept, sample
from minids.rl.rewards import Rewards
from minids.rl.scenarios import ALL, REASONING, ZERO
from minids.rl.stages import Stage as Stage
from minids.rl.stages import finished, practised, tuned_on
from minids.text import dial, requests
from minids.text.arithmetic import Problem
from minids.text.bilingual import bilingual
from minids.text.dial import TIDY
from minids.text.library import reading
from minids.train.loop import fit
from minids.train.schedule import cosine


def pretrained(
    recipe: Recipe,
    *,
    seed: int,
    kind: Products = "plain",
    device: torch.device | str = "cpu",
) -> Stage:
    """Return the base: a model that has read its library, and nothing else."""
    began, model = time.perf_counter(), Transformer(recipe.config, seed=seed).to(device)
    library = reading(
        recipe.library, bilingual(), steps=recipe.reading, batch=recipe.batch, seed=seed
    )
    steps = fit(
        model,
        library,
        steps=recipe.reading,
        lr=recipe.reading_lr,
        schedule=cosine(recipe.reading),
        products=kind,
    )
    return finished("base", model, steps, recipe, seed=seed, kind=kind, began=began)


def cold_start(base: Transformer, recipe: Recipe, *, seed: int, kind: Products = "plain") -> Stage:
    """Return Dev1: the base, tuned on tidy workings, right and in one language (2.3.1)."""
    questions = dial.sums(seed=_apart(seed, "cold start"))
    rng = random.Random(f"cold start/{seed}")
    problems = [questions(i) for i in range(recipe.traces)]
    traces = [(problem, dial.respond(problem, TIDY, rng)) for problem in problems]
    return tuned_on(traces, base, recipe, name="Dev1", seed=seed, kind=kind)


def reasoning(
    dev1: Transformer,
    recipe: Recipe,
    *,
    seed: int,
    rewards: Rewards = REASONING,
    name: str = "Dev2",
    kind: Products = "plain",
) -> Stage:
    """Return Dev2: reinforcement on sums, with a reward for keeping to a language (2.3.2)."""
    ask = dial.sums(seed=seed)
    return practised(ask, rewards, recipe.first, dev1, recipe, name=name, seed=seed, kind=kind)


def zero(base: Transformer, recipe: Recipe, *, seed: int, kind: Products = "plain") -> Stage:
    """Return R1-Zero: the same from the base, for right answers in form alone (2.2)."""
    return reasoning(base, recipe, seed=seed, rewards=ZERO, name="R1-Zero", kind=kind)


def harvest(
    dev2: Transformer, recipe: Recipe, *, seed: int, kind: Products = "plain"
) -> list[Sample]:
    """Return what Dev2 answers to many questions, each sample kept or dropped (2.3.3)."""
    questions = dial.sums(seed=_apart(seed, "harvest"))
    return sample(
        dev2,
        [questions(i) for i in range(recipe.questions)],
        bilingual(),
        each=recipe.each,
        max_new=recipe.first.max_new,
        seed=seed,
        kind=kind,
    )


def from_harvest(
    base: Transformer,
    samples: Sequence[Sample],
    recipe: Recipe,
    *,
    seed: int,
    kind: Products = "plain",
) -> Stage:
    """Return Dev3: the base, tuned on what was kept and on answers to requests (2.3.3)."""
    questions = requests.requests(seed=_apart(seed, "harvest"))
    rng = random.Random(f"requests/{seed}")
    general = [questions(i) for i in range(recipe.general)]
    answered = [(problem, requests.respond(problem, recipe.manners, rng)) for problem in general]
    return tuned_on(kept(samples) + answered, base, recipe, name="Dev3", seed=seed, kind=kind)


def all_scenarios(
    dev3: Transformer, recipe: Recipe, *, seed: int, kind: Products = "plain"
) -> Stage:
    """Return R1: reinforcement on sums and requests in turn, manners rewarded (2.3.4)."""
    apart = _apart(seed, "all scenarios")
    either = (dial.sums(seed=apart), requests.requests(seed=apart))

    def ask(i: int) -> Problem:
        return either[i % 2](i // 2)

    return practised(ask, ALL, recipe.last, dev3, recipe, name="R1", seed=seed, kind=kind)


def pipeline(
    base: Transformer, recipe: Recipe, *, seed: int, kind: Products = "plain"
) -> Iterator[Stage]:
    """Return a generator of the four stages, Dev1, Dev2, Dev3 and R1, each when it is done."""
    dev1 = cold_start(base, recipe, seed=seed, kind=kind)
    yield dev1
    dev2 = reasoning(dev1.model, recipe, seed=seed, kind=kind)
    yield dev2
    samples = harvest(dev2.model, recipe, seed=seed, kind=kind)
    dev3 = from_harvest(base, samples, recipe, seed=seed, kind=kind)
    yield dev3
    yield all_scenarios(dev3.model, recipe, seed=seed, kind=kind)


def _apart(seed: int, purpose: str) -> int:
    """Return a seed of its own for a purpose, so that stages ask different questions."""
    return zlib.crc32(f"{purpose}/{seed}".encode())
