"""Theta and the field `rope_scaling` of a `config.json`, read and written.

transformers 5 writes both into one field, `rope_parameters`.
"""

import math
from collections.abc import Mapping
from typing import Any

from minids.config import ConfigError, Llama3RopeConfig, YarnConfig
from minids.fields import is_number
from minids.hf_fields import Fields

_FIELDS = {
    "default": "",
    "llama3": "factor original_max_position_embeddings low_freq_factor high_freq_factor",
    "yarn": "factor original_max_position_embeddings beta_fast beta_slow mscale mscale_all_dim "
    "attention_factor",
}


def read_rope(read: Fields, *, latent: bool) -> tuple[float, YarnConfig | Llama3RopeConfig | None]:
    """Return theta, and what `read_scaling` returns, wherever the file says them.

    ConfigError if it says two different things.
    """
    thetas: dict[str, Any] = {}
    scalings: dict[str, Any] = {}
    for field in ("rope_scaling", "rope_parameters"):
        said = {k: v for k, v in (read.get(field, None) or {}).items() if v is not None}
        if "rope_theta" in said:
            thetas[f"{field}.rope_theta"] = said.pop("rope_theta")
        if "type" in said:  # the older name
            kind = said.pop("type")
            _refuse_two({"type": kind, "rope_type": said.setdefault("rope_type", kind)})
        if said:
            scalings[field] = said
    above = read.get("rope_theta", None if thetas else 10_000.0)
    if above is not None:
        thetas["rope_theta"] = above
    for name, theta in thetas.items():
        if not is_number(theta):
            raise ConfigError(f"{name}={theta!r} must be a number")
    for values in (thetas, scalings):
        _refuse_two(values)
    scaling = next(iter(scalings.values()), None)
    return float(next(iter(thetas.values()))), read_scaling(scaling, latent=latent)


def _refuse_two(values: Mapping[str, Any]) -> None:
    if any(value != next(iter(values.values())) for value in values.values()):
        said = " and ".join(f"{name}={value!r}" for name, value in values.items())
        raise ConfigError(f"{said} contradict each other: keep the right one")


def read_scaling(
    s: Mapping[str, Any] | None, *, latent: bool
) -> YarnConfig | Llama3RopeConfig | None:
    """Return what a `rope_scaling` field asks for; ConfigError for what is not built here.

    `latent`: whether it is for latent attention, where YaRN's factor means something else.
    """
    if s is None:
        return None
    kind = s.get("rope_type", s.get("type"))
    given = {k for k, v in s.items() if v is not None} - {"rope_type", "type"}
    if kind not in list(_FIELDS):
        raise ConfigError(f"rope_scaling type {kind!r} is not supported: use yarn or llama3")
    known = _FIELDS[kind].split()
    unknown = sorted(given - set(known))
    if unknown:
        raise ConfigError(
            f"rope_scaling has unknown fields: {', '.join(unknown)}. Passed over they would change "
            "the model silently; remove them if they say nothing"
        )
    if kind == "default":
        return None
    needed = known if kind == "llama3" else known[:2]  # the others may be missing
    for field in (*needed, *sorted(given)):
        if not is_number(s.get(field)):
            raise ConfigError(f"rope_scaling.{field}={s.get(field)!r} must be a number")
    if kind == "llama3":
        return Llama3RopeConfig(
            factor=s["factor"],
            original=s["original_max_position_embeddings"],
            low_freq=s["low_freq_factor"],
            high_freq=s["high_freq_factor"],
        )
    return YarnConfig(
        factor=s["factor"],
        original=s["original_max_position_embeddings"],
        beta_fast=s.get("beta_fast", 32),
        beta_slow=s.get("beta_slow", 1),
        mscale=_latent_slope(s) if latent else _slope(s),
    )


def _latent_slope(s: Mapping[str, Any]) -> float:
    """With both fields equal all scores are sharpened; otherwise the rotary part alone would be.

    Both 0 sharpen nothing in DeepSeek's own code, and in transformers the rotary part, unless
    `attention_factor` says 1.
    """
    if s.get("attention_factor") not in (None, 1):
        raise ConfigError(
            f"attention_factor={s['attention_factor']} would sharpen the rotary part of latent "
            "attention alone, which is not built here"
        )
    if s.get("mscale") == 0 and s["factor"] > 1 and s.get("attention_factor") is None:
        raise ConfigError(
            "mscale=0 means two things, in DeepSeek's code and in transformers: "
            "attention_factor=1 says that no score is sharpened"
        )
    if s.get("mscale") is None or s.get("mscale") != s.get("mscale_all_dim"):
        raise ConfigError(
            f"mscale={s.get('mscale')} and mscale_all_dim={s.get('mscale_all_dim')}: DeepSeek's "
            "models give one value for both; others sharpen the rotary part alone, which is not "
            "built here"
        )
    return float(s["mscale"])


def _slope(s: Mapping[str, Any]) -> float:
    """What transformers makes of these fields: a factor on queries and keys, 0.1 ln s + 1."""
    factor, slope = s.get("attention_factor"), s.get("mscale")
    if factor is not None:
        if s["factor"] <= 1:
            if factor != 1:
                raise ConfigError(
                    f"attention_factor={factor} without an extension (factor={s['factor']}): "
                    "scores are sharpened by the extension alone here"
                )
            return 1.0
        found = (factor - 1) / (0.1 * math.log(s["factor"]))
        return float(slope) if slope and math.isclose(slope, found, rel_tol=1e-9) else found
    if not slope or not s.get("mscale_all_dim"):
        return 1.0
    if slope != s["mscale_all_dim"]:
        raise ConfigError(f"mscale={slope} differs from mscale_all_dim={s['mscale_all_dim']}")
    return 0.0


def write_scaling(
    s: YarnConfig | Llama3RopeConfig | None, *, latent: bool
) -> dict[str, Any] | None:
    """Return the field that `read_scaling` reads back unchanged."""
    if s is None:
        return None
    shared: dict[str, Any] = {
        "factor": float(s.factor),  # as transformers asks for it
        "original_max_position_embeddings": s.original,
    }
    if isinstance(s, Llama3RopeConfig):
        names = {"low_freq_factor": float(s.low_freq), "high_freq_factor": float(s.high_freq)}
        return shared | names | {"rope_type": "llama3"}
    names = {"beta_fast": float(s.beta_fast), "beta_slow": float(s.beta_slow)}
    if latent:
        names |= {"mscale": float(s.mscale), "mscale_all_dim": float(s.mscale)}
        if not s.mscale:
            names["attention_factor"] = 1.0
    elif s.factor > 1 and s.mscale != 1.0:
        names["attention_factor"] = 0.1 * s.mscale * math.log(s.factor) + 1
        names["mscale"] = float(s.mscale)
    return shared | names | {"type": "yarn"}
