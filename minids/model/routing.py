"""Which expert sees which token: from affinities to a choice and its weights.

DeepSeekMoE weighs the chosen experts by their softmax values as they are (arXiv 2401.06066,
section 3). V2 adds groups, so that a token visits few devices (arXiv 2405.04434, 2.2.2). V3
scores with sigmoids, normalises over the chosen, and chooses with a bias (arXiv 2412.19437,
2.1.2). GShard and Switch, which came before, stand at the end, to compare with.

Left out: GShard's coin toss for the second expert, Switch's noise on the logits.

axes: t tokens (sequences one after another), e routed experts, k experts per token, g groups,
m experts of a group, n assignments (t k)
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from einops import rearrange, repeat
from jaxtyping import Bool, Float, Int
from torch import Tensor


class Routing(NamedTuple):
    """What a router decided. It is returned and never stored."""

    experts: Int[Tensor, "t k"]  # different experts for each token
    weights: Float[Tensor, "t k"]  # how much each of them counts
    scores: Float[Tensor, "t e"]  # affinities before bias, choice and scale: what losses need


def softmax_scores(logits: Float[Tensor, "t e"]) -> Float[Tensor, "t e"]:
    """Return affinities that compete: a token's sum to 1 (V1, V2)."""
    return logits.softmax(-1)


def sigmoid_scores(logits: Float[Tensor, "t e"]) -> Float[Tensor, "t e"]:
    """Return affinities that do not compete: each lies in 0..1 by itself (V3)."""
    return logits.sigmoid()


SCORES: dict[str, Callable[[Tensor], Tensor]] = {
    "softmax": softmax_scores,
    "sigmoid": sigmoid_scores,
}


def how_often(
    chosen: Int[Tensor, " n"], n_experts: int, times: Int[Tensor, " n"] | None = None
) -> Int[Tensor, " e"]:
    """Return how often each expert was chosen; `times`: what each choice counts, 1 if None.

    By adding up: `bincount` would have a GPU wait, to find out how many experts there are.
    """
    times = torch.ones_like(chosen) if times is None else times
    return chosen.new_zeros(n_experts).scatter_add(0, chosen, times)


def route(
    scores: Float[Tensor, "t e"],
    bias: Float[Tensor, " e"] | None = None,
    *,
    top_k: int,
    normalise: bool = False,
    scale: float = 1.0,
    n_groups: int = 1,
    kept_groups: int = 1,
    group_best: int = 1,
) -> Routing:
    """Return the `top_k` experts of each token, chosen by `scores + bias`, weighed by `scores`.

    The bias selects and never weighs: keeping the load even must not bend the output. With
    `normalise` a token's weights sum to `scale`; without it they are its scores times `scale`.
    With groups, only experts of the `kept_groups` best groups can be chosen; see `open_groups`.
    Gradients reach the scores through the weights alone. ValueError if the open groups hold
    fewer than `top_k` experts.
    """
    reachable = scores.shape[-1] // n_groups * kept_groups
    if not 0 < top_k <= reachable:
        raise ValueError(
            f"top_k={top_k}, but {kept_groups} of {n_groups} groups hold {reachable} experts: "
            "choose fewer experts or keep more groups"
        )
    preference = scores.detach() if bias is None else scores.detach() + bias
    if kept_groups < n_groups:
        closed = ~open_groups(preference, n_groups, kept_groups, group_best)
        preference = preference.masked_fill(closed, -torch.inf)
    experts = preference.topk(top_k, dim=-1).indices
    weights = scores.gather(-1, experts)
    if normalise:
        weights = weights / (weights.sum(-1, keepdim=True) + 1e-20)
    return Routing(experts, weights * scale, scores)


