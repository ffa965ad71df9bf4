"""Answers to 08.round, right and wrong: numbers rounded to eight bits."""

import torch

from minids.model.fp8_formats import E5M2, nearest


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


def round_twice(x):
    return x.clamp(-448, 448).half().to(torch.float8_e4m3fn).float()


RIGHT = [round_to_steps, round_by_type, nearest]

WRONG = [
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
    ("rounded twice", round_twice, "round once"),
    ("all zero", round_to_zero, "comes back as it is"),
]
