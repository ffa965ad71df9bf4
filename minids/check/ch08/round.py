"""08.round: numbers rounded to eight bits."""

import math
from collections.abc import Iterator

import torch

from minids.check import Attempt, Claim, call, checker, shaped
from minids.check.ch08.common import same_tensor
from minids.model.fp8_formats import E4M3, nearest

VALUES = torch.tensor(
    sorted({value for code in range(256) if math.isfinite(value := E4M3.value(code))})
)


@checker(
    "08.round",
    hints=(
        "Numbers between 2^e and 2^(e+1) stand 2^(e-3) apart: find e, divide by the step, round.",
        "Clamp to -448 … 448. e = floor(log2 |x|), at least -6: below, steps do not get finer. "
        "torch.round takes ties to the even number of steps, which is what FP8 wants.",
        "step = 2.0 ** (x.abs().clamp(min=2.0**-6).log2().floor() - 3)",
    ),
)
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    x = torch.randn(5, 7, generator=g) * torch.exp(2 * torch.randn(5, 7, generator=g))
    x = x.clamp(-400, 400)
    yield shaped(attempt(x), (5, 7), like=x, what="the rounded tensor")
    yield Claim(
        "the mirror image of a number becomes the mirror image of what it became",
        same_tensor(attempt(-x), -attempt(x)),
        "the bit for the sign stays what it was: are the steps counted from the magnitude alone, "
        "and where does the sign come back?",
    )
    yield Claim(
        "what is an E4M3 number already comes back as it is",
        same_tensor(attempt(VALUES.clone()), VALUES),
        "three bits of mantissa: 8 numbers between a power of two and the next; and nothing is "
        "lost from the smallest, 2^-9, to 448.",
    )
    large = torch.tensor([449.0, 1e5, -1e30])
    yield Claim(
        "what is too large becomes 448",
        same_tensor(call(attempt, large, may_be_nan=True), torch.tensor([448.0, 448.0, -448.0])),
        "clamp to -448 … 448 first; some versions of torch make NaN of what is larger.",
    )
    low = VALUES[(VALUES >= 2.0**-6) & (VALUES < 448)]
    high = VALUES[VALUES > 2.0**-6]
    share = 0.1 + 0.3 * torch.rand(len(low), generator=g)
    for near, far in ((low, high), (high, low)):
        between = near + share * (far - near)
        got = attempt(torch.stack([between, -between]))
        yield Claim(
            "a normal number goes to the nearer of its two neighbours",
            same_tensor(got, torch.stack([near, -near])),
            "round, do not cut off; steps are an eighth of the power of two below.",
        )
    steps = torch.arange(8) + 0.1 + 0.8 * torch.rand(8, generator=g)
    yield Claim(
        "below 2^-6 numbers go to whole steps of 2^-9",
        same_tensor(attempt(steps * 2.0**-9), steps.round() * 2.0**-9),
        "subnormal numbers: the exponent stops at -6, so that steps stay 2^-9 down to 0.",
    )
    middle = torch.tensor([17.0, 19.0, 21.0, -17.0, 0.5 * 2.0**-9, 1.5 * 2.0**-9])
    even = torch.tensor([16.0, 20.0, 20.0, -16.0, 0.0, 2.0**-8])
    yield Claim(
        "a tie goes to the even neighbour",
        same_tensor(attempt(middle), even),
        "17 lies between 16 and 18: to 16, whose last bit is 0. Adding half a step and cutting off "
        "always goes up.",
    )
    beside = torch.tensor([17.001, 18.999, -17.001])
    yield Claim(
        "a number just beside a tie goes to the nearer neighbour: 17.001 to 18",
        same_tensor(attempt(beside), torch.tensor([18.0, 18.0, -18.0])),
        "round once: whoever rounds to 16 bits first makes a tie of 17.001.",
    )
    one = torch.tensor([[0.3]])
    yield Claim(
        "one number alone and a zero work too",
        same_tensor(attempt(one), nearest(one)) and same_tensor(attempt(0 * one), 0 * one),
        "no squeeze, and log2(0) is -inf: clamp before the logarithm.",
    )
