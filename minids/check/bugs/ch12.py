"""Right answers and planted mistakes of chapter 12. Three of them hang in its bug museum."""

from itertools import groupby

import torch
from torch.nn import functional as F

# 12.keep


def keep(groups, right, most):
    pairs = []
    for question, answers in groups:
        good = [answer for answer in answers if right(question, answer)]
        pairs += [(question, answer) for answer in list(dict.fromkeys(good))[:most]]
    return pairs


def keep_in_a_loop(groups, right, most):
    pairs, seen = [], {}
    for question, answers in groups:
        for answer in answers:
            mine = seen.setdefault(question, [])
            if len(mine) < most and answer not in mine and right(question, answer):
                mine.append(answer)
                pairs.append((question, answer))
    return pairs


def keep_all(groups, right, most):
    return [(q, a) for q, answers in groups for a in list(dict.fromkeys(answers))[:most]]


def keep_wrong(groups, right, most):
    return keep(groups, lambda q, a: not right(q, a), most)


def keep_first_then_judge(groups, right, most):
    return [(q, a) for q, answers in groups for a in answers[:most] if right(q, a)]


def keep_twice(groups, right, most):
    pairs = []
    for question, answers in groups:
        good = [answer for answer in answers if right(question, answer)]
        pairs += [(question, answer) for answer in good[:most]]
    return pairs


def keep_most_of_all(groups, right, most):
    return keep(groups, right, 10**6)[:most]


def keep_with_one_memory(groups, right, most):
    """What was kept for one question is not kept for another."""
    pairs, seen = [], set()
    for question, answers in groups:
        good = [a for a in dict.fromkeys(answers) if right(question, a) and a not in seen]
        seen |= set(good[:most])
        pairs += [(question, answer) for answer in good[:most]]
    return pairs


def keep_unlike_neighbours(groups, right, most):
    pairs = []
    for question, answers in groups:
        good = [answer for answer, _ in groupby(a for a in answers if right(question, a))]
        pairs += [(question, answer) for answer in good[:most]]
    return pairs


def keep_sorted(groups, right, most):
    pairs = []
    for question, answers in groups:
        good = sorted({answer for answer in answers if right(question, answer)})
        pairs += [(question, answer) for answer in good[:most]]
    return pairs


def keep_something_for_everybody(groups, right, most):
    pairs = []
    for question, answers in groups:
        good = list(dict.fromkeys(a for a in answers if right(question, a)))
        pairs += [(question, answer) for answer in (good or answers)[:most]]
    return pairs


def keep_the_last(groups, right, most):
    pairs = []
    for question, answers in groups:
        good = list(dict.fromkeys(a for a in answers if right(question, a)))
        pairs += [(question, answer) for answer in good[-most:]]
    return pairs


def keep_containing(groups, right, most):
    return keep(groups, lambda q, a: q in a, most)


def keep_nothing(groups, right, most):
    return []


# 12.soft: every mistake is one change of this


def soft(student, teacher, mask):
    log_s, log_t = student.log_softmax(-1), teacher.detach().log_softmax(-1)
    return (log_t.exp() * (log_t - log_s)).sum(-1)[mask].mean()


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


def _by_row(loss):
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


def _log_of_softmax(p, q, tiny=0.0):
    """KL(p || q) with the log of what softmax has rounded, and perhaps with a floor below it."""
    p, q = p.softmax(-1), q.softmax(-1)
    return (p * ((p + tiny).log() - (q + tiny).log())).sum(-1).mean()


def soft_log_of_softmax(student, teacher, mask):
    return _log_of_softmax(teacher.detach()[mask], student[mask])


def soft_with_a_floor(student, teacher, mask):
    return _log_of_softmax(teacher.detach()[mask], student[mask], tiny=1e-8)


# 12.reverse


def reverse(student, teacher, mask):
    log_s, log_t = student.log_softmax(-1), teacher.detach().log_softmax(-1)
    return (log_s.exp() * (log_s - log_t)).sum(-1)[mask].mean()


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


def reverse_log_of_softmax(student, teacher, mask):
    return _log_of_softmax(student[mask], teacher.detach()[mask])


