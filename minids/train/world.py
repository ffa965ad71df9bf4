"""Who takes part in a run: one process, or several that torchrun started.

    with launched("cpu") as world:                 # alone unless torchrun started this process
        world = world.split()                      # weights are split over all of them
        model = spread(Transformer(config), world)
        for step in fit(model, batches, steps=100, world=world):
            ...

A `World` is a value that is passed on. Alone, everything it does is nothing at all, so a function
that takes a world has one path for one process and for many.

Left out: a process that joins or leaves while the others run; tensor and pipeline parallelism.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from minids.config import ModelConfig
from minids.text.batches import Batch

T = TypeVar("T")
REPLICAS, SHARDS = "replicas", "shards"


@dataclass(frozen=True, kw_only=True)
class World:
    """One process among `size`, numbered from 0.

    `mesh` arranges the processes by the axis "shards", over which one copy of the weights is
    split, and, where there are several copies, by "replicas" before it. None: every process has
    all weights, and gradients are added up.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = torch.device("cpu")
    mesh: DeviceMesh | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.size:
            raise ValueError(f"rank={self.rank} must lie between 0 and size={self.size}, less one")

    @staticmethod
    def alone(device: torch.device | str = "cpu") -> "World":
        """Return a world of one process."""
        return World(device=torch.device(device))

    @property
    def leads(self) -> bool:
        """Whether this process is the one that prints and writes."""
        return self.rank == 0

    @property
    def shards(self) -> int:
        """How many processes share one copy of the weights: 1 where each has its own."""
        return 1 if self.mesh is None else self.mesh[SHARDS].size()

    def split(self, shards: int | None = None) -> "World":
        """Return this world with a copy of the weights split over `shards` processes, or all.

        Neighbours by rank share a copy: so does a node, where `shards` is its number of GPUs.
        With 1, and where the backend lacks what splitting needs, every process has all weights.
        ValueError unless `shards` divides the size. All processes must call it.
        """
        shards = shards or self.size
        if self.size % shards:
            raise ValueError(f"{self.size} processes do not form groups of {shards}: give a factor")
        if shards == 1 or not self._can_split():
            return replace(self, mesh=None)
        axes = {REPLICAS: self.size // shards, SHARDS: shards}
        if self.size == shards:
            del axes[REPLICAS]
        mesh = init_device_mesh(self.device.type, tuple(axes.values()), mesh_dim_names=tuple(axes))
        return replace(self, mesh=mesh)

    def rows(self, batch: Batch) -> Batch:
        """Return this process's rows of a batch that all of them have; as even as they come."""
        if self.size == 1:
            return batch
        return Batch(*(part.tensor_split(self.size)[self.rank] for part in batch))

    def share(self, n: int) -> slice:
        """Return which of `n` things are this process's: neighbours, as even as they come."""
        few, more = divmod(n, self.size)
        start = self.rank * few + min(self.rank, more)
        return slice(start, start + few + (self.rank < more))

    def summed(self, values: Sequence[Tensor]) -> list[Tensor]:
        """Return the sum of each tensor over all processes; each gives the same shapes."""
        if self.size == 1 or not values:
            return list(values)
        flat = torch.cat([value.flatten() for value in values])
        dist.all_reduce(flat)
        parts = flat.split([value.numel() for value in values])
        pairs = zip(parts, values, strict=True)
        return [part.view_as(value).to(value.dtype) for part, value in pairs]

    def gathered(self, value: T) -> list[T]:
        """Return what every process gave, in the order of their ranks."""
        if self.size == 1:
            return [value]
        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, value)
        return found

    def told(self, value: T) -> T:
        """Return what the first process gave, everywhere."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def told_by_first(self, find: Callable[[], T]) -> T:
        """Return what `find` returns in the first process, which alone calls it."""
        found = [find()] if self.leads else []
        return self.told(found)[0]

    def any(self, flag: bool) -> bool:
        """Return whether any process says so: an answer that all of them share."""
        if self.size == 1:
            return flag
        return bool(self.summed([torch.tensor(float(flag), device=self.device)])[0] > 0)

    def _can_split(self) -> bool:
        """Whether the backend has the collective that split gradients are added with."""
        if self.size == 1:
            return False
        add_split = getattr(dist, "reduce_scatter_single", None) or dist.reduce_scatter_tensor
        try:
            add_split(torch.empty(1, device=self.device), torch.ones(self.size, device=self.device))
        except (RuntimeError, NotImplementedError):
            return False
        return True


def shards_for(c: ModelConfig, size: int) -> int:
    """Return over how many of `size` processes a model can be split: its experts must come even."""
    if c.moe is None:
        return size
    return max(n for n in range(1, size + 1) if size % n == 0 and c.moe.n_routed % n == 0)


@contextmanager
def launched(device: torch.device | str = "cpu") -> Iterator[World]:
    """Yield the world that torchrun started this process in, or one of this process alone.

    On CUDA each process of a machine takes the GPU of its number there. Every process must come
    here. Other devices have no backend for many processes: there, the CPU is used.
    """
    device = torch.device(device)
    if not dist.is_torchelastic_launched() or int(os.environ["WORLD_SIZE"]) == 1:
        yield World.alone(device)
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
        dist.init_process_group("cpu:gloo,cuda:nccl", device_id=device)
    else:
        device = torch.device("cpu")
        dist.init_process_group("gloo")
    yield World(rank=dist.get_rank(), size=dist.get_world_size(), device=device)
    # Not after an error: the others may be waiting for what will never come.
    dist.barrier()
    time.sleep(0.2)  # gloo's threads let go of the last tensors, which takes Python's lock
    dist.destroy_process_group()
