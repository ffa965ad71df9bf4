"""Decoding behind long texts on a GPU: latent attention, absorbed, against what memory can copy.

A step reads every weight and the whole cache once, and little else takes time. Its kernels are
started by one CUDA graph, where there is CUDA: one after another they take longer to start than to
run. Attention is torch's own function, and two plain products beside it, since the fused kernels
do not take heads as wide as a latent.
"""

import sys
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from minids.accounting import cache_bytes, mha_cache_elements
from minids.config import ModelConfig
from minids.model import attention
from minids.model.cache import Cache
from minids.model.transformer import Transformer
from minids.study.bench import Row, in_turns, speed
from minids.study.bench_decode import bytes_read, latents
from minids.study.device_memory import free, within

Step = Callable[[], Any]


@torch.inference_mode()
def decoding(
    c: ModelConfig,
    device: torch.device,
    *,
    batch: int = 64,
    repeats: int = 5,
    megabytes: int = 4096,
) -> list[Row]:
    """Return tokens per second of a decode step that fills the context, attention in both ways.

    Weights and cache are bf16. The batch is halved until the cache fits. The limit is the share of
    the time that copying as many bytes would take. The last row is arithmetic: bytes of the cache,
    and as its peer what multi-head attention with as many heads would have to keep.
    """
    before, past = free(device), c.context - 1
    rows = within([batch], c.context * cache_bytes(c), before)[0]
    with device:
        model = Transformer(c, seed=None).to(torch.bfloat16).eval()
    cache = filled(model, rows, past)
    token = torch.zeros(rows, 1, dtype=torch.long, device=device)

    def step() -> Tensor:
        logits = model(token, cache, last=1).logits
        cache.rewind(past)
        return logits

    ways = {"torch's attention": with_few(step, 0), "two products": with_few(step, 2**60)}
    steps = {name: settled(graphed(way, device), device) for name, way in ways.items()}
    seconds = in_turns(steps, repeats)
    at_best = bytes_read(model, cache) / copy_bandwidth(device, megabytes)
    found = [
        speed(f"MLA decode {rows} x {past}, {n}", rows, s, None, at_best)
        for n, s in seconds.items()
    ]
    return [*found, _without_latents(c, rows, before)]


def _without_latents(c: ModelConfig, rows: int, available: float) -> Row:
    """The cache in bf16, beside that of MHA: by arithmetic."""
    tokens = rows * c.context
    mha, ours = tokens * mha_cache_elements(c) * 2, tokens * cache_bytes(c)
    fits = "fits" if mha < available else "does not fit"
    name = f"cache of {rows} x {c.context}; MHA's, the peer, {fits}"
    return Row(name, ours / 1e9, mha / 1e9, "GB", None, None, 0.0)


def filled(model: Transformer, rows: int, past: int) -> Cache:
    """Return a cache of `past` tokens with room for one more, of random numbers, beside `model`."""
    cache = model.new_cache(rows, past + 1)
    for layer in latents(cache):
        layer.kept.normal_()
        layer.length = past
    return cache


def with_few(step: Step, few: int) -> Step:
    """Return the step with so many queries at most as two products; on a CPU none ever are."""

    def run() -> Any:
        with patch.object(attention, "FEW_QUERIES", few):
            return step()

    return run


def graphed(step: Step, device: torch.device) -> Step:
    """Return the step as one CUDA graph; on a CPU, or where it cannot be captured, as it is."""
    if device.type != "cuda":
        return step
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        step()
        step()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph):
            step()
    except RuntimeError as error:
        words = f"no CUDA graph, and its kernels are started one by one: {error}"
        print(words, file=sys.stderr)  # rows of JSON go to the other stream
        return step
    return graph.replay


def copy_bandwidth(device: torch.device, megabytes: int = 4096) -> float:
    """Return the bytes per second that copying reads and writes together, the best of ten."""
    megabytes = within([megabytes], 2 * 2**20, free(device))[0]
    source = torch.zeros(megabytes * 2**18, device=device)
    target = torch.empty_like(source)
    seconds = in_turns({"copy": settled(lambda: target.copy_(source), device)}, 10)["copy"]
    return 2 * source.nbytes / min(seconds)


def settled(action: Step, device: torch.device) -> Callable[[], None]:
    """Return the action, which ends when the device is done."""

    def run() -> None:
        action()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return run
