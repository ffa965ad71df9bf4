"""Who does what: which expert serves which domain, and what is lost without it.

axes: b rows, t tokens of a row, e routed experts, d domains
"""

import copy
from collections.abc import Callable
from functools import partial

import torch
from einops import repeat
from jaxtyping import Float, Int
from torch import Tensor

from minids.model.moe import MoE
from minids.model.routing import Routing, route
from minids.model.transformer import Transformer


def by_domain(
    routing: Routing, domain: Int[Tensor, " b"], n_domains: int
) -> Float[Tensor, "d e"]:
    """Return how often tokens of each domain chose each expert. Rows lie one after another."""
    n_experts = routing.scores.shape[-1]
    if len(routing.experts) % len(domain):
        raise ValueError(f"{len(routing.experts)} tokens do not split into {len(domain)} rows")
    per_row = routing.experts.numel() // len(domain)
    pair = repeat(domain, "b -> (b n)", n=per_row) * n_experts + routing.experts.cpu().flatten()
    return torch.bincount(pair, minlength=n_domains * n_experts).view(n_domains, n_experts).float()


def specialisation(counts: Float[Tensor, "d e"]) -> float:
    """Return I(expert; domain) / H(domain): 0 if experts tell nothing of the domain, 1 if all."""
    joint = (counts / counts.sum()).double()
    domain, expert = joint.sum(1, keepdim=True), joint.sum(0, keepdim=True)
    shared = torch.xlogy(joint, joint).sum() - torch.xlogy(joint, domain * expert).sum()
    return float(shared / -torch.xlogy(domain, domain).sum())


def shuffled(
    routing: Routing, domain: Int[Tensor, " b"], n_domains: int, *, seed: int, n: int = 20
) -> float:
    """Return the mean specialisation when rows get each other's labels: what chance alone gives.

    Whole rows are shuffled: the tokens of one row are about one thing, and count as one draw.
    """
    g = torch.Generator().manual_seed(seed)
    found = [
        specialisation(by_domain(routing, domain[torch.randperm(len(domain), generator=g)], n_domains))
        for _ in range(n)
    ]
    return sum(found) / n


def change(model: Transformer, how: Callable[[MoE], None]) -> Transformer:
    """Return a copy of `model` with something done to each layer of experts."""
    changed = copy.deepcopy(model)
    for layer in changed.modules():
        if isinstance(layer, MoE):
            how(layer)
    return changed


def shared_off(layer: MoE) -> None:
    """Switch the shared expert off."""
    if layer.shared is None:
        raise ValueError("this layer has no shared expert to switch off")
    layer.shared = None


def more_routed(layer: MoE, n: int) -> None:
    """Let each token have `n` routed experts more, or fewer if negative."""
    kept = dict(layer.router.choose.keywords)
    kept["top_k"] += n
    layer.router.choose = partial(route, **kept)


def masked(layer: MoE, n: int) -> None:
    """Take each token's `n` best routed experts away; it takes the next ones instead."""
    choose = layer.router.choose

    def without_the_best(scores: Tensor, bias: Tensor | None = None) -> Routing:
        best = scores.topk(n, dim=-1).indices
        return choose(scores.scatter(-1, best, 0.0), bias)

    layer.router.choose = without_the_best
