"""What a run of `minids train` shows while it works, and how it ends."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import typer
from tqdm import tqdm

from minids.cli.run_folders import again, resume_line
from minids.cli.runs import Run, save
from minids.cli.samples import tell
from minids.study.watch import watch
from minids.text.batches import packed
from minids.train.compiled import compiled
from minids.train.loop import Diverged, Step, fit
from minids.train.losses import bits_per_byte
from minids.train.schedule import multi_step

INTERRUPTED = 130  # the exit code of a command that Ctrl-C ended


def carry_out(run: Run, *, save_every: int) -> int:
    """Train to the end or to Ctrl-C, save, show samples, and return the exit code."""
    plan, done = run.plan, run.start
    say = typer.echo if run.world.leads else _silent
    steps = fit(
        compiled(run.model) if plan.compiled else run.model,
        packed(run.tokens, batch=plan.batch, length=plan.length, seed=plan.seed),
        steps=plan.steps,
        lr=plan.lr,
        schedule=multi_step(plan.steps),
        products=plan.products,
        start=run.start,
        optimizer=run.optimizer,
        world=run.world,
    )
    rate = len(run.tokens) / len(run.corpus.train.encode())
    try:
        with stopping_after_this_step() as stopped:
            if run.world.leads:
                watched = watch(steps, vocab=run.model.c.vocab, say=tqdm.write)
                steps = shown(watched, total=plan.steps, start=run.start, tokens_per_byte=rate)
            for step in steps:
                done, stop = step.i + 1, run.world.any(stopped())
                if done % save_every == 0 or done == plan.steps or stop:
                    save(run, done)
                if stop:
                    break
    except (Diverged, OSError) as error:
        say(f"minids: {error}\n{again(run.folder, 'train')}", err=True)
        return 1
    if done < plan.steps:
        line = resume_line(run.folder, "train")
        say(f"\nstopped and saved after {done} steps. Go on with: {line}")
        return INTERRUPTED
    model = run.model
    if run.world.mesh is not None:
        from minids.train.parallel import in_one_piece

        model = in_one_piece(run.model, run.model.c, run.world.device)
    if run.world.leads:
        tell(run, model)
        longer = f"{resume_line(run.folder, 'train')} --steps {2 * plan.steps}"
        typer.echo(f"\nsaved in {run.folder}. Longer: {longer}")
    return 0


def _silent(words: str, err: bool = False) -> None:
    """What other processes than the first say."""


def shown(
    steps: Iterator[Step], *, total: int, start: int = 0, tokens_per_byte: float
) -> Iterator[Step]:
    """Yield the steps, with a bar: loss, bits per byte, tokens per second, time left."""
    smooth, seen = 0.0, 0.0
    with tqdm(steps, total=total, initial=start, unit="step", mininterval=interval()) as bar:
        for step in bar:
            # The mean of about the last twenty steps, whatever their number.
            smooth, seen = 0.95 * smooth + step.loss, 0.95 * seen + 1
            loss = smooth / seen
            bar.set_postfix_str(
                f"loss {loss:.3f}, {bits_per_byte(loss, tokens_per_byte):.3f} bits/byte, "
                f"{step.tokens_per_second:,.0f} tokens/s",
                refresh=False,
            )
            yield step


def interval() -> float:
    """Return the seconds between two drawings of a bar: a log file wants few lines."""
    return 0.2 if sys.stderr.isatty() else 10.0


@contextmanager
def stopping_after_this_step() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C into a question, "stopped?"; the second one interrupts as ever."""
    stopped = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopped.is_set  # signals only reach the main thread
        return

    def note(number: int, frame: FrameType | None) -> None:
        if stopped.is_set():
            signal.default_int_handler(number, frame)
        stopped.set()
        if os.environ.get("RANK", "0") == "0":  # torchrun numbers the processes that it starts
            typer.echo(
                "\nstopping after this step, to save it; Ctrl-C again ends at once", err=True
            )

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
