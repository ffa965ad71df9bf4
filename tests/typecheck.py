"""Signatures are checked in tests: by jaxtyping and beartype, the first calls of every test.

An int is accepted for a float, as mypy does. A check costs tens of microseconds, and a step of a
toy calls the same functions hundreds of times: checking every call, the tests took three times as
long. Every test counts anew, so what it checks does not depend on the tests before it.
"""

from collections import Counter
from collections.abc import Callable
from functools import wraps
from inspect import isfunction
from types import CodeType
from typing import Any

import jaxtyping
from beartype import BeartypeConf, beartype

OFTEN = 5
_jaxtyped = jaxtyping.jaxtyped
_calls: Counter[CodeType] = Counter()

check = beartype(conf=BeartypeConf(is_pep484_tower=True))


def install() -> None:
    """Check the calls of minids from now on; nothing may have imported it before."""
    jaxtyping.jaxtyped = jaxtyped  # what the hook puts above every function and class
    jaxtyping.install_import_hook("minids", "typecheck.check")


def begin() -> None:
    """Let the next call of every function be its first one."""
    _calls.clear()


def jaxtyped(**how: Any) -> Callable[..., Any]:
    """Stand in for `jaxtyping.jaxtyped`: a function is decorated when it is called, OFTEN a test.

    Classes, of which only the making is checked, are decorated as ever. Calls are counted by code:
    a function inside another one is a new function every time.
    """

    def decorate(function: Any) -> Any:
        if not isfunction(function):
            return _jaxtyped(function, **how)
        code, checked = function.__code__, []

        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            _calls[code] += 1
            if _calls[code] > OFTEN:
                return function(*args, **kwargs)
            if not checked:
                checked.append(_jaxtyped(function, **how))
            return checked[0](*args, **kwargs)

        return call

    return decorate
