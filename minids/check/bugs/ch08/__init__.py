"""Right answers and planted mistakes for chapter 08; these hang in its museum."""

from minids.check.bugs.ch08.tile import tile, tile_cut_off, tile_of_the_mean, tile_without_scale

__all__ = ["tile", "tile_cut_off", "tile_of_the_mean", "tile_without_scale"]
