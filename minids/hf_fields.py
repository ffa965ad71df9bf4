"""The fields of a `config.json`: every one is read, or known to say nothing, or refused."""

from collections.abc import Collection, Mapping
from typing import Any

from minids.config import ConfigError

IGNORED = frozenset(
    "architectures attention_dropout auto_map aux_loss_alpha bos_token_id eos_token_id ep_size "
    "pad_token_id device_aux_loss_alpha dtype initializer_range initializer_range_paper "
    "pretraining_tp relative_expert_size return_dict seq_aux torch_dtype transformers_version "
    "use_cache use_mrope output_router_logits "
    "num_local_experts qk_head_dim".split()
)
"""Fields that describe training, serving or the file itself, not the shape of the model."""


class Fields:
    """A config.json being read: remembers which fields were used."""

    def __init__(self, source: Mapping[str, Any]) -> None:
        self.left = {k: v for k, v in source.items() if not k.startswith("_")}
        self.source = dict(self.left)

    def need(self, field: str) -> Any:
        """Return the value of a field that every config has; ConfigError if it is missing."""
        if field not in self.source:
            raise ConfigError(f"{field} is missing: this is no complete config.json")
        return self.get(field, None)

    def get(self, field: str, default: Any) -> Any:
        """Return the value of a field, or `default` if it is missing."""
        self.left.pop(field, None)
        return self.source.get(field, default)

    def expect(self, field: str, allowed: Collection[Any], why: str) -> None:
        """Refuse a field, where it is given, whose value is not among those `allowed`."""
        value = self.get(field, next(iter(allowed)))
        if value not in allowed:
            raise ConfigError(f"{field}={value!r} is not supported: {why}")

    def refuse_the_rest(self) -> None:
        """Refuse every field that nobody has asked for; ConfigError names them all."""
        unknown = sorted(set(self.left) - IGNORED)
        if unknown:
            raise ConfigError(
                f"unknown fields: {', '.join(unknown)}. A misspelt field would change the model "
                "silently, so it is refused; rename or remove it"
            )
