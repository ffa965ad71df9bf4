"""Right answers and planted mistakes for chapter 08. Three of them hang in its bug museum."""

import torch
from torch.nn import functional as F

from minids.model.fp8_formats import E5M2, encode, nearest, quantise

# 08.round


def round_to_steps(x):
    x = x.clamp(-448, 448)
    step = 2.0 ** (x.abs().clamp(min=2.0**-6).log2().floor() - 3)
    return (x / step).round() * step


def round_by_type(x):
    return (
        torch.where(x > 448, 448.0, torch.where(x < -448, -448.0, x))
        .to(torch.float8_e4m3fn)
        .float()
    )


def round_without_clamp(x):
    return torch.where(x.abs() > 464, torch.nan, round_to_steps(x))


def round_beyond_the_largest(x):
    step = 2.0 ** (x.abs().clamp(min=2.0**-6).log2().floor() - 3)
    return (x / step).round() * step


def round_cuts_off(x):
    x = x.clamp(-448, 448)
    step = 2.0 ** (x.abs().clamp(min=2.0**-6).log2().floor() - 3)
    return (x / step).trunc() * step


def round_ties_away(x):
    x = x.clamp(-448, 448)
    step = 2.0 ** (x.abs().clamp(min=2.0**-6).log2().floor() - 3)
    return (x.abs() / step + 0.5).floor() * step * x.sign()


def round_without_subnormals(x):
    out = round_to_steps(x)
    return torch.where(x.abs() < 2.0**-6, 0.0, out)


def round_finer_below(x):
    x = x.clamp(-448, 448)
    step = 2.0 ** (x.abs().clamp(min=1e-30).log2().floor() - 3)
    return (x / step).round() * step


def round_e5m2(x):
    return nearest(x, E5M2).clamp(-448, 448)


def round_whole(x):
    return x.clamp(-448, 448).round()


def round_nothing(x):
    return x.clamp(-448, 448).clone()


def round_loses_the_sign(x):
    return round_to_steps(x).abs()


def round_to_zero(x):
    return torch.zeros_like(x)


# 08.tile


def _tiles(x, size):
    return F.pad(x, (0, -x.shape[1] % size)).view(len(x), -1, size)


def _shaped(tiles, scale, x):
    numbers = nearest(tiles / scale[..., None])
    return numbers.flatten(1)[:, : x.shape[1]], scale


def tile(x, size):
    tiles = _tiles(x, size)
    return _shaped(tiles, tiles.abs().amax(-1).clamp(min=1e-30) / 448, x)


def tile_by_parts(x, size):
    numbers, scales = [], []
    for part in x.split(size, dim=1):
        scale = part.abs().amax(1, keepdim=True).clamp(min=1e-30) / 448
        numbers.append(encode(part / scale).float())
        scales.append(scale)
    return torch.cat(numbers, 1), torch.cat(scales, 1)


def tile_by_the_package(x, size):
    q = quantise(x, (1, size))
    return q.numbers.float(), q.scale


def tile_one_scale(x, size):
    tiles = _tiles(x, size)
    scale = tiles.abs().amax().clamp(min=1e-30) / 448
    return _shaped(tiles, scale.expand(tiles.shape[:2]).clone(), x)


def tile_one_scale_a_row(x, size):
    tiles = _tiles(x, size)
    scale = tiles.abs().amax((1, 2)).clamp(min=1e-30) / 448
    return _shaped(tiles, scale[:, None].repeat(1, tiles.shape[1]), x)


def tile_along_the_tokens(x, size):
    tiles = _tiles(x, size)
    scale = tiles.abs().amax((0, 2)).clamp(min=1e-30) / 448
    return _shaped(tiles, scale[None].repeat(len(x), 1), x)


def tile_of_the_mean(x, size):
    tiles = _tiles(x, size)
    return _shaped(tiles, tiles.abs().mean(-1).clamp(min=1e-30) / 448, x)


