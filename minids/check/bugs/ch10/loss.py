"""Answers to 10.loss, right and wrong: the clipped loss of GRPO.

Every mistake is one change of this.
"""

import math

import torch


def loss(logp, old, advantages, mask, eps):
    ratio = (logp - old).where(mask, 0).exp()
    a = advantages[:, None]
    gain = torch.minimum(a * ratio, a * ratio.clamp(1 - eps, 1 + eps))
    return -(gain.where(mask, 0).sum(-1) / mask.sum(-1)).mean()


def loss_in_a_loop(logp, old, advantages, mask, eps):
    total = 0
    for row in range(len(logp)):
        ratio = torch.exp(logp[row][mask[row]] - old[row][mask[row]])
        a = advantages[row]
        bounded = torch.clamp(ratio, 1 - eps, 1 + eps)
        total = total + torch.stack([a * ratio, a * bounded]).amin(0).mean()
    return -total / len(logp)


def loss_by_cases(logp, old, advantages, mask, eps):
    a, ratio = advantages[:, None], (logp - old).masked_fill(~mask, 0).exp()
    gain = torch.where(a > 0, a * ratio.clamp(max=1 + eps), a * ratio.clamp(min=1 - eps))
    share = mask / mask.sum(-1, keepdim=True)
    return -torch.einsum("nt,nt->n", gain, share).mean()


def loss_as_a_larger_cost(logp, old, advantages, mask, eps):
    ratio = torch.where(mask, logp - old, 0).exp()
    cost = -advantages[:, None] * torch.stack([ratio, ratio.clamp(1 - eps, 1 + eps)])
    by_answer = (cost.amax(0) * mask).sum(-1) / mask.sum(-1)
    return by_answer.sum() / len(advantages)


def loss_with_sign(logp, old, advantages, mask, eps):
    return -loss(logp, old, advantages, mask, eps)


def loss_over_tokens(logp, old, advantages, mask, eps):
    ratio = (logp - old).where(mask, 0).exp()
    a = advantages[:, None]
    gain = torch.minimum(a * ratio, a * ratio.clamp(1 - eps, 1 + eps))
    return -gain.where(mask, 0).sum() / mask.sum()


def loss_with_padding(logp, old, advantages, mask, eps):
    ratio = (logp - old).exp()
    a = advantages[:, None]
    gain = torch.minimum(a * ratio, a * ratio.clamp(1 - eps, 1 + eps)) * mask
    return -gain.mean(-1).mean()


def loss_with_maximum(logp, old, advantages, mask, eps):
    ratio = (logp - old).where(mask, 0).exp()
    a = advantages[:, None]
    gain = torch.maximum(a * ratio, a * ratio.clamp(1 - eps, 1 + eps))
    return -(gain.where(mask, 0).sum(-1) / mask.sum(-1)).mean()


def loss_clamped_alone(logp, old, advantages, mask, eps):
    ratio = (logp - old).where(mask, 0).exp().clamp(1 - eps, 1 + eps)
    return -((advantages[:, None] * ratio).where(mask, 0).sum(-1) / mask.sum(-1)).mean()


def loss_without_clip(logp, old, advantages, mask, eps):
    ratio = (logp - old).where(mask, 0).exp()
    return -((advantages[:, None] * ratio).where(mask, 0).sum(-1) / mask.sum(-1)).mean()


def loss_clipped_above_only(logp, old, advantages, mask, eps):
    ratio = (logp - old).where(mask, 0).exp()
    a = advantages[:, None]
    gain = torch.minimum(a * ratio, a * ratio.clamp(max=1 + eps))
    return -(gain.where(mask, 0).sum(-1) / mask.sum(-1)).mean()


def loss_with_inverted_ratio(logp, old, advantages, mask, eps):
    return loss(old.detach() * 1, logp, advantages, mask, eps)


