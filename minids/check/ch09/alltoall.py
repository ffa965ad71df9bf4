"""09.alltoall: seconds of tokens on two kinds of links."""

from collections.abc import Iterator

import torch

from minids.check import Attempt, Claim, checker, close
from minids.check.ch09.common import alike, reals
from minids.check.sizes import draw


@checker(
    "09.alltoall",
    hints=(
        "Each way: how long is InfiniBand busy, how long NVLink? They work side by side.",
        "one way: max(nodes x dim x bytes / ib, experts x dim x bytes / nvlink). There and back, "
        "with out_bytes and back_bytes.",
        "max(nodes * dim * out_bytes / ib, experts * dim * out_bytes / nvlink) + the same back",
    ),
)
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    a, b = reals(g, 2)
    both = attempt(100, 3, 5, 1.0, 2.0, 10.0, 15.0)
    yield Claim(
        "a token of twice as many numbers takes twice as long",
        alike(attempt(200, 3, 5, 1.0, 2.0, 10.0, 15.0), 2 * both),
        "what travels is a token: dim numbers, not one.",
    )
    slow_ib, slow_nvlink = [(100, 3, 5, 1.0, 2.0, *x) for x in ((10.0, 1e9), (1e9, 10.0))]
    by_ib, by_nvlink = attempt(*slow_ib), attempt(*slow_nvlink)
    yield Claim(
        "a faster NVLink does not help while all wait for InfiniBand",
        alike(attempt(*slow_ib[:-1], 2e9), by_ib),
        "the token has arrived when the slower link is done, not when the faster one is.",
    )
    yield Claim(
        "where NVLink is slow, it does not matter how many nodes there are",
        alike(attempt(100, 4, *slow_nvlink[2:]), by_nvlink),
        "which link works inside a node, and which between nodes? NVLink hands out to experts.",
    )
    yield Claim(
        "where InfiniBand is slow, it does not matter how many experts there are",
        alike(attempt(100, 3, 7, *slow_ib[3:]), by_ib),
        "a token crosses once for each node: in there NVLink makes the copies for its experts.",
    )
    yield Claim(
        "both links work at the same time",
        alike(both, max(by_ib, attempt(100, 3, 5, 1.0, 2.0, 1e9, 15.0))),
        "nobody waits for both links in turn: the longer of the two times hides the shorter.",
    )
    out = attempt(100, 3, 5, 1.0, 0.0, 10.0, 1e9)
    yield Claim(
        "what weighs twice as much on the way back takes twice as long there",
        alike(by_ib - out, 2 * out),
        "results come back, too, and a number of them weighs back_bytes.",
    )
    yield Claim(
        "300 bytes at 10 bytes a second take 30 seconds",
        close(out, 30.0),
        "3 nodes, 100 numbers, 1 byte each: it crosses once for each of them. And bandwidths are "
        "bytes per second here, as sizes are bytes: no bits. The answer is in seconds.",
    )
    yield Claim(
        "the same by NVLink: 500 bytes take 50 seconds",
        close(attempt(100, 3, 5, 1.0, 0.0, 1e9, 10.0), 50.0),
        "a copy for each expert, out and back.",
    )
    yield Claim(
        "a token that stays in its node needs no InfiniBand",
        close(attempt(50, 0, 4, a, b, 10.0, 20.0), 50 * 4 * (a + b) / 20),
        "with nodes = 0 only NVLink is left.",
    )
    v3 = [attempt(7168, 4, n, 1.03125, 2.0, 50e9, 160e9) for n in (8, 12, 14)]
    yield Claim(
        "with V3's links and 4 nodes a token takes 1.74 microseconds to 8 experts and back",
        alike(v3[0], 4 * 7168 * 3.03125 / 50e9),
        "return seconds as they are, 1.74e-6 here: rounded, nothing is left of them.",
    )
    yield Claim(
        "with V3's links and 4 nodes, 12 experts cost no more than 8, and 14 do",
        alike(v3[1], v3[0]) and v3[2] > 1.05 * v3[0],
        "up to 4 x 160 / 50 = 12.8 experts InfiniBand is the slower link.",
    )
    nodes, experts, dim = draw(g, 1, 6), draw(g, 1, 20), draw(g, 10, 90)
    ways = max(nodes / (3 * a), experts / (10 * b))
    yield Claim(
        "any other cluster, too",
        close(attempt(dim, nodes, experts, a, b, 3 * a, 10 * b), dim * (a + b) * ways),
        "nothing of V3's numbers may stand in the function.",
    )
