"""Three questions about a language model that a loss does not ask. Right models answer 0.

Does what comes later change what was said before? Does it matter where in the context a text
stands? Does a row notice its neighbours in the batch? Each answer is the largest change of a
logit, as a share of the largest logit.

axes: b rows of a batch, t tokens
"""

import copy
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from minids.model.transformer import Transformer


class Probes(NamedTuple):
    """How much logits change when they should not, as a share of the largest one."""

    future: float  # when the second half of a text is another one
    place: float  # when all positions grow by the same number
    neighbours: float  # when the other rows of the batch are taken away
    repeats: float  # not a change: the share of places where the likeliest token is the last one


@torch.no_grad()
def probe(model: Transformer, tokens: Int[Tensor, "b t"]) -> Probes:
    """Return the answers of `model` on some text: two rows or more, at most half the context."""
    rows, length = tokens.shape
    if rows < 2 or not 2 <= length <= model.c.context // 2:
        raise ValueError(
            f"tokens of shape {tuple(tokens.shape)}: give two rows or more, "
            f"of 2 to {model.c.context // 2} tokens"
        )
    logits, half = model(tokens).logits, length // 2
    size = logits.abs().max()
    other = torch.cat([tokens[:, :half], tokens.roll(1, 0)[:, half:]], dim=1)
    moved = copy.deepcopy(model)
    moved.cos, moved.sin = (angle.roll(-half, 0) for angle in (model.cos, model.sin))
    changes = (
        (model(other).logits - logits)[:, :half],
        moved(tokens).logits - logits,
        model(tokens[:1]).logits - logits[:1],
    )
    repeats = (logits.argmax(-1) == tokens).float().mean()
    future, place, neighbours = (float(change.abs().max() / size) for change in changes)
    return Probes(future, place, neighbours, float(repeats))
