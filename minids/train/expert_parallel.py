"""Experts in several places: a token travels to the processes of its experts, and back.

Each process holds e/n of a layer's experts and all other weights of the layer, sees its own
sequences, and routes them as it would alone. Then three exchanges in which all take part: how many
rows come for each expert, the rows, and later the results. DeepSeek-V3 is trained so over 64 GPUs
in 8 nodes (arXiv 2412.19437, section 3.2).

Left out: a token that goes to two experts of one process is sent twice; sending while computing
(DualPipe); FP8 on the way; more places for busy experts.

axes: t tokens of this process, d model width, e experts of this process, ff twice the hidden width
of an expert, n rows that are sent, m rows that arrive, p processes
"""

from typing import Any, cast

import torch
import torch.distributed as dist
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Placement, Replicate, Shard, distribute_tensor

from minids.model.experts import Experts, grouped_linear
from minids.model.layers import gated_silu
from minids.model.routing import Routing, how_often
from minids.train.world import SHARDS

Group = dist.ProcessGroup


class _Exchange(torch.autograd.Function):
    """All-to-all of rows; the gradients of what arrived travel back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, sent: list[int], came: list[int], group: Group) -> Tensor:
        ctx.sent, ctx.came, ctx.group = sent, came, group
        out = x.new_empty(sum(came), *x.shape[1:])
        dist.all_to_all_single(out, x.contiguous(), came, sent, group=group)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        back = _Exchange.apply(grads[0], ctx.came, ctx.sent, ctx.group)
        return back, None, None, None


def exchange(
    x: Float[Tensor, "n d"], sent: list[int], came: list[int], group: Group
) -> Float[Tensor, "m d"]:
    """Return the rows that come from all processes, in the order of their ranks.

    The first `sent[0]` rows of `x` go to process 0, the next `sent[1]` to process 1; `came[i]`
    rows come from process i. All processes of the group must call it, also with no row at all.
    """
    return _Exchange.apply(x, sent, came, group)


def experts_apart(
    x: Float[Tensor, "t d"],
    gate_up: Float[Tensor, "e ff d"],
    down: Float[Tensor, "e d ff//2"],
    routing: Routing,
    group: Group,
) -> Float[Tensor, "t d"]:
    """Return what `experts.experts_loop` would, where process i has experts i e to (i + 1) e - 1.

    Sorted by expert, a token's copies are sorted by process, too. What arrives is sorted by sender
    and then by expert; it is sorted anew, and back before the results leave.
    """
    chosen = routing.experts.flatten()
    order = chosen.argsort(stable=True)
    token = order // routing.experts.shape[-1]
    sent, came = _counts(chosen, len(down), group)
    n_sent, n_came = sent.sum(-1).tolist(), came.sum(-1).tolist()
    arrived = exchange(x.index_select(0, token), n_sent, n_came, group)
    mine = torch.arange(len(down), device=x.device).repeat(len(came))
    by_expert = mine.repeat_interleave(came.flatten()).argsort(stable=True)
    if len(arrived):  # torch's grouped product has no gradient for no rows
        ends = came.sum(0).cumsum(0).int()
        hidden = gated_silu(grouped_linear(arrived.index_select(0, by_expert), gate_up, ends))
        y = grouped_linear(hidden, down, ends)
        arrived = torch.empty_like(y).index_copy(0, by_expert, y)
    elif torch.is_autocast_enabled(x.device.type):  # others send results of this type
        arrived = arrived.to(torch.get_autocast_dtype(x.device.type))
    back = exchange(arrived, n_came, n_sent, group)
    weights = routing.weights.flatten().index_select(0, order)
    return torch.zeros_like(x).index_add(0, token, (back * weights[:, None]).to(x.dtype))


def _counts(
    chosen: Int[Tensor, " n"], n_here: int, group: Group
) -> tuple[Int[Tensor, "p e"], Int[Tensor, "p e"]]:
    """How many rows go to each process and its experts, and how many come from each for ours."""
    n = dist.get_world_size(group)
    sent = how_often(chosen, n * n_here).view(n, n_here)
    came = torch.empty_like(sent)
    dist.all_to_all_single(came, sent, group=group)
    return sent, came


class ExpertsApart(nn.Module):
    """The experts of this process, in place of `model.experts.Experts`; names of weights stay.

    The weights are DTensors, cut between experts: they know of the whole, so that norms and
    checkpoints do. Gradients of a process's experts hold all tokens that came to it, and miss
    those that went to its replicas: `parallel.add_up` adds them.
    """

    def __init__(self, experts: Experts, mesh: DeviceMesh) -> None:
        super().__init__()
        n = mesh[SHARDS].size()
        if len(experts.down) % n:
            raise ValueError(
                f"{len(experts.down)} experts do not split over {n} processes: "
                "take world.split(shards_for(config, world.size))"
            )
        self.group = mesh[SHARDS].get_group()
        self.gate_up, self.down = (
            nn.Parameter(cut(whole.detach(), mesh), whole.requires_grad)
            for whole in (experts.gate_up, experts.down)
        )

    def forward(self, x: Float[Tensor, "t d"], routing: Routing) -> Float[Tensor, "t d"]:
        """Return for each token of this process the weighted sum of its experts."""
        gate_up, down = cast(DTensor, self.gate_up), cast(DTensor, self.down)
        return experts_apart(x, gate_up.to_local(), down.to_local(), routing, self.group)


def cut(whole: Tensor, mesh: DeviceMesh) -> DTensor:
    """Return this process's part of a tensor that all have, cut along its first axis."""
    placements: list[Placement] = [Replicate()] * (mesh.ndim - 1) + [Shard(0)]
    return distribute_tensor(whole, mesh, placements, src_data_rank=None)
