"""Who does what: which expert serves which domain, and what is lost without it.

axes: b rows, e routed experts, d domains
"""

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from minids.model.moe import MoE
from minids.model.routing import Routing
from minids.model.transformer import Transformer
from minids.study.served import by_label, specialisation


def by_domain(routing: Routing, domain: Int[Tensor, " b"], n_domains: int) -> Float[Tensor, "d e"]:
    """Return how often tokens of each domain chose each expert. Rows lie one after another."""
    if len(routing.experts) % len(domain):
        raise ValueError(f"{len(routing.experts)} tokens do not split into {len(domain)} rows")
    label = domain.repeat_interleave(len(routing.experts) // len(domain))
    n_experts = routing.scores.shape[-1]
    return by_label(routing.experts, label, n_labels=n_domains, n_experts=n_experts)


def shuffled(domain: Int[Tensor, " b"], seed: int) -> Int[Tensor, " b"]:
    """Return the labels of whole rows dealt out anew: the tokens of a row count as one draw."""
    return domain[torch.randperm(len(domain), generator=torch.Generator().manual_seed(seed))]


def by_chance(routing: Routing, domain: Int[Tensor, " b"], n_domains: int, *, n: int = 20) -> float:
    """Return the mean specialisation under `n` deals of shuffled labels: what chance alone gives.

    It is not 0: few rows never share evenly.
    """
    deals = (by_domain(routing, shuffled(domain, seed), n_domains) for seed in range(n))
    return sum(map(specialisation, deals)) / n


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
    choose = layer.router.choose
    layer.router.choose = partial(choose, top_k=choose.keywords["top_k"] + n)


def masked(layer: MoE, n: int) -> None:
    """Take each token's `n` best routed experts away; it takes the next ones instead.

    The best are those that the router would choose first, its bias and groups included. Called,
    the layer raises ValueError if a token finds too few others.
    """
    choose = layer.router.choose

    def without_the_best(scores: Tensor, bias: Tensor | None = None, **settings: Any) -> Routing:
        best = choose(scores, bias, **settings | {"top_k": n}).experts
        left = scores.scatter(-1, best, -torch.inf)  # not 0: with its bias it could still win
        rest = choose(left, bias, **settings)
        if left.gather(-1, rest.experts).isneginf().any():
            raise ValueError(f"{n} experts are masked, and too few are left: mask fewer")
        return rest._replace(scores=scores)

    layer.router.choose = partial(without_the_best, **choose.keywords)
