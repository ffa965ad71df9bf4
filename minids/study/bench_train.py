"""Training speed of the dense toy, beside Hugging Face's Llama with the same config."""

from collections.abc import Callable, Sequence

import torch

from minids import accounting
from minids.config import ModelConfig
from minids.huggingface import to_hf
from minids.model.products import Products, fastest
from minids.model.transformer import Transformer
from minids.presets import preset, shrink
from minids.study.bench import Row, gemm_rate, in_turns, speed
from minids.study.bench_step import training_step
from minids.study.scale import keep_memory, threads


def measure(repeats: int = 9, dims: Sequence[int] = (128, 256), batch: int = 32) -> list[Row]:
    """Return training steps per second of the dense toy beside `LlamaForCausalLM`.

    The peer has the same config, optimizer, batch and loss, and runs in fp32 as it comes. The
    limit is the time that the matrix products alone would take at the measured rate.
    """
    keep_memory()  # helps the peer as much
    torch.set_num_threads(threads())
    rows = []
    for dim in dims:
        c = preset("toy-llama") if dim == 128 else _wider(dim)
        tokens = torch.randint(0, c.vocab, (batch, 129), generator=torch.Generator().manual_seed(0))
        kinds: dict[str, Products] = {"fp32": fastest(exact=True), "bf16": "bf16"}
        actions = {name: _our_step(c, tokens, kind) for name, kind in kinds.items()}
        peer = _llama_step(c, tokens)
        if peer is not None:
            actions["peer"] = peer
        seconds = in_turns(actions, repeats)
        n = tokens[:, 1:].numel()
        flops = 6 * n * accounting.activated(c, "head only")
        for name, kind in kinds.items():
            title, at_best = f"train dense {dim} wide, {name} ({kind})", flops / gemm_rate(kind)
            rows.append(speed(title, n, seconds[name], seconds.get("peer"), at_best))
    return rows


def _wider(dim: int) -> ModelConfig:
    return shrink(preset("deepseek-llm-7b"), dim=dim, n_heads=8)


def _our_step(c: ModelConfig, tokens: torch.Tensor, kind: Products) -> Callable[[], None]:
    model = Transformer(c)
    return training_step(lambda x: model(x).logits, model, tokens, kind)


def _llama_step(c: ModelConfig, tokens: torch.Tensor) -> Callable[[], None] | None:
    try:
        from transformers import LlamaConfig, LlamaForCausalLM
    except ImportError:
        return None
    fields = {k: v for k, v in to_hf(c).items() if k != "model_type"}
    model = LlamaForCausalLM(LlamaConfig(**fields))
    return training_step(lambda x: model(input_ids=x).logits, model, tokens, "plain")
