"""Checks of chapter 05, YaRN: how fast pairs turn, how they are slowed, how scores are sharpened.

axes: b rows, t tokens, s tokens attended to, d head width, v vocabulary
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from minids.check import Claim, checker, close, shaped
from minids.check.answers import explains, number_entries, what_moves
from minids.check.sizes import draw


@checker(
    "05.wavelength",
    hints=(
        "Pair i turns by theta ** (-2i / width) radians at every token; a turn has 2 pi radians.",
        "exponents 0, 2, 4, ... below width, over width: width / 2 frequencies; times length.",
        "return length * theta ** (-torch.arange(0, width, 2) / width) / (2 * math.pi)",
    ),
)
def _(attempt: Callable[..., Any], g: torch.Generator) -> Iterator[Claim]:
    width, theta = 2 * draw(g, 4, 20), float(draw(g, 50, 5000))
    length = draw(g, 30, 900)
    out = attempt(width, theta, length)
    yield shaped(out, (width // 2,), what="the tensor of turns")
    yield Claim(
        "a row twice as long has twice the turns",
        close(attempt(width, theta, 2 * length), 2 * out.detach()),
        "turns are length / wavelength; you may have returned the wavelength.",
    )
    first = float(out[0])
    yield Claim(
        "the fastest pair turns one radian per token, whatever the base",
        close(first, length / (2 * math.pi)),
        "pair 0 has exponent 0, and a turn has 2 pi radians: length / (2 pi) turns.",
    )
    yield Claim(
        "the fastest pair comes first",
        bool((out[:-1] > out[1:]).all()),
        "frequencies fall with the number of the pair: the exponent is negative.",
    )
    yield Claim(
        "a larger base slows the slowest pair",
        float(attempt(width, 4 * theta, length)[-1]) < 0.9 * float(out[-1]),
        "theta is an argument: write no base of your own.",
    )
    ratios = (out[:-1] / out[1:]).double()
    yield Claim(
        "from pair to pair turns fall by theta ** (2 / width)",
        close(ratios, torch.full_like(ratios, theta ** (2 / width))),
        "the exponent of pair i is 2i / width: two numbers make a pair.",
    )
    yield Claim(
        "a head of one pair, a row of one token",
        close(attempt(2, theta, 1), torch.tensor([1 / (2 * math.pi)])),
        "nothing may be divided by width - 2 or length - 1.",
    )


def _ramp(plain: Tensor, factor: float, low: int, high: int) -> Tensor:
    """YaRN's frequencies, pair by pair."""
    found = []
    for i, f in enumerate(plain.tolist()):
        share = 0.0 if i <= low else 1.0 if i >= high else (i - low) / (high - low)
        found.append(f * (1 - share) + f / factor * share)
    return torch.tensor(found)


@checker(
    "05.yarn",
    hints=(
        "Each pair is a mixture of two frequencies: as it was, and divided by the factor. How much "
        "of each depends on the number of the pair.",
        "share [half] = (index - low) / (high - low), held between 0 and 1; then "
        "plain * (1 - share) + plain / factor * share.",
        "share = ((torch.arange(len(plain)) - low) / max(high - low, 0.001)).clamp(0, 1)",
    ),
)
def _(attempt: Callable[..., Any], g: torch.Generator) -> Iterator[Claim]:
    half, factor = draw(g, 12, 30), 2 + 6 * float(torch.rand((), generator=g))
    plain = torch.rand(half, generator=g).sort(descending=True).values + 0.1
    low = draw(g, 1, 3)
    high = low + 2 * draw(g, 2, 3)
    out = attempt(plain, factor, low, high)
    yield shaped(out, (half,), like=plain, what="the tensor of frequencies")
    yield Claim(
        "no pair turns faster than before",
        bool((out <= plain * (1 + 1e-6)).all()),
        "a longer context needs slower pairs: frequencies are divided, and a share of stretching "
        "is never below 0.",
    )
    yield Claim(
        "fast pairs, up to low, turn as before",
        close(out[: low + 1], plain[: low + 1], rtol=1e-6),
        "the first pairs are the fast ones and carry near distances: their share of stretching is "
        "0.",
    )
    yield Claim(
        "slow pairs, from high on, are divided by the factor",
        close(out[high:], plain[high:] / factor, rtol=1e-6),
        "the last pairs are the slow ones: their share is 1, never above.",
    )
    middle = (low + high) // 2
    half_way = plain[middle] * (1 + 1 / factor) / 2
    yield Claim(
        "half way up the ramp it is the mean of both frequencies",
        close(out[middle], half_way, rtol=1e-5),
        "the ramp is linear in the number of the pair, and it mixes frequencies, not wavelengths.",
    )
    yield Claim(
        "every pair between follows the ramp",
        close(out, _ramp(plain, factor, low, high), rtol=1e-5),
        "the ramp begins at low and ends at high: (index - low) / (high - low).",
    )
    yield Claim(
        "a ramp without a width is a step",
        close(attempt(plain, factor, 4, 4)[[3, 5]], plain[[3, 5]] / torch.tensor([1, factor])),
        "low may equal high: divide by something small instead of 0.",
    )
    yield Claim(
        "a head of a single pair",
        close(attempt(plain[:1], factor, 0, 3), plain[:1], rtol=1e-6),
        "the number of pairs is len(plain), not high.",
    )


