"""Answers to 01.rope, right and wrong: neighbouring numbers turned as pairs."""

import math

import torch


def _pairs(x, cos, sin):
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack([a * cos - b * sin, a * sin + b * cos], dim=-1).flatten(-2)


def _angles(x, positions, theta):
    d = x.shape[-1]
    return positions[:, None] * theta ** (-torch.arange(0, d, 2) / d)


def rope(x, positions, theta):
    angles = _angles(x, positions, theta)
    return _pairs(x, angles.cos(), angles.sin())


def rope_as_complex_numbers(x, positions, theta):
    angles = _angles(x, positions, theta)
    turn = torch.polar(torch.ones_like(angles), angles)
    return torch.view_as_real(torch.view_as_complex(x.unflatten(-1, (-1, 2))) * turn).flatten(-2)


def rope_by_matrices(x, positions, theta):
    angles, pairs = _angles(x, positions, theta), torch.arange(0, x.shape[-1], 2)
    turn = x.new_zeros(len(positions), x.shape[-1], x.shape[-1])
    turn[:, pairs, pairs], turn[:, pairs, pairs + 1] = angles.cos(), -angles.sin()
    turn[:, pairs + 1, pairs], turn[:, pairs + 1, pairs + 1] = angles.sin(), angles.cos()
    return torch.einsum("tij,...tj->...ti", turn, x)


def rope_number_by_number(x, positions, theta):
    out = torch.empty_like(x)
    for i in range(0, x.shape[-1], 2):
        angle = positions * theta ** (-i / x.shape[-1])
        out[..., i] = x[..., i] * angle.cos() - x[..., i + 1] * angle.sin()
        out[..., i + 1] = x[..., i] * angle.sin() + x[..., i + 1] * angle.cos()
    return out


def rope_in_halves(x, positions, theta):
    angles = _angles(x, positions, theta)
    (a, b), cos, sin = x.chunk(2, dim=-1), angles.cos(), angles.sin()
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


def rope_joined(x, positions, theta):
    angles = _angles(x, positions, theta)
    a, b, cos, sin = x[..., 0::2], x[..., 1::2], angles.cos(), angles.sin()
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


def rope_backwards(x, positions, theta):
    return rope(x, -positions, theta)


def rope_without_minus(x, positions, theta):
    angles = _angles(x, positions, theta)
    a, b = x[..., 0::2], x[..., 1::2]
    cos, sin = angles.cos(), angles.sin()
    return torch.stack([a * cos + b * sin, a * sin + b * cos], dim=-1).flatten(-2)


def rope_with_half_the_exponent(x, positions, theta):
    angles = positions[:, None] * theta ** (-torch.arange(x.shape[-1] // 2) / x.shape[-1])
    return _pairs(x, angles.cos(), angles.sin())


def rope_slowest_first(x, positions, theta):
    angles = _angles(x, positions, theta).flip(-1)
    return _pairs(x, angles.cos(), angles.sin())


def rope_with_its_own_base(x, positions, theta):
    return rope(x, positions, 10_000.0)


def rope_counting_from_zero(x, positions, theta):
    return rope(x, torch.arange(x.shape[-2]), theta)


def rope_from_the_first(x, positions, theta):
    return rope(x, positions - positions[0], theta)


def rope_of_width_8(x, positions, theta):
    angles = positions[:, None] * theta ** (-torch.arange(0, x.shape[-1], 2) / 8)
    return _pairs(x, angles.cos(), angles.sin())


def rope_into_views(x, positions, theta):
    angles, out = _angles(x, positions, theta), x.clone()
    a, b = out[..., 0::2], out[..., 1::2]
    out[..., 0::2] = a * angles.cos() - b * angles.sin()
    out[..., 1::2] = a * angles.sin() + b * angles.cos()
    return out


def rope_in_degrees(x, positions, theta):
    return rope(x, positions * math.pi / 180, theta)


def rope_one_speed(x, positions, theta):
    angles = positions[:, None].float().expand(-1, x.shape[-1] // 2)
    return _pairs(x, angles.cos(), angles.sin())


def rope_from_one(x, positions, theta):
    return rope(x, positions + 1, theta)


def rope_in_numpy(x, positions, theta):
    return torch.from_numpy(rope(x.detach(), positions, theta).numpy())


RIGHT = [rope, rope_as_complex_numbers, rope_by_matrices, rope_number_by_number]

WRONG = [
    ("positions from one", rope_from_one, "at position 0 nothing turns"),
    ("halves", rope_in_halves, "neighbours are a pair"),
    ("joined, not stacked", rope_joined, "stack and flatten, not cat"),
    ("no minus", rope_without_minus, "one minus sign"),
    ("backwards", rope_backwards, "becomes (cos p, sin p)"),
    ("positions ignored", rope_counting_from_zero, "here all are 0"),
    ("positions from the first", rope_from_the_first, "Positions are an argument"),
    ("a width of its own", rope_of_width_8, "whatever the width"),
    ("written into views", rope_into_views, "a and b are views"),
    ("degrees", rope_in_degrees, "one radian per position"),
    ("half the exponent", rope_with_half_the_exponent, "almost -1"),
    ("slowest first", rope_slowest_first, "one radian per position"),
    ("a base of its own", rope_with_its_own_base, "theta is an argument"),
    ("one speed for all", rope_one_speed, "the exponent goes"),
    ("in numpy", rope_in_numpy, "stay in torch"),
]
