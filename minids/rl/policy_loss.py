"""The loss of GRPO as a pure function of log-probabilities. No model, no optimizer, no config.

    J = mean over rollouts of (1/|o|) sum over tokens of
        min(r A, clip(r, 1 - eps, 1 + eps) A) - beta KL            (DeepSeekMath, equation 3)

r is the probability of a token now over that when it was sampled, A its advantage. How tokens are
averaged is a function of its own, because the variants of GRPO differ there.

axes: n rollouts, t tokens
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Average = Callable[[Float[Tensor, "n t"], Bool[Tensor, "n t"]], Float[Tensor, ""]]
"""From a number for each token, and which tokens count, to one number."""


class PolicyLoss(NamedTuple):
    """The loss and what is worth watching; only `loss` carries a gradient."""

    loss: Float[Tensor, ""]  # minus the objective, so that descent raises the objective
    kl: Float[Tensor, ""]  # from the reference, mean over tokens, nats; 0 without a reference
    clipped: Float[Tensor, ""]  # share of tokens whose gradient the clip removed


def mean_of_rollouts(x: Float[Tensor, "n t"], mask: Bool[Tensor, "n t"]) -> Float[Tensor, ""]:
    """Average over the tokens of each rollout, then over rollouts: DeepSeekMath's.

    A long rollout counts as much as a short one, so each of its tokens counts less.
    """
    return (x.where(mask, 0.0).sum(-1) / _lengths(mask)).mean()


def mean_of_tokens(x: Float[Tensor, "n t"], mask: Bool[Tensor, "n t"]) -> Float[Tensor, ""]:
    """Average over all tokens of all rollouts: DAPO's (arXiv 2503.14476, equation 12)."""
    return x.where(mask, 0.0).sum() / _lengths(mask).sum()


def sum_over(budget: int) -> Average:
    """Return the average that divides each rollout's sum by a constant: Dr. GRPO's.

    `budget` is the number of tokens that a rollout may have (arXiv 2503.20783, listing 1).
    """
    if budget < 1:
        raise ValueError(f"budget={budget}: the tokens that a rollout may have are 1 or more")

    def average(x: Float[Tensor, "n t"], mask: Bool[Tensor, "n t"]) -> Float[Tensor, ""]:
        return (x.where(mask, 0.0).sum(-1) / budget).mean()

    return average


def policy_loss(
    logp: Float[Tensor, "n t"],
    logp_old: Float[Tensor, "n t"],
    advantages: Float[Tensor, "n t"],
    mask: Bool[Tensor, "n t"],
    *,
    logp_ref: Float[Tensor, "n t"] | None = None,
    clip: tuple[float, float] = (0.2, 0.2),
    kl_weight: float = 0.0,
    average: Average = mean_of_rollouts,
) -> PolicyLoss:
    """Return the clipped loss; what stands where `mask` is False never matters, not even NaN.

    `logp` carries the gradient; `logp_old` is from sampling, `logp_ref` from the model that the
    policy should stay near. `clip` bounds the ratio at 1 - low and 1 + high. A clipped token has
    no gradient: the ratio has left the bound on the side that the advantage points to. Nor has one
    whose ratio is beyond e^20, whatever its advantage. The loss itself says little: on the first
    update it is 0 up to the KL, because advantages sum to 0.
    """
    # e^20 is far outside any clip; from e^89 on it would be inf, and 0 x inf is no number.
    gap = (logp - logp_old).where(mask, 0.0).clamp(max=20.0)
    ratio = gap.exp()
    gains = advantages.where(mask, 0.0)
    plain = gains * ratio
    bounded = gains * ratio.clamp(1 - clip[0], 1 + clip[1])
    objective = torch.minimum(plain, bounded)
    kl = torch.zeros_like(ratio)
    if logp_ref is not None:
        kl = k3((logp_ref - logp).where(mask, 0.0))
        objective = objective - kl_weight * kl
    with torch.no_grad():
        n = mask.sum()
        share = (bounded < plain).where(mask, False).sum() / n
        mean_kl = kl.where(mask, 0.0).sum() / n
    return PolicyLoss(-average(objective, mask), mean_kl.detach(), share)


def k3(log_ratio: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Return an estimate of KL(policy || reference) at sampled tokens, from ln(reference/policy).

    r - ln r - 1 for r = reference/policy: never negative, and on average over samples of the
    policy exactly the KL divergence (DeepSeekMath, equation 4).
    """
    return log_ratio.exp() - log_ratio - 1


def _lengths(mask: Bool[Tensor, "n t"]) -> Tensor:
    lengths = mask.sum(-1)
    if bool((lengths == 0).any()):
        empty = lengths.eq(0).nonzero().flatten().tolist()
        raise ValueError(f"rollouts {empty} hold no written token: drop them before the loss")
    return lengths
