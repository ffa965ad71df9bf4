"""From rewards to advantages: how much better than its siblings was a rollout, or a step of it?

GRPO needs no critic: the mean of a group of answers to one question stands in for it
(DeepSeekMath, section 4.1). A group in which all rewards are equal says nothing, and its
advantages are exactly 0; so a group of one teaches nothing.

axes: p prompts, g rollouts of one prompt, n = p g rollouts in that order, s steps, t tokens
"""

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor

EPS = 1e-4
"""Added to the deviation, so that equal rewards divide 0 by something."""


def group_advantages(rewards: Float[Tensor, "p g"]) -> Float[Tensor, "p g"]:
    """Return how many standard deviations of its group each reward lies above the group's mean.

    The deviation is that of the population: it divides by g, not by g - 1. For rewards 0 and 1 it
    is sqrt(q (1 - q)) at a share q of right answers, so a hard or an easy question weighs more:
    1/std is 2 at one half and 4.13 at one in sixteen. (DeepSeekMath, section 4.1.2)
    """
    centred = centred_advantages(rewards)
    return centred / (rewards.std(-1, correction=0, keepdim=True) + EPS)


def centred_advantages(rewards: Float[Tensor, "p g"]) -> Float[Tensor, "p g"]:
    """Return how far each reward lies above the mean of its group: Dr. GRPO's (2503.20783, 3.2)."""
    centred = rewards - rewards.mean(-1, keepdim=True)
    # The mean of equal numbers can be off in the last digit; what teaches nothing should be 0.
    return centred.where(~flat_groups(rewards)[:, None], 0.0)


def flat_groups(rewards: Float[Tensor, "p g"]) -> Bool[Tensor, " p"]:
    """Return which groups teach nothing: all their rewards are equal."""
    return (rewards == rewards[:, :1]).all(-1)


def over_tokens(advantages: Float[Tensor, " n"], mask: Bool[Tensor, "n t"]) -> Float[Tensor, "n t"]:
    """Return outcome supervision: every token of a rollout gets the rollout's advantage."""
    return advantages[:, None].where(mask, 0.0)


def process_advantages(
    rewards: Float[Tensor, "n s"],
    ends: Int[Tensor, "n s"],
    mask: Bool[Tensor, "n t"],
    group: int,
) -> Float[Tensor, "n t"]:
    """Return process supervision: a token gets the rewards of the steps that end at or after it.

    `ends[n, s]` is the column of the last token of step s of rollout n, or -1 where the rollout
    has fewer steps. Rewards are normalised over all steps of a group of rollouts, by mean and
    population deviation, and then summed (DeepSeekMath, section 4.1.3).
    """
    real = rearrange(ends >= 0, "(p g) s -> p (g s)", g=group)
    by_group = rearrange(rewards, "(p g) s -> p (g s)", g=group)
    n = real.sum(-1, keepdim=True).clamp(min=1)
    mean = by_group.where(real, 0.0).sum(-1, keepdim=True) / n
    centred = (by_group - mean).where(real, 0.0)
    deviation = (centred.square().sum(-1, keepdim=True) / n).sqrt()
    highest = by_group.masked_fill(~real, -torch.inf).amax(-1, keepdim=True)
    lowest = by_group.masked_fill(~real, torch.inf).amin(-1, keepdim=True)
    normal = (centred / (deviation + EPS)).where(highest > lowest, 0.0)
    normal = rearrange(normal, "p (g s) -> (p g) s", g=group)
    columns = torch.arange(mask.shape[1], device=mask.device)
    still_ahead = columns[None, :, None] <= ends[:, None, :]
    return (normal[:, None, :] * still_ahead).sum(-1).where(mask, 0.0)
