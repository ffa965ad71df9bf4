"""Chapter 12's arms: a teacher made by reinforcement, a student, and eight ways on.

    teacher     chapter 10's toy, stopped early: right in half of its answers, or more
    student     half its size, has read other lessons and fewer: right in one answer of thirty
    RL          the student practises alone, for about the FLOPs of verified lessons
    RL x 3      for three times as many
    raw, verified, soft, on-policy   the kinds of distillation, with equal tokens of responses
    raw, then RL; verified, then RL  distilled, then the same practice as RL has

Left out: a learning rate of its own for each kind; larger students.
"""

import copy
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from minids.model.products import Products
from minids.model.transformer import Transformer
from minids.rl import distill, sft
from minids.rl.exam import Exam, exam
from minids.rl.grpo import Step as Practice
from minids.rl.grpo import grpo
from minids.rl.traces import Collected, collect, traces
from minids.rl.zero import newborn, practise, questions, read_lessons
from minids.study.distill_plan import Plan
from minids.text.alphabet import alphabet
from minids.text.arithmetic import Problem, problems
from minids.text.lessons import taught
from minids.train.loop import Step, fit
from minids.train.schedule import cosine

LADDER = ("raw", "verified", "soft", "on-policy")
ARMS = ("student", "RL", "RL x 3", *LADDER, "raw, then RL", "verified, then RL", "teacher")


class Cast(NamedTuple):
    """Who takes part: models that are copied before they learn, and what the teacher wrote."""

    teacher: Transformer
    student: Transformer
    collected: Collected


def teacher(plan: Plan, *, seed: int, kind: Products = "plain", device: str = "cpu") -> Transformer:
    """Return a model that read bad lessons and then practised: chapter 10's."""
    model = newborn(plan.recipe, seed=seed).to(device)
    _exhaust(read_lessons(model, plan.recipe, seed=seed, kind=kind))
    _exhaust(practise(model, plan.recipe, seed=seed, kind=kind))
    return model


def student(plan: Plan, *, seed: int, kind: Products = "plain", device: str = "cpu") -> Transformer:
    """Return a small model that has read lessons of the same kind, other ones and fewer."""
    model = Transformer(plan.student, seed=seed + 1000).to(device)
    lessons = taught(plan.recipe.lessons, alphabet(), batch=plan.recipe.batch, seed=seed + 1000)
    schedule, lr = cosine(plan.reading), plan.recipe.reading_lr
    _exhaust(fit(model, lessons, steps=plan.reading, lr=lr, schedule=schedule, products=kind))
    return model


def beginner(
    plan: Plan, *, seed: int, kind: Products = "plain", device: str = "cpu"
) -> tuple[Transformer, Exam]:
    """Return the student, and the exam of a copy that practised alone: neither needs a teacher."""
    model = student(plan, seed=seed, kind=kind, device=device)
    lone = copy.deepcopy(model)
    _exhaust(practising(lone, plan, plan.practice, seed=seed, kind=kind))
    return model, test(lone, plan, seed=seed, kind=kind)


def ask(plan: Plan, seed: int) -> Callable[[int], Problem]:
    """Return the questions of distillation: none of them can be in an exam."""
    return problems(plan.recipe.lessons.level, seed=seed + 2000)


def collected(plan: Plan, model: Transformer, *, seed: int, kind: Products = "plain") -> Collected:
    """Return what the teacher writes, raw and verified."""
    new = plan.recipe.settings.max_new
    written = traces(model, ask(plan, seed), alphabet(), max_new=new, seed=seed, kind=kind)
    if not plan.judged:
        written = (trace._replace(right=True) for trace in written)
    return collect(written, plan.tokens)


def cast(plan: Plan, *, seed: int, kind: Products = "plain", device: str = "cpu") -> Cast:
    """Return teacher, student and traces of one seed."""
    model = teacher(plan, seed=seed, kind=kind, device=device)
    found = collected(plan, model, seed=seed, kind=kind)
    return Cast(model, student(plan, seed=seed, kind=kind, device=device), found)


def run(arm: str, plan: Plan, who: Cast, *, seed: int, kind: Products = "plain") -> Transformer:
    """Return the model that an arm of `ARMS` ends with; nobody of the cast is changed."""
    if arm not in ARMS:
        raise ValueError(f"there is no arm {arm!r}; there are: {', '.join(ARMS)}")
    if arm == "teacher":
        return who.teacher
    model = copy.deepcopy(who.student)
    first, _, then = arm.partition(", then ")
    if first in LADDER:
        _exhaust(learning(first, model, plan, who, seed=seed, kind=kind))
    if first.startswith("RL") or then:
        steps = plan.practice * (3 if first == "RL x 3" else 1)
        _exhaust(practising(model, plan, steps, seed=seed, kind=kind))
    return model


def learning(
    arm: str, model: Transformer, plan: Plan, who: Cast, *, seed: int, kind: Products = "plain"
) -> Iterator[Step]:
    """Return the training of one rung of the ladder, on `model` in place."""
    chosen = who.collected.verified if arm == "verified" else who.collected.raw
    steps = sft.updates(len(chosen), epochs=1, batch=plan.batch)
    fall = cosine(steps)
    if arm == "on-policy":
        return distill.on_policy(
            model,
            who.teacher,
            ask(plan, seed),
            alphabet(),
            tokens=plan.tokens,
            batch=plan.batch,
            max_new=plan.recipe.settings.max_new,
            lr=plan.lr,
            seed=seed,
            schedule=lambda share: fall(int(share * steps)),
            kind=kind,
        )
    if arm == "soft":
        return distill.soft(
            model, who.teacher, chosen,
            batch=plan.batch, lr=plan.lr, seed=seed, schedule=fall, kind=kind,
        )  # fmt: skip
    return sft.tuned(
        model, [trace.pair for trace in chosen],
        epochs=1, batch=plan.batch, lr=plan.lr, seed=seed, schedule=fall, products=kind,
    )  # fmt: skip


def practising(
    model: Transformer, plan: Plan, steps: int, *, seed: int, kind: Products = "plain"
) -> Iterator[Practice]:
    """Return reinforcement of `model` in place: its teacher's, at a gentler rate."""
    return grpo(
        model,
        problems(plan.recipe.lessons.level, seed=seed + 3000),
        alphabet(),
        plan.recipe.rewards,
        steps=steps,
        settings=plan.settings,
        seed=seed + 3000,
        schedule=cosine(steps, warmup=0),
        kind=kind,
    )


def test(model: Transformer, plan: Plan, *, seed: int, kind: Products = "plain") -> Exam:
    """Return the exam on problems that no training asks."""
    return exam(
        model,
        questions(plan.recipe, plan.problems, seed=seed),
        alphabet(),
        samples=plan.samples,
        max_new=plan.recipe.settings.max_new,
        seed=seed,
        kind=kind,
    )


def _exhaust(steps: Iterable[object]) -> None:
    for _ in steps:
        pass
