"""07.accept: a draft accepted, or drawn again without a bias."""

from collections.abc import Iterator

import torch
from torch import Tensor

from minids.check import Attempt, Claim, checker, close
from minids.check.answers import is_whole, pair


def _spread(attempt: Attempt, p: Tensor, q: Tensor) -> Tensor:
    """The distribution of the first token that comes out, with one draft, integrated exactly."""
    out = torch.zeros_like(p[0])
    for draft in range(q.shape[1]):
        chance = float((p[0, draft] / q[0, draft]).clamp(max=1))
        for weight, coin in ((chance, chance / 2), (1 - chance, (1 + chance) / 2)):
            if weight > 0:
                kept, rest = _kept(attempt, p, q, [draft], [coin])
                new = torch.eye(p.shape[1])[draft] if kept else rest
                out = out + q[0, draft] * weight * new
    return out


def _kept(
    attempt: Attempt, p: Tensor, q: Tensor, drafts: list[int], coins: list[float]
) -> tuple[int, Tensor]:
    kept, rest = pair(attempt(p, q, torch.tensor(drafts), torch.tensor(coins)))
    return (
        (int(kept), rest)
        if (is_whole(kept) or isinstance(kept, Tensor)) and isinstance(rest, Tensor)
        else (-1, p[0])
    )


@checker(
    "07.accept",
    hints=(
        "A draft that q proposes too often must be dropped in so many cases that just p of them "
        "are left. What is dropped must come back where q proposes too rarely.",
        "From the left: keep draft i if coins[i] < p[i, x] / q[i, x]. At the first that is not "
        "kept: max(p[i] - q[i], 0), divided by its sum. If all are kept: the last row of p.",
        "rest = (p[i] - q[i]).clamp(min=0); return i, rest / rest.sum()",
    ),
)
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    p = torch.tensor([[0.5, 0.3, 0.2, 0.0], [0.1, 0.2, 0.3, 0.4], [0.25, 0.25, 0.4, 0.1]])
    q = torch.tensor([[0.1, 0.6, 0.1, 0.2], [0.3, 0.4, 0.2, 0.1]])
    mixed = torch.randperm(4, generator=g)
    p, q = p[:, mixed], q[:, mixed]
    where = {name: int((mixed == i).nonzero()) for i, name in enumerate("abcd")}
    a, b, c = (where[name] for name in "abc")

    first = pair(attempt(p, q, torch.tensor([b, a]), torch.tensor([0.9, 0.1])))
    yield Claim(
        "the answer is a pair: how many drafts are kept, and a distribution",
        _kept(attempt, p, q, [b, a], [0.9, 0.1])[0] in (0, 1, 2)
        and isinstance(first[1], Tensor)
        and tuple(first[1].shape) == (4,)
        and close(float(first[1].sum()), 1.0, rtol=1e-3),
        "return kept, weights: an int and a tensor of v numbers that sum to 1.",
    )
    yield Claim(
        "drafts that p likes at least as much as q are kept, whatever the coin",
        _kept(attempt, p, q, [a, c], [0.99, 0.99])[0] == 2,
        "keep a draft if its coin lies below the ratio p / q of that draft, in its own row.",
    )
    yield Claim(
        "a draft that q likes twice as much is kept if its coin lies below one half",
        _kept(attempt, p[:2], q[:1], [b], [0.49])[0] == 1
        and _kept(attempt, p[:2], q[:1], [b], [0.51])[0] == 0,
        "the coin decides, by the ratio p / q: 0.3 / 0.6 here.",
    )
    yield Claim(
        "each draft has a coin of its own",
        _kept(attempt, p, q, [a, b], [0.9, 0.45])[0] == 2
        and _kept(attempt, p, q, [a, b], [0.1, 0.55])[0] == 1,
        "a coin of its own for each draft, coins[i], and rows of its own: p[i] and q[i].",
    )
    likes = torch.tensor([[0.3, 0.7], [0.3, 0.7], [0.5, 0.5]])
    doubts = torch.tensor([[0.6, 0.4], [0.6, 0.4]])
    yield Claim(
        "two drafts of ratio one half are kept if both coins are 0.4",
        _kept(attempt, likes, doubts, [0, 0], [0.4, 0.4])[0] == 2,
        "each draft is judged by its own ratio; what was kept before does not count again.",
    )
    never = torch.tensor([[0.0, 1.0], [0.9, 0.1]])
    yield Claim(
        "a token that p never writes is dropped, even by a coin of 0",
        _kept(attempt, never, torch.tensor([[0.5, 0.5]]), [0], [0.0])[0] == 0,
        "a coin can be 0, and so can a ratio: keep if the coin is smaller, < and not <=.",
    )
    kept, rest = _kept(attempt, p, q, [b, c], [0.9, 0.1])
    yield Claim(
        "the first draft that is dropped ends it: nothing behind it counts",
        kept == 0,
        "count from the left; nothing behind it counts, because it was read behind a wrong token.",
    )
    three, coins = [0, 0, 0], [0.4, 0.6, 0.4]
    often, seldom = likes[:1].expand(4, 2), doubts[:1].expand(3, 2)
    yield Claim(
        "of three drafts the first is kept where the second is dropped, and all where none is",
        _kept(attempt, often, seldom, three, coins)[0] == 1
        and _kept(attempt, often, seldom, three, [0.4, 0.4, 0.4])[0] == 3,
        "there may be any number of drafts, and the first that is dropped ends it: a loop that "
        "stops there, or cumprod.",
    )
    more = (p[0] - q[0]).clamp(min=0)
    yield Claim(
        "in its place comes what p has more than q",
        close(rest, more / more.sum(), rtol=1e-3),
        "draw from what p has more than q, at that place: max(p - q, 0), divided by its sum.",
    )
    kept, rest = _kept(attempt, p, q, [a, a], [0.5, 0.9])
    more = (p[1] - q[1]).clamp(min=0)
    yield Claim(
        "the same one place further",
        kept == 1 and close(rest, more / more.sum(), rtol=1e-3),
        "rows of p and q at the place of the dropped draft.",
    )
    kept, rest = _kept(attempt, p, q, [a, c], [0.5, 0.5])
    yield Claim(
        "if all are kept, one more token comes from the last row of p",
        kept == 2 and close(rest, p[2], rtol=1e-3),
        "p has one row more than q: the last row of p.",
    )
    few = torch.rand(3, 1, 5, generator=g) + 0.05
    few = few / few.sum(-1, keepdim=True)
    yield Claim(
        "with one draft, what comes out follows p exactly",
        close(_spread(attempt, torch.cat([few[0], few[1]]), few[2]), few[0, 0], rtol=1e-3),
        "add up: chance to draft x, times chance to keep it, plus what replaces it.",
    )
