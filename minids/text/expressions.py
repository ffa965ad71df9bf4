"""Expressions such as (1+2)*8, read and worked out by rule: nothing is ever run as code.

A text from a model may be anything. It is read character by character, by a grammar of three
lines, and what does not fit is no expression:

    sum = product (("+" | "-") product)*      product = atom (("*" | "/") atom)*
    atom = whole number | "(" sum ")"

Left out: signs before a number, powers, and numbers of more than six digits or with a zero first.
"""

import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import cache
from typing import NamedTuple

LONGEST = 64
"""Characters of the longest text that is read: more brackets than that nobody needs."""

_TOKENS = re.compile(r"(?:0|[1-9][0-9]{0,5})(?![0-9])|[-+*/()]")


class Operation(NamedTuple):
    """One step of a calculation: left, sign, right, and what comes out."""

    left: Fraction
    sign: str
    right: Fraction
    value: Fraction


class Worked(NamedTuple):
    """An expression that was worked out: its value, its steps in order, the numbers in it."""

    value: Fraction
    operations: tuple[Operation, ...]
    numbers: tuple[int, ...]


def apply(left: Fraction, sign: str, right: Fraction) -> Fraction:
    """Return what comes out of one operation; ZeroDivisionError as ever."""
    match sign:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "/":
            return left / right
    raise ValueError(f"{sign!r} is no sign: there are + - * /")


Apply = Callable[[Fraction, str, Fraction], Fraction]


def work_out(text: str, apply: Apply = apply) -> Worked | None:
    """Return value and steps of an expression, or None if `text` is none. Never raises.

    A division by zero has no value and gives None, too. Each operation comes out as `apply` says,
    and later ones go on from there.
    """
    if len(text) > LONGEST:
        return None
    tokens = _TOKENS.findall(text)
    if "".join(tokens) != text or not tokens:
        return None
    reader = _Reader(tokens, apply)
    try:
        value = reader.sum()
    except (_NoExpression, ZeroDivisionError):
        return None
    if reader.at != len(tokens):
        return None
    numbers = tuple(int(token) for token in tokens if token.isdecimal())
    return Worked(value, tuple(reader.done), numbers)


class _NoExpression(Exception):
    """The text does not fit the grammar."""


class _Reader:
    """Reads tokens from left to right, and notes every operation it carries out."""

    def __init__(self, tokens: list[str], apply: Apply) -> None:
        self.tokens = [*tokens, ""]
        self.apply = apply
        self.at = 0
        self.done: list[Operation] = []

    def sum(self) -> Fraction:
        value = self.product()
        while self.tokens[self.at] in ("+", "-"):
            value = self.operate(value, self.take(), self.product())
        return value

    def product(self) -> Fraction:
        value = self.atom()
        while self.tokens[self.at] in ("*", "/"):
            value = self.operate(value, self.take(), self.atom())
        return value

    def atom(self) -> Fraction:
        token = self.take()
        if token.isdecimal():
            return Fraction(int(token))
        if token != "(":
            raise _NoExpression
        value = self.sum()
        if self.take() != ")":
            raise _NoExpression
        return value

    def take(self) -> str:
        token = self.tokens[self.at]
        if not token:
            raise _NoExpression
        self.at += 1
        return token

    def operate(self, left: Fraction, sign: str, right: Fraction) -> Fraction:
        value = self.apply(left, sign, right)
        self.done.append(Operation(left, sign, right, value))
        return value


@cache
def reach(target: int, numbers: tuple[int, ...]) -> str | None:
    """Return an expression that makes `target` from all `numbers`, each once, or None.

    Between steps only whole numbers from 0 on are used, as one does in the head.
    """
    start = tuple((n, str(n)) for n in sorted(numbers))
    return next((text for value, text in _made(start) if value == target), None)


def _made(items: tuple[tuple[int, str], ...]) -> Iterator[tuple[int, str]]:
    """Everything that can be made from these values with their texts, each used once."""
    if len(items) == 1:
        yield items[0]
        return
    for i in range(len(items)):
        for j in range(len(items)):
            if i != j:
                rest = tuple(item for k, item in enumerate(items) if k not in (i, j))
                for pair in _joined(items[i], items[j], both_orders=i < j):
                    yield from _made((*rest, pair))


def _joined(
    a: tuple[int, str], b: tuple[int, str], *, both_orders: bool
) -> Iterator[tuple[int, str]]:
    (x, left), (y, right) = a, b
    if both_orders:  # a+b is b+a: once is enough
        yield x + y, f"({left}+{right})"
        yield x * y, f"({left}*{right})"
    if x >= y:
        yield x - y, f"({left}-{right})"
    if y and x % y == 0:
        yield x // y, f"({left}/{right})"
