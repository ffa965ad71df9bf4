"""Inputs and answers for more than one check of chapter 04."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from minids.check import Attempt


def flops_by_hand(*inputs: Any, out_shape: Any, **_named: Any) -> int:
    """Operations of a product of two tensors, number by number, and of adding the products up."""
    return 2 * max(math.prod(shape) for shape in (*inputs, out_shape) if isinstance(shape, tuple))


# Products that torch's counter leaves out: a key can be built of them, too.
_PRODUCTS = (
    "mul mul_ div div_ addcmul addcmul_ addcdiv addcdiv_ lerp dot vdot mv addmv addmv_ addr addr_"
)
BY_HAND = {getattr(torch.ops.aten, name): flops_by_hand for name in _PRODUCTS.split()}


def count_flops(action: Callable[[], Any]) -> int:
    """Operations of all products while `action` runs, be they of matrices or of single numbers."""
    with FlopCounterMode(display=False, custom_mapping=BY_HAND) as counter:
        action()
    return int(counter.get_total_flops())


def has_gradient(attempt: Attempt, inputs: dict[str, Tensor]) -> bool:
    """Whether gradients reach every input. What numpy computes has none, and is not counted."""
    leaves = [x.clone().requires_grad_() for x in inputs.values()]
    try:
        slopes = torch.autograd.grad(attempt(*leaves).sum(), leaves, allow_unused=True)
    except RuntimeError:  # numpy refuses tensors that require a gradient
        return False
    return all(slope is not None for slope in slopes)


def latent_inputs(
    g: torch.Generator, b: int, h: int, t: int, s: int, *, sizes: tuple[int, int, int, int]
) -> dict[str, Tensor]:
    """Random queries, latents, keys and up-projections, sharp enough for the softmax to choose."""
    r, n, p, v = sizes
    shapes = {
        "q_nope": (b, h, t, n),
        "q_rope": (b, h, t, p),
        "latent": (b, s, r),
        "k_rope": (b, s, p),
        "key_up": (h, n, r),
        "value_up": (h, v, r),
    }
    drawn = {name: torch.randn(*shape, generator=g) for name, shape in shapes.items()}
    return drawn | {"key_up": drawn["key_up"] * r**-0.5, "value_up": drawn["value_up"] * r**-0.5}


def mixed_head_by_head(w: dict[str, Tensor]) -> Tensor:
    """Latent attention, head by head and query by query, from rebuilt keys and values."""
    b, h, t, n = w["q_nope"].shape
    s, p = w["k_rope"].shape[1:]
    out = w["q_nope"].new_zeros(b, h, t, w["value_up"].shape[1])
    for i in range(t):
        seen = s - t + i + 1
        for head in range(h):
            k = w["latent"][:, :seen] @ w["key_up"][head].T
            v = w["latent"][:, :seen] @ w["value_up"][head].T
            scores = (w["q_nope"][:, head, i, None] * k).sum(-1)
            scores = scores + (w["q_rope"][:, head, i, None] * w["k_rope"][:, :seen]).sum(-1)
            weights = (scores / math.sqrt(n + p)).softmax(-1)
            out[:, head, i] = (weights[..., None] * v).sum(1)
    return out
