"""The loss at every place of a long text: where does a model begin to be lost?

A mean over a long text hides it: most of what a model reads is near. Here the loss is kept by
position, and gathered into bins.

axes: b rows, t tokens, v vocabulary, n bins
"""

from collections.abc import Callable, Iterable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from minids.text.batches import Batch


def surprise(logits: Float[Tensor, "b t v"], targets: Int[Tensor, "b t"]) -> Float[Tensor, "b t"]:
    """Return -log of the probability given to each target, in nats, summed in fp32 at least."""
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return F.cross_entropy(wide.flatten(0, 1), targets.flatten(), reduction="none").view_as(targets)


def edges(length: int, bins: int) -> list[int]:
    """Return `bins + 1` places that cut 0..length evenly; ValueError if a bin would be empty."""
    if not 0 < bins <= length:
        raise ValueError(f"bins={bins} must lie between 1 and length={length}")
    return [length * i // bins for i in range(bins + 1)]


@torch.inference_mode()
def loss_by_position(
    logits_of: Callable[[Int[Tensor, "b t"]], Float[Tensor, "b t v"]],
    batches: Iterable[Batch],
    *,
    bins: int,
    device: torch.device | str = "cpu",
) -> list[float]:
    """Return the mean loss in each bin of positions, over the targets that count, in nats.

    All batches have rows of one length. Perplexity is exp of it. NaN for a bin in which no
    target counts.
    """
    total = torch.zeros(bins, dtype=torch.float64)
    count = torch.zeros(bins, dtype=torch.float64)
    for batch in batches:
        batch = batch.to(device)
        each = surprise(logits_of(batch.tokens), batch.targets).where(batch.mask, 0.0)
        cut = edges(batch.tokens.shape[1], bins)
        for i, (start, end) in enumerate(zip(cut, cut[1:], strict=False)):
            total[i] += each[:, start:end].cpu().double().sum()  # Apple GPUs have no float64
            count[i] += batch.mask[:, start:end].sum().cpu()
    if not count.any():
        raise ValueError("loss_by_position got no batch with a target that counts")
    return (total / count).tolist()
