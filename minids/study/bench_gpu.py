"""Speed on a GPU: training V3-shaped models of a billion parameters.

Decoding behind long texts is bench_gpu_decode.py's matter, writing for GRPO bench_gpu_write.py's;
`measure` has their rows, too. Sizes are arguments, so that the same functions run on a CPU in the
tests. They follow the memory that is free: see `fitting`.

Left out: several GPUs, FP8, activation checkpointing.
"""

import gc
import statistics
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from minids.accounting import flops_per_token
from minids.config import ModelConfig
from minids.huggingface import to_hf
from minids.model.products import fastest
from minids.model.transformer import Transformer
from minids.presets import preset, shrink
from minids.study.bench import Row, in_turns, speed
from minids.study.bench_gpu_decode import decoding, settled
from minids.study.bench_gpu_write import writing
from minids.study.bench_step import training_step
from minids.study.device_memory import free, usage, within

Step = Callable[[], None]
Compiler = Callable[[nn.Module], Any]


class Size(NamedTuple):
    """A model with the structure of DeepSeek-V3: about 1B parameters, by default."""

    layers: int = 18
    dim: int = 2048
    n_heads: int = 16
    vocab: int = 32_768
    context: int = 4096


def require() -> torch.device:
    """Return the device that is measured. ValueError where there is none."""
    if not torch.cuda.is_available():
        raise ValueError("the bench 'gpu' needs a CUDA device, and torch sees none here")
    return torch.device("cuda")


def measure(repeats: int = 5) -> list[Row]:
    """Return all rows: training dense and with experts, decoding, writing for GRPO."""
    device = require()
    rows: list[Row] = []
    for c in (v3(Size()), v3(Size(layers=12), experts=16)):
        rows += training(c, device, repeats=repeats, compiler=torch.compile)
        torch.compiler.reset()  # it would keep the model
        gc.collect()
        torch.cuda.empty_cache()
    rows += decoding(v3(Size(context=32_769)), device, repeats=repeats)
    return [*rows, writing(device, repeats=repeats)]


def v3(size: Size, experts: int = 0) -> ModelConfig:
    """Return DeepSeek-V3 at a size, with so many routed experts, or dense; without MTP."""
    base = preset("deepseek-v3")
    small = shrink(
        base, dim=size.dim, n_heads=size.n_heads, n_layers=size.layers, n_routed=max(experts, 2),
        vocab=size.vocab, context=size.context,
    )  # fmt: skip
    small = replace(small, mtp_depth=0)
    if experts:
        return replace(small, name=f"{experts} experts")
    return replace(small, name="dense", moe=None, n_dense=0)


def training(
    c: ModelConfig,
    device: torch.device,
    *,
    batch: int = 16,
    repeats: int = 5,
    size: int = 8192,
    compiler: Compiler | None = None,
) -> list[Row]:
    """Return tokens per second of training steps in bf16, beside Hugging Face's class.

    A `compiler` is tried, and its step taken where it is faster; the row's name says so. The batch
    is halved until it fits. The limit is the share of the time that all operations would take at
    the measured rate of one large product, `size` wide.
    """
    rate = gemm_rate(device, size)
    model = made(lambda: Transformer(c, seed=None), device)
    rows = fitting(lambda n: step_of(model, c, n, device), batch, device)
    steps = {"eager": step_of(model, c, rows, device)}
    if compiler is not None and (quick := compiled(compiler, model, c, rows, device)):
        steps["compiled"] = quick
    other = beside(lambda: peer(c, device), c, rows, device)
    if other is not None:
        steps["peer"] = other
    seconds = in_turns({name: settled(s, device) for name, s in steps.items()}, repeats)
    middle = {name: statistics.median(taken) for name, taken in seconds.items()}
    ours = min((name for name in steps if name != "peer"), key=lambda name: middle[name])
    n, name = rows * c.context, f"train {c.name}, {rows} x {c.context}, bf16, {ours}"
    at_best = flops_per_token(c, c.context // 2) * n / rate
    return [speed(name, n, seconds[ours], seconds.get("peer"), at_best)]


def made(build: Callable[[], Any], device: torch.device) -> Any:
    """Return what `build` makes, made on the device: drawing a billion weights on a CPU is slow."""
    with device:
        return build()


def step_of(model: Any, c: ModelConfig, rows: int, device: torch.device) -> Step:
    """Return a training step of ours on random tokens."""
    tokens = random_tokens(c, rows, device)
    return training_step(lambda x: model(x).logits, model, tokens, fastest(device))


def random_tokens(c: ModelConfig, rows: int, device: torch.device) -> Tensor:
    """Return rows one token longer than the context: the last is only a target."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, c.vocab, (rows, c.context + 1), generator=generator).to(device)


def fitting(step_of: Callable[[int], Step], batch: int, device: torch.device) -> int:
    """Return the batch, halved until it fits into the memory that is free.

    What a row takes is measured with one row, in the second step, when the optimizer has its
    moments. Half of what is free is left to the peer. On a CPU nothing is halved.
    """
    step = settled(step_of(1), device)
    step()
    before = usage(device)
    step()
    after = usage(device)
    if before is None or after is None:
        return batch
    return within([batch], max(1, after.peak - before.held), free(device), share=0.5)[0]


def compiled(
    compiler: Compiler, model: Any, c: ModelConfig, rows: int, device: torch.device
) -> Step | None:
    """Return the step through a compiler, or None where that fails: then the eager one is left."""
    try:
        step = step_of(compiler(model), c, rows, device)
        step()
    except Exception as error:  # whatever a compiler raises, the eager step is measured
        words = f"compiling failed, and the eager step is measured: {type(error).__name__}"
        print(words, file=sys.stderr)  # rows of JSON go to the other stream
        return None
    return step


def beside(
    build: Callable[[], Any], c: ModelConfig, rows: int, device: torch.device
) -> Step | None:
    """Return the peer's step; None where it is not installed, or does not fit beside ours."""
    try:
        model = build()
        if model is None:
            return None
        tokens, kind = random_tokens(c, rows, device), fastest(device)
        step = training_step(lambda x: model(input_ids=x).logits, model, tokens, kind)
        step()
    except torch.OutOfMemoryError:
        return None
    return step


def peer(c: ModelConfig, device: torch.device) -> Any:
    """Return `DeepseekV3ForCausalLM` of this config, as it comes; None if it is not installed."""
    try:
        from transformers import DeepseekV3Config, DeepseekV3ForCausalLM
    except ImportError:
        return None
    fields = {k: v for k, v in to_hf(c).items() if k not in ("model_type", "rope_scaling")}
    dense = {} if c.moe else {"first_k_dense_replace": c.n_layers}
    settings = DeepseekV3Config(**fields | dense, use_cache=False)
    return made(lambda: DeepseekV3ForCausalLM(settings).train(), device)


def gemm_rate(device: torch.device, size: int = 8192) -> float:
    """Return the FLOPs per second of one large square bf16 product, the best of ten."""
    x, w = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    seconds = in_turns({"gemm": settled(lambda: x @ w, device)}, 10)["gemm"]
    return 2 * size**3 / min(seconds)
