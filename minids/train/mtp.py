"""The loss of multi-token prediction, and how its weight falls in the course of a run.

The loss of depth k is the mean surprise at tokens k + 1 places ahead; the mean over depths, times
a weight, is added to the model's own (DeepSeek-V3, section 2.2). The last k places of a row have no
target. They weigh nothing, and are counted: so a batch in parts has the gradient of the whole.

    for step in fit_mtp(MTP(Transformer(config)), batches, steps=300):
        ...
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from minids.model.mtp import MTP
from minids.model.transformer import Output
from minids.text.batches import Batch
from minids.train.gradients import ExtraLosses
from minids.train.loop import Step, fit
from minids.train.losses import next_token
from minids.train.update import adamw

Phases = Sequence[tuple[float, float]]
"""Pairs (share of the run up to which it lasts, weight); the last share is 1."""

V3_WEIGHTS: Phases = ((10 / 14.8, 0.3), (1.0, 0.1))
"""0.3 for the first 10 T tokens of V3's 14.8 T, then 0.1 (DeepSeek-V3, section 4.2)."""


def mtp_losses(outputs: Sequence[Output], batch: Batch) -> list[Float[Tensor, ""]]:
    """Return the loss of every depth, in nats per token that counts for the model itself.

    0 for a part of a batch in which none does.
    """
    count = max(1, int(batch.mask.sum()))
    return [
        next_token(output.logits, batch.targets[:, k:], batch.mask[:, k:], count=count)
        for k, output in enumerate(outputs, 1)
    ]


def mtp_loss(weight: float) -> ExtraLosses:
    """Return what `fit` adds to the loss of an `MTP`: by depth, times weight / depths.

    Called with a model that has no modules it raises TypeError.
    """
    if weight < 0:
        raise ValueError(f"weight={weight}: V3 takes 0.3, later 0.1; 0 leaves the modules alone")

    def extra(model: nn.Module, output: Output, batch: Batch) -> dict[str, Tensor]:
        ahead = getattr(model, "ahead", None)  # a compiled MTP has it, too, and is of another type
        if ahead is None:
            raise TypeError(
                f"this loss looks ahead with the modules of an MTP, and {type(model).__name__} has "
                "none: train MTP(model), or leave the loss out"
            )
        each = mtp_losses(ahead(output.hidden, batch.targets), batch)
        return {f"mtp_{k}": weight / len(each) * loss for k, loss in enumerate(each, 1)}

    return extra


def fit_mtp(
    model: MTP,
    batches: Callable[[int], Batch],
    *,
    steps: int,
    weights: Phases = V3_WEIGHTS,
    lr: float = 3e-3,
    weight_decay: float = 0.1,
    betas: tuple[float, float] = (0.9, 0.95),
    start: int = 0,
    optimizer: torch.optim.Optimizer | None = None,
    **options: Any,
) -> Iterator[Step]:
    """Return `fit`'s generator for a model with modules: their loss by the weight of the phase.

    `parts` of a step has the terms as they were added, `mtp_1` for the first depth. `options` go
    to `fit`; to resume, give `start` and the `optimizer` as there. ValueError unless shares rise
    to 1, or if `start` lies outside of the run.
    """
    shares = [share for share, _ in weights]
    if not shares or sorted(shares) != shares or shares[0] < 0 or shares[-1] != 1:
        raise ValueError(f"weights={weights}: give shares that rise to 1, each with its weight")
    if not 0 <= start <= steps:
        raise ValueError(f"start={start} must lie between 0 and steps={steps}, the whole run")
    if optimizer is None:
        optimizer = adamw(model, lr=lr, weight_decay=weight_decay, betas=betas)

    def run() -> Iterator[Step]:
        done = start
        for share, weight in weights:
            end = max(done, round(share * steps))
            yield from fit(
                model,
                batches,
                steps=end,
                start=done,
                lr=lr,
                optimizer=optimizer,
                extra_losses=mtp_loss(weight),
                **options,
            )
            done = end

    return run()