def _loss(low, high, ratio_of=lambda difference, mask: difference.exp()):
    """Other bounds, functions of eps, or another ratio."""

    def wrong(logp, old, advantages, mask, eps):
        ratio = ratio_of((logp - old).where(mask, 0), mask)
        a = advantages[:, None]
        gain = torch.minimum(a * ratio, a * ratio.clamp(low(eps), high(eps)))
        return -(gain.where(mask, 0).sum(-1) / mask.sum(-1)).mean()

    return wrong


def _of_the_whole_answer(difference, mask):
    """GSPO's ratio: the geometric mean of the tokens' ratios."""
    mean = difference.sum(-1, keepdim=True) / mask.sum(-1, keepdim=True)
    return mean.exp().expand_as(difference)


def _below(eps):
    return 1 - eps


def _above(eps):
    return 1 + eps


def loss_times_mask(logp, old, advantages, mask, eps):
    ratio = (logp - old).exp()
    a = advantages[:, None]
    gain = torch.minimum(a * ratio, a * ratio.clamp(1 - eps, 1 + eps))
    return -((gain * mask).sum(-1) / mask.sum(-1)).mean()


def loss_without_nan_times_mask(logp, old, advantages, mask, eps):
    difference = logp - old
    return loss_times_mask(difference.where(~difference.isnan(), 0), 0, advantages, mask, eps)


def loss_of_the_first_places(logp, old, advantages, mask, eps):
    """The mask is taken for a length: right where no prompt stands before."""
    lengths = mask.sum(-1, keepdim=True)
    return loss(logp, old, advantages, torch.arange(mask.shape[1]) < lengths, eps)


def loss_detached(logp, old, advantages, mask, eps):
    return loss(logp.detach(), old, advantages, mask, eps)


def loss_as_a_number(logp, old, advantages, mask, eps):
    return torch.tensor(loss(logp, old, advantages, mask, eps).item())


def loss_of_bounded_ratios(logp, old, advantages, mask, eps):
    gap = (logp - old).where(mask, 0)
    return loss(gap.clamp(max=math.log(3)), torch.zeros_like(old), advantages, mask, eps)


RIGHT = [loss, loss_in_a_loop, loss_by_cases, loss_as_a_larger_cost]

WRONG = [
    ("the objective, not the loss", loss_with_sign, "MINUS"),
    ("mean over all tokens (DAPO)", loss_over_tokens, "each rollout and then over rollouts"),
    ("padding counted", loss_with_padding, "padding does not count"),
    ("maximum instead of minimum", loss_with_maximum, "minimum"),
    ("clamp alone", loss_clamped_alone, "clamp alone"),
    ("ratios bounded at 3", loss_of_bounded_ratios, "ratios far from 1"),
    ("no clip", loss_without_clip, "clamp the ratio"),
    ("clipped above only", loss_clipped_above_only, "both sides"),
    ("ratio upside down", loss_with_inverted_ratio, "carry the gradient"),
    ("eps is always 0.2", _loss(lambda e: 0.8, lambda e: 1.2), "eps is an argument"),
    ("bounds of a quotient", _loss(lambda e: 1 / (1 + e), _above), "1 - eps and 1 + eps"),
    ("bounds of a logarithm", _loss(lambda e: math.exp(-e), math.exp), "1 - eps and 1 + eps"),
    ("no exp", _loss(_below, _above, lambda d, mask: 1 + d), "exp(logp - logp_old)"),
    (
        "one ratio for the answer (GSPO)",
        _loss(_below, _above, _of_the_whole_answer),
        "token by token",
    ),
    (
        "the ratio without its gradient",
        _loss(_below, _above, lambda d, mask: d - d.detach() + d.detach().exp()),
        "loss and gradient",
    ),
    ("the mask taken for a length", loss_of_the_first_places, "pick with the mask"),
    ("detached", loss_detached, "no detach, item"),
    ("a number and no graph", loss_as_a_number, "no detach, item"),
    ("times the mask", loss_times_mask, "keeps a NaN"),
    ("NaN cleared, then times the mask", loss_without_nan_times_mask, "before exp"),
]
