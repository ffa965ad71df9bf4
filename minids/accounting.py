"""What a model weighs, computes and remembers, counted from its config alone.

Parameters, cache, FLOPs and money follow from the widths; nothing here is built and torch is
never imported. The counts equal the published totals (DeepSeek LLM, DeepSeekMoE, V2 and V3
reports) and, exactly, the parameters of the models in `minids.model`.

Left out everywhere: V3's correction biases (buffers, moved by a rule and not by a gradient) and
whatever is not a matrix product when FLOPs are counted (norms, softmax, RoPE, activations).
"""

from typing import Literal, NamedTuple

from minids.config import GQAConfig, MLAConfig, ModelConfig

Convention = Literal["both tables", "head only", "no table"]
Mode = Literal["train", "prefill", "decode"]


class Parameters(NamedTuple):
    """Numbers learned by gradient, by part. `mtp` stays outside the total, as in the reports."""

    embedding: int
    head: int
    attention: int
    dense: int
    routed: int
    shared: int
    router: int
    norms: int
    mtp: int

    @property
    def total(self) -> int:
        """Parameters of the main model: every part but the multi-token prediction modules."""
        return sum(self) - self.mtp


def attention_parameters(dim: int, attention: GQAConfig | MLAConfig) -> int:
    """Return the weights of one attention layer, without the norms inside MLA."""
    a = attention
    if isinstance(a, GQAConfig):
        projected = (a.n_heads + 2 * a.n_kv_heads) * a.head_dim
        return dim * projected + a.qkv_bias * projected + a.n_heads * a.head_dim * dim
    queries = a.n_heads * (a.nope_dim + a.rope_dim)
    q = dim * queries if a.q_rank is None else (dim + queries) * a.q_rank
    kv = dim * (a.kv_rank + a.rope_dim) + a.kv_rank * a.n_heads * (a.nope_dim + a.value_dim)
    return q + kv + a.n_heads * a.value_dim * dim


def swiglu_parameters(dim: int, hidden: int) -> int:
    """Return the weights of one SwiGLU feed-forward, dense or expert: three matrices."""
    return 3 * dim * hidden


def _norms_per_layer(c: ModelConfig) -> int:
    """Gains before attention and feed-forward, and on MLA's latents."""
    a = c.attention
    return 2 * c.dim + (a.kv_rank + (a.q_rank or 0) if isinstance(a, MLAConfig) else 0)


def _feed_forwards(c: ModelConfig, n_dense: int, n_moe: int) -> tuple[int, int, int, int]:
    """Weights of so many feed-forwards: dense, routed, shared, router."""
    dense = n_dense * swiglu_parameters(c.dim, c.hidden)
    if c.moe is None:
        return dense, 0, 0, 0
    expert = swiglu_parameters(c.dim, c.moe.hidden)
    return (
        dense,
        n_moe * c.moe.n_routed * expert,
        n_moe * c.moe.n_shared * expert,
        n_moe * c.moe.n_routed * c.dim,
    )


def parameters(config: ModelConfig) -> Parameters:
    """Return how many parameters every part of the model has.

    A tied model has no head of its own: `head` is 0. An MTP module is one more layer, a
    projection from twice the width, and three norms (DeepSeek-V3, section 2.2, prints two; the
    weights hold a third); it shares both vocabulary tables. V3's weighs 11.610 B; README_WEIGHTS
    says 11.5 B, which leaves the projection out.
    """
    c = config
    table = c.vocab * c.dim
    attention = attention_parameters(c.dim, c.attention)
    last = (0, 1) if c.moe else (1, 0)
    block = attention + _norms_per_layer(c) + sum(_feed_forwards(c, *last))
    dense, routed, shared, router = _feed_forwards(c, c.n_layers - c.n_moe, c.n_moe)
    return Parameters(
        embedding=table,
        head=0 if c.tied else table,
        attention=c.n_layers * attention,
        dense=dense,
        routed=routed,
        shared=shared,
        router=router,
        norms=c.n_layers * _norms_per_layer(c) + c.dim,
        mtp=c.mtp_depth * (block + 2 * c.dim * c.dim + 3 * c.dim),
    )


def activated(config: ModelConfig, convention: Convention = "head only") -> int:
    """Return the parameters that one token passes through.

    The reports never say whether the vocabulary tables count. "both tables" fits the MoE paper's
    16B and 145B models (2.8 B, 22.2 B), "head only" fits V2 and V3 (21 B, 37 B) and comes nearest
    for V2-Lite (2.45 B for 2.4 B). A tied table is counted once.
    """
    p = parameters(config)
    table = p.embedding
    tables = {"both tables": p.embedding + p.head, "head only": table, "no table": 0}
    if convention not in tables:
        raise ValueError(f"convention={convention!r} is not one of {', '.join(tables)}")
    always = p.attention + p.dense + p.shared + p.router + p.norms
    return always + _routed_active(config, p) + tables[convention]


