"""What can go wrong when somebody else's function is called, each case as one plain sentence.

The guard stands between a checker and the learner's function: it notices a missing `return`,
not-a-number, and inputs changed in place; it explains exceptions by the learner's own line; it
stops endless loops. Helpers for checkers (close, shaped, call, raises) live here too.
"""

import copy
import linecache
import math
import signal
import sys
import sysconfig
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor


class Refused(Exception):
    """A claim cannot even be asked: `says` what came instead, and a `hint`."""

    def __init__(self, says: str, hint: str) -> None:
        super().__init__(f"{says}: {hint}")
        self.says, self.hint = says, hint


class TimeUp(BaseException):
    """The time limit is over. No Exception, so that `except Exception` cannot swallow it."""


class Guarded:
    """The learner's function, with the accidents of a call turned into `Refused`."""

    def __init__(self, attempt: Callable[..., Any]) -> None:
        self.attempt = attempt

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return call(self, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.attempt, name)


def call(
    attempt: Callable[..., Any],
    /,
    *args: Any,
    may_change: bool = False,
    may_be_nan: bool = False,
    may_be_none: bool = False,
    **kwargs: Any,
) -> Any:
    """Call the learner's function; refuse None, not-a-number, and inputs changed in place."""
    inner = attempt.attempt if isinstance(attempt, Guarded) else attempt
    before = None if may_change else [_snapshot(x) for x in (*args, *kwargs.values())]
    try:
        out = inner(*args, **kwargs)
    except TypeError as error:
        if error.__traceback__ is not None and error.__traceback__.tb_next is None:
            raise Refused(
                "your function cannot be called with the inputs of the task",
                f"{error}. Keep the arguments as they stand in the exercise.",
            ) from None
        raise
    if before is not None:
        for old, new in zip(before, (*args, *kwargs.values()), strict=True):
            if not _same(old, new):
                raise Refused(
                    "your function changes what it was given",
                    "work on a copy: x = x + 1 makes a new tensor, x += 1 and x[…] = … "
                    "write into the caller's.",
                )
    if out is None and not may_be_none:
        raise Refused("your function returns None", "is there a `return` at its end?")
    if out is NotImplemented or out is ...:
        raise NotImplementedError
    if not may_be_nan and any(_has_nan(x) for x in _tensors(out)):
        raise Refused(
            "your function returns NaN (not a number) for ordinary inputs",
            "look for 0/0, inf - inf, the log or root of a negative number, "
            "or a softmax over nothing but -inf.",
        )
    return out


def raises(attempt: Callable[..., Any], kind: type[Exception], *args: Any, **kwargs: Any) -> bool:
    """Whether the learner's function raises `kind` on these arguments."""
    try:
        call(attempt, *args, may_be_none=True, **kwargs)
    except kind:
        return True
    return False


def close(got: Any, expected: Any, *, rtol: float = 1e-4) -> bool:
    """Whether `got` differs from `expected` by at most `rtol` of the largest expected size.

    Shapes must be equal: nothing is broadcast (Refused). An expected value near zero would make
    any answer pass or fail by accident; that is a fault of the checker (AssertionError).
    """
    want = torch.as_tensor(expected).detach().to(torch.float64)
    if not isinstance(got, Tensor | float | int):
        raise Refused(
            f"a number or tensor was expected, and a {type(got).__name__} came",
            "what does the last line of your function return?",
        )
    have = torch.as_tensor(got).detach().to("cpu", torch.float64)
    if have.shape != want.shape:
        raise Refused(
            f"a result of shape {tuple(want.shape)} was expected, and {tuple(have.shape)} came",
            "follow the axes through your function, one line at a time.",
        )
    size = want.abs().max().item() if want.numel() else 0.0
    assert size > 1e-6, f"the checker compares with {size}, which is too near zero to tell anything"
    error = (have - want).abs().max().item()
    return math.isfinite(error) and error <= rtol * size


