"""08.measure: how large outliers may grow before a format breaks."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from minids.check import Attempt, Claim, call, checker
from minids.check.answers import is_number
from minids.check.sizes import draw
from minids.model.fp8_formats import through_fp8


def _damage(rounding: Callable[[Tensor], Tensor], size: float) -> float:
    """The error of all entries but the outlier; the same matrix as the exercise's."""
    x = torch.randn(16, 256, generator=torch.Generator().manual_seed(0))
    x[3, 5] = size
    rest = torch.ones_like(x, dtype=torch.bool)
    rest[3, 5] = False
    return float((rounding(x) - x)[rest].norm() / x[rest].norm())


def _breaks(rounding: Callable[[Tensor], Tensor]) -> int | None:
    sizes = (2**i for i in range(21))
    return next((size for size in sizes if _damage(rounding, size) > 0.1), None)


def _breaks_at_the_end(x: Tensor) -> Tensor:
    return 0 * x if float(x.abs().max()) >= 2**20 else 1 * x


def _breaks_behind_the_end(x: Tensor) -> Tensor:
    return 0 * x if float(x.abs().max()) > 2**20 else 1 * x


def _breaks_at_eight_alone(x: Tensor) -> Tensor:
    return 0 * x if 8 <= float(x.abs().max()) < 16 else 1 * x


@checker(
    "08.measure",
    hints=(
        "Try 1, 2, 4, … and stop at the first outlier that does harm.",
        "damage(rounding, size) is given. Twenty-one sizes, from 2**0 to 2**20; None if none of "
        "them takes damage above 0.1.",
        "for size in (2**i for i in range(21)): ...",
    ),
)
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    bits = draw(g, 7, 9)  # broken by 2**5 to 2**7: no exponent is a power of two as well

    def whole(x: Tensor) -> Tensor:
        step = x.abs().max() / 2 ** (bits - 1)
        return (x / step).round() * step

    def one_scale(x: Tensor) -> Tensor:
        return through_fp8(x, None)

    found = call(attempt, whole, may_be_none=True)
    yield Claim(
        "the answer for whole numbers of a few bits is a power of two",
        is_number(found) and found in (2**i for i in range(21)),
        "return the size itself, an int such as 64, not its exponent.",
    )
    yield Claim(
        "it is the first size whose damage is above 0.1",
        found == _breaks(whole),
        "the smallest power of two that does more than 0.1 damage; the one before does less.",
    )
    yield Claim(
        "E4M3 with one scale holds out thousands of times longer",
        call(attempt, one_scale, may_be_none=True) == _breaks(one_scale),
        "measure what you are given, up to 2**20: floating-point numbers have a long reach.",
    )
    yield Claim(
        "a rounding that nothing breaks gives None",
        call(attempt, lambda x: 1.099 * x, may_be_none=True) is None,
        "after 2**20 return None. And 0.1 is the limit: damage of 0.099 is none.",
    )
    yield Claim(
        "a rounding that breaks at 2**20 alone gives 2**20",
        call(attempt, _breaks_at_the_end, may_be_none=True) == 2**20,
        "the last size counts, too: range(20) ends with 19.",
    )
    yield Claim(
        "a rounding that breaks at 2**21 alone gives None",
        call(attempt, _breaks_behind_the_end, may_be_none=True) is None,
        "2**20 is the last size: range(21) ends there, and range(22) one too late.",
    )
    yield Claim(
        "a rounding that breaks at 8 and nowhere else gives 8",
        call(attempt, _breaks_at_eight_alone, may_be_none=True) == 8,
        "damage need not grow with size: try every one, from the smallest.",
    )
    yield Claim(
        "a rounding that is broken from the start gives 1",
        call(attempt, lambda x: 0 * x, may_be_none=True) == 1
        and call(attempt, lambda x: 1.101 * x, may_be_none=True) == 1,
        "start at 2**0. And 0.1 is the limit: damage of 0.101 is above it.",
    )
