"""Right answers and planted mistakes for chapter 04; these hang in its museum."""

from minids.check.bugs.ch04.absorb import scale_without_rope
from minids.check.bugs.ch04.cache import KeysAndValues, Memory, RopeKeyForEachHead
from minids.check.bugs.ch04.museum import (
    ScaleWithoutRope,
    compress,
    forget_the_norm,
    forget_the_rope_width,
    latent_without_norm,
)

__all__ = [
    "KeysAndValues",
    "Memory",
    "RopeKeyForEachHead",
    "ScaleWithoutRope",
    "compress",
    "forget_the_norm",
    "forget_the_rope_width",
    "latent_without_norm",
    "scale_without_rope",
]