def tile_without_abs(x, size):
    tiles = _tiles(x, size)
    return _shaped(tiles, tiles.amax(-1).clamp(min=1e-30) / 448, x)


def tile_upside_down(x, size):
    numbers, scale = tile(x, size)
    return numbers, 1 / scale


def tile_without_scale(x, size):
    numbers, scale = tile(x, size)
    return nearest(x), torch.ones_like(scale)


def tile_not_rounded(x, size):
    _, scale = tile(x, size)
    return x / scale.repeat_interleave(size, 1)[:, : x.shape[1]], scale


def tile_cut_off(x, size):
    _, scale = tile(x, size)
    return round_cuts_off(x / scale.repeat_interleave(size, 1)[:, : x.shape[1]]), scale


def tile_multiplied_back(x, size):
    numbers, scale = tile(x, size)
    return numbers * scale.repeat_interleave(size, 1)[:, : x.shape[1]], scale


def tile_of_zeros_is_nan(x, size):
    tiles = _tiles(x, size)
    return _shaped(tiles, tiles.abs().amax(-1) / 448, x)


def tile_high_floor(x, size):
    tiles = _tiles(x, size)
    return _shaped(tiles, tiles.abs().amax(-1).clamp(min=1e-4) / 448, x)


# 08.products

ROW, COLUMN, SQUARE = (1, 128), (128, 1), (128, 128)


def products(x, w, g, q):
    x8, w8 = q(x, ROW), q(w, SQUARE)
    y, dx = x8 @ w8.T, q(g, ROW) @ w8
    return y, dx, q(g, COLUMN).T @ q(x8, COLUMN)


def products_by_einsum(x, w, g, q):
    x8, w8 = q(x, ROW), q(w, SQUARE)
    y = torch.einsum("ti,oi->to", x8, w8)
    dx = torch.einsum("to,oi->ti", q(g, ROW), w8)
    return y, dx, torch.einsum("to,ti->oi", q(g, COLUMN), q(x8, COLUMN))


def products_turned_before(x, w, g, q):
    """The same tiles along the tokens: of a transposed matrix they are rows."""
    x8, w8 = q(x, ROW), q(w, SQUARE)
    dw = q(g.T.contiguous(), ROW) @ q(x8.T.contiguous(), ROW).T
    return x8 @ q(w.T, SQUARE), q(g, ROW) @ w8, dw


def products_turned_twice(x, w, g, q):
    y, dx, _ = products(x, w, g, q)
    return y, dx, q(g.T, COLUMN) @ q(q(x, ROW).T, COLUMN).T


def products_not_rounded(x, w, g, q):
    return x @ w.T, g @ w, g.T @ x


def products_forward_alone(x, w, g, q):
    return products(x, w, g, q)[0], g @ w, g.T @ x


def products_weights_in_rows(x, w, g, q):
    x8, w8 = q(x, ROW), q(w, ROW)
    return x8 @ w8.T, q(g, ROW) @ w8, q(g, COLUMN).T @ q(x8, COLUMN)


def products_same_tiles(x, w, g, q):
    y, dx, _ = products(x, w, g, q)
    return y, dx, q(g, ROW).T @ q(x, ROW)


def products_exact_x(x, w, g, q):
    y, dx, _ = products(x, w, g, q)
    return y, dx, q(g, COLUMN).T @ q(x, COLUMN)


def products_g_in_columns(x, w, g, q):
    y, _, dw = products(x, w, g, q)
    return y, q(g, COLUMN) @ q(w, SQUARE), dw


def products_transposed(x, w, g, q):
    y, dx, dw = products(x, w, g, q)
    return y, dx, dw.T


def products_flipped(x, w, g, q):
    y, dx, dw = products(x, w, g, q)
    return y, -dx, dw


def products_swapped(x, w, g, q):
    y, dx, dw = products(x, w, g, q)
    return y, dw, dx


def products_squeezed(x, w, g, q):
    return tuple(m.squeeze() for m in products(x, w, g, q))


