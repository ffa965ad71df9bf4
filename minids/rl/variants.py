"""GRPO and what others made of it: a variant is how rewards are centred, clipped and averaged.

                 advantage            clip          average over           flat groups   KL
    GRPO         / std of the group   1 -+ 0.2      rollout, then all      kept          yes
    Dr. GRPO     mean subtracted      1 -+ 0.2      constant budget        kept          none
    DAPO         / std of the group   1-0.2, 1.28   all tokens alike       dropped       none

Dr. GRPO: arXiv 2503.20783, section 3. DAPO: arXiv 2503.14476, section 3; its punishment of overlong
answers is rewards.overlong. DeepSeek gives no clip for DeepSeekMath and 10 for R1; 0.2 is PPO's.
"""

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from minids.rl.advantages import centred_advantages, group_advantages
from minids.rl.policy_loss import Average, mean_of_rollouts, mean_of_tokens, sum_over


@dataclass(frozen=True, kw_only=True)
class Variant:
    """What makes one member of the family differ from another."""

    name: str
    advantages: Callable[[Float[Tensor, "p g"]], Float[Tensor, "p g"]] = group_advantages
    average: Average = mean_of_rollouts
    clip: tuple[float, float] = (0.2, 0.2)
    kl_weight: float = 0.001
    refill: bool = False  # replace groups whose rewards are all equal by new ones

    def __post_init__(self) -> None:
        low, high = self.clip
        if not 0 < low <= 1 or high <= 0:
            raise ValueError(f"clip={self.clip}: the ratio is kept between 1 - low and 1 + high")
        if self.kl_weight < 0:
            raise ValueError(f"kl_weight={self.kl_weight} would reward leaving the reference")


GRPO = Variant(name="GRPO")
"""DeepSeekMath's loss with R1's weight of the KL term."""

DAPO = Variant(name="DAPO", average=mean_of_tokens, clip=(0.2, 0.28), kl_weight=0.0, refill=True)


def dr_grpo(budget: int) -> Variant:
    """Return Dr. GRPO for rollouts of up to `budget` tokens."""
    return Variant(
        name="Dr. GRPO", advantages=centred_advantages, average=sum_over(budget), kl_weight=0.0
    )
