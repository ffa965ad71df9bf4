"""06.route: a bias that selects and never weighs."""

from collections.abc import Iterator

import torch
from torch import Tensor

from minids.check import Attempt, Claim, checker, close, shaped
from minids.check.answers import pair


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
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    t, e, k = 70, 6, 3
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
        "topk(..., dim=-1).indices gives them, of dtype torch.long, and they come first: return "
        "experts, weights.",
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
    of_scores = scores.gather(-1, experts)
    right = of_scores / of_scores.sum(-1, keepdim=True)
    liked = scores.topk(k, dim=-1).values
    yield Claim(
        "the weights are those of the experts chosen",
        close(weights, right) or not close(weights, liked / liked.sum(-1, keepdim=True)),
        "a token's largest scores need not be those of its experts: gather the scores of the "
        "chosen.",
    )
    yield Claim(
        "each weight stands at the place of its expert",
        close(weights, right) or not close(weights.sort(-1).values, right.sort(-1).values),
        "expert i and weight i belong together: who sorts the experts gathers the weights after "
        "that, or sorts them in the same way.",
    )
    ratio = weights / weights[:, :1]
    yield Claim(
        "two chosen experts count in proportion to their scores, whatever their biases",
        close(ratio, of_scores / of_scores[:, :1]),
        "the bias leaks into the weights: gather from scores, not from scores + bias; and no "
        "softmax or clamp over the chosen.",
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
    again = wanted.gather(-1, experts)
    first = (again[:, 0] / again.sum(-1)).sum()
    yield Claim(
        "the gradient also passes through the sum that divides",
        close(slopes[0], torch.autograd.grad(first, wanted)[0], rtol=1e-3),
        "a score that rises lowers the other weights: do not detach the sum.",
    )
    one, one_weight = pair(attempt(scores[:1], bias, 1))
    yield Claim(
        "one token with one expert has weight 1",
        tuple(one.shape) == (1, 1) and close(one_weight, torch.ones(1, 1)),
        "keep both axes: (t, k) is (1, 1) here.",
    )
