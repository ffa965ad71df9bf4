"""Answers to 12.soft, right and wrong: a teacher's chances as lessons.

Every mistake is one change of this, or of `soft_picked_late`, which spoils one gradient alone.
"""

import torch
from torch.nn import functional as F


def soft(student, teacher, mask):
    log_s, log_t = student[mask].log_softmax(-1), teacher.detach()[mask].log_softmax(-1)
    return (log_t.exp() * (log_t - log_s)).sum(-1).mean()


def soft_by_torch(student, teacher, mask):
    log_s, log_t = (x[mask].log_softmax(-1) for x in (student, teacher.detach()))
    return F.kl_div(log_s, log_t, log_target=True, reduction="batchmean")


def soft_reversed(student, teacher, mask):
    log_s, log_t = student.log_softmax(-1), teacher.detach().log_softmax(-1)
    return (log_s.exp() * (log_s - log_t)).sum(-1)[mask].mean()


def soft_shifted(student, teacher, mask):
    """The student at a place is compared with the teacher at the place before."""
    return soft(student, teacher.roll(1, dims=1), mask)


def soft_with_padding(student, teacher, mask):
    """The loss is right wherever nothing is padded."""
    log_s, log_t = student.log_softmax(-1), teacher.detach().log_softmax(-1)
    return (log_t.exp() * (log_t - log_s)).sum(-1).where(mask, 0.0).mean()


def by_row(loss):
    """Every answer counts the same, however long it is."""

    def wrong(student, teacher, mask):
        rows = zip(student, teacher, mask, strict=True)
        return torch.stack([loss(s[None], t[None], m[None]) for s, t, m in rows]).mean()

    return wrong


def soft_cross_entropy(student, teacher, mask):
    return -(teacher.detach().softmax(-1) * student.log_softmax(-1)).sum(-1)[mask].mean()


def soft_hard(student, teacher, mask):
    return F.cross_entropy(student[mask], teacher.detach().argmax(-1)[mask])


def soft_with_sign(student, teacher, mask):
    return -soft(student, teacher, mask)


def soft_zero(student, teacher, mask):
    return (student * 0).sum()


def soft_picked_late(student, teacher, mask):
    """Right but for the gradient of NaN in the padding."""
    log_s, log_t = student.log_softmax(-1), teacher.detach().log_softmax(-1)
    return (log_t.exp() * (log_t - log_s)).sum(-1)[mask].mean()


def soft_picked_by_where(student, teacher, mask):
    log_s, log_t = student.log_softmax(-1), teacher.detach().log_softmax(-1)
    return (log_t.exp() * (log_t - log_s)).sum(-1).where(mask, 0.0).sum() / mask.sum()


def soft_cleaned(student, teacher, mask):
    log_s, log_t = (
        x.where(mask[..., None], 0.0).log_softmax(-1) for x in (student, teacher.detach())
    )
    return (log_t.exp() * (log_t - log_s)).sum(-1).sum() / mask.sum()


def first_places(mask):
    """A mask that was taken for lengths: right where no prompt stands before."""
    return torch.arange(mask.shape[1]) < mask.sum(1, keepdim=True)


def soft_of_the_first_places(student, teacher, mask):
    return soft(student, teacher, first_places(mask))


def soft_detached(student, teacher, mask):
    return soft(student.detach(), teacher, mask) + 0 * student.nansum()


def soft_both_learn(student, teacher, mask):
    log_s, log_t = student.log_softmax(-1), teacher.log_softmax(-1)
    return (log_t.exp() * (log_t - log_s)).sum(-1)[mask].mean()


def soft_times_mask(student, teacher, mask):
    log_s, log_t = student.log_softmax(-1), teacher.detach().log_softmax(-1)
    return ((log_t.exp() * (log_t - log_s)).sum(-1) * mask).sum() / mask.sum()


def soft_of_logits(student, teacher, mask):
    t = teacher.detach()
    return (t.softmax(-1) * (t - student)).sum(-1)[mask].mean()


def log_of_softmax(p, q, tiny=0.0):
    """KL(p || q) with the log of what softmax has rounded, and perhaps with a floor below it."""
    p, q = p.softmax(-1), q.softmax(-1)
    return (p * ((p + tiny).log() - (q + tiny).log())).sum(-1).mean()


def soft_log_of_softmax(student, teacher, mask):
    return log_of_softmax(teacher.detach()[mask], student[mask])


def soft_with_a_floor(student, teacher, mask):
    return log_of_softmax(teacher.detach()[mask], student[mask], tiny=1e-8)


def soft_freezes_the_teacher(student, teacher, mask):
    teacher.requires_grad_(False)
    return soft(student, teacher, mask)


RIGHT = [soft, soft_by_torch, soft_cleaned]

WRONG = [
    ("the teacher frozen", soft_freezes_the_teacher, "var.detach()"),
    ("reversed", soft_reversed, "TEACHER"),
    ("shifted by one", soft_shifted, "no shift"),
    ("padding counted", soft_with_padding, "number of True"),
    ("mean of rows", by_row(soft), "number of True"),
    ("cross-entropy", soft_cross_entropy, "own entropy"),
    ("the likeliest token alone", soft_hard, "0 is the best"),
    ("flipped sign", soft_with_sign, "not turned round"),
    ("zero", soft_zero, "above 0 for unlike"),
    ("student detached", soft_detached, "no detach"),
    ("the teacher learns", soft_both_learn, "not taught"),
    ("times the mask", soft_times_mask, "NaN * 0"),
    ("picked after the softmax", soft_picked_late, "pick first"),
    ("where, after the softmax", soft_picked_by_where, "pick first"),
    ("the mask taken for lengths", soft_of_the_first_places, "pick with the mask itself"),
    ("logits for log-probabilities", soft_of_logits, "vocabulary"),
    ("log of softmax", soft_log_of_softmax, "log_softmax stays"),
    ("a floor of 1e-8", soft_with_a_floor, "log_softmax stays"),
]