def open_groups(
    preference: Float[Tensor, "t e"], n_groups: int, kept_groups: int, group_best: int = 1
) -> Bool[Tensor, "t e"]:
    """Return True for the experts that a token may choose: those of its `kept_groups` best groups.

    A group is a device in V2 and a node in V3, so this bounds how many of them a token visits.
    It is worth the sum of its `group_best` best preferences: 1 in V2, 2 in V3. A closed expert
    must get -inf, not 0: a biased score can be negative, and a closed 0 would beat it.
    """
    n_experts = preference.shape[-1]
    if n_experts % n_groups:
        raise ValueError(f"{n_experts} experts do not split into n_groups={n_groups}")
    grouped = rearrange(preference, "t (g m) -> t g m", g=n_groups)
    worth = grouped.topk(group_best, dim=-1).values.sum(-1)
    kept = worth.topk(kept_groups, dim=-1).indices
    is_open = torch.zeros_like(worth, dtype=torch.bool).scatter(-1, kept, True)
    return repeat(is_open, "t g -> t (g m)", m=n_experts // n_groups)


def kept_by_affinity(routing: Routing, n_devices: int, factor: float = 1.0) -> Bool[Tensor, "t k"]:
    """Return True for the assignments that V2 computes in training: a device's highest affinities.

    A device takes `factor` times its even share, t k / n_devices, and drops what lies below
    (DeepSeek-V2, 2.2.4). Nothing is dropped at evaluation, nor, in training, for about a tenth
    of the sequences: keep those with `kept | exempt[:, None]`.
    """
    n_experts = routing.scores.shape[-1]
    if n_experts % n_devices:
        raise ValueError(f"{n_experts} experts do not split over n_devices={n_devices}")
    affinity = routing.scores.gather(-1, routing.experts).flatten()
    first = affinity.argsort(descending=True, stable=True)
    device = routing.experts.flatten() // (n_experts // n_devices)
    rank = _rank_in_queue(device, first)
    return (rank < _places(factor * rank.numel() / n_devices)).view_as(routing.experts)


def kept_by_arrival(routing: Routing, factor: float = 1.0) -> Bool[Tensor, "t k"]:
    """Return True for the assignments that find room: first come, first served, by expert.

    An expert takes `factor` times its even share, t k / e. All first choices queue before all
    second ones (GShard, arXiv 2006.16668, algorithm 1; Switch, arXiv 2101.03961, section 2.2).
    """
    n = routing.experts.numel()
    places = torch.arange(n, device=routing.experts.device).view_as(routing.experts)
    rank = _rank_in_queue(routing.experts.flatten(), rearrange(places, "t k -> (k t)"))
    return (rank < _places(factor * n / routing.scores.shape[-1])).view_as(routing.experts)


def _places(share: float) -> int:
    """The whole places of a share; 0.29 x 100 is 28.999..., and has 29."""
    return int(share + 1e-9)


def _rank_in_queue(queue: Int[Tensor, " n"], first: Int[Tensor, " n"]) -> Int[Tensor, " n"]:
    """Return each assignment's rank, from 0, in its queue, when they line up in order `first`."""
    order = first[queue[first].argsort(stable=True)]
    lengths = torch.bincount(queue)
    starts = (lengths.cumsum(0) - lengths)[queue[order]]
    ranks = torch.arange(len(queue), device=queue.device) - starts
    return torch.empty_like(queue).scatter(0, order, ranks)


def drop(routing: Routing, kept: Bool[Tensor, "t k"]) -> Routing:
    """Return the routing with weight 0 where `kept` is False; other weights do not grow instead.

    The residual stream carries what was dropped. `load` still counts it: it was asked for.
    """
    return routing._replace(weights=routing.weights.where(kept, 0.0))


def switch(logits: Float[Tensor, "t e"], factor: float = 1.25) -> Routing:
    """Return the Switch Transformer's routing: the single best expert, its raw softmax as weight.

    Normalised over one expert, the weight would be 1 and the router would get no gradient.
    """
    routing = route(softmax_scores(logits), top_k=1)
    return drop(routing, kept_by_arrival(routing, factor))


def gshard(logits: Float[Tensor, "t e"], factor: float = 1.0) -> Routing:
    """Return GShard's routing: the two best experts, weights that sum to 1 before dropping."""
    routing = route(softmax_scores(logits), top_k=2, normalise=True)
    return drop(routing, kept_by_arrival(routing, factor))
