"""The experiments of chapter 10, each as a function of its seed, for `compare` and for one run.

Left out: everything that is drawn or claimed; that is the chapter's.
"""

import copy
from collections.abc import Iterator
from dataclasses import replace

from minids.model.products import Products
from minids.model.transformer import Transformer
from minids.rl.exam import Exam, exam
from minids.rl.grpo import Settings, Step
from minids.rl.rewards import Weighed, accuracy, read
from minids.rl.variants import Variant
from minids.rl.zero import Recipe, newborn, practise, questions, read_lessons
from minids.text.alphabet import alphabet
from minids.text.arithmetic import Problem
from minids.text.lessons import Lessons
from minids.text.working import Mistakes


def quick(reading: int = 1200, practice: int = 70, prompts: int = 16, **changes: object) -> Recipe:
    """Return the toy's recipe, shortened for a chapter that runs it several times.

    `prompts` are the questions of a step: more of them keep a GPU busy.
    """
    usual = Recipe()
    more = {"settings": replace(usual.settings, prompts=prompts)} | changes
    return replace(usual, reading=reading, practice=practice, **more)  # type: ignore[arg-type]


def base(
    recipe: Recipe, *, seed: int, kind: Products = "plain", device: str = "cpu"
) -> Transformer:
    """Return a model that has read its lessons."""
    model = newborn(recipe, seed=seed).to(device)
    for _ in read_lessons(model, recipe, seed=seed, kind=kind):
        pass
    return model


def test(model: Transformer, recipe: Recipe, *, seed: int, kind: Products = "plain") -> Exam:
    """Return the exam on 128 held-out problems, 16 samples each."""
    return exam(
        model,
        questions(recipe, 128, seed=seed),
        alphabet(),
        max_new=recipe.settings.max_new,
        kind=kind,
    )


def zero(
    seed: int,
    reading: int = 1200,
    practice: int = 70,
    prompts: int = 16,
    kind: Products = "plain",
    device: str = "cpu",
) -> dict[str, float]:
    """Return the exams before and after practice, and how much a leaky reward is exploited."""
    recipe = quick(reading, practice, prompts)
    model = base(recipe, seed=seed, kind=kind, device=device)
    before = test(model, recipe, seed=seed, kind=kind).numbers()
    found = {f"before {k}": v for k, v in before.items()}
    *_, last = until_enough(leak(copy.deepcopy(model), seed=seed, prompts=prompts, kind=kind))
    found |= {"leaky accuracy": last["accuracy"], "leaky hack": last["hack"]}
    for _ in practise(model, recipe, seed=seed, kind=kind):
        pass
    after = test(model, recipe, seed=seed, kind=kind).numbers()
    return found | {f"after {k}": v for k, v in after.items()}


def starts_right(problem: Problem, response: str) -> float:
    """Return 1 if the right answer begins with what was answered: a rule with a hole."""
    parts = read(response)
    return float(parts is not None and problem.answer.startswith(parts.answer.strip()))


def hacked(problem: Problem, response: str) -> float:
    """Return 1 if the hole was used: the rule with the hole says right, and it is not."""
    return starts_right(problem, response) - accuracy(problem, response)


def leak(
    model: Transformer,
    *,
    seed: int,
    steps: int = 40,
    prompts: int = 16,
    kind: Products = "plain",
) -> Iterator[Step]:
    """Return a run of GRPO under the rule with the hole; true accuracy is only watched.

    Its rate falls as in a run of `steps` steps, whenever it is left.
    """
    rules = {
        "judged right": Weighed(starts_right, 1.0),
        "accuracy": Weighed(accuracy, 0.0),
        "hack": Weighed(hacked, 0.0),
    }
    recipe = quick(practice=steps, prompts=prompts, rewards=rules)
    return practise(model, recipe, seed=seed, kind=kind)


ENOUGH = 0.6
"""Share of answers called right at which practice under the rule with the hole ends."""


def until_enough(run: Iterator[Step]) -> list[dict[str, float]]:
    """Return what the steps of a run found, up to the first that is rewarded `ENOUGH`."""
    parts = []
    for step in run:
        parts.append(step.parts)
        if step.parts["reward"] > ENOUGH:
            break
    return parts


def hack(
    seed: int,
    reading: int,
    steps: int = 40,
    prompts: int = 16,
    kind: Products = "plain",
    device: str = "cpu",
) -> dict[str, float]:
    """Return where a base that has read for so many steps ends under the rule with the hole."""
    model = base(quick(reading), seed=seed, kind=kind, device=device)
    run = until_enough(leak(model, seed=seed, steps=steps, prompts=prompts, kind=kind))
    at_first = {f"{name} at first": run[0][name] for name in ("reward", "accuracy")}
    at_last = {name: run[-1][name] for name in ("reward", "accuracy", "hack")}
    return {"steps": len(run), **at_first, **at_last}


def clumsy(reading: int = 500, practice: int = 30, prompts: int = 16) -> Recipe:
    """Return a recipe in which working does not pay: half of its columns are slips."""
    return quick(
        reading,
        practice,
        prompts,
        lessons=Lessons(worked=0.5, mistakes=Mistakes(slip=0.5, habit=0.5)),
    )


def alone(practice: int = 3) -> Recipe:
    """Return a recipe with groups of one, without a KL term: nothing to compare with."""
    settings = Settings(
        prompts=64, group=1, max_new=32, variant=Variant(name="no KL", kl_weight=0.0)
    )
    return quick(practice=practice, settings=settings)
