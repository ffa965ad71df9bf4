"""11.stages: four stages in the right order."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch

from minids.check import Attempt, Claim, checker
from minids.check.sizes import draw


class _Model(NamedTuple):
    """Stands for a model: says what was done to which model."""

    done: str
    to: Any
    by: tuple[Any, ...]


@checker(
    "11.stages",
    hints=(
        "Two tunings and two practices. Which model does each start from, and what is it given?",
        "Dev1 = tune(base, cold); Dev2 = practise(Dev1, ...); samples = answer(Dev2); Dev3 = "
        "tune(base, kept + general); R1 = practise(Dev3, ...).",
        "kept = [sample for sample, fault in answer(dev2) if fault is None]",
    ),
)
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    base = _Model("base", None, ())
    cold = [f"trace {draw(g, 0, 99)}" for _ in range(3)]
    general = [f"request {draw(g, 0, 99)}" for _ in range(2)]
    asked: list[Any] = []

    def tune(model: Any, examples: Any) -> _Model:
        return _Model("tuned", model, tuple(examples))

    def practise(model: Any, rewards: Any) -> _Model:
        return _Model("practised", model, tuple(sorted(rewards)))

    good = [f"good {i}" for i in range(draw(g, 2, 4))]

    def answer(model: Any) -> list[tuple[str, str | None]]:
        asked.append(model)
        faults: list[tuple[str, str | None]] = [("bad", "wrong answer"), ("mixed", "mixed")]
        return [*[(text, None) for text in good], *faults]

    found = attempt(base, cold, general, tune, practise, answer)
    names = ("Dev1", "Dev2", "Dev3", "R1")
    yield Claim(
        "four models come back by name",
        isinstance(found, dict) and tuple(found) == names,
        'return {"Dev1": …, "Dev2": …, "Dev3": …, "R1": …}, in this order.',
    )
    dev1, dev2, dev3, last = (found[name] for name in names)
    yield Claim(
        "Dev1 is the base, tuned on the cold start",
        dev1 == tune(base, cold),
        "the cold start comes first: tune(base, cold). Without it you have R1-Zero.",
    )
    yield Claim(
        "Dev2 is Dev1 after practice",
        isinstance(dev2, _Model) and dev2.done == "practised" and dev2.to == dev1,
        "practise(dev1, …): reinforcement goes on from the tuned model.",
    )
    yield Claim(
        "its rewards are accuracy, form and language",
        dev2.by == ("accuracy", "form", "language"),
        "three rules, and no manners yet: the sums alone are practised.",
    )
    yield Claim(
        "it is Dev2 that answers",
        asked == [dev2],
        "rejection sampling takes the best reasoner there is: answer(dev2), once.",
    )
    yield Claim(
        "Dev3 starts from the base again",
        isinstance(dev3, _Model) and dev3.done == "tuned" and dev3.to == base,
        "one tuning reads both, what was kept and the answers to requests: tune(base, …), once."
        if getattr(dev3, "to", None) == tune(base, good)
        else "only data come from Dev2; its weights do not: tune(base, …).",
    )
    yield Claim(
        "Dev3 reads samples and requests, one after the other",
        all(isinstance(text, str) for text in dev3.by),
        "one flat list: kept + general. And a sample comes with its fault: hand on the sample "
        "alone.",
    )
    kept = set(dev3.by)
    yield Claim(
        "Dev3 reads everything that was kept, and nothing that was not",
        set(good) <= kept and not kept & {"bad", "mixed"},
        "a sample comes with its fault: keep those whose fault is None.",
    )
    yield Claim(
        "and the answers to requests, and nothing else",
        sorted(dev3.by) == sorted([*good, *general]),
        "R1 adds 200,000 samples that are no reasoning to 600,000 that are: kept + general. "
        "The cold start was for Dev1.",
    )
    yield Claim(
        "R1 is Dev3 after practice in everything, manners included",
        last == practise(dev3, ["accuracy", "form", "language", "manners"]),
        "the fourth stage starts from Dev3 and rewards all four.",
    )
