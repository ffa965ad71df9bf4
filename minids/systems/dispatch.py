"""Where tokens travel when experts live on many devices, what that costs, and who hosts whom.

In training, DeepSeek-V3 spreads 256 experts of a layer over 64 GPUs in 8 nodes. A token crosses
InfiniBand once for each other node that it visits and is handed on there by NVLink, so limiting
a token to M = 4 nodes bounds the slow traffic (arXiv 2412.19437, 2.1.2 and 3.2.2); V2 limits it
to M = 3 of 8 devices (arXiv 2405.04434, 2.2.2 and 3.1.2). At inference, busy experts get copies
(V3, 3.4).

Simulated on counts alone: no latency, no overlap with computing, no collisions between tokens.

axes: t tokens, e experts, k experts per token, d devices, n nodes, s experts hosted by a device
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from typing import NamedTuple

import torch
from einops import reduce
from jaxtyping import Bool, Float, Int
from torch import Tensor

from minids.model.routing import Routing

FP8_BYTES = 1 + 4 / 128  # a number, and its part of the float32 scale that 128 numbers share
BF16_BYTES = 2.0
INFINIBAND = 50e9  # bytes per second and GPU, between nodes (V3, 3.2.2)
NVLINK = 160e9  # inside a node


@dataclass(frozen=True, kw_only=True, eq=False)
class Placement:
    """Which experts each device hosts. An expert hosted twice has two copies."""

    hosted: Int[Tensor, "d s"]
    n_nodes: int

    def __post_init__(self) -> None:
        if self.hosted.shape[0] % self.n_nodes:
            raise ValueError(
                f"{self.hosted.shape[0]} devices do not split into n_nodes={self.n_nodes}"
            )

    @property
    def n_devices(self) -> int:
        """Number of devices."""
        return self.hosted.shape[0]

    @property
    def copies(self) -> Int[Tensor, " e"]:
        """How many devices' slots hold each expert."""
        return torch.bincount(self.hosted.flatten())


def in_order(n_experts: int, *, n_devices: int, n_nodes: int) -> Placement:
    """Return the placement that training uses: experts in order, equally many on each device.

    A routing group is then a device (V2, n_groups = n_devices) or a node (V3, n_groups = n_nodes).
    """
    if n_experts % n_devices:
        raise ValueError(f"{n_experts} experts do not split over n_devices={n_devices}")
    return Placement(hosted=torch.arange(n_experts).view(n_devices, -1), n_nodes=n_nodes)


def devices_visited(routing: Routing, placement: Placement) -> Bool[Tensor, "t d"]:
    """Return True where a token has an expert. Tokens take turns at the copies of an expert."""
    experts = routing.experts.cpu()
    copies = placement.copies
    if len(copies) <= int(experts.max()) or (copies == 0).any():
        raise ValueError("some expert is hosted nowhere: place all of the routing's experts")
    order = placement.hosted.flatten().argsort(stable=True)
    hosts = order // placement.hosted.shape[1]
    first = copies.cumsum(0) - copies
    turn = _rank(experts) % copies[experts]
    visited = torch.zeros(len(experts), placement.n_devices, dtype=torch.bool)
    return visited.scatter(1, hosts[first[experts] + turn], True)


def _rank(experts: Int[Tensor, "t k"]) -> Int[Tensor, "t k"]:
    """How many tokens have chosen the same expert before."""
    flat = experts.flatten()
    chosen = torch.bincount(flat)
    rank = torch.empty_like(flat)
    rank[flat.argsort(stable=True)] = torch.arange(len(flat)) - (
        chosen.cumsum(0) - chosen
    ).repeat_interleave(chosen)
    return rank.view_as(experts)


def nodes_visited(visited: Bool[Tensor, "t d"], n_nodes: int) -> Bool[Tensor, "t n"]:
    """Return True where a token has an expert on some device of the node."""
    return reduce(visited, "t (n d) -> t n", "any", n=n_nodes)


def destinations(visited: Bool[Tensor, "t n"]) -> Float[Tensor, " n+1"]:
    """Return the share of tokens with 0, 1, 2 ... destinations; shares sum to 1."""
    counts = torch.bincount(visited.sum(-1), minlength=visited.shape[1] + 1)
    return counts / len(visited)


