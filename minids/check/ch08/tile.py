"""08.tile: a scale for every tile."""

from collections.abc import Iterator

import torch

from minids.check import Attempt, Claim, call, checker, close, shaped
from minids.check.answers import pair
from minids.check.ch08.common import same_tensor
from minids.model.fp8_formats import nearest


@checker(
    "08.tile",
    hints=(
        "Every `size` neighbours of a row share a scale: the largest of their magnitudes over 448.",
        "Fill the columns up to a multiple of size (torch.nn.functional.pad), view as (m, tiles, "
        "size), take abs().amax(-1), divide, round, view back, cut off what was filled up.",
        "scale = tiles.abs().amax(-1).clamp(min=1e-30) / 448",
    ),
)
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    x = torch.randn(3, 20, generator=g) * torch.exp(2 * torch.randn(3, 20, generator=g))
    numbers, scale = pair(attempt(x, 8))
    yield shaped(scale, (3, 3), like=x, what="the table of scales")
    yield shaped(numbers, (3, 20), like=x, what="the numbers")
    row = torch.randn(3, 12, generator=g)
    counts = {size: pair(attempt(row, size)) for size in (6, 5, 12)}
    yield Claim(
        "a row of 12 in tiles of 6 has two scales, in tiles of 5 three, in tiles of 12 one",
        all(
            getattr(scales, "shape", ()) == (3, tiles) and getattr(q, "shape", ()) == (3, 12)
            for (q, scales), tiles in zip(counts.values(), (2, 3, 1), strict=True)
        ),
        "a tile has `size` entries, and no tile is made of filling alone: `-n % size` is 0 where "
        "size divides n; `size - n % size` is size.",
    )
    near = 1e-4 * float(scale.abs().max())
    twice = pair(attempt(2 * x, 8))
    yield Claim(
        "entries twice as large have a scale twice as large",
        torch.allclose(twice[1], 2 * scale, rtol=0, atol=near),
        "a scale follows its tile: the larger the entries, the larger the scale they are divided "
        "by.",
    )
    mirrored = pair(attempt(-x, 8))
    yield Claim(
        "a tile and its mirror image share a scale",
        torch.allclose(mirrored[1], scale, rtol=0, atol=near),
        "the largest magnitude, not the largest entry: abs() first.",
    )
    spoiled = x.clone()
    spoiled[0, 0] = 1e8
    after = pair(attempt(spoiled, 8))
    yield Claim(
        "an outlier reaches no other row",
        same_tensor(after[1][1:], scale[1:]) and same_tensor(after[0][1:], numbers[1:]),
        "amax along the row alone: every token has scales of its own.",
    )
    yield Claim(
        "nor the other tiles of its row",
        same_tensor(after[1][0, 1:], scale[0, 1:]) and same_tensor(after[0][0, 8:], numbers[0, 8:]),
        "one scale for each tile, not one for the whole row.",
    )
    edges = []
    for place, tile in ((7, 0), (8, 1), (15, 1), (16, 2)):
        spoiled = x.clone()
        spoiled[1, place] = 1e8
        changed = pair(attempt(spoiled, 8))[1] != scale
        edges.append(changed.nonzero().tolist() in ([], [[1, tile]]))
    yield Claim(
        "of 20 entries in tiles of 8 the second tile is entries 8 to 15",
        all(edges),
        "tiles begin at the left end of every row and are `size` wide; only the last is shorter. "
        "x.split(size, dim=1) cuts so; x.chunk makes tiles that are alike.",
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
        same_tensor(nearest(numbers), numbers),
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
    yield Claim(
        "and their scales are the largest magnitudes over 448, too",
        close(1e12 * tiny[1] / largest, torch.full((3, 3), 1 / 448), rtol=1e-3),
        "a floor of 1e-12 is as large as these gradients are, and whatever is added to a scale "
        "is a floor, too: 1e-30 as the least magnitude will do.",
    )
    yield Claim(
        "the scale of a tile of zeros is far below any gradient",
        float(scale_0[1, 1]) < 1e-20,
        "a tile of zeros has the scale of the least magnitude, 1e-30 over 448, and not 1.",
    )
    one = torch.full((1, 1), -3.0)
    yield Claim(
        "one number alone becomes -448 times its scale",
        same_tensor(pair(attempt(one, 8))[0], torch.full((1, 1), -448.0)),
        "a tile may be shorter than `size`.",
    )