def reverse_over_places(student, teacher, mask):
    log_s, log_t = student.log_softmax(1), teacher.detach().log_softmax(1)
    return (log_s.exp() * (log_s - log_t)).sum(-1)[mask].mean()


def reverse_without_entropy(student, teacher, mask):
    return -(student.softmax(-1) * teacher.detach().log_softmax(-1)).sum(-1)[mask].mean()


# 12.learn


def learn(student, teacher, batches, loss, optimizer):
    losses = []
    for tokens, mask in batches:
        with torch.no_grad():
            wanted = teacher(tokens)
        found = loss(student(tokens), wanted, mask)
        optimizer.zero_grad()
        found.backward()
        optimizer.step()
        losses.append(found.item())
    return losses


def learn_by_inference_mode(student, teacher, batches, loss, optimizer):
    def step(tokens, mask):
        optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            wanted = teacher(tokens).clone()
        now = loss(student(tokens), wanted, mask)
        now.backward()
        optimizer.step()
        return float(now.detach())

    return [step(*batch) for batch in batches]


def learn_piling_up(student, teacher, batches, loss, optimizer):
    losses = []
    for tokens, mask in batches:
        with torch.no_grad():
            wanted = teacher(tokens)
        found = loss(student(tokens), wanted, mask)
        found.backward()
        optimizer.step()
        losses.append(found.item())
    return losses


def learn_teaching_the_teacher(student, teacher, batches, loss, optimizer):
    losses = []
    for tokens, mask in batches:
        found = loss(student(tokens), teacher(tokens), mask)
        optimizer.zero_grad()
        found.backward()
        optimizer.step()
        losses.append(found.item())
    return losses


def learn_with_detach(student, teacher, batches, loss, optimizer):
    return learn_teaching_the_teacher(
        student, lambda tokens: teacher(tokens).detach(), batches, loss, optimizer
    )


def learn_swapped(student, teacher, batches, loss, optimizer):
    return learn(student, teacher, batches, lambda s, t, m: loss(t, s, m), optimizer)


def learn_without_steps(student, teacher, batches, loss, optimizer):
    return [float(loss(student(x), teacher(x).detach(), m).detach()) for x, m in batches]


def learn_noting_late(student, teacher, batches, loss, optimizer):
    losses = []
    for tokens, mask in batches:
        with torch.no_grad():
            wanted = teacher(tokens)
        optimizer.zero_grad()
        loss(student(tokens), wanted, mask).backward()
        optimizer.step()
        losses.append(float(loss(student(tokens), wanted, mask).detach()))
    return losses


def learn_one_number(student, teacher, batches, loss, optimizer):
    return sum(learn(student, teacher, batches, loss, optimizer))


# 12.predict and 12.explain

HILLS = {"covering mean": -3.0, "covering width": 5.408, "seeking mean": -6.0, "seeking width": 1.5}
WHY = "Of 2,000,000 answers 1,200,000 are thrown away: they were written, and nobody learns."
PRICE = {"written": 2_000_000, "times": 15.5 / 8, "because": WHY}

RIGHT = {
    "12.keep": [keep, keep_in_a_loop],
    "12.soft": [soft, soft_by_torch],
    "12.reverse": [reverse, reverse_in_two_parts],
    "12.predict": [HILLS, HILLS | {"covering mean": -3, "covering width": 29.25**0.5}],
    "12.learn": [learn, learn_by_inference_mode],
    "12.explain": [
        PRICE,
        PRICE | {"written": 8e5 / 0.4, "because": "The teacher writes 1.2 million in vain, so."},
    ],
}