def shaped(
    got: Any, shape: tuple[int, ...], *, like: Tensor | None = None, what: str = "the result"
) -> Any:
    """The claim that `got` is a tensor of `shape`, of the dtype and on the device of `like`."""
    from minids.check.engine import Claim

    says = f"{what} has the right shape" + (", dtype and device" if like is not None else "")
    if not isinstance(got, Tensor):
        return Claim(says, False, f"{what} should be a tensor; it is a {type(got).__name__}.")
    if tuple(got.shape) != tuple(shape):
        return Claim(says, False, f"expected shape {tuple(shape)}, got {tuple(got.shape)}.")
    if like is not None and got.dtype != like.dtype:
        return Claim(says, False, f"expected {like.dtype} like the input, got {got.dtype}.")
    if like is not None and got.device != like.device:
        return Claim(says, False, f"the input lies on {like.device}, {what} on {got.device}.")
    return Claim(says, True, "")


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeUp inside the block after `seconds`, again and again until it is left.

    Only where signals can do it: on the main thread of a Unix. Elsewhere nothing is limited.
    """
    possible = hasattr(signal, "setitimer") and (
        threading.current_thread() is threading.main_thread()
    )
    if not possible:
        yield
        return

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise TimeUp

    old_handler = signal.signal(signal.SIGALRM, stop)
    old_timer = signal.setitimer(signal.ITIMER_REAL, seconds, 0.2)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *old_timer)
        signal.signal(signal.SIGALRM, old_handler)


def explain(error: BaseException, seconds: float) -> tuple[str, str]:
    """Sentence and hint for an exception: the learner's line where it is theirs."""
    if isinstance(error, TimeUp):
        return f"your code is still running after {seconds:g} s", "is there a loop without an end?"
    kind, words = type(error).__name__, " ".join(str(error).split())[:300]
    what = f"{kind}: {words}" if words else kind
    frames = [f for f in traceback.extract_tb(error.__traceback__) if _is_learners(f.filename)]
    if not frames:
        return (
            "what you return could not be used",
            f"{what}. Compare the type of your result with what the task asks for.",
        )
    last = frames[-1]
    line = (linecache.getline(last.filename, last.lineno or 0) or last.line or "").strip()
    return f"your code stops with {kind}", f"{words or kind} -- in the line `{line}`."


def _is_learners(filename: str) -> bool:
    path = Path(filename)
    package = Path(__file__).parent.parent
    if package in path.parents:
        return package / "check" / "bugs" in path.parents
    library = {sys.prefix, sys.base_prefix, *sysconfig.get_paths().values()}
    return not any(Path(folder) in path.parents for folder in library) and not (
        filename.startswith("<frozen")
    )


def _snapshot(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, list | tuple):
        return [_snapshot(x) for x in value]
    if isinstance(value, Mapping):
        return {k: _snapshot(x) for k, x in value.items()}
    if isinstance(value, set | bytearray):
        return copy.copy(value)
    return value


def _same(old: Any, new: Any) -> bool:
    if isinstance(old, Tensor):
        a, b = old, new.detach()
        return a.shape == b.shape and a.dtype == b.dtype and bool(((a == b) | (a != a)).all())
    if isinstance(old, list):
        return len(old) == len(new) and all(map(_same, old, new))
    if isinstance(old, dict):
        return old.keys() == new.keys() and all(_same(old[k], new[k]) for k in old)
    if isinstance(old, set | bytearray):
        return bool(old == new)
    return True


def _tensors(value: Any) -> Iterator[Any]:
    if isinstance(value, Tensor | float):
        yield value
    elif isinstance(value, list | tuple):
        for x in value:
            yield from _tensors(x)
    elif isinstance(value, Mapping):
        for x in value.values():
            yield from _tensors(x)


def _has_nan(value: Any) -> bool:
    if isinstance(value, float):
        return math.isnan(value)
    if value.is_meta:
        return False
    return value.is_floating_point() and bool(torch.isnan(value.detach()).any())
