"""One training step as an action without arguments: what every bench of training times."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from minids.model.products import Products, products


def training_step(
    logits_of: Callable[[Tensor], Tensor], model: nn.Module, tokens: Tensor, kind: Products
) -> Callable[[], None]:
    """Return a step on `tokens`: next-token loss, gradients, clipping, AdamW.

    `logits_of` runs `model`, ours or a peer's; `kind` says how ours multiplies. The last token of
    each row is only a target, so rows of t + 1 make steps of t.
    """
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)

    def step() -> None:
        with products(kind, tokens.device):
            logits = logits_of(tokens[:, :-1])
            loss = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step
