"""Checks for exercises: claims in order, the first false one stops, and it comes with a hint.

A checker is a generator over claims, so that a later claim is not even computed before the
earlier ones hold. It sees the learner's function through a guard (guard.py), which turns every
usual accident into one sentence. What a check says is proved by planted mistakes (bugs/).
"""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import torch

from minids.check import progress
from minids.check.accidents import explain, time_limit
from minids.check.claims import Refused
from minids.check.guard import Guarded, odd
from minids.check.registry import Checker, find

BLANK = "Replace the line `raise NotImplementedError` by your own."


class Verdict(NamedTuple):
    """What a check found out. `failed` and `hint` are empty when the exercise is solved."""

    name: str
    state: Literal["solved", "blank", "wrong", "error"]
    held: tuple[str, ...]
    failed: str
    hint: str
    seed: int

    def message(self) -> str:
        """What the learner reads."""
        if self.state == "solved":
            return f"{self.name}: solved ({len(self.held)} claims hold)"
        if self.state == "blank":
            return f"{self.name}: nothing here yet. {self.hint}"
        again = f"check({self.name!r}, …, seed={self.seed}) repeats these inputs"
        return f"{self.name}: {self.failed} -- not yet.\n  hint: {self.hint}\n  ({again})"


class NotYet(AssertionError):
    """An exercise is not solved yet. The message is written for a reader, not for a debugger."""

    def _render_traceback_(self) -> list[str]:
        """What IPython shows instead of a traceback."""
        return [str(self)]


def examine(
    name: str,
    attempt: Any,
    *,
    seed: int,
    each: Callable[[str], None] = lambda _: None,
    at_most: float | None = None,
) -> Verdict:
    """Test `attempt` one claim at a time and return what was found; `each` hears what held.

    `at_most`: seconds, where the exercise's own limit would be longer. Never raises for what the
    learner wrote. The random state and the default dtype of torch stay as they were.
    """
    c = find(name)
    limit = c.seconds if at_most is None else min(c.seconds, at_most)
    held: list[str] = []

    def verdict(
        state: Literal["solved", "blank", "wrong", "error"], failed: str = "", hint: str = ""
    ) -> Verdict:
        return Verdict(name, state, tuple(held), failed, hint, seed)

    if c.takes is not None and (attempt is None or attempt is ...):
        return verdict("blank", "nothing here yet", "Replace the blank `...` by your answer.")
    if c.takes is not None and issubclass(type(attempt), dict):
        attempt = dict.copy(attempt)  # an OrderedDict and the like: what it holds
    wrong_kind = _wrong_kind(c, attempt)
    if wrong_kind:
        return verdict("error", *wrong_kind)
    try:
        with (
            torch.random.fork_rng(devices=[]),
            torch.inference_mode(False),
            torch.enable_grad(),  # whatever the notebook has switched off, or the attempt does
            _float32_by_default(),
            time_limit(limit),
        ):
            torch.default_generator.manual_seed(seed)  # torch.manual_seed asks every device: 2 ms
            guarded = Guarded(attempt) if callable(attempt) else attempt
            for claim in c.claims(guarded, torch.Generator().manual_seed(seed)):
                if not claim.holds:
                    return verdict("wrong", claim.says, claim.hint)
                held.append(claim.says)
                each(claim.says)
    except NotImplementedError as error:
        if str(error):  # torch says so, too, of operations that a dtype or device lacks
            return verdict("error", *explain(error, limit))
        return verdict("blank", "nothing here yet", BLANK)
    except Refused as refused:
        return verdict("error", refused.says, refused.hint)
    except KeyboardInterrupt:
        raise  # somebody pressed the stop button
    except BaseException as error:  # TimeUp, SystemExit, and whatever else they raise
        return verdict("error", *explain(error, limit))
    return verdict("solved")


def check(name: str, attempt: Any, *, seed: int | None = None) -> None:
    """Test `attempt` on fresh random inputs, print what holds, stop at the first false claim.

    `seed` repeats earlier inputs. Raises NotYet, whose message is all that a notebook shows.
    """
    chosen = random.SystemRandom().randrange(2**31) if seed is None else seed
    verdict = examine(name, attempt, seed=chosen, each=lambda says: print(f"  ok: {says}"))
    progress.record(verdict.name, verdict.state, len(verdict.held), verdict.failed)
    if verdict.state != "solved":
        raise NotYet(verdict.message())
    print(verdict.message())
    if progress.is_shown(name):
        print("  (its answer was shown by catch_up, so it does not count)")


def hint(name: str, level: int = 1) -> None:
    """Print hint 1 (the idea), 2 (the plan), 3 (one line), or 4: where the solution is."""
    if level not in (1, 2, 3, 4):
        raise ValueError(f"level={level}: hints go from 1 to 3, and 4 says where the solution is")
    c = find(name)
    if level == 4:
        print(f"The solution of {name} is in solutions/, in the notebook that starts {name[:2]}_.")
    else:
        print(f"{name}, hint {level} of 3: {c.hints[level - 1]}")


@contextmanager
def _float32_by_default() -> Iterator[None]:
    """Inside the block torch makes numbers as it does in a fresh notebook."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _wrong_kind(c: Checker, attempt: Any) -> tuple[str, str] | None:
    """Sentence and hint when `attempt` is not the kind of thing the exercise asks for."""
    if c.takes is None and not callable(attempt):
        says = f"the check wants your function itself, and got {_kind(attempt)}"
        return says, f"write check({c.name!r}, f), without calling f."
    if c.takes is not None and not isinstance(attempt, c.takes):
        kinds = c.takes if isinstance(c.takes, tuple) else (c.takes,)
        names = " or ".join(kind.__name__ for kind in kinds)
        return f"the answer should be of type {names}, and is {_kind(attempt)}", "see the task."
    strange = odd(attempt) if c.takes is not None else ""
    if strange:
        return f"the answer holds {strange}", "write numbers, words, lists and sets alone."
    return None


def _kind(value: Any) -> str:
    if value is None:
        return "None"
    if isinstance(value, torch.Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    return f"a value of type {type(value).__name__}"
