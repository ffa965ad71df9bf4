"""Speed of experts: a layer beside dense and loop, and training of a V3-shaped toy.

The layer's peers do the same arithmetic: a dense feed-forward with as many FLOPs a token, and the
same experts one after another. The toy's peer is Hugging Face's `DeepseekV3ForCausalLM` with the
same config and the same weights, in fp32 as it comes.
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from minids import accounting
from minids.config import ModelConfig, MoEConfig
from minids.huggingface import to_hf
from minids.model.experts import experts_loop
from minids.model.layers import SwiGLU, init_weights
from minids.model.moe import MoE
from minids.model.products import Products, fastest, products
from minids.model.transformer import Transformer
from minids.presets import preset
from minids.study.bench import Row, gemm_rate, in_turns, speed
from minids.study.bench_step import training_step
from minids.study.scale import keep_memory, threads
from minids.weights import to_hf_weights


def measure(repeats: int = 9, n_tokens: int = 4096, rows: int = 32, length: int = 128) -> list[Row]:
    """Return the layer forward and backward on `n_tokens`, and training on `rows` x `length`.

    The limit is the time that the matrix products alone would take at the measured rate. Ratios
    are in speed: 0.63 beside the dense layer says that experts take 1.6 times as long.
    """
    keep_memory()  # helps the peers as much
    torch.set_num_threads(threads())
    return [*_layer(repeats, n_tokens), *_training(repeats, rows, length)]


def config() -> ModelConfig:
    """Return the widths of the layer: 64 experts, 6 of them for a token, 128 hidden numbers each.

    A layer is built from a whole config, of which it reads no more than width and experts.
    """
    moe = MoEConfig(n_routed=64, n_shared=0, top_k=6, hidden=128)
    return replace(preset("toy-llama"), name="bench-moe", dim=512, moe=moe, init_std=0.02)


def _layer(repeats: int, n_tokens: int) -> list[Row]:
    """Rows for torch's own products and, where they are faster, for oneDNN's."""
    kinds: list[Products] = ["plain"]
    if fastest(exact=True) != "plain":
        kinds.append("onednn")
    return [row for kind in kinds for row in _layer_by(kind, repeats, n_tokens)]


def _layer_by(kind: Products, repeats: int, n_tokens: int) -> list[Row]:
    c = config()
    m = c.moe
    assert m is not None
    experts, dense = MoE(c), SwiGLU(c.dim, m.top_k * m.hidden)
    init_weights(dense, c.init_std)
    layers: dict[str, tuple[Callable[[Tensor], Tensor], nn.Module]] = {
        "grouped": (lambda x: experts(x)[0], experts),
        "dense": (dense, dense),
        "loop": (lambda x: one_by_one(experts, x), experts),
    }
    actions = {
        name: _there_and_back(layer, owner, (n_tokens, c.dim), kind)
        for name, (layer, owner) in layers.items()
    }
    seconds = in_turns(actions, repeats)
    flops = 6 * n_tokens * (3 * c.dim * m.top_k * m.hidden + c.dim * m.n_routed)
    at_best, title = flops / gemm_rate(kind), f"MoE layer, top-6 of 64, {kind}, beside"
    return [
        speed(f"{title} {words}", n_tokens, seconds["grouped"], seconds[peer], at_best)
        for peer, words in (("dense", "dense"), ("loop", "a loop"))
    ]


def one_by_one(layer: MoE, x: Tensor) -> Tensor:
    """Return what `layer` makes of `x`, its routed experts computed one after another."""
    flat = x.flatten(0, 1)
    return experts_loop(flat, layer.experts.gate_up, layer.experts.down, layer.router(flat))


def _there_and_back(
    layer: Callable[[Tensor], Tensor], owner: nn.Module, shape: tuple[int, int], kind: Products
) -> Callable[[], None]:
    """Forward and backward, to the weights of `owner` and to the input, as an action.

    Every turn has other tokens: experts then get other numbers of them, as in training.
    """
    g = torch.Generator().manual_seed(0)
    upstream = torch.randn(shape, generator=g)

    def action() -> None:
        x = torch.randn(1, *shape, generator=g).requires_grad_()
        with products(kind):
            out = layer(x)
        out.view_as(upstream).backward(upstream)
        owner.zero_grad()

    return action


def toy(context: int = 128) -> ModelConfig:
    """Return V3 in small: MLA, 4 layers of width 128, all but the first with top-4 of 16 experts.

    Without multi-token prediction, which the peer does not have.
    """
    return replace(preset("toy-v3"), mtp_depth=0, context=context)


def _training(repeats: int, n_rows: int, length: int, warm_up: int = 8) -> list[Row]:
    c = toy(length)
    g = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, c.vocab, (n_rows, length + 1), generator=g)
    kinds: dict[str, Products] = {"fp32": fastest(exact=True), "bf16": "bf16"}
    actions = {name: _our_step(c, tokens, kind) for name, kind in kinds.items()}
    peer = peer_model(c)
    if peer is not None:
        actions["peer"] = training_step(lambda x: peer(input_ids=x).logits, peer, tokens, "plain")
    for action in actions.values():  # until the sizes of the experts' groups have been met
        for _ in range(warm_up):
            action()
    seconds = in_turns(actions, repeats)
    n = n_rows * length
    flops = 6 * n * accounting.activated(c, "head only")
    return [
        speed(
            f"train V3 toy 128 wide, {name} ({kind})",
            n,
            seconds[name],
            seconds.get("peer"),
            flops / gemm_rate(kind),
        )
        for name, kind in kinds.items()
    ]


def peer_model(c: ModelConfig, seed: int = 0) -> nn.Module | None:
    """Return Hugging Face's V3 with the weights of `Transformer(c, seed=seed)`, or None."""
    try:
        from transformers import DeepseekV3Config, DeepseekV3ForCausalLM
    except ImportError:
        return None
    fields = {k: v for k, v in to_hf(c).items() if k not in ("model_type", "rope_scaling")}
    model = DeepseekV3ForCausalLM(DeepseekV3Config(**fields))
    weights = to_hf_weights(Transformer(c, seed=seed), fused_experts=True)
    model.load_state_dict(weights)
    trained: nn.Module = model.train()
    return trained


def _our_step(c: ModelConfig, tokens: Tensor, kind: Products) -> Callable[[], None]:
    model = Transformer(c)
    return training_step(lambda x: model(x).logits, model, tokens, kind)
