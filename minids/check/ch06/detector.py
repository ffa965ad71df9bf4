"""06.detector: a detector of routers whose bias leaks into the weights."""

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from minids.check import Attempt, Claim, checker
from minids.check.answers import is_number


def _clean(scores: Tensor, bias: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
    experts = (scores + bias).topk(top_k, dim=-1).indices
    weights = scores.gather(-1, experts)
    return experts, weights / weights.sum(-1, keepdim=True)


def _leaky(scores: Tensor, bias: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
    weights, experts = (scores + bias).topk(top_k, dim=-1)
    return experts, weights / weights.sum(-1, keepdim=True)


def _leaky_softmax(scores: Tensor, bias: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
    """A leak that raising all biases alike does not show."""
    weights, experts = (scores + bias).topk(top_k, dim=-1)
    return experts, weights.softmax(-1)


def _leaky_raw(scores: Tensor, bias: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
    """A leak that sums show, too: these weights do not sum to 1."""
    weights, experts = (scores + bias).topk(top_k, dim=-1)
    return experts, weights


def _leaky_a_little(scores: Tensor, bias: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
    """A hundredth of the leak."""
    experts, _ = _leaky_raw(scores, bias, top_k)
    return experts, (scores + 0.01 * bias).gather(-1, experts)


def _leaky_last(scores: Tensor, bias: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
    """The leak in the last of the chosen alone."""
    experts, leaky = _leaky_raw(scores, bias, top_k)
    last = torch.arange(top_k) == top_k - 1
    return experts, leaky.where(last, scores.gather(-1, experts))


def _leaky_for_few(scores: Tensor, bias: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
    """The leak in one token of sixteen: in those that like expert 0 very much."""
    experts, weights = _leaky_raw(scores, bias, top_k)
    return experts, torch.where(scores[:, :1] > 0.85, weights, scores.gather(-1, experts))


def _leaky_one_way(start: Tensor, sign: int) -> Callable[..., tuple[Tensor, Tensor]]:
    """Weights only rise as the bias moves away from `start`, or only fall."""

    def router(scores: Tensor, bias: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
        experts, _ = _leaky_raw(scores, bias, top_k)
        moved = bias - start
        leak = sign * torch.where(moved > 0, moved, -0.1 * moved)
        return experts, (scores + leak).gather(-1, experts)

    return router


def _crowded_raw(scores: Tensor, bias: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
    """All tokens on the same experts, each weighed by its score."""
    experts = torch.arange(top_k).expand(len(scores), -1)
    return experts, scores.gather(-1, experts)


def _crowded(scores: Tensor, bias: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
    """All tokens on the same experts, with weights that sum to 1."""
    experts, weights = _crowded_raw(scores, bias, top_k)
    return experts, weights / weights.sum(-1, keepdim=True)


def _unordered(scores: Tensor, bias: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
    """Right, with the chosen experts in the order of their numbers."""
    experts = (scores + bias).topk(top_k, dim=-1).indices.sort(-1).values
    weights = scores.gather(-1, experts)
    return experts, weights / weights.sum(-1, keepdim=True)


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
    scores = torch.rand(257, 16, generator=g) * 0.8 + 0.1
    bias = torch.linspace(-0.1, 0.1, 16)[torch.randperm(16, generator=g)]

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
        found(_clean) >= 0,
        "return the largest absolute difference as a float.",
    )
    yield Claim(
        "crowded experts are no leak",
        found(_crowded_raw) < 1e-6,
        "do not look at how many tokens an expert gets: look at the weights of the chosen.",
    )
    yield Claim(
        "weights that differ from the scores are no leak",
        found(_crowded) < 1e-6,
        "a router may divide its weights by their sum: call it twice, and compare its weights "
        "with its own.",
    )
    yield Claim(
        "a router that keeps the bias out of its weights is acquitted",
        found(_clean) < 1e-6,
        "compare only tokens whose chosen experts are the same both times: a token that chose "
        "others has other weights, rightly.",
    )
    yield Claim(
        "the order of the chosen experts is no crime",
        found(_unordered) < 1e-6,
        "compare weights slot by slot where experts agree slot by slot.",
    )
    full = found(_leaky_raw)
    yield Claim(
        "a router that weighs by scores + bias is caught",
        full > 1e-5,
        "the two biases have to differ, and tokens with the same choice have to remain: small "
        "noise, many tokens.",
    )
    yield Claim(
        "it is caught also when its weights sum to 1",
        found(_leaky) > 1e-5,
        "compare expert by expert: a sum over the chosen hides what moves from one to another.",
    )
    yield Claim(
        "it is caught also when a softmax hides its leak",
        found(_leaky_softmax) > 1e-5,
        "raising all biases alike is not enough: softmax and differences cancel it. Move them "
        "unequally.",
    )
    yield Claim(
        "a router whose bias counts a hundredth in the weights leaks less",
        found(_leaky_a_little) < 0.5 * full,
        "return by how MUCH weights move, and not whether they do.",
    )
    results = [compared(router) for router in (_leaky_raw, _leaky, _leaky_a_little)]
    yield Claim(
        "it returns one move: no weight moved by more",
        all(answer < 1.001 * move for answer, move in results),
        "the largest |w1 - w2| of a single weight: no sum and no norm over experts or tokens.",
    )
    yield Claim(
        "a leak is seen whether it raises weights or lowers them",
        all(found(_leaky_one_way(bias, x)) > 0.05 * full for x in (1, -1)),
        "a move down is a move, too: abs() of the differences first, and then the largest.",
    )
    yield Claim(
        "a leak in few of the tokens is as large as one in all",
        found(_leaky_for_few) > 0.25 * full,
        "the largest move of any token is asked for: max, not a mean over them.",
    )
    yield Claim(
        "it returns all of a leak, and a weak one is no less a leak",
        all(answer > 0.4 * move for answer, move in results),
        "no threshold; subtract weight by weight first, and take the largest afterwards: the "
        "largest weights before and after need not belong to one token.",
    )
    yield Claim(
        "a leak into the last of the chosen is seen, too",
        found(_leaky_last) > 0.05 * full,
        "look at all k weights of a token, not only at the first of them.",
    )
    yield Claim(
        "it is caught also while all biases are 0, as in the first step of a run",
        found(_leaky_raw, torch.zeros_like(bias)) > 1e-5,
        "0 times anything stays 0: move the biases by adding to them.",
    )
    yield Claim(
        "a router that ignores the bias is acquitted: it does not leak",
        found(lambda s, b, k: _clean(s, torch.zeros_like(b), k)) < 1e-6,
        "only weights that move count.",
    )
