"""A router alone in a wind tunnel: what each balance loss evens out, and what it leaves uneven.

There is no language model here, only tokens with a common direction, which makes some experts
everybody's favourites, and a router that learns nothing but the balance loss.

axes: t tokens, w width, e experts
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from einops import reduce
from jaxtyping import Float
from torch import Tensor

from minids.model.balance import device_balance, expert_balance, load, max_violation
from minids.model.routing import Routing, route, softmax_scores

EXPERTS, TOP_K, DEVICES = 16, 2, 4

LOSSES: dict[str, Callable[[Routing], Tensor] | None] = {
    "none": None,
    "expert loss": expert_balance,
    "device loss": lambda routing: device_balance(routing, DEVICES),
}


class Evened(NamedTuple):
    """How even the load was at the end."""

    load: Float[Tensor, " e"]  # share of each expert; neighbours share a device
    experts: float  # MaxVio over experts
    devices: float  # MaxVio over devices


def evened(name: str, *, seed: int, steps: int = 150, tokens: int = 2048) -> Evened:
    """Return the load after a router of 16 experts on 4 devices has followed one of `LOSSES`."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(tokens, 24, generator=g) + torch.randn(24, generator=g)
    router = (0.3 * torch.randn(EXPERTS, 24, generator=g)).requires_grad_()
    optimizer, loss = torch.optim.Adam([router], lr=0.01), LOSSES[name]
    for _ in range(0 if loss is None else steps):
        assert loss is not None
        optimizer.zero_grad()
        loss(route(softmax_scores(x @ router.T), top_k=TOP_K)).backward()
        optimizer.step()
    with torch.no_grad():
        share = load(route(softmax_scores(x @ router.T), top_k=TOP_K))
    by_device = reduce(share, "(d m) -> d", "sum", d=DEVICES)
    return Evened(share, float(max_violation(share)), float(max_violation(by_device)))
