"""What FP8 saves at real size: operations, weights and messages, counted from a config.

The count follows DeepSeek-V3, section 3.3: linear layers and experts in FP8, and embedding, head,
norms and router in 16 bits. Scales are float32: one for 128 x 128 weights, one for 128 entries of
an activation.

Left out: activations kept for the backward pass, which depend on what is computed again.
"""

from typing import NamedTuple

from minids import accounting
from minids.config import ModelConfig
from minids.model.fp8_formats import SIZE


class Weights(NamedTuple):
    """Bytes of the weights a forward pass reads."""

    in_fp8: int  # how many weights are FP8
    fp8: float  # bytes of all weights, scales included
    bf16: float  # bytes if all were bf16


class Messages(NamedTuple):
    """Bytes that one token sends in one layer of experts, there and back."""

    dispatch: float  # to its experts, in FP8
    combine: float  # back, in bf16
    all_bf16: float  # both ways in bf16

    @property
    def saved(self) -> float:
        """The share that FP8 saves of both ways together."""
        return 1 - (self.dispatch + self.combine) / self.all_bf16


def weights(c: ModelConfig) -> Weights:
    """Return what the weights of the main model take; edges of blocks are not filled up."""
    p = accounting.parameters(c)
    in_fp8 = p.attention + p.dense + p.routed + p.shared
    rest = p.total - in_fp8
    return Weights(in_fp8, in_fp8 * (1 + 4 / SIZE**2) + 2 * rest, 2.0 * p.total)


def messages(c: ModelConfig, destinations: int) -> Messages:
    """Return the bytes of one token that travels to so many places, in one layer of experts."""
    if c.moe is None:
        raise ValueError(f"{c.name} has no experts: nothing is sent")
    if destinations < 1:
        raise ValueError(f"destinations={destinations}: a token travels to at least one place")
    dispatch = destinations * (c.dim + 4 * -(-c.dim // SIZE))
    combine = 2.0 * destinations * c.dim
    return Messages(dispatch, combine, 2 * combine)
