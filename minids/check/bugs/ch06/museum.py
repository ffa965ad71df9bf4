"""What hangs in the museum of chapter 06 and answers no exercise."""

import torch
from einops import rearrange

from minids.model.routing import Routing, open_groups, route


def leaking_router(scores, bias=None, *, top_k):
    """The leak as a `choose` of the package's router: one line off."""
    routing = route(scores, bias, top_k=top_k, normalise=True)
    weights = (scores + bias).gather(-1, routing.experts)
    return Routing(routing.experts, weights / weights.sum(-1, keepdim=True), scores)


def nodes(preference, n_nodes, kept, best):
    grouped = rearrange(preference, "t (n m) -> t n m", n=n_nodes)
    worth = grouped.topk(best, dim=-1).values.sum(-1)
    keep = torch.zeros_like(worth).scatter(1, worth.topk(kept, dim=-1).indices, 1.0).bool()
    return rearrange(grouped.masked_fill(~keep[..., None], -torch.inf), "t n m -> t (n m)")


def closed_at_zero(preference, n_nodes, kept, best):
    return preference.masked_fill(~open_groups(preference, n_nodes, kept, best), 0.0)
