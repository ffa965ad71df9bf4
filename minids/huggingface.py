"""Hugging Face's `config.json`, read into our config type and written back."""

from collections.abc import Mapping
from typing import Any

from minids.config import ConfigError, GQAConfig, MLAConfig, ModelConfig
from minids.hf_experts import read_experts, write_experts
from minids.hf_fields import Fields
from minids.hf_refusals import refuse_other_routers, refuse_quantisation, refuse_windows
from minids.hf_scaling import read_rope, write_scaling

KINDS = frozenset({"llama", "mistral", "qwen2", "deepseek", "deepseek_v2", "deepseek_v3"})
"""Values of `model_type` whose models are built here; others look alike and compute otherwise."""

_REQUIRED = "hidden_size num_hidden_layers num_attention_heads vocab_size max_position_embeddings"


def from_hf(source: Mapping[str, Any], *, name: str = "model") -> ModelConfig:
    """Return the config that a Hugging Face `config.json` describes.

    Fields whose name starts with `_` are comments. A field that is unknown, missing or
    contradicts another is refused by name with a ConfigError.
    """
    read = Fields(_with_what_v3_implies(source))
    for field in _REQUIRED.split():
        read.need(field)
    read.expect("model_type", KINDS, f"known are {', '.join(sorted(KINDS))}")
    read.expect("hidden_act", {"silu"}, "only SwiGLU feed-forwards are built here")
    read.expect("moe_layer_freq", {1}, "every layer after the dense ones must have experts")
    read.expect("mlp_bias", {False}, "no model here has feed-forward biases")
    refuse_windows(read)
    refuse_quantisation(read)
    n_layers = read.need("num_hidden_layers")
    attention = _attention(read)
    moe = read_experts(read)
    theta, scaling = read_rope(read, latent=isinstance(attention, MLAConfig))
    n_dense = read.get("first_k_dense_replace", 0) if moe else 0
    if moe is None:  # a MoE model with every layer dense may still name its experts
        read.get("first_k_dense_replace", 0)
    hidden = read.get("intermediate_size", None)
    if hidden is None:
        if moe is None or n_dense:
            raise ConfigError("intermediate_size is missing, and there are dense layers to build")
        hidden = moe.hidden  # no layer uses it
    config = ModelConfig(
        name=name,
        vocab=read.need("vocab_size"),
        dim=read.need("hidden_size"),
        n_layers=n_layers,
        hidden=hidden,
        attention=attention,
        moe=moe,
        n_dense=n_dense,
        context=read.need("max_position_embeddings"),
        rope_theta=theta,
        rope_scaling=scaling,
        mtp_depth=read.get("num_nextn_predict_layers", 0),
        tied=read.get("tie_word_embeddings", False),
        norm_eps=read.get("rms_norm_eps", 1e-6),
    )
    read.refuse_the_rest()
    return config


def _with_what_v3_implies(source: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fields, and those that transformers 5 leaves out because its class implies them."""
    if source.get("model_type") == "deepseek_v3" and source.get("n_routed_experts"):
        return {"topk_method": "noaux_tc", "scoring_func": "sigmoid"} | dict(source)
    return source


def _attention(read: Fields) -> GQAConfig | MLAConfig:
    n_heads = read.need("num_attention_heads")
    model_type = read.get("model_type", None)
    if model_type == "mistral":
        read.said("num_key_value_heads")  # this class takes 8, the others one for each query head
    n_kv = read.get("num_key_value_heads", None) or n_heads
    if read.get("kv_lora_rank", None):
        read.expect("attention_bias", {False}, "latent attention has no biases here")
        read.expect("rope_interleave", {True}, "rotary rows are adjacent pairs here, not halves")
        read.get("head_dim", None)  # equals qk_rope_head_dim there, and means nothing more
        if n_kv != n_heads:
            raise ConfigError(
                f"num_key_value_heads={n_kv} contradicts kv_lora_rank: latent attention rebuilds "
                f"a key for each of num_attention_heads={n_heads}"
            )
        return MLAConfig(
            n_heads=n_heads,
            kv_rank=read.need("kv_lora_rank"),
            q_rank=read.said("q_lora_rank") or None,  # the classes take 1,536 where it is missing
            nope_dim=read.need("qk_nope_head_dim"),
            rope_dim=read.need("qk_rope_head_dim"),
            value_dim=read.need("v_head_dim"),
        )
    for field in ("q_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"):
        if read.get(field, None):
            raise ConfigError(f"{field} is set without kv_lora_rank: latent attention needs both")
    head_dim = read.get("head_dim", None)
    if head_dim is None:
        dim = read.need("hidden_size")
        if not n_heads or dim % n_heads:
            raise ConfigError(
                f"hidden_size={dim} does not split into num_attention_heads={n_heads}; "
                "state head_dim"
            )
        head_dim = dim // n_heads
    bias = bool(read.get("attention_bias", False))
    if bias:
        raise ConfigError("attention_bias=true puts a bias on the output too: not supported")
    return GQAConfig(
        n_heads=n_heads, n_kv_heads=n_kv, head_dim=head_dim, qkv_bias=model_type == "qwen2"
    )


def to_hf(config: ModelConfig) -> dict[str, Any]:
    """Return `config` as a Hugging Face `config.json`; `from_hf` reads it back unchanged.

    But for `init_std`: published files name another one there than their papers do. And for what
    changes nothing: `group_score` where there is one group, which no score chooses, and YaRN's
    `mscale` where `factor` is at most 1 and attention not latent.
    """
    c, a, m = config, config.attention, config.moe
    out: dict[str, Any] = {
        "vocab_size": c.vocab,
        "hidden_size": c.dim,
        "num_hidden_layers": c.n_layers,
        "intermediate_size": c.hidden,
        "num_attention_heads": a.n_heads,
        "max_position_embeddings": c.context,
        "rope_theta": float(c.rope_theta),
        "rope_scaling": write_scaling(c.rope_scaling, latent=isinstance(a, MLAConfig)),
        "tie_word_embeddings": c.tied,
        "rms_norm_eps": float(c.norm_eps),
        "hidden_act": "silu",
        "initializer_range": float(c.init_std),
    }
    if isinstance(a, GQAConfig):
        kind = "qwen2" if a.qkv_bias else "deepseek" if m else "llama"
        out |= {"num_key_value_heads": a.n_kv_heads, "head_dim": a.head_dim}
    else:
        kind = "deepseek_v2" if m and not m.biased else "deepseek_v3"
        out |= {
            "num_key_value_heads": a.n_heads,
            "kv_lora_rank": a.kv_rank,
            "q_lora_rank": a.q_rank,
            "qk_nope_head_dim": a.nope_dim,
            "qk_rope_head_dim": a.rope_dim,
            "v_head_dim": a.value_dim,
        }
    out["model_type"] = kind
    if c.mtp_depth:
        out["num_nextn_predict_layers"] = c.mtp_depth
    if m is None:  # transformers' DeepseekV3 has experts from layer 3 on unless told otherwise
        return out | ({} if isinstance(a, GQAConfig) else {"first_k_dense_replace": c.n_layers})
    if isinstance(a, MLAConfig):
        refuse_other_routers(m)
    elif a.qkv_bias:
        raise ConfigError("transformers has no class for experts behind queries with a bias")
    elif m.n_groups > 1 and m.group_score != ("top2" if m.biased else "max"):
        raise ConfigError(
            f"config.json has no field for group_score={m.group_score!r}: "
            "it is read as 'top2' with a bias and as 'max' without one"
        )
    return out | {"first_k_dense_replace": c.n_dense} | write_experts(m)
