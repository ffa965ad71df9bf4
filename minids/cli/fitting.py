"""Whether a model can be trained here: its vocabulary, its context, the memory it takes."""

import os

import torch

from minids import accounting
from minids.config import ModelConfig
from minids.study.scale import Scale

BYTES_PER_PARAMETER = 16  # weight, gradient and AdamW's two moments, in fp32


def refuse_what_does_not_fit(
    config: ModelConfig, vocab: int, length: int, on: Scale, shards: int = 1
) -> None:
    """Raise ValueError for a model that cannot be trained here, before anything is built.

    `vocab` is the tokenizer's, `length` of a row. Of several processes `shards` share the weights,
    and each has a GPU; on CPUs they share the memory of one machine.
    """
    if config.vocab < vocab:
        raise ValueError(
            f"{config.name} has {config.vocab} tokens and the texts here use {vocab}: "
            f"set vocab_size to {vocab} or more"
        )
    if length > config.context:
        raise ValueError(
            f"--length {length} is longer than the context of {config.name}, {config.context}"
        )
    apart = shards if on.device.type == "cuda" else 1
    need = BYTES_PER_PARAMETER * accounting.parameters(config).total / apart
    have = _memory(on)
    if have is not None and need > have:
        raise ValueError(
            f"training {config.name} takes {need / 1e9:,.0f} GB for weights and optimizer, and "
            f"there are {have / 1e9:,.0f}: train a toy instead, such as toy-llama or toy-v3"
        )


def _memory(on: Scale) -> float | None:
    """Bytes of memory where the model will be; None where nobody says."""
    if on.device.type != "cpu":
        known = getattr(torch.get_device_module(on.device), "mem_get_info", None)
        return None if known is None else float(known()[1])
    if hasattr(os, "sysconf"):
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    return None
