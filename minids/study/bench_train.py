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
from minids.train.compiled import compiled, no_compiler


def measure(
    repeats: int = 9, dims: Sequence[int] = (128, 256), batch: int = 32, compiling: bool = True
) -> list[Row]:
    """Return training steps per second of the dense toy beside `LlamaForCausalLM`.

    The peer has the same config, optimizer, batch and loss, and runs in fp32 as it comes. The
    limit is the time that the matrix products alone would take at the measured rate. With
    `compiling`, where there is a compiler, both are measured through it, too.
    """
    ways = (False, True) if compiling and no_compiler("cpu") is None else (False,)
    keep_memory()  # helps the peer as much
    torch.set_num_threads(threads())
    rows = []
    for dim in dims:
        c = preset("toy-llama") if dim == 128 else _wider(dim)
        tokens = torch.randint(0, c.vocab, (batch, 129), generator=torch.Generator().manual_seed(0))
        kinds: dict[str, Products] = {"fp32": fastest(exact=True), "bf16": "bf16"}
        actions = {}
        for way in ways:
            for name, kind in kinds.items():
                actions[name, way] = _our_step(c, tokens, kind, way)
            if peer := _llama_step(c, tokens, way):
                actions["peer", way] = peer
        seconds = in_turns(actions, repeats)
        n = tokens[:, 1:].numel()
        flops = 6 * n * accounting.activated(c, "head only")
        at_best = {name: flops / gemm_rate(kind) for name, kind in kinds.items()}
        for way in ways:
            for name, kind in kinds.items():
                title = f"train dense {dim} wide, {name} " + ("compiled" if way else f"({kind})")
                took, theirs = seconds[name, way], seconds.get(("peer", way))
                rows.append(speed(title, n, took, theirs, at_best[name]))
    return rows


def _wider(dim: int) -> ModelConfig:
    return shrink(preset("deepseek-llm-7b"), dim=dim, n_heads=8)


def _our_step(
    c: ModelConfig, tokens: torch.Tensor, kind: Products, is_compiled: bool
) -> Callable[[], None]:
    model = Transformer(c)
    learner = compiled(model) if is_compiled else model
    return training_step(lambda x: learner(x).logits, model, tokens, kind)


def _llama_step(
    c: ModelConfig, tokens: torch.Tensor, is_compiled: bool
) -> Callable[[], None] | None:
    try:
        from transformers import LlamaConfig, LlamaForCausalLM
    except ImportError:
        return None
    fields = {k: v for k, v in to_hf(c).items() if k != "model_type"}
    model = LlamaForCausalLM(LlamaConfig(**fields))
    learner = compiled(model) if is_compiled else model
    return training_step(lambda x: learner(input_ids=x).logits, model, tokens, "plain")
