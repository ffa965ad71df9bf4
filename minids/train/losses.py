"""What training makes small: pure functions of logits. No model, no optimizer, no config.

Every loss is a mean over the tokens that count, in nats per token. Sums are carried out in
float32 at least, whatever the dtype of the logits.

Left out: label smoothing and the z-loss, which no DeepSeek report uses; balance losses of experts
(model/balance.py); policy gradients (rl/).

axes: b rows of a batch, t tokens, v vocabulary
"""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

NOT_COUNTED = -100
"""The target that torch's cross-entropy leaves out."""


def next_token(
    logits: Float[Tensor, "b t v"],
    targets: Int[Tensor, "b t"],
    mask: Bool[Tensor, "b t"] | None = None,
    *,
    count: int | None = None,
) -> Float[Tensor, ""]:
    """Return the mean surprise at the targets, in nats per token: ln(vocab) for a uniform guess.

    `mask` is True where a target counts, and None counts all of them: the whole text in
    pre-training, the response alone in supervised fine-tuning. Each token weighs the same,
    whichever row it stands in. `count` divides the sum by another number, for a batch that comes
    in parts: with the count of the whole, the parts add up to its mean. ValueError if nothing
    counts and there is no `count`.
    """
    if mask is not None:
        if count is None and not mask.any():
            raise ValueError("the mask counts no token of this batch: there is nothing to learn")
        targets = targets.where(mask, NOT_COUNTED)
    rows, flat = _rows(logits), targets.flatten()
    if count is None:
        return F.cross_entropy(rows, flat, ignore_index=NOT_COUNTED)
    return F.cross_entropy(rows, flat, ignore_index=NOT_COUNTED, reduction="sum") / count


def next_token_by_row(
    logits: Float[Tensor, "b t v"],
    targets: Int[Tensor, "b t"],
    mask: Bool[Tensor, "b t"] | None = None,
) -> Float[Tensor, " b"]:
    """Return the mean surprise of each row by itself: for domains or answers side by side.

    A row in which nothing counts gives NaN: it has no loss.
    """
    counts = torch.ones_like(targets, dtype=torch.bool) if mask is None else mask
    targets = targets.where(counts, NOT_COUNTED)
    each = F.cross_entropy(
        _rows(logits), targets.flatten(), ignore_index=NOT_COUNTED, reduction="none"
    )
    return each.view_as(targets).sum(-1) / counts.sum(-1)


def next_token_written_out(
    logits: Float[Tensor, "b t v"],
    targets: Int[Tensor, "b t"],
    mask: Bool[Tensor, "b t"],
) -> Float[Tensor, ""]:
    """Return what `next_token` returns, as the formula: mean of -log softmax(logits)[target]."""
    exact = torch.promote_types(logits.dtype, torch.float32)
    log_probabilities = logits.to(exact).log_softmax(-1)
    surprise = -log_probabilities.gather(-1, targets.where(mask, 0)[..., None])[..., 0]
    return surprise.where(mask, 0.0).sum() / mask.sum()


def bits_per_byte(nats_per_token: float, tokens_per_byte: float) -> float:
    """Return a loss that does not depend on the vocabulary: 8.0 for a uniform guess of bytes.

    `tokens_per_byte` is the number of tokens of a text over its length in UTF-8 bytes.
    """
    return nats_per_token / math.log(2) * tokens_per_byte


def forward_kl(
    student: Float[Tensor, "b t v"],
    teacher: Float[Tensor, "b t v"],
    mask: Bool[Tensor, "b t"] | None = None,
    *,
    temperature: float = 1.0,
) -> Float[Tensor, ""]:
    """Return KL(teacher || student), in nats per token: the student must cover all of the teacher.

    Both arguments are logits; gradients go to the student alone. The result is multiplied by
    temperature squared, so that its gradients stay as large at any temperature (arXiv 1503.02531,
    section 2). At temperature 1 its gradient is that of the cross-entropy with the teacher's
    probabilities as soft targets.
    """
    return _kl(teacher.detach(), student, mask, temperature)


def reverse_kl(
    student: Float[Tensor, "b t v"],
    teacher: Float[Tensor, "b t v"],
    mask: Bool[Tensor, "b t"] | None = None,
    *,
    temperature: float = 1.0,
) -> Float[Tensor, ""]:
    """Return KL(student || teacher), in nats per token: the student may pick one of many modes.

    The loss of on-policy distillation, exact at every token (arXiv 2306.13649). Arguments and
    temperature as in `forward_kl`.
    """
    return _kl(student, teacher.detach(), mask, temperature)


def _kl(
    p: Float[Tensor, "b t v"],
    q: Float[Tensor, "b t v"],
    mask: Bool[Tensor, "b t"] | None,
    temperature: float,
) -> Float[Tensor, ""]:
    """Mean of sum p (ln p - ln q) over the tokens that count, times temperature squared."""
    if temperature <= 0:
        raise ValueError(f"temperature={temperature} must be positive: 1 leaves the logits alone")
    if mask is not None:
        if not mask.any():
            raise ValueError("the mask counts no token of this batch: there is nothing to learn")
        # Before the softmax: a NaN in padding would come back in the gradient, as 0 times NaN.
        p, q = (logits.where(mask[..., None], 0.0) for logits in (p, q))
    exact = torch.promote_types(p.dtype, torch.float32)
    log_p, log_q = ((logits.to(exact) / temperature).log_softmax(-1) for logits in (p, q))
    # What p never says costs nothing, whatever q says of it; 0 times infinity would be NaN.
    each = (log_p.exp() * (log_p - log_q).where(log_p > -torch.inf, 0.0)).sum(-1)
    mean = each.mean() if mask is None else each.sum() / mask.sum()
    return mean * temperature**2


def _rows(logits: Float[Tensor, "b t v"]) -> Float[Tensor, "n v"]:
    """One row a token, in float32 at least: bf16 sums of thousands of terms would lose digits."""
    return logits.flatten(0, -2).to(torch.promote_types(logits.dtype, torch.float32))