def products_all_zero(x, w, g, q):
    return tuple(0 * m for m in products(x, w, g, q))


# 08.predict

NUMBERS = {
    "bytes to one expert": 7392,
    "dispatch saves": 0.484,
    "both ways save": 0.242,
    "weights, GB": 673.15,
}
COMPUTED = {
    "bytes to one expert": 7168 + 56 * 4,
    "dispatch saves": 1 - 7392 / 14336,
    "both ways save": 1 - (7392 + 14336) / 28672,
    "weights, GB": 669.07 * (1 + 4 / 128**2) + 2 * 1.96,
}

# 08.measure


def damage(rounding, size):
    x = torch.randn(16, 256, generator=torch.Generator().manual_seed(0))
    x[3, 5] = size
    rest = torch.ones_like(x, dtype=torch.bool)
    rest[3, 5] = False
    return float((rounding(x) - x)[rest].norm() / x[rest].norm())


def breaks(rounding):
    for size in (2**i for i in range(21)):
        if damage(rounding, size) > 0.1:
            return size
    return None


def breaks_by_list(rounding):
    harmful = [2**i for i in range(21) if damage(rounding, 2**i) > 0.1]
    return min(harmful, default=None)


def breaks_exponent(rounding):
    found = breaks(rounding)
    return None if found is None else found.bit_length() + 10_000


