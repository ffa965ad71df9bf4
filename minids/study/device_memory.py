"""How much memory a device has left, what was used at most, and sizes that follow it.

A GPU that is asked for more than it has ends a run with an error. So sizes are chosen by
arithmetic, before anything is made: `within` halves what does not fit.

Left out: memory of the CPU, where a system swaps or refuses by rules of its own: there nothing is
made smaller.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch


class Usage(NamedTuple):
    """Bytes on a device: held by tensors now, at most since the last question, free, and all."""

    held: int
    peak: int
    free: int
    total: int


def free(device: torch.device | str) -> float:
    """Return the bytes that new tensors on `device` can have; infinite where nothing is limited.

    What torch keeps of deleted tensors counts as free: it is given out again. On an Apple GPU it
    is what the system recommends, less what is taken.
    """
    kind = torch.device(device).type
    if kind == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return float(torch.cuda.mem_get_info(device)[0] + kept)
    if kind == "mps":
        return float(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    return math.inf


def usage(device: torch.device | str) -> Usage | None:
    """Return what is used on a CUDA device, and begin a new peak; None for other devices."""
    if torch.device(device).type != "cuda":
        return None
    total = torch.cuda.mem_get_info(device)[1]
    held, peak = torch.cuda.memory_allocated(device), torch.cuda.max_memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    return Usage(held, peak, int(free(device)), total)


def within(
    sizes: Sequence[int], bytes_each: float, available: float, *, share: float = 0.8
) -> tuple[int, ...]:
    """Return `sizes`, all halved as often as the largest needs to fit: their ratios stay.

    A size is a batch, or tokens of context; `bytes_each` is what one row, or one token, takes at
    its worst moment. No more than `share` of the `available` bytes is used: the rest is for what
    was not counted. ValueError, with both numbers, where halving would make a size less than 1.
    """
    if not sizes or min(sizes) < 1 or bytes_each <= 0:
        raise ValueError(
            f"sizes begin at 1 and take some bytes each; got {list(sizes)}, {bytes_each}"
        )
    divisor = 1
    while max(sizes) // divisor * bytes_each > share * available:
        divisor *= 2
        if min(sizes) < divisor:
            raise ValueError(
                f"{max(sizes) * bytes_each / 1e9:.3g} GB are needed and {available / 1e9:.3g} GB "
                f"are free: {list(sizes)} cannot be halved often enough. Close other programs "
                "that use this device, or take a smaller scale"
            )
    return tuple(size // divisor for size in sizes)
