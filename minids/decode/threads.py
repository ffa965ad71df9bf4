"""How many threads a decoding step is worth: waking a second one takes longer than a toy's step."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

SHORT = 30e6
"""Floating-point operations of a step up to which one thread is faster than two.

Measured on two cores with steps of 1.3 to 160 million: one thread wins by a fifth at the short end
and loses by as much at the long one.
"""


@contextmanager
def threads_that_pay(operations: float) -> Iterator[None]:
    """Use one thread within, if so few operations wait in each step; else leave all as it is."""
    before = torch.get_num_threads()
    if operations > SHORT or before == 1:
        yield  # setting the number anew, even to what it is, costs time and clears oneDNN's cache
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
