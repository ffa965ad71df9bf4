"""12.reverse: the student's own samples judged by the teacher."""

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
    "12.reverse",
    hints=(
        "The student is asked at its own tokens; its own probabilities weigh.",
        "as in 12.soft, with the two changing places: log_s.exp() * (log_s - log_t).",
        "each = (log_s.exp() * (log_s - log_t.detach())).sum(-1)",
    ),
)
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    given = student, teacher, mask = draw_logits(g, 3, 5, 7)
    loss = attempt(*given)
    yield shaped(loss, (), like=student)
    yield Claim(
        "a student that is its teacher has loss 0",
        abs(float(attempt(student, student, mask).detach())) < 1e-5,
        "log of student minus log of teacher, at the same place.",
    )
    away = attempt(student, -student, mask)
    yield Claim(
        "anything else is worse",
        float(away.detach()) > 0.01 and float(loss.detach()) > 0.01,
        "the sign: student's log minus the teacher's.",
    )
    yield Claim(
        "it is KL(student || teacher), averaged over the places that count",
        close(loss, divergence_by_hand(student, teacher, mask)),
        "weigh with the STUDENT's probabilities over the whole vocabulary; divide by the number "
        "of True in the mask.",
    )
    pull, back = pulls(attempt, *given)
    log_s, log_t = student.log_softmax(-1), teacher.log_softmax(-1)
    each = (log_s.exp() * (log_s - log_t)).sum(-1, keepdim=True)
    wanted = log_s.exp() * (log_s - log_t - each) / mask.sum()
    yield Claim(
        "the gradient flows through the weights as well as through the logs",
        pull is not None and close(pull, wanted.where(mask[..., None], 0.0), rtol=1e-3),
        "the student's probabilities must carry a gradient, too: detach the teacher alone.",
    )
    one = draw_logits(g, 1, 1, 4)
    right = divergence_by_hand(*one)
    yield from claims_of_either(attempt, given, (loss, back), one, right, sure=(SURE, FAR))
