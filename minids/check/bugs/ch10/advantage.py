"""Answers to 10.advantage, right and wrong: answers compared with their own group."""

import torch

EPS = 1e-4


def advantage(r):
    return (r - r.mean(-1, keepdim=True)) / (r.std(-1, correction=0, keepdim=True) + EPS)


def advantage_with_small_eps(r):
    return (r - r.mean(-1, keepdim=True)) / (r.std(-1, correction=0, keepdim=True) + 1e-6)


def advantage_by_moments(r):
    mean = r.mean(-1, keepdim=True)
    variance = ((r - mean) ** 2).mean(-1, keepdim=True)
    return (r - mean) / (variance.sqrt() + EPS)


def advantage_group_by_group(r):
    rows = [(row - row.mean()) / (row.std(correction=0) + EPS) for row in r]
    return torch.stack(rows)


def advantage_by_expectations(r):
    mean, square = r.mean(-1, keepdim=True), r.double().square().mean(-1, keepdim=True)
    deviation = (square - mean.double().square()).clamp(min=0).sqrt()
    return ((r - mean) / (deviation + EPS)).to(r.dtype)


def advantage_of_unlike_rewards(r):
    mean, deviation = r.mean(-1, keepdim=True), r.std(-1, correction=0, keepdim=True)
    flat = (r == r[:, :1]).all(-1, keepdim=True)
    return torch.where(flat, 0, (r - mean) / deviation)


def advantage_of_batch(r):
    return (r - r.mean()) / (r.std(correction=0) + EPS)


def advantage_of_columns(r):
    return (r - r.mean(0)) / (r.std(0, correction=0) + EPS)


def advantage_with_sample_deviation(r):
    return (r - r.mean(-1, keepdim=True)) / (r.std(-1, keepdim=True) + EPS)


def advantage_centred_only(r):
    return r - r.mean(-1, keepdim=True)


def advantage_over_variance(r):
    return (r - r.mean(-1, keepdim=True)) / (r.var(-1, correction=0, keepdim=True) + EPS)


def advantage_over_range(r):
    spread = r.amax(-1, keepdim=True) - r.amin(-1, keepdim=True)
    return (r - r.mean(-1, keepdim=True)) / (spread + EPS)


def advantage_over_distance(r):
    left = r - r.mean(-1, keepdim=True)
    return left / (left.abs().mean(-1, keepdim=True) + EPS)


def advantage_not_centred(r):
    return r / (r.std(-1, correction=0, keepdim=True) + EPS)


def advantage_with_eps_under_the_root(r):
    return (r - r.mean(-1, keepdim=True)) / (r.var(-1, correction=0, keepdim=True) + 1e-4).sqrt()


def advantage_without_eps(r):
    return (r - r.mean(-1, keepdim=True)) / r.std(-1, correction=0, keepdim=True)


def advantage_batch_deviation(r):
    """Centred by group, divided by the deviation of everything: trains, and weighs groups anew."""
    return (r - r.mean(-1, keepdim=True)) / (r.std(correction=0) + EPS)


def advantage_flat_as_a_whole(r):
    return torch.zeros_like(r) if (r == r[:, :1]).all() else advantage_without_eps(r)


def advantage_nothing_if_one_is_flat(r):
    return torch.zeros_like(r) if (r.std(-1, correction=0) == 0).any() else advantage(r)


def advantage_with_tiny_eps(r):
    return (r - r.mean(-1, keepdim=True)) / (r.std(-1, correction=0, keepdim=True) + 1e-8)


def advantage_where_deviation_is_0(r):
    return torch.where(r.std(-1, correction=0, keepdim=True) == 0, 0, advantage_without_eps(r))


RIGHT = [
    advantage,
    advantage_with_small_eps,
    advantage_by_moments,
    advantage_group_by_group,
    advantage_by_expectations,
    advantage_of_unlike_rewards,
]

WRONG = [
    ("statistics over the batch", advantage_of_batch, "over the last axis"),
    ("statistics over the prompts", advantage_of_columns, "a group is a row"),
    ("the sample deviation", advantage_with_sample_deviation, "correction=0"),
    ("the mean alone (Dr. GRPO)", advantage_centred_only, "Dr. GRPO"),
    ("the variance", advantage_over_variance, "not the variance"),
    ("the range", advantage_over_range, "not the range"),
    ("the mean distance", advantage_over_distance, "not the mean distance"),
    ("not centred", advantage_not_centred, "subtract the mean"),
    ("no eps", advantage_without_eps, "0/0"),
    ("eps under the root", advantage_with_eps_under_the_root, "to the deviation"),
    ("flat only if all groups are", advantage_flat_as_a_whole, "one row may be flat"),
    ("nothing if one group is flat", advantage_nothing_if_one_is_flat, "one row may be flat"),
    ("eps of 1e-8", advantage_with_tiny_eps, "an eps of 1e-8"),
    ("a deviation of exactly 0", advantage_where_deviation_is_0, "a test for a deviation of 0"),
    ("deviation of the batch", advantage_batch_deviation, "mean AND deviation"),
]
