"""How matrix products are carried out: the same numbers, or bf16 ones, at the machine's best rate.

Nearly all of a training step is matrix products. On a CPU torch multiplies fp32 matrices with
MKL, which on some processors reaches less than half the rate of oneDNN, the other library that
torch carries and uses for bf16 alone. A model never chooses: it calls `nn.Linear`, and whoever
runs it wraps the run in `products(...)`, as one does with `torch.autocast`.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from minids.model.multiply import (
    BF16Attention,
    BF16Grouped,
    BF16Linear,
    OneDNNGrouped,
    OneDNNLinear,
    has_onednn,
)

Products = Literal["plain", "onednn", "bf16"]
"""plain: as torch does it. onednn: fp32 by oneDNN (CPU). bf16: bf16 factors, sums in fp32."""

SHORT = 256
"""Tokens up to which all attention scores fit in a processor's nearer memory."""


def products(kind: str, device: torch.device | str = "cpu") -> AbstractContextManager[Any]:
    """Return a context in which linear layers multiply as `kind` says.

    Weights, gradients and the optimizer stay fp32 whatever the kind. On a CPU `bf16` rounds the
    factors of linear layers and of short causal attention; on other devices it is
    `torch.autocast`. `Products` lists the kinds; others are refused.
    """
    if kind not in ("plain", "onednn", "bf16"):
        raise ValueError(f"products must be 'plain', 'onednn' or 'bf16', got {kind!r}")
    device_type = torch.device(device).type
    if device_type != "cpu":
        return torch.autocast(device_type, torch.bfloat16) if kind == "bf16" else nullcontext()
    if kind == "bf16":
        return _Multiply(BF16Linear, BF16Grouped, BF16Attention)
    if kind == "onednn" and has_onednn():
        return _Multiply(OneDNNLinear, OneDNNGrouped)
    return nullcontext()


def fastest(device: torch.device | str = "cpu", *, exact: bool = False) -> Products:
    """Return the kind of products that a quick measurement finds fastest (0.2 s, once).

    A kind must win by a tenth to replace a simpler one. `exact` leaves bf16 out.
    """
    if torch.device(device).type != "cpu":
        return "plain" if exact else "bf16"
    seconds = _measure(torch.get_num_threads())
    best: Products = "plain"
    rivals: tuple[Products, ...] = ("onednn",) if exact else ("onednn", "bf16")
    for kind in rivals:
        if seconds[kind] < 0.9 * seconds[best]:
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
            y = F.linear(x, w)
        y.sum().backward()
        return time.perf_counter() - start

    kinds: tuple[Products, ...] = ("plain", "onednn", "bf16")
    for kind in kinds:
        run(kind)
    return {kind: min(run(kind) for _ in range(7)) for kind in kinds}


class _Multiply(TorchFunctionMode):
    """Hands fp32 products on the CPU to other functions, and leaves all else alone."""

    def __init__(
        self,
        linear: type[torch.autograd.Function],
        grouped: type[torch.autograd.Function],
        attention: type[torch.autograd.Function] | None = None,
    ) -> None:
        super().__init__()
        self.linear, self.grouped, self.attention = linear, grouped, attention

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.linear and not kwargs and _fp32_on_cpu(args[:2]) and args[0].numel():
            x, w, bias = args if len(args) == 3 else (*args, None)
            y = self.linear.apply(x.reshape(-1, x.shape[-1]), w)
            y = y.view(*x.shape[:-1], len(w))
            return y if bias is None else y + bias
        if func is _GROUPED_MM and _fp32_on_cpu(args) and _worth_it(*args):
            return self.grouped.apply(args[0], args[1].mT, kwargs["offs"])
        if func is F.scaled_dot_product_attention and self.attention and _fp32_on_cpu(args[:3]):
            (q, k, v), mask = args[:3], args[3] if len(args) > 3 else kwargs.get("attn_mask")
            plain = mask is None and not kwargs.get("enable_gqa")
            if plain and kwargs.get("is_causal") and k.shape[-2] <= SHORT and q.shape == v.shape:
                return self.attention.apply(q, k, v, kwargs.get("scale") or q.shape[-1] ** -0.5)
        return func(*args, **kwargs)


_GROUPED_MM = getattr(torch, "_grouped_mm", None)  # what F.grouped_mm calls


def _worth_it(x: Tensor, w: Tensor) -> bool:
    """Whether the groups' products are large enough to pay for another way."""
    return w.ndim == 3 and 2 * len(x) * w[0].numel() >= 4e6 * len(w)


def _fp32_on_cpu(tensors: tuple[Any, ...]) -> bool:
    return all(x.dtype == torch.float32 and x.device.type == "cpu" for x in tensors)
