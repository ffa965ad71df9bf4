"""What a run of `minids grpo` shows while it reads and practises, as a bar or as lines of JSON."""

import json
import time
from typing import Any

import typer
from tqdm import tqdm

from minids.cli.progress import INTERRUPTED, interval, stopping_after_this_step
from minids.cli.run_folders import again, resume_line
from minids.cli.zero_runs import Run, save
from minids.rl.exam import Exam, exam
from minids.rl.grpo import Step, optimizer_for
from minids.rl.zero import newborn, practise, questions, read_lessons
from minids.study.watch import watch
from minids.text.alphabet import alphabet
from minids.train.loop import Diverged


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
                    save(run, done, time.monotonic() - began)
                if stop:
                    break
    except (Diverged, OSError) as error:
        if run.world.leads or isinstance(error, OSError):
            typer.echo(f"minids: {error}\n{again(run.folder, 'grpo')}", err=True)
        return 1
    if done < practice:
        if run.world.leads:
            line = resume_line(run.folder, "grpo")
            typer.echo(f"\nstopped and saved after {done} steps. Go on with: {line}", err=as_json)
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
        mininterval=interval(),
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
        mininterval=interval(),
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


def _quiet(_words: str) -> None:
    return None


def _warn(words: str) -> None:
    typer.echo(words, err=True)
