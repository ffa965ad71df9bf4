"""How long tokens travel to their experts and back, beside how long the layer computes.

A cost model of bytes and bandwidths for DeepSeek-V3's training (arXiv 2412.19437, 2.1.2, 3.2.2,
3.3.3): a token goes out in FP8 and comes back in BF16; it crosses InfiniBand once for each other
node that it visits, and is handed on there by NVLink. Both links work at the same time, so the
slower one counts. The backward pass sends as many bytes again.

This is a floor: no latency, no waiting for the slowest, no work to pack and to add up. dispatch.py
counts the same for real routing decisions.
"""

from dataclasses import replace
from typing import NamedTuple

from minids import accounting
from minids.config import ModelConfig
from minids.systems.dispatch import BF16_BYTES, FP8_BYTES, INFINIBAND, NVLINK


class Reach(NamedTuple):
    """How many copies of a token travel, on average: to other nodes, and on by NVLink."""

    nodes: float
    handed_on: float


def reach(
    top_k: int = 8, *, kept_nodes: float = 4, n_nodes: int = 8, gpus_per_node: int = 8
) -> Reach:
    """Return the copies when a token uses `kept_nodes` of `n_nodes`, its own as likely as another.

    Without a limit, chance alone gives dispatch.expected_destinations: 5.3 of 8 nodes. By
    InfiniBand a token reaches the GPU with its own number; an expert on another GPU of the node
    costs one more copy. Two experts of a token on one GPU would share it: not counted.
    """
    if not 1 <= kept_nodes <= n_nodes or top_k < 1 or gpus_per_node < 1:
        raise ValueError(
            f"kept_nodes={kept_nodes} lies between 1 and n_nodes={n_nodes}; top_k={top_k} and "
            f"gpus_per_node={gpus_per_node} are 1 or more"
        )
    nodes = kept_nodes * (n_nodes - 1) / n_nodes
    return Reach(nodes, top_k * (gpus_per_node - 1) / gpus_per_node)


class Exchange(NamedTuple):
    """Seconds for which one token keeps a GPU's links busy in one layer and one direction."""

    out_ib: float
    out_nvlink: float
    back_ib: float
    back_nvlink: float

    @property
    def out(self) -> float:
        """Dispatch: both links at once, the slower one counts."""
        return max(self.out_ib, self.out_nvlink)

    @property
    def back(self) -> float:
        """Combine."""
        return max(self.back_ib, self.back_nvlink)

    @property
    def total(self) -> float:
        """Dispatch and combine, one after the other."""
        return self.out + self.back


def exchange(
    dim: int,
    copies: Reach | None = None,
    *,
    out_bytes: float = FP8_BYTES,
    back_bytes: float = BF16_BYTES,
    ib: float = INFINIBAND,
    nvlink: float = NVLINK,
) -> Exchange:
    """Return what one token of width `dim` costs; bytes are per number, bandwidths per second.

    `copies` is V3's reach unless given: 4 of 8 nodes, 8 experts.
    """
    if min(dim, out_bytes, back_bytes, ib, nvlink) <= 0:
        raise ValueError(
            f"widths, bytes and bandwidths are positive: got dim={dim}, out_bytes={out_bytes}, "
            f"back_bytes={back_bytes}, ib={ib}, nvlink={nvlink}"
        )
    copies = copies or reach()
    out, back = dim * out_bytes, dim * back_bytes
    return Exchange(
        copies.nodes * out / ib,
        copies.handed_on * out / nvlink,
        copies.nodes * back / ib,
        copies.handed_on * back / nvlink,
    )


def layer_flops(config: ModelConfig, context: float = 2048) -> float:
    """Return the forward FLOPs of one MoE layer for one token that attends to `context` tokens.

    2048 is the mean of a causal sequence of 4096, the length that V3 was trained on.
    """
    if config.moe is None:
        raise ValueError(f"{config.name} has no experts: there is nothing to send")
    deeper = replace(config, n_layers=config.n_layers + 1)
    few, many = (
        accounting.flops_per_token(deeper, c, "prefill")
        - accounting.flops_per_token(config, c, "prefill")
        for c in (0, 1)
    )
    return few + (many - few) * context
