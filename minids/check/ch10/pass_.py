"""10.pass: the chance that one of k answers is right."""

from collections.abc import Iterator
from itertools import combinations

import torch

from minids.check import Attempt, Claim, checker, close, raises
from minids.check.sizes import draw


@checker(
    "10.pass",
    hints=(
        "Of all ways to pick k of the samples, how many hold no right one?",
        "wrong = n - c; the share of picks without a right one is C(wrong, k) / C(n, k).",
        "return 1 - math.comb(n - c, k) / math.comb(n, k)",
    ),
)
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    n = 2 * draw(g, 3, 4) + 1  # odd, so that as many right as wrong cannot be
    c = draw(g, 2, n - 3)
    none = attempt(n, 0, 2)
    yield Claim(
        "no right sample: 0",
        abs(none) < 1e-9,
        "do you count the picks that hold no right one? The chance that is asked is what is left."
        if abs(none - 1) < 1e-9
        else "every pick is wrong then. After a pick, how many are left, and how many wrong ones?",
    )
    yield Claim(
        "nothing but right samples: 1",
        abs(attempt(n, n, 2) - 1) < 1e-9,
        "at least one of the picks is right, be it one, two or all of them.",
    )
    yield Claim(
        "pass@1 is the share of right samples",
        close(attempt(n, c, 1), c / n),
        "with k = 1 it is c / n: one right sample of many does not make every pick right.",
    )
    yield Claim(
        "a second try helps",
        attempt(n, c, 2) > attempt(n, c, 1) + 1e-9,
        "a right one among the k is enough: they need not all be right.",
    )
    yield Claim(
        "but with two right samples it does not double the chance",
        attempt(n, 2, 2) < 2 * attempt(n, 2, 1) - 1e-9,
        "both picks may be right, and a sum of chances counts that case twice.",
    )
    for k in (2, 3):
        picks = list(combinations(range(n), k))
        share = sum(min(pick) < c for pick in picks) / len(picks)
        yield Claim(
            f"k = {k}: as counted over all picks",
            close(attempt(n, c, k), share, rtol=1e-6),
            "without putting back: a sample that was picked cannot be picked again, so chances "
            "change from pick to pick.",
        )
    yield Claim(
        "with k = n one right sample is enough: 1",
        abs(attempt(n, 1, n) - 1) < 1e-9,
        "subtract from 1 the chance that ALL k picks are wrong.",
    )
    yield Claim(
        "more tries never hurt",
        all(attempt(n, c, k) <= attempt(n, c, k + 1) + 1e-12 for k in range(1, n)),
        "when fewer than k samples are wrong, every pick holds a right one: 1, not more.",
    )
    yield Claim(
        "more tries than samples are refused with a ValueError",
        raises(attempt, ValueError, n, c, n + 1),
        "raise ValueError when k > n: nothing can be said about it.",
    )
