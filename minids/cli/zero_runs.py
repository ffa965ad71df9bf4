"""A run of `minids grpo`: the base reads, then practises; saved so that it can go on.

A checkpoint holds the policy, its optimizer and, as an extra, the base: the model that the KL term
keeps the policy near. The base is fixed by the seed and the recipe alone. Started by torchrun,
every process has the whole model; they share what it reads, asks and learns from.
"""

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
import typer
from tqdm import tqdm

from minids import checkpoint
from minids.cli.progress import INTERRUPTED, stopping_after_this_step
from minids.cli.runs import again, refuse_unwritable, refuse_used, resume_line, scaled
from minids.model.products import Products, fastest
from minids.model.transformer import Transformer
from minids.rl.exam import Exam, exam
from minids.rl.grpo import Settings, Step, optimizer_for
from minids.rl.zero import Recipe, newborn, practise, questions, read_lessons
from minids.study.scale import Scale
from minids.study.watch import watch
from minids.text.alphabet import alphabet
from minids.train.loop import Diverged
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
    refuse_used(folder, "grpo")
    kind = world.told(fastest(world.device, exact=True))  # the clock decides: one for all
    folder.mkdir(parents=True, exist_ok=True)
    recipe = recipe_for(on)
    model = newborn(recipe, seed=seed).to(world.device)
    return Run(recipe, seed, on.kind, kind, model, None, None, 0, None, 0.0, folder, world)


def resumed(folder: Path, *, world: World, scale: str | None = None) -> Run:
    """Return the run saved in `folder`, to be gone on with; one that is done is tested again."""
    saved = checkpoint.load(folder)
    extra = saved.extra
    if not isinstance(extra, dict) or set(extra) != EXTRA:
        raise ValueError(f"{folder} was not written by `minids grpo`, so it cannot be resumed")
    if scale not in (None, extra["kind"]):
        raise ValueError(f"{folder} was begun at scale {extra['kind']}: leave --scale out")
    recipe = recipe_for(scaled(extra["kind"]))
    refuse_unwritable(folder)
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


def carry_out(run: Run, *, as_json: bool, save_every: int) -> int:
    """Read, practise, test; print what happens, and return the exit code."""
    began = time.monotonic() - run.seconds
    say = _quiet if as_json or not run.world.leads else typer.echo
    test = questions(run.recipe, 8 if run.kind == "smoke" else 192, seed=run.seed)
    practice = run.recipe.practice
    if run.base is None:
        say(f"{run.recipe.reading} steps of reading answers, of which few are right …")
        try:
            run = _read(run, test, as_json)
        except Diverged as error:
            if run.world.leads:
                typer.echo(f"minids: {error}", err=True)
            return 1
        except KeyboardInterrupt:
            if run.world.leads:
                words = "interrupted while it read, and nothing to go on from was saved yet"
                typer.echo(f"\nminids: {words}", err=True)
            return INTERRUPTED
    assert run.before is not None
    say(_told("before", run.before))
    done = run.start
    try:
        with stopping_after_this_step() as stopped:
            for step in _shown(run, as_json):
                done, stop = step.i + 1, run.world.any(stopped())
                if run.world.leads and (done % save_every == 0 or done == practice or stop):
                    _save(run, done, time.monotonic() - began)
                if stop:
                    break
    except (Diverged, OSError) as error:
        if run.world.leads or isinstance(error, OSError):
            typer.echo(f"minids: {error}\n{again(run.folder, 'grpo')}", err=True)
        return 1
    if done < practice:
        say(
            f"\nstopped and saved after {done} steps. Go on with: {resume_line(run.folder, 'grpo')}"
        )
        return INTERRUPTED
    seconds = time.monotonic() - began
    after = _tested(run, test)
    say(_told("after ", after))
    summary = {
        "seed": run.seed,
        "pass_at_1_before": run.before.pass_at_1,
        "pass_at_1": after.pass_at_1,
        "seconds": round(seconds, 1),
        "steps": done,
    }
    if as_json and run.world.leads:
        typer.echo(json.dumps(summary))
    say(f"\n{seconds:.0f} s in all, reading included; saved in {run.folder}")
    return 0


def _read(run: Run, test: Any, as_json: bool) -> Run:
    """The run after its reading, with a base, tested before it practises."""
    for _ in tqdm(
        read_lessons(run.model, run.recipe, seed=run.seed, kind=run.products, world=run.world),
        total=run.recipe.reading, unit="step", disable=_no_bar(run, as_json),
        mininterval=_interval(),
    ):  # fmt: skip
        pass
    before = _tested(run, test)
    base = newborn(run.recipe, seed=0).to(run.model.embed.weight.device)
    base.load_state_dict(run.model.state_dict())
    optimizer = optimizer_for(run.model, run.recipe.settings)
    return run._replace(base=base, before=before, optimizer=optimizer)


def _shown(run: Run, as_json: bool) -> Any:
    """Yield the steps of practice, with a bar or as lines of JSON, and trouble by name."""
    steps = practise(
        run.model, run.recipe, seed=run.seed, kind=run.products, reference=run.base,
        start=run.start, optimizer=run.optimizer, world=run.world,
    )  # fmt: skip
    if not run.world.leads:
        yield from steps
        return
    watched = watch(steps, say=_warn if as_json else tqdm.write)
    with tqdm(
        watched, total=run.recipe.practice, initial=run.start, unit="step", disable=as_json,
        mininterval=_interval(),
    ) as bar:  # fmt: skip
        for step in bar:
            if as_json:
                typer.echo(json.dumps(_row(step)))
            p = step.parts
            bar.set_postfix_str(
                f"right {p['accuracy']:.2f}, worked {p['worked']:.2f}, "
                f"length {p['length']:.1f}, KL {p['kl']:.2f}, clipped {p['clipped']:.3f}",
                refresh=False,
            )
            yield step


def _row(step: Step) -> dict[str, Any]:
    parts = {name: round(value, 4) for name, value in step.parts.items()}
    return {"step": step.i, **parts, "tokens_per_second": round(step.tokens_per_second)}


def _save(run: Run, step: int, seconds: float) -> None:
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


def _tested(run: Run, test: Any) -> Exam:
    """The exam, taken by the first process, whose policy is that of all."""
    longest = run.recipe.settings.max_new

    def take() -> Exam:
        return exam(run.model, test, alphabet(), max_new=longest, kind=run.products)

    return run.world.told_by_first(take)


def _told(when: str, e: Exam) -> str:
    return (
        f"{when}: {e.pass_at_1:.1%} of its answers are right (greedy {e.greedy:.1%}, majority of "
        f"{e.k} {e.majority:.1%}, once in {e.k} {e.pass_at_k:.1%}); {e.worked:.1%} show working; "
        f"{e.length:.1f} tokens"
    )


def _no_bar(run: Run, as_json: bool) -> bool:
    return as_json or not run.world.leads


def _interval() -> float:
    return 0.2 if sys.stderr.isatty() else 10.0


def _quiet(_words: str) -> None:
    return None


def _warn(words: str) -> None:
    typer.echo(words, err=True)