WRONG = {
    "12.keep": [
        ("keeps everything", keep_all, "ask right"),
        ("keeps the wrong ones", keep_wrong, "ask right"),
        ("the limit before the rule", keep_first_then_judge, "right ones first"),
        ("the same answer twice", keep_twice, "each different answer once"),
        ("one limit for all questions", keep_most_of_all, "never answered"),
        ("a wrong one where none is right", keep_something_for_everybody, "ask right"),
        ("one memory for all questions", keep_with_one_memory, "of its own"),
        ("neighbours alone", keep_unlike_neighbours, "not with the neighbour alone"),
        ("sorted", keep_sorted, "in the order in which they were written"),
        ("the last ones", keep_the_last, "in the order in which they were written"),
        ("the right number anywhere", keep_containing, "ask right"),
        ("nothing", keep_nothing, "pairs"),
    ],
    "12.soft": [
        ("reversed", soft_reversed, "TEACHER"),
        ("shifted by one", soft_shifted, "no shift"),
        ("padding counted", soft_with_padding, "number of True"),
        ("mean of rows", _by_row(soft), "number of True"),
        ("cross-entropy", soft_cross_entropy, "own entropy"),
        ("the likeliest token alone", soft_hard, "0 is the best"),
        ("flipped sign", soft_with_sign, "not turned round"),
        ("zero", soft_zero, "above 0 for unlike"),
        ("student detached", soft_detached, "no detach"),
        ("the teacher learns", soft_both_learn, "not taught"),
        ("times the mask", soft_times_mask, "NaN * 0"),
        ("logits for log-probabilities", soft_of_logits, "vocabulary"),
        ("log of softmax", soft_log_of_softmax, "log_softmax stays"),
        ("a floor of 1e-8", soft_with_a_floor, "log_softmax stays"),
    ],
    "12.reverse": [
        ("forward", soft, "STUDENT"),
        ("weights detached", reverse_weights_detached, "detach the teacher alone"),
        ("flipped sign", reverse_with_sign, "the sign"),
        ("zero", soft_zero, "the sign"),
        ("padding counted", reverse_with_padding, "number of True"),
        ("mean of rows", _by_row(reverse), "number of True"),
        ("the teacher learns", reverse_both_learn, "not taught"),
        ("times the mask", reverse_times_mask, "NaN * 0"),
        ("softmax over the places", reverse_over_places, "whole vocabulary"),
        ("without the entropy", reverse_without_entropy, "log of student"),
        ("log of softmax", reverse_log_of_softmax, "log_softmax stays"),
    ],
    "12.predict": [
        ("covers the middle", HILLS | {"covering mean": 0.0}, "not in the middle"),
        ("covers a hill", HILLS | {"covering mean": -6.0}, "not on a hill"),
        ("a variance", HILLS | {"covering width": 29.25}, "root of the variance"),
        ("the width of one hill", HILLS | {"covering width": 1.5}, "both hills"),
        ("seeks the middle", HILLS | {"seeking mean": -3.0}, "picks one"),
        ("seeks the smaller", HILLS | {"seeking mean": 6.0}, "larger"),
        ("wide seeker", HILLS | {"seeking width": 5.408}, "1.5"),
        ("words", HILLS | {"seeking width": "narrow"}, "write numbers"),
    ],
    "12.learn": [
        ("gradients pile up", learn_piling_up, "zero_grad"),
        ("the teacher gets gradients", learn_teaching_the_teacher, "no_grad"),
        ("detached, but with a graph", learn_with_detach, "no_grad"),
        ("teacher and student swapped", learn_swapped, "in this order"),
        ("no step", learn_without_steps, "step()"),
        ("noted after the step", learn_noting_late, "before the step"),
        ("one number", learn_one_number, "return the list"),
    ],
    "12.explain": [
        ("multiplied", PRICE | {"written": 320_000}, "thrown away"),
        ("by the wrong share", PRICE | {"written": 800_000 / 0.6}, "divide"),
        ("learns from all", PRICE | {"times": 2.5}, "not learnt from"),
        ("the same price", PRICE | {"times": 1.0}, "for nothing there"),
        ("learning forgotten", PRICE | {"times": 12.5 / 8}, "against 5 + 3"),
        ("no number", PRICE | {"because": "Some of them are thrown away and so it is dear."},
         "for nothing"),
        ("no words", PRICE | {"because": "1,200,000"}, "write a sentence"),
        ("no reason", {"written": 2_000_000, "times": 15.5 / 8}, "three entries"),
    ],
}  # fmt: skip
