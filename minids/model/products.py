"""How matrix products are carried out: the same numbers, or bf16 ones, at the machine's best rate.

Nearly all of a training step is matrix products. On a CPU torch multiplies fp32 matrices with
MKL, which on some processors reaches less than half the rate of oneDNN, the other library that
torch carries and uses for bf16 alone. A model never chooses: it calls `linear`, and whoever runs
it wraps the run in `products(...)`, as one does with `torch.autocast`.

axes: i and o widths going in and out; `...` any leading axes
"""

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from minids.model.multiply import BF16Linear, OneDNNLinear, has_onednn

Products = Literal["plain", "onednn", "bf16"]
"""plain: as torch does it. onednn: fp32 by oneDNN (CPU). bf16: bf16 factors, sums in fp32."""


class _Current(threading.local):
    """What `products` asked for: of each thread, as torch's own contexts are."""

    def __init__(self) -> None:
        self.kind: Products = "plain"


_CURRENT = _Current()


def products(kind: str, device: torch.device | str = "cpu") -> AbstractContextManager[Any]:
    """Return a context in which the models of this package multiply as `kind` says.

    Weights, gradients and the optimizer stay fp32 whatever the kind. On a CPU `bf16` rounds the
    factors of `linear`, of large grouped products and of short causal attention, and torch's own
    `nn.Linear` does not hear of it; on other devices it is `torch.autocast`. `Products` lists the
    kinds; others are refused.
    """
    if kind not in ("plain", "onednn", "bf16"):
        raise ValueError(f"products must be 'plain', 'onednn' or 'bf16', got {kind!r}")
    device_type = torch.device(device).type
    if device_type != "cpu":
        return torch.autocast(device_type, torch.bfloat16) if kind == "bf16" else nullcontext()
    return _multiplying("plain" if kind == "onednn" and not has_onednn() else kind)  # type: ignore[arg-type]


def fastest(device: torch.device | str = "cpu", *, exact: bool = False) -> Products:
    """Return the kind of products that a quick measurement finds fastest (0.2 s, once).

    A kind must win by a fifth to replace a simpler one. `exact` leaves bf16 out. On a GPU nothing
    is measured: bf16, unless it is one from before 2020, which only imitates it.
    """
    device = torch.device(device)
    if device.type == "cuda" and torch.cuda.get_device_capability(device) < (8, 0):
        return "plain"
    if device.type != "cpu":
        return "plain" if exact else "bf16"
    seconds = _measure(torch.get_num_threads())
    best: Products = "plain"
    rivals: tuple[Products, ...] = ("onednn",) if exact else ("onednn", "bf16")
    for kind in rivals:
        if seconds[kind] < 0.8 * seconds[best]:
            best = kind
    return best


@cache
def _measure(threads: int) -> dict[Products, float]:
    """Seconds of a typical linear layer, forward and backward, for each kind of product."""
    x = torch.randn(2048, 256, requires_grad=True)
    w = torch.randn(512, 256, requires_grad=True)

    def run(kind: Products) -> float:
        start = time.perf_counter()
        with products(kind):
            y = linear(x, w)
        y.sum().backward()
        return time.perf_counter() - start

    kinds: tuple[Products, ...] = ("plain", "onednn", "bf16")
    # In turns, because load comes and goes.
    rounds = [{kind: run(kind) for kind in kinds} for _ in range(8)]
    return {kind: min(seconds[kind] for seconds in rounds[1:]) for kind in kinds}


@contextmanager
def _multiplying(kind: Products) -> Iterator[None]:
    before, _CURRENT.kind = _CURRENT.kind, kind
    try:
        yield
    finally:
        _CURRENT.kind = before


def kind_for(*tensors: Tensor) -> Products:
    """Return how to multiply these: as `products` around the call says, if all are fp32 on a CPU.

    Kinds that are not "plain" have no other formats and no other devices.
    """
    kind = _CURRENT.kind
    if kind == "plain" or all(x.is_cpu and x.dtype == torch.float32 for x in tensors):
        return kind
    return "plain"


def linear(
    x: Float[Tensor, "... i"], w: Float[Tensor, "o i"], bias: Float[Tensor, " o"] | None = None
) -> Float[Tensor, "... o"]:
    """Return x w^T + bias: what `F.linear` returns, multiplied as `products` around it says."""
    kind = kind_for(x, w)
    if kind == "plain" or x.numel() == 0:
        return F.linear(x, w, bias)
    multiply = BF16Linear if kind == "bf16" else OneDNNLinear
    y: Tensor = multiply.apply(x.reshape(-1, x.shape[-1]), w)
    y = y.view(*x.shape[:-1], len(w))
    return y if bias is None else y + bias


class Linear(nn.Linear):
    """torch's linear layer, multiplied as `products` around the call says."""

    def forward(self, input: Float[Tensor, "... i"]) -> Float[Tensor, "... o"]:
        """Return the layer's output, one vector for each of `input`."""
        return linear(input, self.weight, self.bias)
