"""What a training run costs: hours of rented cards, dollars, and the share of the peak it used.

DeepSeek-V3's bill (arXiv 2412.19437, Table 1): 2664K H800 hours of pre-training, 119K of context
extension, 5K of post-training, at a supposed 2 dollars an hour. The last run alone: no research
before it, no ablations, no data, no people, no cards bought.

Peaks: NVIDIA's data sheet of the H100 SXM, whose tensor cores the H800 has, gives 1,979 TFLOPS in
BF16 and 3,958 in FP8 with sparsity; without it, half. DeepSeek's own 432 TFLOPS = 43.73 % of the
BF16 peak (arXiv 2505.09343, Table 4) give the same 988.
"""

from dataclasses import replace
from typing import NamedTuple

from minids import accounting
from minids.config import ModelConfig

H800_BF16 = 989.5e12  # floating-point operations per second
H800_FP8 = 1979e12


class Bill(NamedTuple):
    """H800 hours by stage, as in V3's Table 1."""

    pre_training: float
    context_extension: float = 0.0
    post_training: float = 0.0

    @property
    def hours(self) -> float:
        """All stages."""
        return sum(self)

    def dollars(self, per_hour: float = 2.0) -> float:
        """Return the rent."""
        return accounting.training_cost(self.hours, per_hour)


V3 = Bill(pre_training=180e3 * 14.8, context_extension=119e3, post_training=5e3)


def days(gpu_hours: float, n_gpus: int) -> float:
    """Return how many days so many GPUs need."""
    if n_gpus < 1:
        raise ValueError(f"n_gpus={n_gpus}: give 1 or more")
    return gpu_hours / n_gpus / 24


def mfu(flops: float, gpu_hours: float, peak: float = H800_BF16) -> float:
    """Return the model FLOPs utilisation: useful operations per second and card, over the peak.

    Between 0 and 1 for a true count of operations; above 1 something was counted that was not
    done. `flops` are the model's own (accounting.training_flops), without any recomputation.
    """
    if gpu_hours <= 0 or peak <= 0:
        raise ValueError(f"gpu_hours={gpu_hours} and peak={peak} have to be positive")
    return flops / (3600 * gpu_hours * peak)


def gpu_hours(flops: float, mfu: float, peak: float = H800_BF16) -> float:
    """Return the hours that `flops` take at this utilisation: the inverse of `mfu`."""
    if not 0 < mfu <= 1:
        raise ValueError(f"mfu={mfu} is a share of the peak, above 0 and at most 1")
    return flops / (3600 * peak * mfu)


def dense(config: ModelConfig) -> ModelConfig:
    """Return the same model with every expert used by every token: total = activated."""
    if config.moe is None:
        return config
    every = replace(config.moe, top_k=config.moe.n_routed, n_groups=1, kept_groups=1)
    return replace(config, name=f"{config.name}, dense", moe=every)


def fp8_share(config: ModelConfig, context: int) -> float:
    """Return the share of a token's FLOPs that V3's recipe runs in FP8: all linear layers.

    Head, router and the two products of attention stay in higher precision (section 3.3.1). The
    embedding is a lookup and has no FLOPs.
    """
    p = accounting.parameters(config)
    whole = accounting.flops_per_token(config, context)
    scores = whole - accounting.flops_per_token(config, 0)
    return 1 - (scores + 6 * (p.router + config.vocab * config.dim)) / whole


def mixed_peak(share: float, bf16: float = H800_BF16, fp8: float = H800_FP8) -> float:
    """Return the highest rate of a mixture: `share` of the operations in FP8, the rest in BF16.

    Times add up, not rates: a harmonic mean.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share={share} lies between 0 and 1")
    return 1 / (share / fp8 + (1 - share) / bf16)
