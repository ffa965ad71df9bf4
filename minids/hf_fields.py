"""The fields of a `config.json`: every one is read, or known to say nothing, or refused."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from minids.config import ConfigError
from minids.fields import is_number

IGNORED = frozenset(
    "architectures attention_dropout auto_map aux_loss_alpha bos_token_id eos_token_id ep_size "
    "pad_token_id device_aux_loss_alpha dtype initializer_range initializer_range_paper "
    "pretraining_tp relative_expert_size return_dict seq_aux torch_dtype transformers_version "
    "use_cache use_mrope output_router_logits "
    "num_local_experts qk_head_dim".split()
)
"""Fields that describe training, serving or the file itself, not the shape of the model."""


def _is_size(value: object) -> bool:
    return type(value) is int and 0 <= value < 10**18


def _is_count(value: object) -> bool:
    return _is_size(value) and value != 0


def _is_above_0(value: object) -> bool:
    return is_number(value) and value > 0  # type: ignore[operator]


def _is_bool(value: object) -> bool:
    return isinstance(value, bool)


def _is_object(value: object) -> bool:
    return isinstance(value, Mapping)


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple)


_KINDS: tuple[tuple[str, Callable[[object], bool], str], ...] = (
    (
        "a whole number of at most 18 digits, 1 or more",
        _is_count,
        "hidden_size num_hidden_layers vocab_size max_position_embeddings num_attention_heads",
    ),
    (
        "a whole number of at most 18 digits, 0 or more",
        _is_size,
        "intermediate_size num_key_value_heads head_dim kv_lora_rank q_lora_rank "
        "qk_nope_head_dim qk_rope_head_dim v_head_dim first_k_dense_replace n_routed_experts "
        "n_shared_experts num_experts_per_tok moe_intermediate_size n_group topk_group "
        "num_nextn_predict_layers sliding_window",
    ),
    (
        "a number above 0",
        _is_above_0,
        "rope_theta rms_norm_eps routed_scaling_factor relative_expert_size",
    ),
    ("true or false", _is_bool, "tie_word_embeddings"),
    ("fields in curly brackets", _is_object, "rope_scaling rope_parameters quantization_config"),
    ("a list", _is_list, "layer_types"),
)
"""What is calculated with must be of its kind: Python's own errors would name no field."""

_KIND_OF = {field: (fits, words) for words, fits, names in _KINDS for field in names.split()}


class Fields:
    """A config.json being read: remembers which fields were used."""

    def __init__(self, source: Mapping[str, Any]) -> None:
        self.left = {k: v for k, v in source.items() if not k.startswith("_")}
        self.source = dict(self.left)

    def need(self, field: str) -> Any:
        """Return the value of a field that every config has; ConfigError if missing or null."""
        if self.said(field) is None:
            raise ConfigError(f"{field}=null: this is no complete config.json")
        return self.get(field, None)

    def said(self, field: str) -> Any:
        """Return the value of a field, null included; ConfigError if the file does not say it."""
        if field not in self.source:
            raise ConfigError(f"{field} is missing: this is no complete config.json")
        return self.get(field, None)

    def get(self, field: str, default: Any) -> Any:
        """Return the value of a field, or `default` if it is missing.

        ConfigError for a value of another kind than is calculated with; null is one unless it is
        the default.
        """
        self.left.pop(field, None)
        value = self.source.get(field, default)
        if field in _KIND_OF and (value is not None or default is not None):
            fits, words = _KIND_OF[field]
            if not fits(value):
                raise ConfigError(f"{field}={value!r} must be {words}")
        return value

    def expect(self, field: str, allowed: Collection[Any], why: str) -> None:
        """Refuse a field, where it is given, whose value is not among those `allowed`."""
        value = self.get(field, next(iter(allowed)))
        if value not in list(allowed):  # a list in the file has no hash
            raise ConfigError(f"{field}={value!r} is not supported: {why}")

    def refuse_the_rest(self) -> None:
        """Refuse every field that nobody has asked for; ConfigError names them all."""
        unknown = sorted(set(self.left) - IGNORED)
        if unknown:
            raise ConfigError(
                f"unknown fields: {', '.join(unknown)}. A misspelt field would change the model "
                "silently, so it is refused; rename or remove it"
            )
