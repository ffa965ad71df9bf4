"""The field `rope_scaling` of a `config.json`, read and written."""

from collections.abc import Mapping
from typing import Any

from minids.config import ConfigError, Llama3RopeConfig, YarnConfig


def read_scaling(s: Mapping[str, Any] | None) -> YarnConfig | Llama3RopeConfig | None:
    """Return what a `rope_scaling` field asks for; ConfigError for a kind not built here."""
    if s is None:
        return None
    kind = s.get("rope_type", s.get("type"))
    if kind == "default":
        return None
    if kind == "llama3":
        return Llama3RopeConfig(
            factor=s["factor"],
            original=s["original_max_position_embeddings"],
            low_freq=s["low_freq_factor"],
            high_freq=s["high_freq_factor"],
        )
    if kind != "yarn":
        raise ConfigError(f"rope_scaling type {kind!r} is not supported: use yarn or llama3")
    if s.get("mscale", 1.0) != s.get("mscale_all_dim", 1.0):
        raise ConfigError(
            f"mscale={s.get('mscale')} differs from mscale_all_dim={s.get('mscale_all_dim')}: "
            "DeepSeek's models use one value for both"
        )
    return YarnConfig(
        factor=s["factor"],
        original=s["original_max_position_embeddings"],
        beta_fast=s.get("beta_fast", 32),
        beta_slow=s.get("beta_slow", 1),
        mscale=s.get("mscale", 1.0),
    )


def write_scaling(s: YarnConfig | Llama3RopeConfig | None) -> dict[str, Any] | None:
    """Return the field that `read_scaling` reads back unchanged."""
    if s is None:
        return None
    shared = {"factor": s.factor, "original_max_position_embeddings": s.original}
    if isinstance(s, Llama3RopeConfig):
        names = {"low_freq_factor": s.low_freq, "high_freq_factor": s.high_freq}
        return shared | names | {"rope_type": "llama3"}
    names = {"beta_fast": s.beta_fast, "beta_slow": s.beta_slow}
    return shared | names | {"mscale": s.mscale, "mscale_all_dim": s.mscale, "type": "yarn"}
