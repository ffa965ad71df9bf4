"""Answers to 12.reverse, right and wrong: the student's own samples judged by the teacher."""

from minids.check.bugs.ch12.soft import by_row, first_places, log_of_softmax, soft, soft_zero


def reverse(student, teacher, mask):
    log_s, log_t = student[mask].log_softmax(-1), teacher.detach()[mask].log_softmax(-1)
    return (log_s.exp() * (log_s - log_t)).sum(-1).mean()


def reverse_in_two_parts(student, teacher, mask):
    s = student[mask].softmax(-1)
    entropy = -(s * student[mask].log_softmax(-1)).sum(-1)
    surprise = -(s * teacher.detach()[mask].log_softmax(-1)).sum(-1)
    return (surprise - entropy).sum() / mask.sum()


def reverse_weights_detached(student, teacher, mask):
    log_s, log_t = student.log_softmax(-1), teacher.detach().log_softmax(-1)
    return (log_s.exp().detach() * (log_s - log_t)).sum(-1)[mask].mean()


def reverse_with_sign(student, teacher, mask):
    return -reverse(student, teacher, mask)


def reverse_with_padding(student, teacher, mask):
    log_s, log_t = student.log_softmax(-1), teacher.detach().log_softmax(-1)
    return (log_s.exp() * (log_s - log_t)).sum(-1).where(mask, 0.0).mean()


def reverse_both_learn(student, teacher, mask):
    log_s, log_t = student.log_softmax(-1), teacher.log_softmax(-1)
    return (log_s.exp() * (log_s - log_t)).sum(-1)[mask].mean()


def reverse_times_mask(student, teacher, mask):
    log_s, log_t = student.log_softmax(-1), teacher.detach().log_softmax(-1)
    return ((log_s.exp() * (log_s - log_t)).sum(-1) * mask).sum() / mask.sum()


def reverse_picked_late(student, teacher, mask):
    """Right but for the gradient of NaN in the padding."""
    log_s, log_t = student.log_softmax(-1), teacher.detach().log_softmax(-1)
    return (log_s.exp() * (log_s - log_t)).sum(-1)[mask].mean()


def reverse_of_the_first_places(student, teacher, mask):
    return reverse(student, teacher, first_places(mask))


def reverse_log_of_softmax(student, teacher, mask):
    return log_of_softmax(student[mask], teacher.detach()[mask])


def reverse_over_places(student, teacher, mask):
    log_s, log_t = student.log_softmax(1), teacher.detach().log_softmax(1)
    return (log_s.exp() * (log_s - log_t)).sum(-1)[mask].mean()


def reverse_without_entropy(student, teacher, mask):
    return -(student.softmax(-1) * teacher.detach().log_softmax(-1)).sum(-1)[mask].mean()


RIGHT = [reverse, reverse_in_two_parts]

WRONG = [
    ("forward", soft, "STUDENT"),
    ("weights detached", reverse_weights_detached, "detach the teacher alone"),
    ("flipped sign", reverse_with_sign, "the sign"),
    ("zero", soft_zero, "the sign"),
    ("padding counted", reverse_with_padding, "number of True"),
    ("mean of rows", by_row(reverse), "number of True"),
    ("the teacher learns", reverse_both_learn, "not taught"),
    ("times the mask", reverse_times_mask, "NaN * 0"),
    ("picked after the softmax", reverse_picked_late, "pick first"),
    ("the mask taken for lengths", reverse_of_the_first_places, "pick with the mask itself"),
    ("softmax over the places", reverse_over_places, "whole vocabulary"),
    ("without the entropy", reverse_without_entropy, "log of student"),
    ("log of softmax", reverse_log_of_softmax, "log_softmax stays"),
]
