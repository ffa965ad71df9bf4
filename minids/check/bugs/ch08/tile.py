"""Answers to 08.tile, right and wrong: a scale for every tile."""

import torch
from torch.nn import functional as F

from minids.check.bugs.ch08.round import round_cuts_off
from minids.model.fp8_formats import encode, nearest, quantise


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


def tile_pads_a_whole_tile(x, size):
    tiles = F.pad(x, (0, size - x.shape[1] % size)).view(len(x), -1, size)
    return _shaped(tiles, tiles.abs().amax(-1).clamp(min=1e-30) / 448, x)


def tile_one_too_many(x, size):
    whole = (x.shape[1] // size + 1) * size
    tiles = F.pad(x, (0, whole - x.shape[1])).view(len(x), -1, size)
    return _shaped(tiles, tiles.abs().amax(-1).clamp(min=1e-30) / 448, x)


def tile_loop_one_too_far(x, size):
    numbers, scales = [], []
    for i in range(x.shape[1] // size + 1):
        part = x[:, i * size : (i + 1) * size]
        scale = part.abs().amax(1, keepdim=True).clamp(min=1e-30) / 448
        numbers.append(nearest(part / scale))
        scales.append(scale)
    return torch.cat(numbers, 1), torch.cat(scales, 1)


def tile_of_eight(x, size):
    return tile(x, 8)


def tile_floor_of_gradients(x, size):
    tiles = _tiles(x, size)
    return _shaped(tiles, (tiles.abs().amax(-1) / 448).clamp(min=1e-12), x)


def tile_adds_a_floor(x, size):
    tiles = _tiles(x, size)
    return _shaped(tiles, tiles.abs().amax(-1) / 448 + 1e-12, x)


def tile_of_zeros_has_scale_1(x, size):
    tiles = _tiles(x, size)
    scale = tiles.abs().amax(-1) / 448
    return _shaped(tiles, torch.where(scale == 0, 1.0, scale), x)


def tile_all_zero(x, size):
    return torch.zeros_like(x), torch.zeros(len(x), -(-x.shape[1] // size))


def tile_by_chunks(x, size):
    """As many tiles as there should be, all of about the same width."""
    parts = x.chunk(-(-x.shape[1] // size), dim=1)
    pairs = [tile(part, part.shape[1]) for part in parts]
    return tuple(torch.cat(found, 1) for found in zip(*pairs, strict=True))


def tile_shorter_at_the_left(x, size):
    numbers, scale = tile(x.flip(1), size)
    return numbers.flip(1), scale.flip(1)


RIGHT = [tile, tile_by_parts, tile_by_the_package]

WRONG = [
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
    ("a whole tile filled up", tile_pads_a_whole_tile, "filling alone"),
    ("a tile too many", tile_one_too_many, "filling alone"),
    ("a loop one tile too far", tile_loop_one_too_far, "non-zero size"),
    ("always tiles of 8", tile_of_eight, "a tile has `size` entries"),
    ("chunks of equal width", tile_by_chunks, "x.chunk makes tiles that are alike"),
    ("the short tile at the left", tile_shorter_at_the_left, "begin at the left end"),
    ("a floor of 1e-12", tile_floor_of_gradients, "as large as these gradients"),
    ("1e-12 added", tile_adds_a_floor, "is a floor, too"),
    ("zeros have scale 1", tile_of_zeros_has_scale_1, "and not 1"),
    ("all zero", tile_all_zero, "the largest magnitude over 448"),
]
