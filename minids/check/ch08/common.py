"""What more than one check of chapter 08 asks."""

from typing import Any

from torch import Tensor


def same_tensor(got: Any, want: Tensor) -> bool:
    return isinstance(got, Tensor) and got.shape == want.shape and bool((got == want).all())
