"""05.measure: loss by position in a long row."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from minids.check import Attempt, Claim, checker, close
from minids.check.sizes import draw


def _loss(logits: Tensor, targets: Tensor) -> Tensor:
    return -logits.double().log_softmax(-1).gather(-1, targets[..., None])[..., 0]


@checker(
    "05.measure",
    hints=(
        "First the surprise of every target by itself, then means over the places of each bin.",
        "surprise [b, t] = -log_softmax(logits)[target]; bin i holds the places from "
        "i * t // bins to (i + 1) * t // bins; divide its sum by the targets that count in it.",
        "part = mask[:, start:end]; loss = surprise[:, start:end][part].mean().item()",
    ),
)
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    b, t, v, bins = 3, 4 * draw(g, 4, 7) + 3, draw(g, 5, 9), 4
    logits = 2 * torch.randn(b, t, v, generator=g)
    targets = torch.randint(v, (b, t), generator=g)
    everything = torch.ones(b, t, dtype=torch.bool)
    out = attempt(torch.zeros(b, t, v), targets, everything, bins)
    yield Claim(
        "there is a number for every bin",
        len(out) == bins,
        "return a list, or a tensor, of length bins.",
    )

    def close_to(got: Any, expected: list[float]) -> bool:
        return close(torch.tensor([float(x) for x in got]), torch.tensor(expected))

    yield Claim(
        "a uniform guess costs ln(vocabulary) at every position",
        close_to(out, bins * [math.log(v)]),
        "minus the natural logarithm of the probability of the target, as a mean over targets.",
    )
    known = 30.0 * torch.nn.functional.one_hot(targets[:, :1].expand(b, t), v).float()
    repeated = attempt(known, targets[:, :1].repeat(1, t), everything, bins)
    yield Claim(
        "who expects the one target that a row repeats pays nothing",
        all(float(x) < 1e-3 for x in repeated),
        "the logits of a position stay together: where the vocabulary has to come second, "
        "transpose(1, 2), not reshape.",
    )
    cut = [t * i // bins for i in range(bins + 1)]
    pairs = list(zip(cut, cut[1:], strict=False))
    each = _loss(logits, targets)
    yield Claim(
        "each bin is the mean of its own positions",
        close_to(
            attempt(logits, targets, everything, bins),
            [each[:, x:y].mean().item() for x, y in pairs],
        ),
        "bin i goes from i * t // bins up to (i + 1) * t // bins; every target once, and the "
        "logits at a position belong to the target at that position.",
    )
    mask = torch.rand(b, t, generator=g) < 0.5
    mask[0] = True
    mask[1, : t // 2] = False
    expected = [each[:, x:y][mask[:, x:y]].mean().item() for x, y in pairs]
    changed = torch.where(mask, targets, (targets + 1) % v)
    yield Claim(
        "a target that does not count may be any other",
        close_to(
            attempt(logits, changed, mask, bins),
            [float(x) for x in attempt(logits, targets, mask, bins)],
        ),
        "where mask is False a surprise is left out before anything is added up.",
    )
    yield Claim(
        "all targets that count weigh the same",
        close_to(attempt(logits, targets, mask, bins), expected),
        "divide the sum over a bin by the number of targets that count in it, not by its size and "
        "not row by row.",
    )
    one = torch.tensor([[[0.0, 0.0, 200.0]]])
    yield Claim(
        "a sure and wrong model gets a large loss, not infinity",
        close_to(attempt(one, torch.tensor([[0]]), torch.ones(1, 1, dtype=torch.bool), 1), [200.0]),
        "log_softmax keeps its digits where the logarithm of a softmax does not.",
    )
