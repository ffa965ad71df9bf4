"""Routers for the check of 06.detector: clean ones, and ones whose bias leaks into the weights."""

from collections.abc import Callable

import torch
from torch import Tensor


def clean(scores: Tensor, bias: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
    experts = (scores + bias).topk(top_k, dim=-1).indices
    weights = scores.gather(-1, experts)
    return experts, weights / weights.sum(-1, keepdim=True)


def leaky(scores: Tensor, bias: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
    weights, experts = (scores + bias).topk(top_k, dim=-1)
    return experts, weights / weights.sum(-1, keepdim=True)


def leaky_softmax(scores: Tensor, bias: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
    """A leak that raising all biases alike does not show."""
    weights, experts = (scores + bias).topk(top_k, dim=-1)
    return experts, weights.softmax(-1)


def leaky_raw(scores: Tensor, bias: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
    """A leak that sums show, too: these weights do not sum to 1."""
    weights, experts = (scores + bias).topk(top_k, dim=-1)
    return experts, weights


def leaky_a_little(scores: Tensor, bias: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
    """A hundredth of the leak."""
    experts, _ = leaky_raw(scores, bias, top_k)
    return experts, (scores + 0.01 * bias).gather(-1, experts)


def leaky_last(scores: Tensor, bias: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
    """The leak in the last of the chosen alone."""
    experts, leaky = leaky_raw(scores, bias, top_k)
    last = torch.arange(top_k) == top_k - 1
    return experts, leaky.where(last, scores.gather(-1, experts))


def leaky_for_one(row: Tensor) -> Callable[..., tuple[Tensor, Tensor]]:
    """The leak in one token alone: in the one with these scores."""

    def router(scores: Tensor, bias: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
        experts, weights = leaky_raw(scores, bias, top_k)
        here = (scores == row).all(-1, keepdim=True)
        return experts, torch.where(here, weights, scores.gather(-1, experts))

    return router


def leaky_for_expert(expert: int) -> Callable[..., tuple[Tensor, Tensor]]:
    """A strong leak in the weights of one expert alone."""

    def router(scores: Tensor, bias: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
        experts, _ = leaky_raw(scores, bias, top_k)
        weights = (scores + 100 * bias).gather(-1, experts)
        return experts, weights.where(experts == expert, scores.gather(-1, experts))

    return router


def leaky_one_way(start: Tensor, sign: int) -> Callable[..., tuple[Tensor, Tensor]]:
    """Weights only rise as the bias moves away from `start`, or only fall."""

    def router(scores: Tensor, bias: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
        experts, _ = leaky_raw(scores, bias, top_k)
        moved = bias - start
        leak = sign * torch.where(moved > 0, moved, -0.1 * moved)
        return experts, (scores + leak).gather(-1, experts)

    return router


def crowded_raw(scores: Tensor, bias: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
    """All tokens on the same experts, each weighed by its score."""
    experts = torch.arange(top_k).expand(len(scores), -1)
    return experts, scores.gather(-1, experts)


def crowded(scores: Tensor, bias: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
    """All tokens on the same experts, with weights that sum to 1."""
    experts, weights = crowded_raw(scores, bias, top_k)
    return experts, weights / weights.sum(-1, keepdim=True)


def unordered(scores: Tensor, bias: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
    """Right, with the chosen experts in the order of their numbers."""
    experts = (scores + bias).topk(top_k, dim=-1).indices.sort(-1).values
    weights = scores.gather(-1, experts)
    return experts, weights / weights.sum(-1, keepdim=True)
