"""Checks of chapter 06: a bias that selects and never weighs, and what a balance loss sees."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from minids.check import Claim, checker, close, shaped
from minids.check.answers import entries, explains, numbers_for, pair
from minids.systems.dispatch import expected_destinations


@checker(
    "06.nudge",
    hints=(
        "An expert above the mean load becomes less attractive, one below it more, all by the "
        "same step.",
        "torch.sign of (mean - load) is +1, -1 or 0 for each expert; the step is `speed` times it.",
        "return bias + speed * torch.sign(load.mean() - load)",
    ),
)
def _(attempt: Callable[..., Any], g: torch.Generator) -> Iterator[Claim]:
    bias = torch.randn(8, generator=g)
    shares = torch.tensor([8.0, 2.0, 4.0, 6.0, 1.0, 4.0, 3.0, 4.0]) / 32
    load = shares[torch.randperm(8, generator=g)]
    after = attempt(bias, load, 0.01)
    yield shaped(after, (8,), like=bias, what="the next bias")
    step = after - bias
    high = torch.full((8,), 5.0)
    later = attempt(high, load, 0.001)
    yield Claim(
        "a bias goes on from where it was",
        close(later, high, rtol=0.05),
        "the step is added to the old bias: it is the sum of all steps so far.",
    )
    crowded, starved = load > 0.125, load < 0.125
    yield Claim(
        "a crowded expert goes down and a starved one up",
        bool((step[crowded] <= 0).all()) and bool((step[starved] >= 0).all()),
        "the sign of mean - load: above the mean a bias falls.",
    )
    yield Claim(
        "every expert above or below the mean moves",
        bool((step[crowded | starved] != 0).all()),
        "not only the most crowded and the most starved: each expert has a step of its own.",
    )
    yield Claim(
        "a small step is not lost beside a large bias",
        bool((later[crowded | starved] != 5.0).all()),
        "5 and 0.001 together need the digits of float32: keep the dtype of the bias.",
    )
    yield Claim(
        "an expert that has exactly the mean load stays",
        bool((step[load == 0.125].abs() < 1e-9).all()),
        "sign(0) is 0: do not use `where(load > mean, -1, 1)`.",
    )
    yield Claim(
        "every step is as long as `speed`, however far an expert is off",
        close(step[load != 0.125].abs(), torch.full((5,), 0.01), rtol=1e-3),
        "only the sign of the gap counts, not its size; and one step is one times `speed`.",
    )
    counts = torch.tensor([12.0, 3.0, 0.0])
    yield Claim(
        "counts do as well as shares, whatever the number of experts",
        close(attempt(torch.zeros(3), counts, 0.5), torch.tensor([-0.5, 0.5, 0.5])),
        "compare with load.mean(), not with a constant such as 1 / e.",
    )


def _dense(experts: Tensor, weights: Tensor, n_experts: int) -> Tensor:
    """A row of weights for each token, 0 for experts that it did not choose: order is free."""
    return weights.new_zeros(len(experts), n_experts).scatter(1, experts, weights)


@checker(
    "06.route",
    hints=(
        "Two tensors play two parts: scores + bias decides who is chosen, scores alone decides "
        "how much each of them counts.",
        "experts = indices of the top_k of scores + bias: (t, k). weights = scores gathered at "
        "them, divided by their sum over k.",
        "weights = scores.gather(-1, experts); return experts, weights / weights.sum(-1, True)",
    ),
)
def _(attempt: Callable[..., Any], g: torch.Generator) -> Iterator[Claim]:
    t, e, k = 7, 6, 3
    scores = torch.rand(t, e, generator=g) * 0.8 + 0.1
    bias = torch.randn(e, generator=g) * 0.3
    experts, weights = pair(attempt(scores, bias, k))
    yield shaped(weights, (t, k), like=scores, what="the weights")
    yield Claim(
        "the experts are whole numbers, k different ones for each token",
        isinstance(experts, Tensor)
        and experts.dtype == torch.long
        and tuple(experts.shape) == (t, k)
        and all(len(set(row)) == k for row in experts.tolist()),
        "topk(...).indices gives them, and they come first: return experts, weights.",
    )
    plain, _ = pair(attempt(scores, torch.zeros(e), k))
    best = scores.argsort(-1, descending=True)[:, :k]
    yield Claim(
        "without a bias a token gets the experts it likes best",
        torch.equal(plain.sort(-1).values, best.sort(-1).values),
        "topk over the experts, the last axis, largest first.",
    )
    pushed = torch.zeros(e)
    pushed[2], pushed[4] = 5.0, -5.0
    chosen, _ = pair(attempt(scores, pushed, k))
    yield Claim(
        "a large bias makes every token choose an expert, a large negative one none",
        bool((chosen == 2).any(-1).all()) and not bool((chosen == 4).any()),
        "the choice is by scores PLUS bias.",
    )
    tilt = torch.linspace(0, 1, e)[torch.randperm(e, generator=g)]
    many = torch.rand(99, e, generator=g) * 0.8 + 0.1
    yield Claim(
        "a bias of ordinary size tips just those tokens whose scores lie nearer together",
        all(
            torch.equal(
                pair(attempt(many, b, k))[0].sort(-1).values,
                (many + b).topk(k).indices.sort(-1).values,
            )
            for b in (tilt, tilt - 1.5)
        ),
        "the choice is by scores + bias exactly: both as they come, without a factor, a logarithm, "
        "a softmax or a clamp.",
    )
    yield Claim(
        "the weights of a token sum to 1",
        close(weights.sum(-1), torch.ones(t)),
        "divide by the sum over the chosen experts, not over all.",
    )
    ratio = weights / weights[:, :1]
    of_scores = scores.gather(-1, experts)
    yield Claim(
        "two chosen experts count in proportion to their scores, whatever their biases",
        close(ratio, of_scores / of_scores[:, :1]),
        "the bias leaks into the weights: gather from scores, not from scores + bias; and no "
        "softmax over the chosen.",
    )
    again = _dense(*pair(attempt(scores, bias + 0.25, k)), e)
    yield Claim(
        "raising all biases alike changes nothing",
        torch.equal(again, _dense(experts, weights, e))
        or close(again, _dense(experts, weights, e), rtol=1e-5),
        "only differences between biases may count.",
    )
    wanted = scores.clone().requires_grad_()
    moved = bias.clone().requires_grad_()
    _, weighed = pair(attempt(wanted, moved, k))
    reaches = weighed.requires_grad and weighed.grad_fn is not None
    slopes = (
        torch.autograd.grad(weighed[:, 0].sum(), (wanted, moved), allow_unused=True)
        if reaches
        else (None, None)
    )
    yield Claim(
        "the gradient reaches the scores, and not the bias",
        slopes[0] is not None
        and bool(slopes[0].abs().sum() > 1e-3)
        and (slopes[1] is None or bool(slopes[1].abs().max() < 1e-5)),
        "the weights are made of scores: do not detach them.",
    )
    one, one_weight = pair(attempt(scores[:1], bias, 1))
    yield Claim(
        "one token with one expert has weight 1",
        tuple(one.shape) == (1, 1) and close(one_weight, torch.ones(1, 1)),
        "keep both axes: (t, k) is (1, 1) here.",
    )


def _printed(scores: Tensor, experts: Tensor, n_sequences: int) -> float:
    """The balance loss, written out sequence by sequence and expert by expert."""
    share = scores / scores.sum(-1, keepdim=True)
    k, e = experts.shape[-1], scores.shape[-1]
    total = 0.0
    for rows, shares in zip(experts.chunk(n_sequences), share.chunk(n_sequences), strict=True):
        for i in range(e):
            f = e / (k * len(rows)) * float((rows == i).sum())
            total += f * float(shares[:, i].mean()) / n_sequences
    return total


@checker(
    "06.balance",
    hints=(
        "Two numbers for each expert and sequence: how often it was chosen, and how much it was "
        "wanted. Multiply, sum over experts, average over sequences.",
        "chosen (b, e): a one at each choice, mean over the tokens of a sequence, times e / k. "
        "wanted (b, e): scores over their sum, mean over the tokens of a sequence.",
        "(chosen * wanted).sum(-1).mean(), both from x.view(n_sequences, -1, e).mean(1)",
    ),
)
def _(attempt: Callable[..., Any], g: torch.Generator) -> Iterator[Claim]:
    e, k = 5, 2
    even = (torch.arange(e)[:, None] + torch.arange(k)) % e
    out = attempt(torch.full((e, e), 0.3), even, 1)
    yield shaped(out, (), what="the loss")
    yield Claim(
        "an even load that is evenly wanted costs 1",
        close(out, 1.0),
        "the share of choices is multiplied by e / k, and scores are divided by their sum.",
    )
    three = (torch.arange(e)[:, None] + torch.arange(3)) % e
    yield Claim(
        "with three choices a token it costs 1, too",
        close(attempt(torch.full((e, e), 0.3), three, 1), 1.0),
        "k is the number of columns of `experts`: read it there.",
    )
    alone = torch.zeros(6, e)
    alone[:, :k] = 0.5
    worst = attempt(alone, torch.tensor([[0, 1]] * 6), 1)
    yield Claim(
        "when all tokens want the same k experts it costs e / k",
        close(worst, e / k),
        "frequency times affinity: f is e / k for these experts and P is 1 / k, "
        "and there is no minus.",
    )
    scores = torch.rand(12, e, generator=g) + 0.05
    experts = torch.rand(12, e, generator=g).topk(k, -1).indices
    yield Claim(
        "over one batch it is the printed sum",
        close(attempt(scores, experts, 1), _printed(scores, experts, 1)),
        "P averages the affinities of ALL experts over all tokens, chosen or not, each token's "
        "scores divided by their sum; and it is not f squared either.",
    )
    apart = torch.zeros(8, 4)
    apart[:4, :2], apart[4:, 2:] = 0.5, 0.5
    choice = torch.tensor([[0, 1]] * 4 + [[2, 3]] * 4)
    yield Claim(
        "two texts with experts of their own cost 1 over the batch and 2 by sequence",
        close(attempt(apart, choice, 1), 1.0) and close(attempt(apart, choice, 2), 2.0),
        "with n_sequences=2 the first half of the tokens is one sequence: average within each "
        "before you multiply.",
    )
    yield Claim(
        "by sequence it is the mean of what each sequence costs alone",
        close(attempt(scores, experts, 4), _printed(scores, experts, 4)),
        "a mean over the sequences, not a sum.",
    )
    x = (torch.rand(6, e, generator=g) + 0.5).requires_grad_()
    rows = x.detach().topk(k, -1).indices
    loss = attempt(x, rows, 2)
    slope = torch.autograd.grad(loss, x)[0] if loss.requires_grad else torch.zeros_like(x)
    wanted = torch.autograd.grad(_differentiable(x, rows, 2), x)[0]
    yield Claim(
        "its gradient lowers the affinity to experts that were chosen often",
        close(slope, wanted, rtol=1e-3),
        "gradients flow through the affinities: do not detach them.",
    )


def _differentiable(scores: Tensor, experts: Tensor, n_sequences: int) -> Tensor:
    e = scores.shape[-1]
    share = (scores / scores.sum(-1, keepdim=True)).view(n_sequences, -1, e)
    hot = torch.zeros_like(scores).scatter(1, experts, 1.0).view(n_sequences, -1, e)
    return (hot.mean(1) * share.mean(1)).sum() * e / experts.shape[-1] / n_sequences


_PREDICT = ("most nodes", "nodes by chance", "worst MaxVio", "steps")


@checker(
    "06.predict",
    takes=dict,
    hints=(
        "One bound, one average by chance, one extreme, one distance divided by a speed.",
        "By chance: a node is missed if all 8 experts lie on the other 7 nodes, C(224, 8) of "
        "C(256, 8). MaxVio: an expert gets at most one of a token's 8 choices.",
        '"nodes by chance": 8 * (1 - comb(224, 8) / comb(256, 8))',
    ),
)
def _(attempt: dict[str, Any], g: torch.Generator) -> Iterator[Claim]:
    chance = expected_destinations(256, 8, 8)
    yield numbers_for(attempt, _PREDICT, write="write numbers, without units.")
    yield Claim(
        "the most nodes that a token may visit",
        attempt["most nodes"] == 4,
        "M = 4 nodes are kept; all 8 experts lie on them.",
    )
    yield Claim(
        "by pure chance some nodes are hit twice",
        attempt["nodes by chance"] < 7.9,
        "8 experts on 8 nodes do not visit 8 nodes: some share one.",
    )
    yield Claim(
        "the nodes visited by chance, to half a percent",
        close(float(attempt["nodes by chance"]), chance, rtol=5e-3),
        "8 x (1 - the chance that a node is missed); without replacement, as experts differ.",
    )
    yield Claim(
        "the worst MaxVio of 256 experts, 8 chosen",
        attempt["worst MaxVio"] == 256 / 8 - 1,
        "an expert that every token chooses has 1/8 of all choices; the mean is 1/256; minus 1.",
    )
    yield Claim(
        "steps from 0 to 0.25 at speed 0.001",
        close(float(attempt["steps"]), 250.0, rtol=1e-3),
        "every step moves a bias by the speed, whatever the load: distance over speed.",
    )


@checker(
    "06.explain",
    takes=dict,
    hints=(
        "A perfectly even router is like a die: it is even on average, and no single batch is.",
        "Each of 1,024 tokens chooses an expert with probability 2/16: mean n p, spread "
        "sqrt(n p (1 - p)). m batches together: both the mean times m, the spread times sqrt(m).",
        '"spread": (1024 * 2 / 16 * 14 / 16) ** 0.5',
    ),
)
def _(attempt: dict[str, Any], g: torch.Generator) -> Iterator[Claim]:
    yield entries(attempt, "mean", "spread", "batches")
    yield Claim(
        "what an expert gets on average",
        attempt["mean"] == 128,
        "1,024 tokens make 2 choices each, among 16 experts.",
    )
    yield Claim(
        "how much that varies from batch to batch",
        close(float(attempt["spread"]), (1024 * 2 / 16 * 14 / 16) ** 0.5, rtol=0.08),
        "a standard deviation is the ROOT of n p (1 - p), with p = 2/16.",
    )
    yield Claim(
        "one batch is not enough",
        attempt["batches"] > 1,
        "compare the spread of one batch with the mean: is it a hundredth?",
    )
    yield Claim(
        "batches until the spread is a hundredth of the mean",
        65 <= attempt["batches"] <= 82,
        "spread / mean falls with the root of the number of batches: (spread / mean / 0.01) "
        "squared.",
    )
    spread = float(attempt["spread"])
    yield from explains(
        attempt,
        (128,),
        (spread, 10, 10.5, 11),
        says="it says the mean and the spread",
        hint="say what even a perfect router does in one batch, with both numbers.",
    )


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
def _(attempt: Callable[..., Any], g: torch.Generator) -> Iterator[Claim]:
    scores = torch.rand(257, 16, generator=g) * 0.8 + 0.1
    bias = torch.linspace(-0.1, 0.1, 16)[torch.randperm(16, generator=g)]

    def found(router: Callable[..., Any], bias: Tensor = bias) -> float:
        answer = attempt(router, scores, bias, 4)
        return float(answer) if isinstance(answer, float | int | Tensor) else float("nan")

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
        "it is caught also while all biases are 0, as in the first step of a run",
        found(_leaky_raw, torch.zeros_like(bias)) > 1e-5,
        "0 times anything stays 0: move the biases by adding to them.",
    )
    yield Claim(
        "a router that ignores the bias is acquitted: it does not leak",
        found(lambda s, b, k: _clean(s, torch.zeros_like(b), k)) < 1e-6,
        "only weights that move count.",
    )
