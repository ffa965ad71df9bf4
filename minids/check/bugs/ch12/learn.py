"""Answers to 12.learn, right and wrong: a lesson that is built, and two that are measured."""

from types import SimpleNamespace

import torch


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


def learn_by_its_own_optimizer(student, teacher, batches, loss, optimizer):
    mine = torch.optim.SGD(student.parameters(), lr=optimizer.param_groups[0]["lr"])
    return learn(student, teacher, batches, loss, mine)


def learn_in_one_step(student, teacher, batches, loss, optimizer):
    losses = []
    optimizer.zero_grad()
    for tokens, mask in batches:
        with torch.no_grad():
            wanted = teacher(tokens)
        found = loss(student(tokens), wanted, mask)
        found.backward()
        losses.append(found.item())
    optimizer.step()
    return losses


def learn_with_a_teacher_in_eval(student, teacher, batches, loss, optimizer):
    teacher.eval()
    return learn(student, teacher, batches, loss, optimizer)


def learn_with_clipped_gradients(student, teacher, batches, loss, optimizer):
    def step():
        torch.nn.utils.clip_grad_norm_(student.parameters(), 0.1)
        optimizer.step()

    clipping = SimpleNamespace(zero_grad=optimizer.zero_grad, step=step)
    return learn(student, teacher, batches, loss, clipping)


def learn_of_masked_tokens(student, teacher, batches, loss, optimizer):
    hidden = [(tokens * mask, mask) for tokens, mask in batches]
    return learn(student, teacher, hidden, loss, optimizer)


RIGHT = [learn, learn_by_inference_mode]

WRONG = [
    ("what does not count hidden", learn_of_masked_tokens, "tokens as they are"),
    ("gradients pile up", learn_piling_up, "zero_grad"),
    ("the teacher gets gradients", learn_teaching_the_teacher, "no_grad"),
    ("detached, but with a graph", learn_with_detach, "no_grad"),
    ("teacher and student swapped", learn_swapped, "in this order"),
    ("teacher.eval()", learn_with_a_teacher_in_eval, "has no attribute 'eval'"),
    ("gradients clipped", learn_with_clipped_gradients, "no clipping"),
    ("no step", learn_without_steps, "step()"),
    ("an optimizer of its own", learn_by_its_own_optimizer, "make none of your own"),
    ("one step at the end", learn_in_one_step, "once a batch"),
    ("noted after the step", learn_noting_late, "before the step"),
    ("one number", learn_one_number, "return the list"),
]
