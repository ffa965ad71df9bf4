"""The published models by name, and toys with their structure.

The shapes come from `data/configs/*.json`, one file a model, each with its own `_source`.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

from minids.config import ConfigError, GQAConfig, MLAConfig, ModelConfig
from minids.huggingface import from_hf

_HERE = Path(__file__).parent
DATA = next((p for p in (_HERE / "data", _HERE.parent / "data") if p.is_dir()), _HERE / "data")
"""The folder of published configs, tables and vocabularies that ships with the package."""

_FILES = {
    "deepseek-llm-7b": "deepseek-llm-7b-base",
    "deepseek-llm-67b": "deepseek-llm-67b-chat",
    "deepseek-moe-2b": "deepseek-moe-2b-validation",
    "deepseek-moe-16b": "deepseek-moe-16b-chat",
    "deepseek-moe-145b": "deepseek-moe-145b-ongoing",
    "deepseek-v2-lite": "deepseek-v2-lite",
    "deepseek-v2": "deepseek-v2",
    "deepseek-v3": "deepseek-v3",
    "deepseek-r1": "deepseek-r1",
    "r1-distill-qwen-1.5b": "deepseek-r1-distill-qwen-1.5b",
    "r1-distill-qwen-7b": "deepseek-r1-distill-qwen-7b",
    "r1-distill-llama-8b": "deepseek-r1-distill-llama-8b",
}


@cache
def preset(name: str) -> ModelConfig:
    """Return the config of a published model or of a toy; `PRESETS` lists the names."""
    if name in _TOYS:
        return _TOYS[name]()
    if name not in _FILES:
        raise ConfigError(f"there is no preset {name!r}; there are: {', '.join(PRESETS)}")
    path = DATA / "configs" / f"{_FILES[name]}.json"
    if not path.exists():
        raise FileNotFoundError(
            f"{path} is missing: run from a checkout of the course, or install it again"
        )
    return from_hf(json.loads(path.read_text(encoding="utf-8")), name=name)


def shrink(
    config: ModelConfig,
    *,
    dim: int,
    n_heads: int = 8,
    n_layers: int = 4,
    n_routed: int = 16,
    vocab: int = 1024,
    context: int = 512,
) -> ModelConfig:
    """Return a toy with the structure of `config`: same kinds of layers, same ratios of widths.

    Kept: queries per key head, latent and rotary widths per head width, feed-forward width over
    `dim`, shared experts, groups, scores, bias, MTP depth. Not kept: the number of routed experts
    above `n_routed`, and the context extension, which real models add after pre-training.
    """
    head = _multiple(dim / n_heads, of=4)
    a = config.attention
    attention: GQAConfig | MLAConfig
    if isinstance(a, GQAConfig):
        whole = [n for n in range(1, n_heads + 1) if n_heads % n == 0]
        kv = min(whole, key=lambda n: abs(n_heads / n - a.n_heads / a.n_kv_heads))
        attention = replace(a, n_heads=n_heads, n_kv_heads=kv, head_dim=head)
    else:
        per_head = head / a.value_dim
        attention = MLAConfig(
            n_heads=n_heads,
            kv_rank=_multiple(a.kv_rank * per_head),
            q_rank=None if a.q_rank is None else _multiple(a.q_rank * per_head),
            nope_dim=_multiple(a.nope_dim * per_head),
            rope_dim=_multiple(a.rope_dim * per_head, of=2),
            value_dim=head,
        )
    moe = config.moe
    if moe is not None:
        experts = min(n_routed, moe.n_routed)
        most = min(moe.n_groups, max(1, experts // 2))
        groups = next(g for g in range(most, 0, -1) if experts % g == 0)
        moe = replace(
            moe,
            n_routed=experts,
            top_k=min(moe.top_k, experts, max(2, round(moe.top_k * experts / moe.n_routed))),
            hidden=_multiple(moe.hidden * dim / config.dim, of=8),
            n_groups=groups,
            kept_groups=max(1, groups * moe.kept_groups // moe.n_groups),
        )
    return replace(
        config,
        name=f"{config.name}-toy",
        vocab=vocab,
        dim=dim,
        n_layers=n_layers,
        hidden=_multiple(config.hidden * dim / config.dim, of=8),
        attention=attention,
        moe=moe,
        n_dense=min(config.n_dense, max(0, n_layers - 1), 1) if moe else 0,
        context=context,
        rope_scaling=None,
        init_std=0.02,  # 0.006 suits widths in the thousands
    )


def _multiple(x: float, of: int = 1) -> int:
    """The multiple of `of` nearest to `x`, at least `of`."""
    return max(of, round(x / of) * of)


def _toy_llama() -> ModelConfig:
    return replace(shrink(preset("deepseek-llm-7b"), dim=128, n_heads=4), name="toy-llama")


def _toy_v3() -> ModelConfig:
    toy = shrink(preset("deepseek-v3"), dim=128, n_heads=4)
    attention = MLAConfig(
        n_heads=4, kv_rank=32, q_rank=None, nope_dim=32, rope_dim=16, value_dim=32
    )
    assert toy.moe is not None
    moe = replace(toy.moe, top_k=4, hidden=64, n_groups=4, kept_groups=2)
    return replace(toy, name="toy-v3", attention=attention, moe=moe)


_TOYS: dict[str, Callable[[], ModelConfig]] = {"toy-llama": _toy_llama, "toy-v3": _toy_v3}

PRESETS: tuple[str, ...] = (*_FILES, *_TOYS)
"""Names that `preset` knows: the published models in order of release, then the toys."""