@checker(
    "05.temperature",
    hints=(
        "Attention as always, but all scores are multiplied by a number above 1 first.",
        "scores [b, s] = q . k / sqrt(d); the number is (0.1 * mscale * ln factor + 1) squared.",
        "t = (0.1 * mscale * math.log(factor) + 1) ** 2 if factor > 1 else 1.0",
    ),
)
def _(attempt: Callable[..., Any], g: torch.Generator) -> Iterator[Claim]:
    b, s, d = draw(g, 2, 3), draw(g, 5, 8), 4 * draw(g, 3, 5)
    q, k = torch.randn(b, d, generator=g), torch.randn(b, s, d, generator=g)
    plain = attempt(q, k, 1.0, 1.0)
    yield shaped(plain, (b, s), like=q, what="the tensor of weights")
    yield Claim(
        "the weights of a row sum to 1",
        close(plain.sum(-1), torch.ones(b)),
        "softmax over the keys, the last axis, comes last.",
    )
    scores = (q[:, None] * k).sum(-1) / d**0.5
    yield Claim(
        "stretching by 1 is attention as it was",
        close(plain, scores.softmax(-1)),
        "divide q . k by sqrt(d), and for factor 1 multiply by 1.",
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


PREDICTED: dict[str, tuple[frozenset[str], str]] = {
    "twice the factor": (
        frozenset({"temperature"}),
        "which pairs are slow depends on the trained context alone; how much they are slowed, and "
        "the temperature, on the factor.",
    ),
    "twice the trained context": (
        frozenset({"low", "high"}),
        "every pair makes twice the turns, so both bounds move to slower pairs.",
    ),
    "beta 16 instead of 32": (
        frozenset({"low"}),
        "beta says how many turns leave a pair alone: the lower bound.",
    ),
    "alpha 2 instead of 1": (
        frozenset({"high"}),
        "alpha says at how few turns a pair is stretched in full: the upper bound.",
    ),
    "base 100,000 instead of 10,000": (
        frozenset({"low", "high"}),
        "a larger base slows all pairs but the first: fewer of them make so many turns.",
    ),
    "mscale 0.707 instead of 1": (
        frozenset({"temperature"}),
        "mscale is the slope of the temperature; frequencies do not know it.",
    ),
}
"""What moves when YaRN's settings in DeepSeek-V3 are changed, and why; tests compute it again."""


@checker(
    "05.predict",
    takes=dict,
    hints=(
        "Ask where each setting occurs: in the turns of a pair, in a bound on turns, or in the "
        "logarithm of the temperature.",
        "turns = context / (2 pi) * base ** (-2i / width); low is where they are beta, high where "
        "they are alpha; temperature = (0.1 mscale ln factor + 1) squared.",
        "correction_range(64, 1e4, YarnConfig(...)) and softmax_factor(YarnConfig(...)) answer.",
    ),
)
def _(attempt: dict[str, Any], g: torch.Generator) -> Iterator[Claim]:
    yield from what_moves(attempt, PREDICTED, words=("low", "high", "temperature"))


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
def _(attempt: Callable[..., Any], g: torch.Generator) -> Iterator[Claim]:
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


@checker(
    "05.explain",
    takes=dict,
    hints=(
        "The fastest pair turns by one radian a token. Position interpolation divides every pace.",
        "angle = distance * pace; the pace of pair 0 is theta ** 0 = 1, after PI it is 1 / factor.",
        '"as trained": 3 * 1, "after PI": 3 * 1 / 8',
    ),
)
def _(attempt: dict[str, Any], g: torch.Generator) -> Iterator[Claim]:
    yield number_entries(attempt, "as trained", "after PI")
    trained, after = float(attempt["as trained"]), float(attempt["after PI"])
    yield Claim(
        "as trained: the angle of the whole distance",
        not close(trained, 1.0, rtol=1e-3),
        "that is the angle of one token, and the rule looks three tokens back.",
    )
    yield Claim(
        "as trained: the angle of three tokens, in radians",
        close(trained, 3.0, rtol=1e-3),
        "pair 0 turns by theta ** 0 = 1 radian a token, whatever theta is. Radians, not turns.",
    )
    yield Claim(
        "after PI: the same distance turns less",
        after < trained,
        "position interpolation divides every pace, also that of the fastest pair.",
    )
    yield Claim(
        "after PI: the angle of the same three tokens",
        close(after, 0.375, rtol=5e-3),
        "the factor is 8, and the distance is the same three tokens.",
    )
    why = "say that angle, and to which whole distances the angles belong that training did show."
    yield from explains(attempt, (0.375,), hint=why)
