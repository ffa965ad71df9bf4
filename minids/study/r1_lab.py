"""The experiments of chapter 11, each as a function of its seed, for `compare` and for one run.

`python -m minids.study.r1_lab` runs all of them with five seeds, two processes side by side, and
writes data/results/r1.json, which the chapter shows beside its own runs. That takes about three
minutes and a half on two cores.

Left out: everything that is drawn or claimed; that is the chapter's.
"""

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from minids.model.products import Products
from minids.model.transformer import Transformer
from minids.presets import DATA
from minids.rl import r1
from minids.rl.r1_recipe import Recipe
from minids.rl.scenarios import REASONING
from minids.rl.stages import Stage
from minids.study.compare import compare
from minids.study.results import Results
from minids.text.library import without_switching

STORED = DATA / "results" / "r1.json"
REWARDED = "language rewarded"


def rewarded(base: Transformer, recipe: Recipe, *, seed: int, kind: Products = "plain") -> Stage:
    """Return the base after R1-Zero's reinforcement with a reward for language added to it."""
    return r1.reasoning(base, recipe, seed=seed, rewards=REASONING, name=REWARDED, kind=kind)


def languages(
    seed: int, recipe: Recipe, kind: Products = "plain", device: str = "cpu"
) -> dict[str, float]:
    """Return the rows of a base, of R1-Zero, and of R1-Zero with a reward for language."""
    base = r1.pretrained(recipe, seed=seed, kind=kind, device=device)
    return numbers(
        [
            base,
            r1.zero(base.model, recipe, seed=seed, kind=kind),
            rewarded(base.model, recipe, seed=seed, kind=kind),
        ]
    )


def control(
    seed: int, recipe: Recipe, kind: Products = "plain", device: str = "cpu"
) -> dict[str, float]:
    """Return the rows of a base that read no mixed working, and of R1-Zero made from it."""
    pure = replace(recipe, library=without_switching(recipe.library))
    base = r1.pretrained(pure, seed=seed, kind=kind, device=device)
    zero = r1.zero(base.model, pure, seed=seed, kind=kind)
    return numbers([base._replace(name="base, unmixed"), zero._replace(name="R1-Zero of it")])


def everything(
    seed: int, recipe: Recipe, kind: Products = "plain", device: str = "cpu"
) -> dict[str, float]:
    """Return all rows of one seed: base, four stages, R1-Zero with and without reward, control."""
    base = r1.pretrained(recipe, seed=seed, kind=kind, device=device)
    stages = [base, *r1.pipeline(base.model, recipe, seed=seed, kind=kind)]
    stages.append(r1.zero(base.model, recipe, seed=seed, kind=kind))
    stages.append(rewarded(base.model, recipe, seed=seed, kind=kind))
    return numbers(stages) | control(seed, recipe, kind, device)


def numbers(stages: Iterable[Stage]) -> dict[str, float]:
    """Return the scores of stages by "name/score", and the seconds of training as "seconds"."""
    return {
        f"{stage.name}/{score}": float(value)
        for stage in stages
        for score, value in (*stage.scores._asdict().items(), ("seconds", stage.seconds))
    }


def by_stage(found: Results) -> Results:
    """Return results whose arms are the stages, from those of one arm with "name/score"."""
    values: dict[str, dict[str, tuple[float, ...]]] = {}
    for metric in found.metrics:
        name, score = metric.split("/")
        values.setdefault(name, {})[score] = found.of(found.arms[0], metric)
    return Results(seeds=found.seeds, values=values, machine=found.machine)


def together(first: Results, more: Results) -> Results:
    """Return the seeds of both, for the arms that both have, in the order of the first."""
    arms = [arm for arm in first.arms if arm in more.arms]
    values = {
        arm: {m: (*first.of(arm, m), *more.of(arm, m)) for m in first.metrics} for arm in arms
    }
    return Results(seeds=(*first.seeds, *more.seeds), values=values, machine=first.machine)


def of_one(stages: Iterable[Stage], *, seed: int, machine: str) -> Results:
    """Return the stages of one run as results of one seed."""
    run: dict[str, tuple[float, ...]] = {k: (value,) for k, value in numbers(stages).items()}
    return by_stage(Results(seeds=(seed,), values={"run": run}, machine=machine))


def stored() -> Results:
    """Return the committed run of `everything` with five seeds, by stage."""
    return Results.load(STORED)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run everything and write it down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--out", type=Path, default=STORED)
    parser.add_argument("--workers", type=int, default=None, help="processes; one a core")
    given = parser.parse_args(arguments)
    found = compare(
        everything, {"all": {"recipe": Recipe()}}, seeds=given.seeds, workers=given.workers
    )
    results = by_stage(found)
    for score in ("sampled", "greedy", "language"):
        print(f"{score}\n{results.table(score)}")
    results.save(given.out)
    print(f"written: {given.out}")


if __name__ == "__main__":
    main()
