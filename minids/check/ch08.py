"""Checks of chapter 08: rounding to eight bits, scales, long sums, and the products of a layer."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from minids import accounting
from minids.check import Claim, call, checker, close, shaped
from minids.check.answers import explains, is_whole, number_entries, numbers_for, pair
from minids.check.sizes import draw
from minids.model.fp8_formats import E4M3, nearest, through_fp8
from minids.presets import preset

VALUES = torch.tensor(
    sorted({value for code in range(256) if math.isfinite(value := E4M3.value(code))})
)


def _same(got: Any, want: Tensor) -> bool:
    return isinstance(got, Tensor) and got.shape == want.shape and bool((got == want).all())


@checker(
    "08.round",
    hints=(
        "Numbers between 2^e and 2^(e+1) stand 2^(e-3) apart: find e, divide by the step, round.",
        "Clamp to -448 … 448. e = floor(log2 |x|), at least -6: below, steps do not get finer. "
        "torch.round takes ties to the even number of steps, which is what FP8 wants.",
        "step = 2.0 ** (x.abs().clamp(min=2.0**-6).log2().floor() - 3)",
    ),
)
def _(attempt: Callable[..., Any], g: torch.Generator) -> Iterator[Claim]:
    x = torch.randn(5, 7, generator=g) * torch.exp(2 * torch.randn(5, 7, generator=g))
    x = x.clamp(-400, 400)
    yield shaped(attempt(x), (5, 7), like=x, what="the rounded tensor")
    yield Claim(
        "the mirror image of a number becomes the mirror image of what it became",
        _same(attempt(-x), -attempt(x)),
        "the bit for the sign stays what it was: are the steps counted from the magnitude alone, "
        "and where does the sign come back?",
    )
    yield Claim(
        "what is an E4M3 number already comes back as it is",
        _same(attempt(VALUES), VALUES),
        "three bits of mantissa: 8 numbers between a power of two and the next; and nothing is "
        "lost from the smallest, 2^-9, to 448.",
    )
    large = torch.tensor([449.0, 1e5, -1e30])
    yield Claim(
        "what is too large becomes 448",
        _same(call(attempt, large, may_be_nan=True), torch.tensor([448.0, 448.0, -448.0])),
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
            _same(got, torch.stack([near, -near])),
            "round, do not cut off; steps are an eighth of the power of two below.",
        )
    steps = torch.arange(8) + 0.1 + 0.8 * torch.rand(8, generator=g)
    yield Claim(
        "below 2^-6 numbers go to whole steps of 2^-9",
        _same(attempt(steps * 2.0**-9), steps.round() * 2.0**-9),
        "subnormal numbers: the exponent stops at -6, so that steps stay 2^-9 down to 0.",
    )
    middle = torch.tensor([17.0, 19.0, 21.0, -17.0, 0.5 * 2.0**-9, 1.5 * 2.0**-9])
    even = torch.tensor([16.0, 20.0, 20.0, -16.0, 0.0, 2.0**-8])
    yield Claim(
        "a tie goes to the even neighbour",
        _same(attempt(middle), even),
        "17 lies between 16 and 18: to 16, whose last bit is 0. Adding half a step and cutting off "
        "always goes up.",
    )
    one = torch.tensor([[0.3]])
    yield Claim(
        "one number alone and a zero work too",
        _same(attempt(one), nearest(one)) and _same(attempt(0 * one), 0 * one),
        "no squeeze, and log2(0) is -inf: clamp before the logarithm.",
    )


@checker(
    "08.tile",
    hints=(
        "Every `size` neighbours of a row share a scale: the largest of their magnitudes over 448.",
        "Fill the columns up to a multiple of size (torch.nn.functional.pad), view as (m, tiles, "
        "size), take abs().amax(-1), divide, round, view back, cut off what was filled up.",
        "scale = tiles.abs().amax(-1).clamp(min=1e-30) / 448",
    ),
)
def _(attempt: Callable[..., Any], g: torch.Generator) -> Iterator[Claim]:
    x = torch.randn(3, 20, generator=g) * torch.exp(2 * torch.randn(3, 20, generator=g))
    numbers, scale = pair(attempt(x, 8))
    yield shaped(scale, (3, 3), like=x, what="the table of scales")
    yield shaped(numbers, (3, 20), like=x, what="the numbers")
    twice = pair(attempt(2 * x, 8))
    yield Claim(
        "entries twice as large have a scale twice as large",
        close(twice[1], 2 * scale),
        "a scale follows its tile: the larger the entries, the larger the scale they are divided "
        "by.",
    )
    mirrored = pair(attempt(-x, 8))
    yield Claim(
        "a tile and its mirror image share a scale",
        close(mirrored[1], scale),
        "the largest magnitude, not the largest entry: abs() first.",
    )
    spoiled = x.clone()
    spoiled[0, 0] = 1e8
    after = pair(attempt(spoiled, 8))
    yield Claim(
        "an outlier reaches no other row",
        _same(after[1][1:], scale[1:]) and _same(after[0][1:], numbers[1:]),
        "amax along the row alone: every token has scales of its own.",
    )
    yield Claim(
        "nor the other tiles of its row",
        _same(after[1][0, 1:], scale[0, 1:]) and _same(after[0][0, 8:], numbers[0, 8:]),
        "one scale for each tile, not one for the whole row.",
    )
    largest = torch.stack([part.abs().amax(1) for part in x.split(8, dim=1)], dim=1)
    yield Claim(
        "a scale brings the largest magnitude of its tile to 448",
        close(scale / largest, torch.full((3, 3), 1 / 448)),
        "the largest magnitude over 448: with the mean the largest entries would not fit.",
    )
    spread = scale.repeat_interleave(8, 1)[:, :20]
    level = x / x.abs().max()
    small, its = pair(attempt(level, 8))
    yield Claim(
        "a number times its scale is the entry again, nearly",
        close(small * its.repeat_interleave(8, 1)[:, :20], level, rtol=0.2),
        "the numbers are entries divided by the scale of their own tile: whoever reads them "
        "multiplies.",
    )
    yield Claim(
        "the numbers are E4M3 numbers",
        _same(nearest(numbers), numbers),
        "after dividing, round to E4M3: until then nothing fits into eight bits.",
    )
    yield Claim(
        "each is the nearest to its entry over the scale",
        close(numbers, nearest(x / spread), rtol=2e-7),
        "divide first, then round to the nearest: do not cut off.",
    )
    some = x.clone()
    some[1, 8:16] = 0
    found = call(attempt, some, 8, may_be_nan=True)
    numbers_0, scale_0 = pair(found)
    yield Claim(
        "a tile of zeros stays zero",
        bool((numbers_0[1, 8:16] == 0).all()) and bool((scale_0 > 0).all()),
        "0 / 0 is NaN: keep the scale above zero with clamp(min=1e-30).",
    )
    tiny = pair(attempt(1e-12 * x, 8))
    yield Claim(
        "gradients of 1e-12 keep their digits",
        close(1e12 * tiny[1].repeat_interleave(8, 1)[:, :20] * tiny[0], x, rtol=0.07),
        "the floor of a scale must lie far below what gradients can be: 1e-30, not 1e-4.",
    )
    one = torch.full((1, 1), -3.0)
    yield Claim(
        "one number alone becomes -448 times its scale",
        _same(pair(attempt(one, 8))[0], torch.full((1, 1), -448.0)),
        "a tile may be shorter than `size`.",
    )


def _mark(x: Tensor, block: tuple[int, int]) -> Tensor:
    """A rounding that leaves a mark of the axes along which a block lies.

    A matrix and its transpose, each in tiles along the same axis, have the same mark: the axes of
    the exercise are known by their lengths.
    """
    along = sum(math.log2(side) * n for side, n in zip(block, x.shape, strict=True))
    return x * (1 + 1e-3 * along)


@checker(
    "08.products",
    hints=(
        "Three products, six factors, each through q. Which axis is summed over decides the tile.",
        "y sums over inputs: x in (1, 128), w in (128, 128). dx sums over outputs: g in (1, 128), "
        "the same w. dw sums over tokens: g and the kept x in (128, 1).",
        "dw = q(g, (128, 1)).T @ q(x8, (128, 1)), with x8 = q(x, (1, 128))",
    ),
)
def _(attempt: Callable[..., Any], g: torch.Generator) -> Iterator[Claim]:
    x, w, up = (torch.randn(*s, generator=g) for s in ((11, 5), (7, 5), (11, 7)))
    tile, column, square = (1, 128), (128, 1), (128, 128)
    out = attempt(x, w, up, _mark)
    y, dx, dw = out if isinstance(out, tuple | list) and len(out) == 3 else (out, out, out)
    yield shaped(y, (11, 7), like=x, what="the output")
    yield shaped(dx, (11, 5), like=x, what="the gradient of x")
    yield shaped(dw, (7, 5), like=x, what="the gradient of w")
    plain = attempt(x, w, up, lambda m, block: m)
    yield Claim(
        "without rounding these are the output and the gradients of a linear layer",
        close(plain[0], x @ w.T) and close(plain[1], up @ w) and close(plain[2], up.T @ x),
        "y = x wᵀ, dx = g w, dw = gᵀ x.",
    )
    x8, w8 = _mark(x, tile), _mark(w, square)
    yield Claim(
        "the output is made of x in tiles and w in blocks",
        close(y, x8 @ w8.T, rtol=1e-5),
        "x in (1, 128): 128 channels of a token share a scale; w in (128, 128).",
    )
    yield Claim(
        "the gradient of x is made of g in tiles and the same w",
        close(dx, _mark(up, tile) @ w8, rtol=1e-5),
        "g in (1, 128), along the outputs, which are summed over; w as in the output.",
    )
    yield Claim(
        "the gradient of w is made of g and the kept x in tiles along the tokens",
        close(dw, _mark(up, column).T @ _mark(x8, column), rtol=1e-5),
        "tokens are summed over here, so both tiles turn to (128, 1); of x only the rounded copy "
        "was kept, and it is rounded again.",
    )
    small = [m[:1] for m in (x, w, up)]
    got = attempt(small[0], small[1], small[2][:, :1], _mark)
    yield Claim(
        "one token and one output work too",
        tuple(got[0].shape) == (1, 1) and tuple(got[2].shape) == (1, 5),
        "no squeeze: a matrix of one row stays a matrix.",
    )


_PREDICT = ("bytes to one expert", "dispatch saves", "both ways save", "weights, GB")


@checker(
    "08.predict",
    takes=dict,
    hints=(
        "One byte a number instead of two, and four bytes for each scale.",
        "7168 + 4 x 7168 / 128 bytes to one expert. In bf16: 2 x 7168, there and back the same. "
        "Weights: 669.07e9 in FP8 with a scale for each 16,384, 1.96e9 in bf16.",
        '"both ways save": 1 - (7392 + 14336) / (2 * 14336)',
    ),
)
def _(attempt: dict[str, Any], g: torch.Generator) -> Iterator[Claim]:
    c = preset("deepseek-v3")
    p = accounting.parameters(c)
    small, large = c.dim + 4 * c.dim // 128, 2 * c.dim
    in_fp8 = p.attention + p.dense + p.routed + p.shared
    yield numbers_for(attempt, _PREDICT, write="write numbers, without units.")
    yield Claim(
        "a token in FP8, with its scales",
        attempt["bytes to one expert"] == small,
        "a byte for each of 7168 numbers, and 4 bytes for each of 56 scales.",
    )
    yield Claim(
        "what is saved is a share",
        all(0 < attempt[name] < 1 for name in ("dispatch saves", "both ways save")),
        "a share of what bf16 sends: 0.4, not 40.",
    )
    yield Claim(
        "the share that is saved on the way there",
        close(float(attempt["dispatch saves"]), 1 - small / large, rtol=0.01),
        "compare with 2 bytes a number; scales cost a little, so it is less than half.",
    )
    yield Claim(
        "the share that is saved of both ways",
        close(float(attempt["both ways save"]), 1 - (small + large) / (2 * large), rtol=0.01),
        "results come back in bf16: only one of two ways gets shorter.",
    )
    yield Claim(
        "the weights, with their scales",
        close(
            float(attempt["weights, GB"]),
            (in_fp8 * (1 + 4 / 128**2) + 2 * (p.total - in_fp8)) / 1e9,
            rtol=2e-4,
        ),
        "one byte for 669.07e9 of them, two for the 1.96e9 that stay in bf16, and 4 bytes for each "
        "block of 128 x 128; a GB is 1e9 bytes. Write two decimals: the scales are 0.16 GB.",
    )


def _damage(rounding: Callable[[Tensor], Tensor], size: float) -> float:
    """The error of all entries but the outlier; the same matrix as the exercise's."""
    x = torch.randn(16, 256, generator=torch.Generator().manual_seed(0))
    x[3, 5] = size
    rest = torch.ones_like(x, dtype=torch.bool)
    rest[3, 5] = False
    return float((rounding(x) - x)[rest].norm() / x[rest].norm())


