"""06.detector: a detector of routers whose bias leaks into the weights."""

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from minids.check import Attempt, Claim, checker
from minids.check.answers import is_number
from minids.check.ch06 import leaks


def _tokens(g: torch.Generator, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Scores of 257 tokens, and the rows of four that together choose all 16 experts, firmly.

    Experts that are as good as equal change places easily: in every fourth token the first two of
    the chosen, in another fourth the last of the chosen and the first of the others.
    """
    scores = torch.rand(257, 16, generator=g) * 0.8 + 0.1
    for start, place in ((0, 0), (2, 3)):
        some = scores[start::4]
        upper, lower = (some + bias).topk(5).indices[:, place : place + 2].split(1, dim=-1)
        some.scatter_(1, upper, some.gather(1, lower) + bias[lower] - bias[upper] + 1e-6)
    rare = 64 + torch.randperm(128, generator=g)[:4]
    chosen = torch.randperm(16, generator=g).view(4, 4)
    liked = torch.tensor([0.9, 0.75, 0.6, 0.45]).expand(4, 4)
    scores[rare] = torch.full((4, 16), 0.2).scatter(1, chosen, liked) - bias
    return scores, rare


def _largest_move(calls: list[tuple[Tensor, ...]]) -> float:
    """The largest move of a weight between two calls, where tokens chose the same experts."""
    tables = [(s, torch.zeros_like(s).scatter(1, e, w), e.sort(-1).values) for s, e, w in calls]
    moves = [0.0]
    for (scores, one, chosen), (others, other, then) in combinations(tables, 2):
        if torch.equal(scores, others):
            moved = (one - other).abs().amax(-1).where((chosen == then).all(-1), 0.0)
            moves.append(moved.max().item())
    return max(moves)


@checker(
    "06.detector",
    hints=(
        "Ask the router twice, with biases that differ a little and unequally. Look only at "
        "tokens that chose the same experts both times.",
        "other = bias + a little noise, different for each expert. same = (e1 == e2).all(-1): "
        "(t,). The largest |w1 - w2| over these tokens.",
        "return float((w1 - w2)[same].abs().max())",
    ),
)
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    bias = torch.linspace(-0.1, 0.1, 16)[torch.randperm(16, generator=g)]
    scores, rare = _tokens(g, bias)

    def found(router: Callable[..., Any], bias: Tensor = bias) -> float:
        answer = attempt(router, scores, bias, 4)
        numeric = is_number(answer) or isinstance(answer, Tensor)
        return float(answer) if numeric else float("nan")

    def compared(router: Callable[..., Any]) -> tuple[float, float]:
        """What was found, and the largest move in all that the router was asked."""
        calls: list[tuple[Tensor, ...]] = []

        def asked(scores: Tensor, bias: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
            experts, weights = router(scores, bias, top_k)
            calls.append((scores, experts, weights))
            return experts, weights

        return found(asked), _largest_move(calls)

    yield Claim(
        "it returns one number, 0 or larger",
        found(leaks.clean) >= 0,
        "return the largest absolute difference as a float.",
    )
    yield Claim(
        "crowded experts are no leak",
        found(leaks.crowded_raw) < 1e-6,
        "do not look at how many tokens an expert gets: look at the weights of the chosen.",
    )
    yield Claim(
        "weights that differ from the scores are no leak",
        found(leaks.crowded) < 1e-6,
        "a router may divide its weights by their sum: call it twice, and compare its weights "
        "with its own.",
    )
    yield Claim(
        "a router that keeps the bias out of its weights is acquitted",
        found(leaks.clean) < 1e-6,
        "compare only tokens whose chosen experts are the same both times: a token that chose "
        "others has other weights, rightly. And weight with weight of the same expert.",
    )
    yield Claim(
        "the order of the chosen experts is no crime",
        found(leaks.unordered) < 1e-6,
        "compare weights slot by slot where experts agree slot by slot.",
    )
    full = found(leaks.leaky_raw)
    further = "move the biases further: by 0.001 to 0.01." if 0 < full < 1e-4 else ""
    yield Claim(
        "a router that weighs by scores + bias is caught",
        full > 1e-5,
        further
        or "the two biases have to differ, and tokens with the same choice have to remain: small "
        "noise, many tokens.",
    )
    yield Claim(
        "it is caught also when its weights sum to 1",
        found(leaks.leaky) > 1e-5,
        further
        or "compare expert by expert: a sum over the chosen hides what moves from one to another.",
    )
    yield Claim(
        "it is caught also when a softmax hides its leak",
        found(leaks.leaky_softmax) > 1e-5,
        further
        or "raising all biases alike is not enough: softmax and differences cancel it. Move them "
        "unequally.",
    )
    yield Claim(
        "a router whose bias counts a hundredth in the weights leaks less",
        found(leaks.leaky_a_little) < 0.5 * full,
        "return by how MUCH weights move, and not whether they do.",
    )
    results = [compared(router) for router in (leaks.leaky_raw, leaks.leaky, leaks.leaky_a_little)]
    yield Claim(
        "it returns one move: no weight moved by more",
        all(answer < 1.001 * move for answer, move in results),
        "the largest |w1 - w2| of a single weight: no sum and no norm over experts or tokens.",
    )
    yield Claim(
        "a leak is seen whether it raises weights or lowers them",
        all(found(leaks.leaky_one_way(bias, x)) > 0.05 * full for x in (1, -1)),
        "a move down is a move, too: abs() of the differences first, and then the largest.",
    )
    yield Claim(
        "a leak in one token is as large as one in all",
        max(found(leaks.leaky_for_one(scores[i])) for i in rare) > 0.25 * full,
        "the largest move of any token is asked for: look at every token, and take max, not a mean "
        "over them. Or the biases move so far that few tokens keep their choice: 0.001 to 0.01 is "
        "enough.",
    )
    yield Claim(
        "it returns all of a leak, and a weak one is no less a leak",
        all(answer > 0.4 * move for answer, move in results),
        "no threshold; subtract weight by weight first, and take the largest afterwards: the "
        "largest weights before and after need not belong to one token.",
    )
    yield Claim(
        "a leak into the last of the chosen is seen, too",
        found(leaks.leaky_last) > 0.05 * full,
        "look at all k weights of a token, not only at the first of them.",
    )
    yield Claim(
        "a leak for one expert alone is seen, whichever it is (one may stay as it was)",
        sum(found(leaks.leaky_for_expert(i)) > 1e-6 for i in range(16)) >= 15,
        "move the bias of every expert: experts that stay as they were show no leak of their own.",
    )
    yield Claim(
        "it is caught also while all biases are 0, as in the first step of a run",
        found(leaks.leaky_raw, torch.zeros_like(bias)) > 1e-5,
        "0 times anything stays 0: move the biases by adding to them.",
    )
    yield Claim(
        "a router that ignores the bias is acquitted: it does not leak",
        found(lambda s, b, k: leaks.clean(s, torch.zeros_like(b), k)) < 1e-6,
        "only weights that move count.",
    )
