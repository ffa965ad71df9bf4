"""12.soft: a teacher's chances as lessons."""

from collections.abc import Iterator

import torch

from minids.check import Attempt, Claim, checker, close, shaped
from minids.check.ch12.common import (
    FAR,
    SURE,
    claims_of_either,
    divergence_by_hand,
    draw_logits,
    pulls,
)


@checker(
    "12.soft",
    hints=(
        "The teacher's probabilities weigh; the difference of the log-probabilities is weighed.",
        "logits (b, t, v): x[mask] is (n, v), the places that count; log_softmax over v, sum over "
        "v, mean over n.",
        "each = (log_t.exp() * (log_t - log_s)).sum(-1)",
    ),
)
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    given = student, teacher, mask = draw_logits(g, 3, 5, 7)
    loss = attempt(*given)
    yield shaped(loss, (), like=student)
    same = attempt(student, student, mask)
    yield Claim(
        "a student that is its teacher has loss 0",
        abs(float(same.detach())) < 1e-5,
        "compare both at the same place: no shift between the two; and subtract the teacher's own "
        "entropy, so that 0 is the best.",
    )
    yield Claim(
        "anything else is worse",
        float(loss.detach()) > 0.01,
        "a distance is above 0 for unlike distributions: log of teacher over student, weighed and "
        "not turned round.",
    )
    yield Claim(
        "it is KL(teacher || student), averaged over the places that count",
        close(loss, divergence_by_hand(teacher, student, mask)),
        "weigh with the TEACHER's probabilities, log of teacher over student; sum over the "
        "vocabulary; divide by the number of True in the mask, not by all places.",
    )
    pull, back = pulls(attempt, *given)
    wanted = (student.softmax(-1) - teacher.softmax(-1)) / mask.sum()
    yield Claim(
        "its gradient is student minus teacher, in probabilities, where the mask counts",
        pull is not None and close(pull, wanted.where(mask[..., None], 0.0), rtol=1e-3),
        "no detach and no argmax on the student.",
    )
    one = draw_logits(g, 1, 1, 4)
    right = divergence_by_hand(one[1], one[0], one[2])
    yield from claims_of_either(attempt, given, (loss, back), one, right, sure=(FAR, SURE))
    shifted = attempt(student + 5, teacher - 3, mask)
    yield Claim(
        "adding a constant to all logits of a place changes nothing",
        close(shifted, loss, rtol=1e-3),
        "logits are no probabilities: log_softmax over the last axis.",
    )
