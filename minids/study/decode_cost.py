"""What writing costs, with a cache and without: operations counted, seconds measured.

Without a cache every new token reads the whole text again. With one it reads itself, and looks at
what is kept. Both write the same tokens.

Operations are counted while the model runs, by torch's own counter. It is told about the attention
kernel of the CPU, which it does not know; like `accounting` it counts every query with every key.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import torch
from torch.utils.flop_counter import FlopCounterMode

from minids.config import ModelConfig
from minids.model.cache import KVCache
from minids.model.transformer import Transformer
from minids.study.bench import in_turns

T = TypeVar("T")


@torch.no_grad()
def writing(model: Transformer, n: int, *, cached: bool, start: int = 0) -> Iterator[int]:
    """Yield `n` tokens after the token `start`, the likeliest each time."""
    text = torch.tensor([[start]], device=model.embed.weight.device)
    cache = model.new_cache(1, n) if cached else None
    for _ in range(n):
        logits = model(text[:, -1:] if cached else text, cache, last=1).logits[:, -1]
        text = torch.cat([text, logits.argmax(-1, keepdim=True)], dim=1)
        yield int(text[0, -1])


def operations(model: Transformer, lengths: Sequence[int], *, cached: bool) -> list[int]:
    """Return the floating-point operations of all products until so many tokens are written."""
    kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    with FlopCounterMode(display=False, custom_mapping={kernel: _attention_flops}) as counter:
        tokens = writing(model, max(lengths), cached=cached)
        return readings(tokens, lengths, counter.get_total_flops)


def elapsed(
    model: Transformer, lengths: Sequence[int], *, cached: bool, repeats: int = 3
) -> list[float]:
    """Return the seconds until so many tokens are written: the least of some repeats."""
    runs = []
    for _ in range(repeats):
        tokens, began = writing(model, max(lengths), cached=cached), time.perf_counter()
        ends = readings(tokens, lengths, time.perf_counter)
        runs.append([end - began for end in ends])
    return [min(times) for times in zip(*runs, strict=True)]


def readings(tokens: Iterable[int], lengths: Sequence[int], meter: Callable[[], T]) -> list[T]:
    """Return what a meter shows when so many of the tokens are written."""
    shown = {n: meter() for n, _ in enumerate(tokens, 1) if n in lengths}
    return [shown[n] for n in lengths]


def _attention_flops(
    q: torch.Size, k: torch.Size, v: torch.Size, *_: Any, out_shape: Any = None, **__: Any
) -> int:
    """Scores and mixture, 2 operations for a multiply-add, for each query head."""
    b, h, t, d = q
    return int(2 * b * h * t * k[2] * (d + v[3]))


class StepCost(NamedTuple):
    """One decode step over a full cache."""

    seconds: float  # the least of some repeats: what else ran can only make it longer
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

    return StepCost(min(in_turns({"step": step}, repeats)["step"]), kept)
