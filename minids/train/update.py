"""The update of the weights: AdamW, the nudge of the routers' biases, and nothing half done.

axes: e routed experts
"""

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from minids.model.balance import nudge
from minids.model.moe import MoE


def _bare(method: Callable[..., Any]) -> Callable[..., Any]:
    return getattr(method, "__wrapped__", method)


class AdamW(torch.optim.AdamW):
    """torch's AdamW without what torch wraps around it for its compiler.

    The wrappers load that compiler, a second or two in every process, only to keep it away from
    the optimizer. Nothing here is compiled; a model may be, as ever.
    """

    add_param_group = _bare(torch.optim.Optimizer.add_param_group)
    zero_grad = _bare(torch.optim.Optimizer.zero_grad)
    _step = _bare(torch.optim.AdamW.step)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update the weights by their gradients."""
        return self._step(closure)


def adamw(
    model: nn.Module,
    *,
    lr: float = 3e-3,
    weight_decay: float = 0.1,
    betas: tuple[float, float] = (0.9, 0.95),
) -> AdamW:
    """Return AdamW over the weights of `model`; decay pulls on matrices, never on gains or biases.

    The reports give a decay of 0.1 and do not say on what. Decaying matrices alone (embeddings
    and experts among them) is what Llama-like training code does: a norm's gain has no reason to
    be near 0.
    """
    weights = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in weights if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in weights if p.dim() < 2], "weight_decay": 0.0},
    ]
    fused = all(p.device.type in ("cpu", "cuda") for p in weights)
    return AdamW([group for group in groups if group["params"]], lr=lr, betas=betas, fused=fused)


def nudge_biases(model: nn.Module, loads: Sequence[Float[Tensor, " e"]], speed: float) -> None:
    """Move the correction biases once, in place, by the loads of the whole step.

    The first layers with experts are those of the main model, in the order of its routings.
    """
    layers = [module for module in model.modules() if isinstance(module, MoE)]
    for layer, share in zip(layers, loads, strict=False):
        if layer.router.bias is not None and speed:
            layer.router.bias.copy_(nudge(layer.router.bias, share, speed))


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C back until the block is done: an update happens whole or not at all."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield  # signals only ever reach the main thread, or somebody ignores them
        return
    held: list[tuple[int, FrameType | None]] = []
    signal.signal(signal.SIGINT, lambda number, frame: held.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        for interrupt in held[:1]:
            before(*interrupt)