def _routed_active(c: ModelConfig, p: Parameters) -> int:
    """Weights of the routed experts that one token meets."""
    return p.routed * c.moe.top_k // c.moe.n_routed if c.moe else 0


def cache_elements(config: ModelConfig) -> int:
    """Return the numbers kept per token, over all layers, while decoding."""
    return config.attention.cached_width * config.n_layers


def cache_bytes(config: ModelConfig, bits: float = 16) -> float:
    """Return the bytes kept per token, over all layers, at `bits` per number."""
    return cache_elements(config) * bits / 8


def mha_cache_elements(config: ModelConfig) -> int:
    """Return what plain multi-head attention with the same heads would keep per token."""
    a = config.attention
    head = a.head_dim if isinstance(a, GQAConfig) else a.value_dim
    return 2 * a.n_heads * head * config.n_layers


def flops_per_token(
    config: ModelConfig,
    context: int,
    mode: Mode = "train",
    mla: Literal["absorbed", "expanded"] = "absorbed",
) -> int:
    """Return the floating-point operations of one token that attends to `context` tokens.

    Counted: 2 per multiply-add of every matrix the token meets (the head too, the embedding
    lookup not), and the two products of attention. Training is three times a forward pass. No
    causal halving, as in DeepSeek LLM: the mean token of a causal sequence sees half of it.

    `mla` matters for "decode" only. "absorbed" works on the cached latents; "expanded" turns
    every cached latent into keys and values again, at each step.
    """
    if context < 0:
        raise ValueError(f"context={context}: a token attends to 0 or more tokens")
    if mode not in ("train", "prefill", "decode") or mla not in ("absorbed", "expanded"):
        raise ValueError(
            f"mode={mode!r} is not one of train, prefill, decode, "
            f"or mla={mla!r} neither absorbed nor expanded"
        )
    c, a, p = config, config.attention, parameters(config)
    matrices = p.attention + p.dense + p.shared + p.router + _routed_active(c, p)
    matrices += c.vocab * c.dim
    if isinstance(a, GQAConfig):
        per_key = a.n_heads * 2 * a.head_dim
        matrices -= a.qkv_bias * c.n_layers * (a.n_heads + 2 * a.n_kv_heads) * a.head_dim
    elif mode == "decode" and mla == "absorbed":
        per_key = a.n_heads * (2 * a.kv_rank + a.rope_dim)
    else:
        per_key = a.n_heads * (a.nope_dim + a.rope_dim + a.value_dim)
        if mode == "decode":
            per_key += a.n_heads * a.kv_rank * (a.nope_dim + a.value_dim)
    forward = 2 * (matrices + c.n_layers * per_key * context)
    return 3 * forward if mode == "train" else forward


def training_flops(config: ModelConfig, tokens: float, context: int = 4096) -> float:
    """Return the FLOPs of training on `tokens`, in sequences of `context` (DeepSeek's own 4096)."""
    return tokens * flops_per_token(config, context)


def training_cost(gpu_hours: float, dollars_per_hour: float = 2.0) -> float:
    """Return the rent in dollars. DeepSeek-V3's Table 1 takes 2 dollars for an H800 hour."""
    return gpu_hours * dollars_per_hour


def model_scale(n_layers: int, dim: int, context: int) -> int:
    """Return M, the training FLOPs per token without vocabulary (DeepSeek LLM, equation 2).

    M = 72 L d^2 + 12 L d l assumes MHA and a feed-forward of exactly 8/3 d; it is close to
    `flops_per_token` without the head, and not equal, because real widths are rounded up.
    """
    return 72 * n_layers * dim**2 + 12 * n_layers * dim * context


class Recipe(NamedTuple):
    """What DeepSeek LLM's fits advise for a budget (section 3)."""

    lr: float
    batch: float  # tokens per step
    scale: float  # M, training FLOPs per token
    tokens: float  # D; scale x tokens = budget


def scaling_laws(budget: float) -> Recipe:
    """Return the best learning rate, batch, model scale and data for `budget` FLOPs.

    Fitted by DeepSeek LLM on 1e17 to 2e19 FLOPs (learning rate, batch) and 1e17 to 3e20 (size).
    """
    if budget <= 0:
        raise ValueError(f"budget={budget}: give a positive number of FLOPs, such as 1e20")
    return Recipe(
        lr=0.3118 * budget**-0.1250,
        batch=0.2920 * budget**0.3271,
        scale=0.1715 * budget**0.5243,
        tokens=5.8316 * budget**0.4757,
    )
