"""Whether a model can be trained here: its vocabulary, its context, the memory it takes."""

import os

import torch

from minids import accounting
from minids.config import ModelConfig
from minids.study.scale import Scale
from minids.train.compiled import no_compiler
from minids.train.world import World

BYTES_PER_PARAMETER = 16  # weight, gradient and AdamW's two moments, in fp32
BYTES_PER_LOGIT = 8  # itself and its gradient


def refuse_what_does_not_fit(
    config: ModelConfig,
    vocab: int,
    batch: int,
    length: int,
    on: Scale,
    *,
    shards: int = 1,
    processes: int = 1,
) -> None:
    """Raise ValueError for what cannot be trained here, before anything is built.

    `vocab` is the tokenizer's; a step reads `batch` rows of `length` tokens. Of several processes
    `shards` share the weights, and each has a GPU; on CPUs they share the memory of one machine.
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
    if config.context < 2:
        raise ValueError(f"{config.name} has a context of 1, and can never read what it wrote")
    if on.device.type == "cpu":
        shards = processes = 1
    have = _memory(on)
    if have is None:
        return
    need = BYTES_PER_PARAMETER * accounting.parameters(config).total / shards
    if need > have:
        raise ValueError(
            f"training {config.name} takes {need / 1e9:,.0f} GB for weights and optimizer, and "
            f"there are {have / 1e9:,.0f}: train a toy instead, such as toy-llama or toy-v3"
        )
    scores = BYTES_PER_LOGIT * batch * length * config.vocab / processes
    if need + scores > have:
        raise ValueError(
            f"a batch of {batch:,} rows of {length:,} tokens takes {scores / 1e9:,.0f} GB for its "
            f"logits alone, and there are {have / 1e9:,.0f}: give a smaller --batch"
        )


def refuse_what_does_not_compile(config: ModelConfig, world: World) -> None:
    """Raise ValueError where torch could not compile this model here."""
    if world.size > 1:
        raise ValueError(
            "a compiled model trains in one process: start no more, or leave --compile out"
        )
    if config.moe is not None and world.device.type == "cpu":
        raise ValueError(
            f"--compile is for dense models on a CPU, and {config.name} has experts, whose "
            "products in fp32 torch cannot trace there: leave it out"
        )
    if missing := no_compiler(world.device):
        raise ValueError(f"--compile: {missing}")


def _memory(on: Scale) -> float | None:
    """Bytes of memory where the model will be; None where nobody says."""
    if on.device.type != "cpu":
        known = getattr(torch.get_device_module(on.device), "mem_get_info", None)
        return None if known is None else float(known()[1])
    if hasattr(os, "sysconf"):
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    return None
