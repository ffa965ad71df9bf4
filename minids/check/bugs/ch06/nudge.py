"""Answers to 06.nudge, right and wrong: one step of the bias after one step of training."""

import torch


def nudge(bias, load, speed):
    return bias + speed * torch.sign(load.mean() - load)


def nudge_by_where(bias, load, speed):
    mean = load.sum() / len(load)
    step = torch.where(load > mean, -speed, torch.where(load < mean, speed, 0.0))
    return bias + step


def nudge_expert_by_expert(bias, load, speed):
    mean = load.mean()
    steps = [0.0 if x == mean else speed if x < mean else -speed for x in load]
    return torch.stack([old + step for old, step in zip(bias, steps, strict=True)])


def nudge_by_comparing(bias, load, speed):
    starved, crowded = load < load.mean(), load > load.mean()
    return bias.add(starved.to(bias.dtype) - crowded.to(bias.dtype), alpha=speed)


def nudge_in_bfloat16(bias, load, speed):
    return nudge(bias.bfloat16(), load, speed).bfloat16().float()


def nudge_flipped(bias, load, speed):
    return bias - speed * torch.sign(load.mean() - load)


def nudge_by_the_gap(bias, load, speed):
    return bias + speed * (load.mean() - load)


def nudge_never_stays(bias, load, speed):
    return bias + speed * torch.where(load > load.mean(), -1.0, 1.0)


def nudge_from_one_over_e(bias, load, speed):
    return bias + speed * torch.sign(1 / len(load) - load)


def nudge_from_zero(bias, load, speed):
    return speed * torch.sign(load.mean() - load)


def nudge_only_the_busiest(bias, load, speed):
    step = torch.zeros_like(bias)
    step[load.argmax()], step[load.argmin()] = -speed, speed
    return bias + step


def nudge_nothing(bias, load, speed):
    return bias.clone()


def nudge_from_the_median(bias, load, speed):
    return bias + speed * torch.sign(load.median() - load)


def nudge_not_near_the_mean(bias, load, speed):
    far = (load - load.mean()).abs() > 0.1 * load.mean()
    return bias + speed * far * torch.sign(load.mean() - load)


RIGHT = [nudge, nudge_by_where, nudge_expert_by_expert, nudge_by_comparing]

WRONG = [
    ("sign flipped", nudge_flipped, "the sign of mean - load"),
    ("step as long as the gap", nudge_by_the_gap, "only the sign of the gap"),
    ("never at rest", nudge_never_stays, "do not use `where"),
    ("compared with 1 / e", nudge_from_one_over_e, "load.mean()"),
    ("compared with the median", nudge_from_the_median, "nor with the median"),
    ("starts from zero each time", nudge_from_zero, "added to the old bias"),
    ("only the two extremes", nudge_only_the_busiest, "not only the most crowded"),
    ("no step near the mean", nudge_not_near_the_mean, "near the mean"),
    ("no step at all", nudge_nothing, "each expert has a step"),
    ("kept in bfloat16", nudge_in_bfloat16, "the digits of float32"),
]
