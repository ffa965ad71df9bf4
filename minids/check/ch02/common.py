"""Models for more than one check of chapter 02."""

import torch

from minids.check.sizes import draw
from minids.config import GQAConfig, ModelConfig
from minids.presets import preset


def small_llama(g: torch.Generator) -> ModelConfig:
    """A small model whose widths are drawn; heads do not fill the model's width."""
    keys = draw(g, 2, 3)
    heads = GQAConfig(n_heads=2 * keys, n_kv_heads=keys, head_dim=2 * draw(g, 2, 4))
    return ModelConfig(
        name="drawn", vocab=draw(g, 20, 40), dim=8 * draw(g, 3, 5) + 4, hidden=12,
        n_layers=draw(g, 2, 4), attention=heads, context=64,
    )  # fmt: skip


DENSE_67B = preset("deepseek-llm-67b")
