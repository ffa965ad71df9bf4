"""Inputs and claims of both divergences of chapter 12."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from minids.check import Attempt, Claim, close

Logits = tuple[Tensor, Tensor, Tensor]  # of the student, of the teacher, and the mask


def draw_logits(g: torch.Generator, b: int, t: int, v: int) -> Logits:
    student, teacher = (2 * torch.randn(b, t, v, generator=g) for _ in range(2))
    lengths = torch.randint(1, t + 1, (b, 1), generator=g)
    lengths[0] = t - 1 if t > 1 else 1
    lengths[1:2] = 1  # unlike the first row
    return student, teacher, torch.arange(t) < lengths


def divergence_by_hand(p: Tensor, q: Tensor, mask: Tensor) -> Tensor:
    """KL(p || q) of logits, mean over the places that count."""
    total = torch.zeros((), dtype=torch.float64)
    for row, column in mask.nonzero().tolist():
        a, b = (torch.softmax(x[row, column].double(), -1) for x in (p, q))
        total = total + sum(a[i] * torch.log(a[i] / b[i]) for i in range(len(a)))
    return total / mask.sum()


def with_dirty_padding(attempt: Attempt, *given: Tensor) -> tuple[Tensor, Any]:
    """The loss when padding is NaN, and its gradient for the student; None where there is none."""
    student, teacher, mask = given
    dirty = [x.masked_fill(~mask[..., None], torch.nan) for x in (student, teacher)]
    x = dirty[0].clone().requires_grad_()
    loss = attempt(x, dirty[1], mask, may_be_nan=True)
    if loss.requires_grad:
        loss.backward()
    return loss, x.grad


def pulls(attempt: Attempt, student: Tensor, teacher: Tensor, mask: Tensor) -> tuple[Any, Any]:
    """Gradients of the loss for student and teacher; None where there is none."""
    s, t = student.clone().requires_grad_(), teacher.clone().requires_grad_()
    loss = attempt(s, t * 1, mask)  # as they come out of a teacher, which has a graph
    if loss.grad_fn is None:
        return None, None
    loss.backward()
    return s.grad, t.grad


SURE, FAR = torch.tensor([[[300.0, 0.0]]]), torch.tensor([[[0.0, 80.0]]])


def claims_of_either(
    attempt: Attempt,
    given: Logits,
    found: tuple[Tensor, Any],
    one: Logits,
    right: Tensor,
    *,
    sure: tuple[Tensor, Tensor],
) -> Iterator[Claim]:
    """Claims on both divergences: the teacher is not taught, padding not read, one token works.

    `found` is the loss of `given` and its gradient for the teacher, `right` the loss of `one`;
    `sure` is SURE and FAR, as student and teacher.
    """
    loss, back = found
    yield Claim(
        "no gradient reaches the teacher",
        back is None or not back.any(),
        "the teacher is not taught: teacher.detach().",
    )
    dirty, pull = with_dirty_padding(attempt, *given)
    yield Claim(
        "what stands in the padding never matters, not even NaN",
        close(dirty, loss),
        "NaN * 0 is NaN: pick with the mask, student[mask] and teacher[mask].",
    )
    yield Claim(
        "nor does it for the gradient, which is a number everywhere",
        pull is not None and bool(pull.isfinite().all()),
        "log_softmax of NaN passes NaN back, even if its result is thrown away by [mask] or where: "
        "pick first, student[mask], and take log_softmax of what is left.",
    )
    yield Claim(
        "one row of one token works",
        close(attempt(*one), right),
        "no squeeze: sum over the last axis alone.",
    )
    student, teacher = (F.pad(x, (0, 0, 1, 1), value=torch.nan) for x in one[:2])
    yield Claim(
        "the token that counts may stand behind a prompt",
        close(attempt(student, teacher, F.pad(one[2], (1, 1)), may_be_nan=True), right),
        "x[i, :n] takes the first n places of a row, wherever its mask is True: pick with the mask "
        "itself, student[mask].",
    )
    yield Claim(
        "logits in the hundreds work too: 300 against 80",
        close(attempt(*map(torch.clone, sure), torch.tensor([[True]]), may_be_nan=True), 80.0),
        "softmax rounds a tiny probability to 0, and the log of 0 is -inf: log_softmax stays "
        "finite.",
    )
