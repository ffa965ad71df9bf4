"""03.segment: experts cut into finer ones."""

from collections.abc import Iterator

import torch

from minids.check import Attempt, Claim, checker
from minids.check.answers import is_whole
from minids.check.sizes import draw


@checker(
    "03.segment",
    hints=(
        "Two products must stay as they were: all experts times their width, and those that one "
        "token meets times their width.",
        "m times as many experts, each m times narrower, m times as many chosen. Then `shared` of "
        "them leave both the pool and the choice, because every token meets them anyway.",
        "return m * n - shared, m * k - shared, width // m",
    ),
)
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    n, k, m, shared = draw(g, 12, 20), draw(g, 2, 3), draw(g, 3, 5), draw(g, 1, 3)
    width = 60 * draw(g, 1, 4)
    cut = attempt(n, k, width, m, shared)
    yield Claim(
        "the answer is three whole numbers",
        isinstance(cut, tuple | list) and len(cut) == 3 and all(map(is_whole, cut)),
        "return routed, chosen and width, in this order, as ints; // divides whole numbers.",
    )
    routed, chosen, narrow = cut
    yield Claim(
        "more experts are left to choose from than a token chooses",
        routed > chosen,
        "the order is routed, chosen, width: first all that are left, then those of one token.",
    )
    yield Claim(
        "every expert is m times narrower",
        narrow * m == width,
        "an expert that keeps its width makes a larger model, not a finer one: width // m.",
    )
    yield Claim(
        "all experts together are as wide as before",
        (routed + shared) * narrow == n * width,
        "m n pieces in all; the shared ones are taken out of them, not added to them. `shared` "
        "counts pieces, not whole experts.",
    )
    yield Claim(
        "a token does not meet less than before",
        (chosen + shared) * narrow >= k * width,
        "for each of the k experts that it met, a token now needs all m pieces.",
    )
    yield Claim(
        "and no more: those that one token meets are as wide as before",
        (chosen + shared) * narrow == k * width,
        "a token meets the shared ones anyway: only the rest is left to choose.",
    )
    yield Claim(
        "uncut and without shared experts nothing changes",
        tuple(attempt(n, k, width, 1, 0)) == (n, k, width),
        "m = 1 and shared = 0 is GShard's shape itself.",
    )
    yield Claim(
        "the paper's cut: 2 of 16 becomes 7 of 63 and one shared",
        tuple(attempt(16, 2, 512, 4, 1)) == (63, 7, 128),
        "16 x 4 experts, one of them shared.",
    )
