"""10.measure: learned, or sharpened."""

from collections.abc import Iterator
from itertools import combinations

import torch

from minids.check import Attempt, Claim, checker
from minids.check.answers import is_number
from minids.check.sizes import draw


@checker(
    "10.measure",
    hints=(
        "Count per question first, then average over questions.",
        "x (p, n): c = x.sum(-1) right answers of n; pass_at(n, c, k) for each question.",
        "silent = sum(c in (0, n) for c in after.sum(-1).tolist()) / len(after)",
    ),
)
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    p, n, k = 4 * draw(g, 1, 2) + 1, 6, 3  # p is odd, so that no share of questions is a half
    before = (torch.rand(p, n, generator=g) < 0.4).float()
    before[0], before[1], before[2, 0] = 0, torch.tensor([1.0, 0, 0, 0, 0, 0]), 1
    after = before.clone()
    after[0, : draw(g, 1, 2)], after[1], after[2] = 1, 1, 0
    before[4], after[4] = 1, 1  # silent before and after
    after[3], before[3] = 1, torch.tensor([1.0, 0, 1, 0, 1, 0])
    found = attempt(before, after, k)
    names = ("pass@1", "pass@k", "silent")
    yield Claim(
        "a dictionary with three numbers",
        isinstance(found, dict)
        and set(found) == set(names)
        and all(map(is_number, found.values())),
        "the keys are pass@1, pass@k and silent; .item() makes a number of a tensor.",
    )
    nothing = attempt(before, before, k)
    yield Claim(
        "without practice nothing is gained",
        max(abs(nothing["pass@1"]), abs(nothing["pass@k"])) < 1e-6,
        "both are differences: after minus before.",
    )
    all_wrong, all_right = torch.zeros(2, n), torch.ones(2, n)
    best = attempt(all_wrong, all_right, k)
    yield Claim(
        "from nothing to everything both gain 1",
        abs(best["pass@1"] - 1) < 1e-6 and abs(best["pass@k"] - 1) < 1e-6,
        "after minus before, as shares of 0 to 1.",
    )
    single = attempt(before, after, 1)
    yield Claim(
        "with one try pass@k is pass@1",
        abs(single["pass@k"] - single["pass@1"]) < 1e-5,
        "k of its n answers are picked: a question with one right answer is not always lucky.",
    )
    half = torch.stack([torch.ones(n), torch.zeros(n)])
    sure = attempt(torch.zeros(2, n), half, k)
    yield Claim(
        "one question of two that became sure makes half of them right, at k tries as at one",
        abs(sure["pass@k"] - 0.5) < 1e-5,
        "question by question: answers to one cannot help another. Then the mean over questions.",
    )
    yield Claim(
        "pass@1 is the gain of the mean reward",
        abs(found["pass@1"] - float(after.mean() - before.mean())) < 1e-5,
        "the mean over all answers, after minus before.",
    )
    gain = _at_least_one(after, k) - _at_least_one(before, k)
    yield Claim(
        "pass@k is counted question by question",
        abs(found["pass@k"] - gain) < 1e-5,
        "for each question the chance that k of ITS n answers hold a right one, without putting "
        "back; then the mean over questions.",
    )
    quiet = sum(len(set(row)) == 1 for row in after.tolist()) / p
    yield Claim(
        "silent is the share of questions that teach nothing any more",
        abs(found["silent"] - quiet) < 1e-6,
        "of the answers AFTER practice: all right, or all wrong. Both give advantages of zero.",
    )


def _at_least_one(rewards: torch.Tensor, k: int) -> float:
    """The mean over questions of the share of picks of k answers that hold a right one."""
    picks = list(combinations(range(rewards.shape[1]), k))
    return float(torch.stack([rewards[:, pick].amax(-1) for pick in picks]).mean())
