"""A run of `minids grpo`: the base reads, then practises; saved so that it can go on.

A checkpoint holds the policy, its optimizer and, as an extra, the base: the model that the KL term
keeps the policy near. The base is fixed by the seed and the recipe alone. Started by torchrun,
every process has the whole model; they share what it reads, asks and learns from.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from minids import checkpoint
from minids.cli.run_folders import refuse_unwritable_run, refuse_used, take
from minids.cli.runs import scaled
from minids.model.products import Products, fastest
from minids.model.transformer import Transformer
from minids.rl.exam import Exam
from minids.rl.grpo import Settings, optimizer_for
from minids.rl.zero import Recipe, newborn
from minids.study.scale import Scale
from minids.train.world import World

EXTRA = {"seed", "kind", "products", "before", "seconds", "base"}


class Run(NamedTuple):
    """A run that is ready to start or to go on."""

    recipe: Recipe
    seed: int
    kind: str  # of the scale that the recipe is for
    products: Products
    model: Transformer
    base: Transformer | None  # None until it has read its lessons
    optimizer: torch.optim.Optimizer | None
    start: int
    before: Exam | None
    seconds: float  # spent before it was stopped
    folder: Path
    world: World


def recipe_for(on: Scale) -> Recipe:
    """Return the toy's recipe; smoke only shows that it runs."""
    tiny = Settings(prompts=4, group=4, max_new=32)
    quick = replace(Recipe(), dim=32, hidden=64, reading=5, practice=3, settings=tiny)
    return on.pick(smoke=quick, laptop=Recipe())


def fresh(*, seed: int, on: Scale, world: World, out: Path | None = None) -> Run:
    """Return a run from the start; ValueError where the folder holds one already."""
    folder = out or Path("runs") / f"zero-{seed}"
    refuse_used(folder, "grpo", _is_ours)
    kind = world.told(fastest(world.device, exact=True))  # the clock decides: one for all
    take(folder, world)
    recipe = recipe_for(on)
    model = newborn(recipe, seed=seed).to(world.device)
    return Run(recipe, seed, on.kind, kind, model, None, None, 0, None, 0.0, folder, world)


def resumed(folder: Path, *, world: World, scale: str | None = None) -> Run:
    """Return the run saved in `folder`, to be gone on with; one that is done is tested again."""
    saved = checkpoint.load(folder)
    extra = saved.extra
    if not _is_ours(extra):
        raise ValueError(f"{folder} was not written by `minids grpo`, so it cannot be resumed")
    if scale not in (None, extra["kind"]):
        raise ValueError(f"{folder} was begun at scale {extra['kind']}: leave --scale out")
    recipe = recipe_for(scaled(extra["kind"]))
    refuse_unwritable_run(folder)
    take(folder, world)
    # Copied, not taken over: memory as a file laid it out rounds some products otherwise.
    model, base = newborn(recipe, seed=0), newborn(recipe, seed=0)
    model.load_state_dict(saved.weights)
    base.load_state_dict(extra["base"])
    model, base = model.to(world.device), base.to(world.device)
    optimizer = optimizer_for(model, recipe.settings)
    if saved.optimizer_state is not None:
        optimizer.load_state_dict(saved.optimizer_state)
    return Run(
        recipe, extra["seed"], extra["kind"], extra["products"], model, base, optimizer,
        saved.step, Exam(*extra["before"]), extra["seconds"], folder, world,
    )  # fmt: skip


def _is_ours(extra: Any) -> bool:
    return isinstance(extra, dict) and set(extra) == EXTRA


def save(run: Run, step: int, seconds: float) -> None:
    """Write the checkpoint after `step` steps of practice and `seconds` of work in all."""
    assert run.before is not None and run.base is not None
    extra = {
        "seed": run.seed,
        "kind": run.kind,
        "products": run.products,
        "before": list(run.before),
        "seconds": seconds,
        "base": dict(run.base.state_dict()),
    }
    checkpoint.save(run.folder, run.model, step=step, optimizer=run.optimizer, extra=extra)
