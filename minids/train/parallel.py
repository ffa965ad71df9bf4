"""A model over several processes: how it is spread, how gradients add up, how it is gathered.

Dense weights are split by FSDP2: each process keeps 1/n of every matrix with its gradient and
AdamW's moments, and gets a block's whole weights while that block computes (ZeRO's third stage,
arXiv 1910.02054). Experts stay where they are, and tokens travel (expert_parallel.py). Where
there are several copies, or where each process has all weights, gradients are added over the
copies. The sum is that of the whole batch, because every loss is divided by what counts in all
of it: nothing is averaged.

Left out: tensor and pipeline parallelism; bf16 all-gathers; blocks compiled or recomputed.
"""

from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor

from minids.config import ModelConfig
from minids.model.fp8 import Fp8Experts
from minids.model.moe import MoE
from minids.model.transformer import Block, Transformer
from minids.train.expert_parallel import ExpertsApart, Group
from minids.train.world import REPLICAS, World

M = TypeVar("M", bound=nn.Module)


def spread(model: M, world: World) -> M:
    """Return `model` on the world's device with this process's part of its weights, in place.

    Every process must come with the same weights. They may lie on the CPU: a device never holds
    more than its parts and one block. Names in `state_dict` stay as they were. A world without a
    mesh moves the model and no more. Make the optimizer afterwards. ValueError for experts in FP8.
    """
    if world.mesh is None:
        return model.to(world.device)
    apart: set[nn.Parameter] = set()
    for layer in model.modules():
        if isinstance(layer, MoE):
            if isinstance(layer.experts, Fp8Experts):
                raise ValueError("experts in FP8 work in one process: leave to_fp8 out")
            layer.experts = ExpertsApart(layer.experts, world.mesh)  # type: ignore[assignment]
            apart |= set(layer.experts.parameters())
    blocks = [module for module in model.modules() if isinstance(module, Block)]
    for block in blocks:
        _split(block, world.mesh, apart)
    _split(model, world.mesh, apart)
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
    everywhere = [p for p in model.parameters() if not isinstance(p, DTensor)]
    apart = [p for m in model.modules() if isinstance(m, ExpertsApart) for p in m.parameters()]
    _sum_up(_gradients(everywhere), None)
    experts = _gradients(apart)
    if world.mesh is not None and REPLICAS in (world.mesh.mesh_dim_names or ()):
        _sum_up(experts, world.mesh.get_group(REPLICAS))


def _gradients(weights: list[nn.Parameter]) -> list[Tensor]:
    """This process's part of each gradient that is asked for; one that is missing becomes 0."""
    learning = [weight for weight in weights if weight.requires_grad]
    for weight in learning:
        if weight.grad is None:
            weight.grad = torch.zeros_like(weight)
    return [local(weight.grad) for weight in learning if weight.grad is not None]


def _sum_up(grads: list[Tensor], group: Group | None) -> None:
    """Sum gradients over a group, or over all processes, in place and in one message."""
    if not grads:
        return
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