def _breaks(rounding: Callable[[Tensor], Tensor]) -> int | None:
    sizes = (2**i for i in range(21))
    return next((size for size in sizes if _damage(rounding, size) > 0.1), None)


def _breaks_at_the_end(x: Tensor) -> Tensor:
    return 0 * x if float(x.abs().max()) >= 2**20 else 1 * x


@checker(
    "08.measure",
    hints=(
        "Try 1, 2, 4, … and stop at the first outlier that does harm.",
        "damage(rounding, size) is given. Twenty-one sizes, from 2**0 to 2**20; None if none of "
        "them takes damage above 0.1.",
        "for size in (2**i for i in range(21)): ...",
    ),
)
def _(attempt: Callable[..., Any], g: torch.Generator) -> Iterator[Claim]:
    bits = draw(g, 5, 11)

    def whole(x: Tensor) -> Tensor:
        step = x.abs().max() / 2 ** (bits - 1)
        return (x / step).round() * step

    def one_scale(x: Tensor) -> Tensor:
        return through_fp8(x, None)

    found = call(attempt, whole, may_be_none=True)
    yield Claim(
        "the answer for whole numbers of a few bits is a power of two",
        is_whole(found) and found & (found - 1) == 0,
        "return the size itself, an int such as 64, not its exponent.",
    )
    yield Claim(
        "it is the first size whose damage is above 0.1",
        found == _breaks(whole),
        "the smallest power of two that does more than 0.1 damage; the one before does less.",
    )
    yield Claim(
        "E4M3 with one scale holds out thousands of times longer",
        call(attempt, one_scale, may_be_none=True) == _breaks(one_scale),
        "measure what you are given, up to 2**20: floating-point numbers have a long reach.",
    )
    yield Claim(
        "a rounding that nothing breaks gives None",
        call(attempt, lambda x: 1.01 * x, may_be_none=True) is None,
        "after 2**20 return None.",
    )
    yield Claim(
        "a rounding that breaks at 2**20 alone gives 2**20",
        call(attempt, _breaks_at_the_end, may_be_none=True) == 2**20,
        "the last size counts, too: range(20) ends with 19.",
    )
    yield Claim(
        "a rounding that is broken from the start gives 1",
        call(attempt, lambda x: 0 * x, may_be_none=True) == 1,
        "start at 2**0.",
    )


