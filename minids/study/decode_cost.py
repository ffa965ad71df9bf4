"""What writing costs, with a cache and without: operations counted, seconds measured.

Without a cache every new token reads the whole text again. With one it reads itself, and looks at
what is kept. Both write the same tokens.

Operations are counted while the model runs, by torch's own counter. It is told about the attention
kernel of the CPU, which it does not know; like `accounting` it counts every query with every key.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from minids.config import ModelConfig
from minids.model.cache import KVCache
from minids.model.transformer import Transformer


@torch.no_grad()
def write(model: Transformer, n: int, *, cached: bool, start: int = 0) -> Int[Tensor, " n"]:
    """Return `n` tokens after the token `start`, the likeliest each time."""
    text = torch.tensor([[start]], device=model.embed.weight.device)
    cache = model.new_cache(1, n) if cached else None
    for _ in range(n):
        logits = model(text[:, -1:] if cached else text, cache, last=1).logits[:, -1]
        text = torch.cat([text, logits.argmax(-1, keepdim=True)], dim=1)
    return text[0, 1:]


def operations(action: Callable[[], Any]) -> int:
    """Return the floating-point operations of all matrix products while `action` runs."""
    kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    with FlopCounterMode(display=False, custom_mapping={kernel: _attention_flops}) as counter:
        action()
    return int(counter.get_total_flops())


def _attention_flops(
    q: torch.Size, k: torch.Size, v: torch.Size, *_: Any, out_shape: Any = None, **__: Any
) -> int:
    """Scores and mixture, 2 operations for a multiply-add, for each query head."""
    b, h, t, d = q
    return int(2 * b * h * t * k[2] * (d + v[3]))


def seconds(action: Callable[[], Any], repeats: int = 3) -> float:
    """Return the shortest time that `action` took: what else ran can only make it longer."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        action()
        times.append(time.perf_counter() - began)
    return min(times)


class StepCost(NamedTuple):
    """One decode step over a full cache."""

    seconds: float
    cache_bytes: int  # as the tensors lie there, before the step


@torch.no_grad()
def one_step(
    config: ModelConfig, context: int, *, batch: int, repeats: int = 25, device: str = "cpu"
) -> StepCost:
    """Return what one more token for each of `batch` texts costs, after `context` tokens.

    The cache is filled with random numbers: what they are changes neither time nor size.
    """
    model = Transformer(config).to(device)
    cache = model.new_cache(batch, context + 1)
    for layer in cache.layers:
        if not isinstance(layer, KVCache):
            raise TypeError("one_step fills a cache of keys and values: give a GQAConfig")
        shape = (batch, layer.keys.shape[1], context, layer.keys.shape[3])
        layer.append(*torch.randn(2, *shape, device=device, dtype=layer.keys.dtype))
    kept = cache.nbytes
    token = torch.zeros(batch, 1, dtype=torch.long, device=device)

    def step() -> None:
        cache.rewind(context)
        float(model(token, cache, last=1).logits[0, 0, 0])  # waits for a GPU

    step()
    return StepCost(seconds(step, repeats), kept)
