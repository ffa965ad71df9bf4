"""Between a checker and the learner's function: what a call may not do, each case as a sentence.

A missing `return`, not-a-number, wrong arguments, inputs changed in place, gradients switched off
for good, and tensors and numbers of a kind of one's own, which could compare as they like, are
refused.
"""

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from minids.check.claims import Refused, plain

# What an answer that is no function may consist of.
HOLDERS = (list, tuple, set, frozenset)
VALUES = (bool, int, float, complex, str, type(None), type(...))


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
    grads = torch.is_grad_enabled()
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
                    "write into the caller's. Of a list, list(x) is a copy.",
                )
    if grads and not torch.is_grad_enabled():
        raise Refused(
            "your function leaves gradients switched off",
            "whatever trains after it would learn nothing. Write `with torch.no_grad():`, which "
            "ends with its block, or leave gradients on.",
        )
    if out is None and not may_be_none:
        raise Refused("your function returns None", "is there a `return` at its end?")
    if out is NotImplemented or out is ...:
        raise NotImplementedError
    for x in _leaves(out):
        plain(x)
    if not may_be_nan and any(map(_has_nan, _leaves(out))):
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


def _snapshot(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().clone().requires_grad_(value.requires_grad)
    if isinstance(value, list | tuple):
        return [_snapshot(x) for x in value]
    if isinstance(value, Mapping):
        return {k: _snapshot(x) for k, x in value.items()}
    if isinstance(value, set | bytearray):
        return copy.copy(value)
    return value


def _same(old: Any, new: Any) -> bool:
    if isinstance(old, Tensor):
        a, b = old.detach(), new.detach()
        kept = a.shape == b.shape and a.dtype == b.dtype
        return kept and old.requires_grad <= new.requires_grad and bool(((a == b) | (a != a)).all())
    if isinstance(old, list):
        return len(old) == len(new) and all(map(_same, old, new))
    if isinstance(old, dict):
        return old.keys() == new.keys() and all(_same(old[k], new[k]) for k in old)
    if isinstance(old, set | bytearray):
        return bool(old == new)
    return True


def odd(answer: Any) -> str:
    """What an answer holds that is no plain value, "a value of type X"; else an empty text."""
    if type(answer) is dict:
        return next(filter(None, map(odd, (*answer, *answer.values()))), "")
    if type(answer) in HOLDERS:
        return next(filter(None, map(odd, answer)), "")
    ours = type(answer) in (*VALUES, Tensor)
    if ours or type(answer).__module__.partition(".")[0] == "numpy":
        return ""
    return f"a value of type {type(answer).__name__}"


def _leaves(value: Any) -> Iterator[Any]:
    """Tensors, numbers and words in nested lists, tuples and mappings."""
    if isinstance(value, Tensor | float | int | str):
        yield value
    elif isinstance(value, list | tuple):
        for x in value:
            yield from _leaves(x)
    elif isinstance(value, Mapping):
        for x in value.values():
            yield from _leaves(x)


def _has_nan(value: Any) -> bool:
    if isinstance(value, float):
        return math.isnan(value)
    if not isinstance(value, Tensor) or value.is_meta:
        return False
    return value.is_floating_point() and bool(torch.isnan(value.detach()).any())