@checker(
    "08.explain",
    takes=dict,
    hints=(
        "Errors of both signs cancel in a sum, the more the longer it is. Errors of one sign do "
        "not.",
        "typical(128, exact=True) / typical(4096, exact=True) says how much rounding shrinks; "
        "typical(4096) / typical(128) how much cutting grows.",
        '"rounding shrinks by": about the root of 4096 / 128',
    ),
)
def _(attempt: dict[str, Any], g: torch.Generator) -> Iterator[Claim]:
    yield number_entries(attempt, "rounding shrinks by", "sums grow by")
    shrinks, grows = attempt["rounding shrinks by"], attempt["sums grow by"]
    yield Claim(
        "both ratios are above 1",
        shrinks > 1 and grows > 1,
        "how many times smaller, how many times larger: both ratios are above 1.",
    )
    yield Claim(
        "rounding of the factors averages out",
        shrinks > 2,
        "errors of both signs cancel: compare the short sums with the long ones, both exact.",
    )
    yield Claim(
        "and it does so like a root",
        4.5 < shrinks < 7.0,
        "32 times as many terms: a sum of independent errors grows by the root of 32, the sum "
        "itself by 32.",
    )
    yield Claim(
        "cutting off the sums does not average out",
        60 < grows < 250,
        "measure with exact=False and positive numbers: the ratio is above 60.",
    )
    yield from explains(
        attempt,
        (shrinks, round(shrinks, 1), 32**0.5),
        (grows, float(round(grows))),
        says="it says how many times both errors change",
        hint="say what has both signs and what has one, with both numbers of your own.",
    )
