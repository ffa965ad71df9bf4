"""10.advantage: answers compared with their own group."""

import math
from collections.abc import Iterator

import torch

from minids.check import Attempt, Claim, checker, close, shaped


@checker(
    "10.advantage",
    hints=(
        "How much better is each answer than the other answers to the same question, measured in "
        "the spread of that group?",
        "rewards (p, g): mean and deviation over the last axis, kept as (p, 1).",
        "return (r - r.mean(-1, keepdim=True)) / (r.std(-1, correction=0, keepdim=True) + eps)",
    ),
)
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    rewards = torch.randn(4, 7, generator=g) + 3
    a = attempt(rewards)
    yield shaped(a, (4, 7), like=rewards)
    yield Claim(
        "a bonus for everybody changes nothing",
        bool(((attempt(rewards + 10) - a).abs() < 1e-2).all()),
        "subtract the mean: what counts is how much better an answer is than the others.",
    )
    first, *others = attempt(torch.tensor([[1.0, 0.0, 0.0, 0.0]]))[0].tolist()
    yield Claim(
        "one right answer of four is above its group, the wrong ones below",
        first > 0 and all(x < 0 for x in others),
        "a group is a row: compare an answer with the other answers to the same question.",
    )
    yield Claim(
        "in every group the advantages sum to zero",
        bool((a.sum(-1).abs() < 1e-3).all()),
        "subtract the mean of the group: over the last axis, not over the whole batch.",
    )
    doubled = attempt(2 * rewards)
    yield Claim(
        "twice the rewards give the same advantages",
        bool(((doubled - a).abs() < 1e-2 * a.abs().max()).all()),
        "dividing by the deviation takes the scale out: not the variance, and the mean alone is "
        "Dr. GRPO.",
    )
    two = torch.cat([rewards[:1], 10 * rewards[1:2]])
    yield Claim(
        "the rewards of another group change nothing",
        close(attempt(two)[:1], attempt(rewards[:1])),
        "mean AND deviation are those of the group alone: over the last axis, keepdim=True.",
    )
    few, many = attempt(torch.tensor([[1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0]]))
    yield Claim(
        "one right answer of four or two: the squares of the advantages have the same mean",
        close(many.square().mean(), few.square().mean(), rtol=2e-3),
        "the deviation is the root of the mean square of what is left without the mean: not the "
        "range, and not the mean distance.",
    )
    yield Claim(
        "one right answer of four gets 1.73",
        close(first, math.sqrt(3), rtol=2e-3),
        "divide by the deviation of the group that divides by g, not g - 1: correction=0. An eps "
        "beside it is 1e-4 or less.",
    )
    hard = torch.zeros(1, 16)
    hard[0, 0] = 1
    yield Claim(
        "the factor at one right answer of sixteen is 4.13, as published",
        close(attempt(hard)[0, 0], 4.131 * 15 / 16, rtol=2e-3),
        "the deviation, not the variance: the root of q (1 - q).",
    )
    flat = attempt(torch.full((2, 5), 0.25))
    yield Claim(
        "equal rewards give zeros",
        bool((flat.abs() < 1e-6).all()),
        "zero over zero: add a small eps to the deviation.",
    )
    beside = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0] * 4, [1.0] * 4])
    mixed = attempt(beside, may_be_nan=True)
    yield Claim(
        "groups of equal rewards beside one that is not: zeros there, 1.73 here",
        close(mixed[0, 0], math.sqrt(3), rtol=2e-3) and bool((mixed[1:].abs() < 1e-3).all()),
        "one row may be flat and the next not: an `if` for all rows at once suits neither. Add a "
        "small eps to the deviation of every row.",
    )
    equal = [torch.full((1, size), x) for size in range(3, 13) for x in (0.1, 0.7)]
    yield Claim(
        "three to twelve equal rewards of 0.1 or 0.7 stay near 0",
        all(float(attempt(rewards).abs().max()) < 0.2 for rewards in equal),
        "the mean of seven times 0.1 is rounded, so about 1e-8 is left of the rewards and of their "
        "deviation: an eps of 1e-8 or a test for a deviation of 0 lets it grow. Take 1e-4.",
    )
    near = attempt(torch.tensor([[0.5, 0.51]]))
    yield Claim(
        "rewards of 0.5 and 0.51 lie nearly one deviation from their mean",
        close(near[0, 1], 0.98, rtol=0.03),
        "add the eps to the deviation and not to the variance, under the root.",
    )
    one = attempt(torch.tensor([[2.0], [-1.0]]))
    yield Claim(
        "a group of one gives zero",
        bool((one.abs() < 1e-6).all()),
        "the deviation of one number is 0 with correction=0, and not defined without.",
    )
