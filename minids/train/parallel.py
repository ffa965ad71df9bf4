"""A model over several processes: how it is spread, how gradients add up, how it is gathered.

Dense weights are split by FSDP2: each process keeps 1/n of every matrix with its gradient and
AdamW's moments, and gets a block's whole weights while that block computes (ZeRO's third stage,
arXiv 1910.02054). Experts stay where they are, and tokens travel (expert_parallel.py). Where
there are several copies, or where each process has all weights, gradients are added over the
copies. The sum is that of the whole batch, because every loss is divided by what counts in all
of it: nothing is averaged.

Left out: tensor and pipeline parallelism; bf16 all-gathers; blocks compiled or recomputed.
"""

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor

from minids.config import ModelConfig
from minids.model.moe import MoE
from minids.model.transformer import Block, Transformer
from minids.train.expert_parallel import ExpertsApart
from minids.train.world import REPLICAS, World


def spread(model: nn.Module, world: World) -> nn.Module:
    """Return `model` with this process's part of its weights, changed in place.

    Every process must come with the same weights, on its own device. Names in `state_dict` stay
    as they were. A world without a mesh leaves the model as it is. Make the optimizer afterwards.
    """
    if world.mesh is None:
        return model
    apart: set[nn.Parameter] = set()
    for layer in model.modules():
        if isinstance(layer, MoE):
            layer.experts = ExpertsApart(layer.experts, world.mesh)  # type: ignore[assignment]
            apart |= set(layer.experts.parameters())
    blocks = [module for module in model.modules() if isinstance(module, Block)]
    for module in (*blocks, model):
        _split(module, world.mesh, apart)
    return model


def _split(module: nn.Module, mesh: DeviceMesh, apart: set[nn.Parameter]) -> None:
    """Hand a module to FSDP2, with gradients added over processes instead of averaged."""
    split: FSDPModule = fully_shard(module, mesh=mesh, ignored_params=apart)
    split.set_gradient_divide_factor(1.0)
    split.set_force_sum_reduction_for_comms(True)  # gloo cannot multiply on the way


def add_up(model: nn.Module, world: World) -> None:
    """Add gradients over the processes that have the same weights; FSDP2 has added its own.

    Between the backward pass and the clipping, in every process. A process in which a weight took
    no part counts as 0.
    """
    if world.size == 1:
        return
    weights = [p for p in model.parameters() if p.requires_grad]
    _all_reduce([p for p in weights if not isinstance(p, DTensor)])
    experts = [p for m in model.modules() if isinstance(m, ExpertsApart) for p in m.parameters()]
    several = world.mesh is not None and REPLICAS in (world.mesh.mesh_dim_names or ())
    group = world.mesh.get_group(REPLICAS) if world.mesh is not None and several else None
    _all_reduce(experts, group, alone=not several)


def _all_reduce(weights: list[nn.Parameter], group: object = None, *, alone: bool = False) -> None:
    """Sum gradients over a group in one message; a missing one becomes 0."""
    if not weights:
        return
    for weight in weights:
        if weight.grad is None:
            weight.grad = torch.zeros_like(weight)
    if alone:
        return
    grads = [local(weight.grad) for weight in weights if weight.grad is not None]
    flat = torch.cat([grad.flatten() for grad in grads])
    dist.all_reduce(flat, group=group)
    for grad, summed in zip(grads, flat.split([g.numel() for g in grads]), strict=True):
        grad.copy_(summed.view_as(grad))


@torch.no_grad()
def local(tensor: Tensor) -> Tensor:
    """Return the part of a tensor that this process has; changing it changes the tensor."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


@torch.no_grad()
def whole(model: nn.Module) -> dict[str, Tensor]:
    """Return the weights of a spread model in one piece, on the CPU, under the names they have.

    Every process must call it, and every process gets all of them: it takes the memory of the
    model once for each.
    """
    return {
        name: (w.full_tensor() if isinstance(w, DTensor) else w).detach().cpu()
        for name, w in model.state_dict().items()
    }


def in_one_piece(model: nn.Module, c: ModelConfig, device: torch.device) -> Transformer:
    """Return a model of its own with the weights of a spread one: to write with, or to test."""
    alone = Transformer(c)
    alone.load_state_dict(whole(model))
    return alone.to(device)
