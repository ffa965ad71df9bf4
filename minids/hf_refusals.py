"""What a `config.json` asks for and this package does not build, refused by name."""

from minids.config import ConfigError, MoEConfig
from minids.hf_fields import Fields


def refuse_windows(read: Fields) -> None:
    """ConfigError if some layer sees less than everything before it."""
    model_type = read.get("model_type", None)
    window = read.get("sliding_window", None)
    if model_type == "mistral" and "sliding_window" not in read.source:
        window = 4096  # what its class takes
    kinds = read.get("layer_types", None) or ()
    read.get("max_window_layers", None)
    used = read.get("use_sliding_window", model_type != "qwen2")
    narrow = window is not None and window < read.need("max_position_embeddings")
    if any(kind != "full_attention" for kind in kinds) or (used and narrow):
        raise ConfigError(
            f"sliding_window={window}: attention is not cut to a window here. Set it to null, and "
            f"max_position_embeddings to {window} or less, where the two are the same"
        )


def refuse_quantisation(read: Fields) -> None:
    """ConfigError for weights that are stored otherwise than DeepSeek-V3's."""
    q = read.get("quantization_config", None)
    if q and (q.get("quant_method") != "fp8" or q.get("weight_block_size") != [128, 128]):
        raise ConfigError(
            f"quantization_config={q}: only FP8 in blocks of 128 x 128 can be multiplied out"
        )


def refuse_other_routers(m: MoEConfig) -> None:
    """ConfigError for a router that neither of transformers' classes computes."""
    v3 = (m.scores, m.group_score if m.n_groups > 1 else "top2") == ("sigmoid", "top2")
    v2 = (m.scores, m.group_score if m.n_groups > 1 else "max", m.normalise) == (
        "softmax", "max", False,
    )  # fmt: skip
    if not (v3 if m.biased else v2):
        raise ConfigError(
            "transformers has no class for this router: with a bias scores are sigmoids and groups "
            "scored by their best two, without one softmax, unnormalised, by their best"
        )
