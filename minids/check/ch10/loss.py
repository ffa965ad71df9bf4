"""10.loss: the clipped loss of GRPO."""

from collections.abc import Iterator

import torch
from torch import Tensor

from minids.check import Attempt, Claim, checker, close, shaped


def _clipped(
    logp: Tensor,
    old: Tensor,
    advantages: Tensor,
    mask: Tensor,
    eps: float,
) -> Tensor:
    """The loss of 10.loss, token by token."""
    loss = torch.zeros(())
    for row, a in enumerate(advantages):
        places = mask[row].nonzero()[:, 0].tolist()
        for place in places:
            r = (logp[row, place] - old[row, place]).exp()
            gain = torch.minimum(a * r, a * r.clamp(1 - eps, 1 + eps))
            loss = loss - gain / len(places) / len(advantages)
    return loss


@checker(
    "10.loss",
    hints=(
        "The ratio weighs each token's advantage; the smaller of the plain and the clipped gain "
        "counts; only written tokens count; every rollout counts the same.",
        "all are (n, t) but advantages (n,): gain = A[:, None] * ratio, bounded = A[:, None] * "
        "ratio clamped, then mean over the tokens of a rollout, then over rollouts.",
        "gain = torch.minimum(a * r, a * r.clamp(1 - eps, 1 + eps)).where(mask, 0)",
    ),
)
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    n, t = 3, 6
    old = -torch.rand(n, t, generator=g) - 0.2
    mask = torch.arange(t)[None] < torch.tensor([6, 2, 4])[:, None]
    advantages = torch.tensor([1.5, -2.0, 0.7])

    def grad(shift: Tensor, adv: Tensor = advantages) -> Tensor:
        logp = (old + shift).requires_grad_()
        value = attempt(logp, old, adv, mask, 0.2)
        if value.requires_grad:
            value.backward()
        return torch.zeros(n, t) if logp.grad is None else logp.grad

    loss = attempt(old + 0.0, old, advantages, mask, 0.2)
    yield shaped(loss, (), like=old)
    yield Claim(
        "on the first update the loss is minus the mean advantage",
        close(loss, -advantages.mean(), rtol=1e-4),
        "every ratio is 1 there. The loss is MINUS the objective, averaged over the tokens of each "
        "rollout and then over rollouts; padding does not count.",
    )
    lengths = mask.sum(-1, keepdim=True)
    expected = -(advantages[:, None] / lengths / n).expand(n, t).where(mask, 0.0)
    start = grad(torch.zeros(n, t))
    yield Claim(
        "it has a gradient for logp",
        bool((start != 0).any()),
        "keep the tensors in the graph: no detach, item, float or numpy on the way. The ratio must "
        "carry the gradient: exp(logp - logp_old).",
    )
    yield Claim(
        "its gradient is that of REINFORCE: minus A over length over n for each token",
        close(start, expected),
        "every token of a rollout shares its weight: divide by its own length, not by all tokens. "
        "The ratio must carry the gradient: exp(logp - logp_old).",
    )
    up, down = grad(torch.full((n, t), 0.4)), grad(torch.full((n, t), -0.4))
    yield Claim(
        "a ratio above 1.2 has no gradient where the advantage is positive",
        bool((up[0] == 0).all() and (up[2] == 0).all()),
        "clamp the ratio and take the minimum of both gains.",
    )
    yield Claim(
        "and keeps it where the advantage is negative",
        bool((up[1][mask[1]] > 0).all()),
        "the minimum of the two gains, after multiplying by the advantage: a clamp alone removes "
        "too much.",
    )
    yield Claim(
        "a ratio below 0.8 has none where the advantage is negative",
        bool((down[1] == 0).all() and (down[0][mask[0]] < 0).all()),
        "the clip works on both sides: 1 - eps and 1 + eps.",
    )
    eps = 0.3 + 0.1 * float(torch.rand((), generator=g))
    shift = (1.2 + 0.5 * torch.rand(n, t, generator=g)) * torch.tensor([1.0, -1.0] * (t // 2))
    found = []
    for f in (attempt, _clipped):
        now = (old + shift).requires_grad_()
        value = f(now, old, advantages, mask, eps)
        value.backward()
        found.append((value, now.grad))
    (got, pull), (want, its) = found
    yield Claim(
        "with another eps and ratios far from 1 loss and gradient are those of the formula",
        close(got, want) and close(pull, its, rtol=1e-3),
        "the ratio is exp(logp - logp_old), token by token; the bounds are 1 - eps and 1 + eps; "
        "eps is an argument.",
    )
    behind = (torch.arange(t) >= torch.tensor([[1], [4], [2]])) & (torch.arange(t) < t - 1)
    now = torch.where(behind, old + 0.1, torch.full_like(old, 9.0))
    yield Claim(
        "written tokens may stand behind a prompt, which does not count",
        close(
            attempt(now, old, advantages, behind, 0.2),
            _clipped(now, old, advantages, behind, 0.2),
        ),
        "x[i, :n] takes the first n places of a row, wherever its mask is True: pick with the mask "
        "itself, by x[i][mask[i]] or where(mask, 0).",
    )

    def clean(padding: float, before: Tensor) -> bool:
        """Whether loss and gradient stay, with such log-probabilities in the padding."""
        logp = torch.where(mask, old, torch.full_like(old, padding)).requires_grad_()
        out = attempt(logp, before, advantages, mask, 0.2, may_be_nan=True)
        out.backward()
        finite = logp.grad is not None and bool(logp.grad.isfinite().all() & out.isfinite())
        return finite and close(out, loss)

    yield Claim(
        "what stands in the padding never matters, not even NaN",
        clean(torch.nan, torch.where(mask, old, torch.full_like(old, torch.nan))),
        "x * mask keeps a NaN: use the difference of log-probabilities where(mask, 0).",
    )
    yield Claim(
        "nor a log-probability of 200, whose ratio is infinite",
        clean(200.0, old),
        "inf * 0 is NaN: mask the difference of log-probabilities before exp: where(mask, 0).",
    )
    single = attempt(old[:1, :1], old[:1, :1], torch.tensor([2.0]), mask[:1, :1], 0.2)
    yield Claim(
        "one rollout of one token works", close(single, -2.0), "mean over both axes, no squeeze."
    )
