"""05.temperature: scores made sharper as the context grows."""

import math
from collections.abc import Iterator

import torch

from minids.check import Attempt, Claim, checker, close, shaped
from minids.check.sizes import draw


@checker(
    "05.temperature",
    hints=(
        "Attention as always, but all scores are multiplied by a number above 1 first.",
        "scores [b, s] = q . k / sqrt(d); the number is (0.1 * mscale * ln factor + 1) squared.",
        "t = (0.1 * mscale * math.log(factor) + 1) ** 2 if factor > 1 else 1.0",
    ),
)
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    b, s, d = draw(g, 2, 3), draw(g, 5, 8), 4 * draw(g, 3, 5)
    q, k = torch.randn(b, d, generator=g), torch.randn(b, s, d, generator=g)
    plain = attempt(q, k, 1.0, 1.0)
    yield shaped(plain, (b, s), like=q, what="the tensor of weights")
    yield Claim(
        "the weights of a row sum to 1",
        close(plain.sum(-1), torch.ones(b)),
        "softmax over the keys, the last axis, comes last.",
    )
    narrow = attempt(q[:, :4].clone(), k[..., :4].clone(), 1.0, 1.0)
    scores, few = ((q[:, None] * k)[..., :n].sum(-1) / n**0.5 for n in (d, 4))
    yield Claim(
        "stretching by 1 is attention as it was",
        close(plain, scores.softmax(-1)) and close(narrow, few.softmax(-1)),
        "divide q . k by sqrt(d), where d is the width of q, and for factor 1 multiply by 1.",
    )
    factor = 4 + 36 * float(torch.rand((), generator=g))
    yield Claim(
        "with a factor the weights still sum to 1",
        close(attempt(q, k, factor, 1.0).sum(-1), torch.ones(b)),
        "multiply the scores before the softmax, not the weights after it.",
    )

    def grown(factor: float, mscale: float) -> float:
        """By what the differences of log-weights grew, the largest one."""
        was, now = plain[0].double().log(), attempt(q, k, factor, mscale)[0].double().log()
        return float((now[was.argmax()] - now[was.argmin()]) / (was.max() - was.min()))

    yield Claim(
        "a longer context makes attention sharper",
        grown(factor, 1.0) > 1,
        "multiply the scores, do not divide: a lower temperature is a larger score.",
    )
    root = 0.1 * math.log(factor) + 1
    yield Claim(
        "the factor is squared: once for queries, once for keys",
        close(grown(factor, 1.0), root**2, rtol=1e-3),
        "(0.1 ln factor + 1) squared, with the natural logarithm; applied to q or to k alone it "
        "counts once.",
    )
    yield Claim(
        "mscale is the slope in ln factor",
        close(grown(factor, 0.707), (0.0707 * math.log(factor) + 1) ** 2, rtol=1e-3),
        "0.1 * mscale * ln factor: V2 has 0.707 where V3 has 1.",
    )
    yield Claim(
        "a factor below 1 changes nothing",
        close(attempt(q, k, 0.5, 1.0), plain.detach()),
        "ln of a number below 1 is negative: only a longer context is sharpened.",
    )
    yield Claim(
        "one row and one key get all the attention",
        close(attempt(q[:1], k[:1, :1], factor, 1.0), torch.ones(1, 1)),
        "keep the axes b and s also where they are 1.",
    )
