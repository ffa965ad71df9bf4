"""Speed of latent attention as one layer, beside Hugging Face's `DeepseekV3Attention`.

Both have the same weights, get the same numbers and angles, and know that attention is causal. The
peer runs in fp32 as it comes. Decoding has a bench of its own (`bench_decode.py`).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from minids import accounting
from minids.config import MLAConfig, ModelConfig
from minids.huggingface import to_hf
from minids.model.cache import LatentCache
from minids.model.mla import MLA
from minids.model.products import Products, fastest, products
from minids.model.rope import Rotary
from minids.model.transformer import Transformer
from minids.study.bench import Row, gemm_rate, in_turns, speed
from minids.study.scale import keep_memory, threads
from minids.weights import to_hf_weights

WIDTHS = MLAConfig(n_heads=16, kv_rank=128, q_rank=384, nope_dim=32, rope_dim=16, value_dim=32)
"""DeepSeek-V3's attention: every width but the number of heads divided by four."""

Layer = Callable[[Tensor], Tensor]


class Peer(NamedTuple):
    """The other layer: to learn, to read a prompt, and the module that owns the weights."""

    learn: Layer
    read: Layer
    owner: nn.Module


def measure(repeats: int = 7, rows: int = 32, length: int = 128, prompt: int = 4096) -> list[Row]:
    """Return tokens per second of one layer, forward and backward, and of reading a prompt.

    It learns from `rows` x `length` tokens; the prompt is one row that fills an empty cache. The
    limit is the time that all products would take at the measured rate; of the scores only those
    count that a causal mask leaves.
    """
    keep_memory()  # helps the peer as much
    torch.set_num_threads(threads())
    kinds: dict[str, Products] = {"fp32": fastest(exact=True), "bf16": "bf16"}
    found = []
    for reads, n_rows, n in ((False, rows, length), (True, 1, prompt)):
        model = Transformer(config(n))
        layer, what = ours(model), f"prompt {n}" if reads else f"train {n_rows} x {n}"
        x = torch.randn(n_rows, n, model.c.dim, generator=torch.Generator().manual_seed(0))
        run = _reading if reads else _learning
        actions = {
            name: run(layer.read if reads else layer.learn, layer.owner, x, kind)
            for name, kind in kinds.items()
        }
        if other := peer(model):
            actions["peer"] = run(other.read if reads else other.learn, other.owner, x, "plain")
        seconds = in_turns(actions, repeats)
        work = flops(model.c, n_rows, n) * (1 if reads else 3)
        for name, kind in kinds.items():
            title = f"MLA layer, {what}, {name} ({kind})"
            at_best = work / gemm_rate(kind)
            found.append(speed(title, n_rows * n, seconds[name], seconds.get("peer"), at_best))
    return found


def config(context: int, attention: MLAConfig = WIDTHS, dim: int = 512) -> ModelConfig:
    """Return a model of one layer, whose feed-forward and vocabulary are as good as nothing."""
    return ModelConfig(
        name="bench-mla", vocab=8, dim=dim, n_layers=1, hidden=8, attention=attention,
        context=context, init_std=0.02,
    )  # fmt: skip


def flops(c: ModelConfig, rows: int, length: int) -> float:
    """Return the operations of all products of one forward pass; a causal mask spares half."""
    a = c.attention
    assert isinstance(a, MLAConfig)
    pair = a.n_heads * (a.nope_dim + a.rope_dim + a.value_dim)
    each = accounting.attention_parameters(c.dim, a) + pair * (length + 1) / 2
    return 2 * rows * length * each


def ours(model: Transformer) -> Peer:
    """Return our layer; a prompt fills a new cache."""
    layer: Any = model.layers[0].attention
    assert isinstance(layer, MLA)
    turn = Rotary(model.cos, model.sin)

    def read(x: Tensor) -> Tensor:
        return layer(x, turn, LatentCache(len(x), x.shape[1], layer.c.kv_rank, layer.c.rope_dim))

    return Peer(lambda x: layer(x, turn), read, layer)


def peer(model: Transformer) -> Peer | None:
    """Return Hugging Face's layer with the weights of `model`; None if it is not installed."""
    try:
        from transformers import DeepseekV3Config, DeepseekV3ForCausalLM, DynamicCache
    except ImportError:
        return None
    fields = {k: v for k, v in to_hf(model.c).items() if k != "model_type"}
    settings = DeepseekV3Config(**fields, rope_interleave=True)
    whole = DeepseekV3ForCausalLM(settings)
    whole.load_state_dict(to_hf_weights(model))
    layer = whole.model.layers[0].self_attn
    at = torch.arange(model.c.context)[None]
    turn = whole.model.rotary_emb(torch.zeros(1, 1, model.c.dim), at)

    def read(x: Tensor) -> Tensor:
        return layer(x, turn, None, past_key_values=DynamicCache(config=settings))[0]

    return Peer(lambda x: layer(x, turn, None)[0], read, layer)


def _learning(layer: Layer, owner: nn.Module, x: Tensor, kind: Products) -> Callable[[], None]:
    """Forward and backward, to the weights and to the input, as an action."""
    upstream = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))

    def action() -> None:
        into = x.clone().requires_grad_()
        with products(kind):
            out = layer(into)
        out.backward(upstream)
        owner.zero_grad()

    return action


def _reading(layer: Layer, _owner: nn.Module, x: Tensor, kind: Products) -> Callable[[], None]:
    """Forward alone, nothing kept for gradients, as an action."""

    def action() -> None:
        with products(kind), torch.no_grad():
            layer(x)

    return action
