"""Trouble in a run, named while it happens: wrap the steps, and go on as before.

    for step in watch(fit(model, batches, steps=300), vocab=1024):
        ...

Every step passes through unchanged. Each kind of trouble is told once, with the chapter that
explains it; what it looks like and what to try stand in `TROUBLES`. Any loop can be watched whose
steps have `i`, `loss`, `grad_norm` and `parts`. The parts that are looked at, all optional:

    idle_experts    experts that got less than a tenth of their even share in this step
    entropy         of the policy's next token, nats
    accuracy        share of answers that are right, 0..1
    reward          mean reward; a run that has one is RL, whose loss need not fall
    flat_groups     share of groups whose rollouts all got the same reward, 0..1

Left out: alarms that need weights or gradients. A single odd step is no alarm, except a NaN.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from statistics import fmean, median
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable


@runtime_checkable
class Watched(Protocol):
    """What a step must tell to be watched."""

    @property
    def i(self) -> int: ...
    @property
    def loss(self) -> float: ...
    @property
    def grad_norm(self) -> float: ...
    @property
    def parts(self) -> dict[str, float]: ...


S = TypeVar("S", bound=Watched)


class Trouble(NamedTuple):
    """A kind of trouble: what it looks like, and the sentence that names it."""

    looks: Callable[["_History"], bool]
    says: str
    explained: str


def watch(
    steps: Iterable[S], *, vocab: int | None = None, say: Callable[[str], Any] = print
) -> Iterator[S]:
    """Return the same steps, and `say` what is wrong with them, each kind of trouble once.

    With `vocab`, a loss above that of a uniform guess, ln(vocab), is trouble too.
    """
    history = _History(vocab)
    told: set[str] = set()
    for step in steps:
        history.add(step)
        for name, trouble in TROUBLES.items():
            if name not in told and trouble.looks(history):
                told.add(name)
                say(f"step {step.i}, {name}: {trouble.says} Explained in {trouble.explained}.")
        yield step


class _History:
    """The last losses, norms and parts of a run, and its first ones."""

    def __init__(self, vocab: int | None) -> None:
        self.uniform = math.inf if vocab is None else math.log(vocab)
        self.n = 0
        self.first: list[float] = []
        self.losses: deque[float] = deque(maxlen=20)
        self.norms: deque[float] = deque(maxlen=21)
        self.parts: dict[str, deque[float]] = {}
        self.first_entropies: list[float] = []

    def add(self, step: Watched) -> None:
        self.n += 1
        self.losses.append(step.loss)
        self.norms.append(step.grad_norm)
        if len(self.first) < 5:
            self.first.append(step.loss)
        for name, value in step.parts.items():
            self.parts.setdefault(name, deque(maxlen=20)).append(value)
        if "entropy" in step.parts and len(self.first_entropies) < 3:
            self.first_entropies.append(step.parts["entropy"])

    def lasting(self, name: str, n: int, holds: Callable[[float], bool]) -> bool:
        """Whether a part was there and held for each of the last `n` steps."""
        values = list(self.parts.get(name, ()))[-n:]
        return len(values) == n and all(map(holds, values))

    def fails(self) -> bool:
        """Whether most answers are wrong, as far as the steps tell."""
        return not self.lasting("accuracy", 1, lambda share: share >= 0.5)


def _not_a_number(run: _History) -> bool:
    return not math.isfinite(run.losses[-1] + run.norms[-1])


def _exploding(run: _History) -> bool:
    """Three steps in a row, ten times as steep as the steps before them."""
    before, last = list(run.norms)[:-3], list(run.norms)[-3:]
    return len(before) >= 10 and min(last) > 10 * median(before)


def _above_uniform(run: _History) -> bool:
    """After the first steps, which start at the uniform guess and a little above it."""
    return run.n >= 10 and min(list(run.losses)[-5:]) > 1.02 * run.uniform


def _not_falling(run: _History) -> bool:
    """Sixty steps in, the last twenty are no better than the first five."""
    if run.n < 60 or "reward" in run.parts:
        return False
    return fmean(run.losses) > 0.99 * fmean(run.first)


def _idle_experts(run: _History) -> bool:
    """Twenty steps in a row, after a hundred that a bias of small steps needs to travel."""
    return run.n >= 100 and run.lasting("idle_experts", 20, lambda n: n >= 1)


def _collapsed_entropy(run: _History) -> bool:
    if not run.first_entropies or not run.fails():
        return False
    floor = 0.05 * fmean(run.first_entropies)
    return run.lasting("entropy", 3, lambda nats: nats < floor)


def _flat_groups(run: _History) -> bool:
    return run.fails() and run.lasting("flat_groups", 5, lambda share: share > 0.9)


TROUBLES = {
    "not a number": Trouble(
        _not_a_number,
        "the loss or its gradient is nan or inf. Go back to an earlier state of the weights, with "
        "a lower learning rate or a longer warm-up.",
        "chapter 01, learning rates",
    ),
    "exploding gradients": Trouble(
        _exploding,
        "the gradient is ten times as large as in the steps before. Clipping holds the update "
        "back; if the loss rises too, lower the learning rate.",
        "chapter 01, learning rates",
    ),
    "worse than guessing": Trouble(
        _above_uniform,
        "the loss is above ln(vocab), that of guessing all tokens alike. The learning rate is far "
        "too high, or targets and mask do not fit the tokens.",
        "chapter 01, the first loss",
    ),
    "not learning": Trouble(
        _not_falling,
        "the loss is where it began. Is the learning rate 0 or far too high, do the targets "
        "follow from the tokens, and do gradients reach the weights?",
        "chapter 01, the first loss",
    ),
    "idle experts": Trouble(
        _idle_experts,
        "some experts got less than a tenth of their share for twenty steps, and learn nothing. "
        "Give the balance loss or the bias more weight.",
        "chapter 06, keeping the load even",
    ),
    "collapsed entropy": Trouble(
        _collapsed_entropy,
        "the policy has lost nearly all its randomness while most answers are wrong: its samples "
        "are all alike, and nothing new is tried. Lower the learning rate or start from a broader "
        "base.",
        "chapter 10, exploration",
    ),
    "flat groups": Trouble(
        _flat_groups,
        "in nearly every group all rollouts got the same reward, so that advantages are 0 and "
        "nothing is learned. Take easier problems, larger groups or a better base.",
        "chapter 10, groups that teach nothing",
    ),
}
"""What is looked for, in this order."""