def breaks_last_good(rounding):
    found = breaks(rounding)
    return None if found is None else max(1, found // 2)


def breaks_at_a_tenth_more(rounding):
    return next((2**i for i in range(21) if damage(rounding, 2**i) > 0.3), None)


def breaks_early_end(rounding):
    return next((2**i for i in range(11) if damage(rounding, 2**i) > 0.1), None)


def breaks_one_size_too_few(rounding):
    return next((2**i for i in range(20) if damage(rounding, 2**i) > 0.1), None)


def breaks_always(rounding):
    found = breaks(rounding)
    return 2**20 if found is None else found


def breaks_from_two(rounding):
    return next((2**i for i in range(1, 21) if damage(rounding, 2**i) > 0.1), None)


def breaks_never(rounding):
    return None


# 08.explain

REASON = (
    "Rounding errors have both signs and average out, 5.7 times over 32 times as many terms; what "
    "is cut off a growing sum always has the same sign, and the error grows 127 times."
)
EXPLAINED = {"rounding shrinks by": 5.7, "sums grow by": 127.0, "because": REASON}
NO_NUMBERS = EXPLAINED | {"because": "One error has one sign, the other both, so one averages out."}
EXPLAINED_AGAIN = {
    "rounding shrinks by": 32**0.5,
    "sums grow by": 120,
    "because": "Independent errors of both signs grow by the root of 32 while the sum grows by 32, "
    "so 5.66 times less is left; cut-off parts all pull down: 120 times more.",
}


RIGHT = {
    "08.round": [round_to_steps, round_by_type, nearest],
    "08.tile": [tile, tile_by_parts, tile_by_the_package],
    "08.products": [products, products_by_einsum, products_turned_before],
    "08.predict": [NUMBERS, COMPUTED],
    "08.measure": [breaks, breaks_by_list],
    "08.explain": [EXPLAINED, EXPLAINED_AGAIN],
}

WRONG = {
    "08.round": [
        ("no clamp", round_without_clamp, "make NaN of what is larger"),
        ("numbers beyond 448", round_beyond_the_largest, "clamp to -448"),
        ("cut off", round_cuts_off, "do not cut off"),
        ("ties away from zero", round_ties_away, "always goes up"),
        ("small numbers flushed", round_without_subnormals, "nothing is lost from the smallest"),
        ("steps finer below", round_finer_below, "steps stay 2^-9"),
        ("two bits of mantissa", round_e5m2, "three bits of mantissa"),
        ("whole numbers", round_whole, "three bits of mantissa"),
        ("identity", round_nothing, "nearer of its two neighbours"),
        ("sign lost", round_loses_the_sign, "where does the sign come back"),
        ("all zero", round_to_zero, "comes back as it is"),
    ],
    "08.tile": [
        ("one scale for all", tile_one_scale, "every token has scales of its own"),
        ("one scale a row", tile_one_scale_a_row, "not one for the whole row"),
        ("wrong axis", tile_along_the_tokens, "amax along the row alone"),
        ("the mean", tile_of_the_mean, "would not fit"),
        ("signed largest", tile_without_abs, "abs() first"),
        ("scale upside down", tile_upside_down, "the larger the scale"),
        ("no scale", tile_without_scale, "a scale follows its tile"),
        ("not rounded", tile_not_rounded, "after dividing, round to E4M3"),
        ("cut off", tile_cut_off, "do not cut off"),
        ("multiplied back", tile_multiplied_back, "divided by the scale"),
        ("zeros give NaN", tile_of_zeros_is_nan, "keep the scale above zero"),
        ("a floor of 1e-4", tile_high_floor, "not 1e-4"),
    ],
    "08.products": [
        ("nothing rounded", products_not_rounded, "x in tiles and w in blocks"),
        ("forward alone", products_forward_alone, "g in tiles and the same w"),
        ("weights in rows", products_weights_in_rows, "w in (128, 128)"),
        ("tiles not turned", products_same_tiles, "both tiles turn"),
        ("tiles turned twice", products_turned_twice, "both tiles turn"),
        ("x from before", products_exact_x, "only the rounded copy"),
        ("g in columns", products_g_in_columns, "along the outputs"),
        ("transposed", products_transposed, "gradient of w has the right shape"),
        ("flipped sign", products_flipped, "dx = g w"),
        ("gradients swapped", products_swapped, "gradient of x has the right shape"),
        ("squeezed", products_squeezed, "no squeeze"),
        ("all zero", products_all_zero, "y = x w"),
    ],
    "08.predict": [
        ("scales forgotten", NUMBERS | {"bytes to one expert": 7168}, "56 scales"),
        ("bf16", NUMBERS | {"bytes to one expert": 14_336}, "a byte for each"),
        ("half", NUMBERS | {"dispatch saves": 0.5}, "less than half"),
        ("per cent", NUMBERS | {"dispatch saves": 48.4}, "not 40"),
        ("both ways FP8", NUMBERS | {"both ways save": 0.484}, "only one of two ways"),
        ("all in FP8", NUMBERS | {"weights, GB": 671.03}, "stay in bf16"),
        ("weights without scales", NUMBERS | {"weights, GB": 672.99}, "4 bytes for each"),
        ("an answer left out", {"weights, GB": 673.15}, "the keys are"),
    ],
    "08.measure": [
        ("exponent, not size", breaks_exponent, "not its exponent"),
        ("the last good size", breaks_last_good, "the smallest power of two"),
        ("another limit", breaks_at_a_tenth_more, "more than 0.1 damage"),
        ("an early end", breaks_early_end, "up to 2**20"),
        ("one size too few", breaks_one_size_too_few, "ends with 19"),
        ("never None", breaks_always, "return None"),
        ("starts at two", breaks_from_two, "start at 2**0"),
        ("always None", breaks_never, "an int such as 64"),
    ],
    "08.explain": [
        ("no root", EXPLAINED | {"rounding shrinks by": 32.0}, "the root of 32"),
        ("upside down", EXPLAINED | {"sums grow by": 0.0079}, "both ratios are above 1"),
        ("sums of both signs", EXPLAINED | {"sums grow by": 10.9}, "positive numbers"),
        ("no numbers", NO_NUMBERS, "both numbers of your own"),
        ("no words", EXPLAINED | {"because": "5.7 and 127"}, "write a sentence"),
        ("an entry left out", {"because": REASON}, "three entries"),
        ("no shrinking", EXPLAINED | {"rounding shrinks by": 1.5}, "errors of both signs cancel"),
    ],
}  # fmt: skip
