"""06.balance: the balance loss, by batch and by sequence."""

from collections.abc import Iterator

import torch
from torch import Tensor

from minids.check import Attempt, Claim, checker, close, shaped


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
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    e, k = 5, 2
    even = (torch.arange(e)[:, None] + torch.arange(k)) % e
    out = attempt(torch.full((e, e), 0.3), even, 1)
    yield shaped(out, (), what="the loss")
    alone = torch.zeros(6, e)
    alone[:, :k] = 0.5
    worst = attempt(alone, torch.tensor([[0, 1]] * 6), 1)
    yield Claim(
        "an expert that is chosen twice counts twice",
        not (close(out, 1 / k) and close(worst, e / k / len(alone))),
        "`+=` with index tensors counts equal choices once: index_put_(..., accumulate=True), "
        "bincount or a loop.",
    )
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
    yield Claim(
        "when all tokens want the same k experts it costs e / k",
        close(worst, e / k),
        "frequency times affinity: f is e / k for these experts and P is 1 / k, "
        "and there is no minus.",
    )
    scores = torch.rand(12, e, generator=g) + 0.05
    experts = torch.rand(12, e, generator=g).topk(k, -1).indices
    got, expected = attempt(scores, experts, 1), _printed(scores, experts, 1)
    yield Claim(
        "the load is that of the experts given",
        close(got, expected)
        or not close(attempt(scores, torch.arange(k).expand(12, -1), 1), float(got), rtol=1e-6),
        "count the choices in `experts`: a topk of the scores need not be what tokens chose.",
    )
    yield Claim(
        "averages come first, and the product after them",
        close(got, expected) or not close(got, _printed(scores, experts, len(scores))),
        "frequency and affinity are each a mean over all tokens of a text; one product for each "
        "expert and text, not for each token.",
    )
    yield Claim(
        "over one batch it is the printed sum",
        close(got, expected),
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
    slope = torch.autograd.grad(loss, x, allow_unused=True)[0] if loss.requires_grad else None
    wanted = torch.autograd.grad(_differentiable(x, rows, 2), x)[0]
    yield Claim(
        "its gradient lowers the affinity to experts that were chosen often",
        slope is not None and close(slope, wanted, rtol=1e-3),
        "gradients flow through the affinities: do not detach them.",
    )


def _differentiable(scores: Tensor, experts: Tensor, n_sequences: int) -> Tensor:
    e = scores.shape[-1]
    share = (scores / scores.sum(-1, keepdim=True)).view(n_sequences, -1, e)
    hot = torch.zeros_like(scores).scatter(1, experts, 1.0).view(n_sequences, -1, e)
    return (hot.mean(1) * share.mean(1)).sum() * e / experts.shape[-1] / n_sequences