def expected_destinations(n_experts: int, n_places: int, top_k: int) -> float:
    """Return how many of `n_places` a token visits on average when it chooses by pure chance."""
    if n_places < 1 or n_experts % n_places:
        raise ValueError(f"{n_experts} experts do not split over n_places={n_places}")
    if not 0 <= top_k <= n_experts:
        raise ValueError(f"top_k={top_k}: a token chooses 0 to {n_experts} of {n_experts} experts")
    elsewhere = comb(n_experts - n_experts // n_places, top_k)
    return n_places * (1 - elsewhere / comb(n_experts, top_k))


class Traffic(NamedTuple):
    """Vectors that crossed each network on the way out, and bytes there and back."""

    ib_vectors: int
    nvlink_vectors: int
    ib_bytes: float
    nvlink_bytes: float

    def seconds(self, n_devices: int, ib: float = INFINIBAND, nvlink: float = NVLINK) -> float:
        """Return how long this takes if all devices share it evenly and both networks overlap."""
        return max(self.ib_bytes / ib, self.nvlink_bytes / nvlink) / n_devices


def traffic(
    visited: Bool[Tensor, "t d"], n_nodes: int, *, dim: int, home: Int[Tensor, " t"] | None = None
) -> Traffic:
    """Return what it takes to send tokens of width `dim` to their experts and results back.

    Out in FP8, back in BF16. A token crosses InfiniBand once for each other node, to the GPU
    there with its own device's number; NVLink hands it on to other numbers. `home` is the device
    that a token starts on; None spreads the tokens over the devices in order.
    """
    tokens, n_devices = visited.shape
    if home is None:
        home = torch.arange(tokens) * n_devices // tokens
    per_node = n_devices // n_nodes
    at_nodes = nodes_visited(visited, n_nodes)
    ib = at_nodes.sum() - at_nodes.gather(1, (home // per_node)[:, None]).sum()
    same_number = torch.arange(n_devices) % per_node == (home % per_node)[:, None]
    nvlink = (visited & ~same_number).sum()
    both_ways = dim * (FP8_BYTES + BF16_BYTES)
    return Traffic(int(ib), int(nvlink), float(ib) * both_ways, float(nvlink) * both_ways)


def free_experts(kept_nodes: int = 4, ib: float = INFINIBAND, nvlink: float = NVLINK) -> float:
    """Return how many experts per token NVLink can serve in the time InfiniBand needs anyway.

    Each vector that arrives in a node can be handed on nvlink / ib = 3.2 times: 4 nodes make
    12.8, which the report rounds to 13. V3 uses 8 (3.2.2).
    """
    return kept_nodes * nvlink / ib


def device_load(load: Float[Tensor, " e"], placement: Placement) -> Float[Tensor, " d"]:
    """Return the load of each device when the copies of an expert share its load evenly."""
    return (load / placement.copies)[placement.hosted].sum(-1)


def rebalance(
    load: Sequence[float], *, n_slots: int, n_groups: int, n_nodes: int, n_devices: int
) -> Placement:
    """Return a placement with copies of the busiest experts, so that devices are equally busy.

    Written after the description of DeepSeek's EPLB. If nodes can hold whole groups, three steps:
    groups to nodes, copies within each node, copies to devices; a token limited to few groups
    then stays on few nodes. Otherwise all devices are treated as one node. `n_slots` counts
    experts with their copies: V3 serves 256 + 32 of them from 32 GPUs, 9 on each (3.4.1).
    """
    nodes, n_groups = (n_nodes, n_groups) if n_groups % n_nodes == 0 else (1, 1)
    if n_slots < len(load) or n_slots % n_devices or n_devices % n_nodes or len(load) % n_groups:
        raise ValueError(
            f"n_slots={n_slots} must be at least {len(load)} experts and a multiple of "
            f"n_devices={n_devices}, n_devices one of n_nodes={n_nodes}, and the experts one of "
            f"n_groups={n_groups}"
        )
    size = len(load) // n_groups
    members = [list(range(g * size, (g + 1) * size)) for g in range(n_groups)]
    hosted: list[list[int]] = []
    for groups in pack([sum(load[e] for e in group) for group in members], nodes):
        experts = [e for g in groups for e in members[g]]
        slots = replicate([load[e] for e in experts], n_slots // nodes)
        shares = [load[experts[i]] / slots.count(i) for i in slots]
        for device in pack(shares, n_devices // nodes):
            hosted.append([experts[slots[s]] for s in device])
    return Placement(hosted=torch.tensor(hosted), n_nodes=n_nodes)


def replicate(load: Sequence[float], n_slots: int) -> list[int]:
    """Return the item in each of `n_slots` slots: every item once, then the busiest copy again."""
    slots, copies = list(range(len(load))), [1] * len(load)
    while len(slots) < n_slots:
        busiest = max(range(len(load)), key=lambda i: load[i] / copies[i])
        slots.append(busiest)
        copies[busiest] += 1
    return slots


def pack(weights: Sequence[float], n_packs: int) -> list[list[int]]:
    """Return packs of equally many items and similar weight: heaviest first, to the lightest."""
    packs: list[list[int]] = [[] for _ in range(n_packs)]
    room = len(weights) // n_packs
    for item in sorted(range(len(weights)), key=lambda i: -weights[i]):
        unfilled = [p for p in packs if len(p) < room]
        min(unfilled, key=lambda p: sum(weights[i] for i in p)).append(item)
    return packs
