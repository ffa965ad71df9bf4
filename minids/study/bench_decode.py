"""Decoding speed of latent attention, beside Hugging Face's DeepSeek-V3 with the same weights.

That class rebuilds every key and value of the past in each step; ours carries the query to the
latents (`model/mla.py`).
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal
from unittest.mock import patch

import torch
from einops import rearrange
from torch import Tensor

from minids.accounting import flops_per_token
from minids.config import ModelConfig
from minids.decode.threads import threads_that_pay
from minids.huggingface import to_hf
from minids.model import mla as attention
from minids.model.cache import Cache, LatentCache
from minids.model.transformer import Transformer
from minids.presets import preset
from minids.study.bench import Row, in_turns, speed
from minids.study.scale import threads
from minids.weights import to_hf_weights

SHAPES = ((1, 256), (32, 256), (1, 4096), (32, 4096))
"""Rows of the batch, and tokens that each of them has in the cache."""

A_TURN = 0.05
"""Seconds of one turn, filled with steps: who decodes finds the cache where the last step left it.

The first step of a turn finds it where the others' steps have left it. Were there only four in a
turn, that first one would weigh, and it takes up to twice as long.
"""


@torch.inference_mode()
def measure(repeats: int = 7, shapes: Sequence[tuple[int, int]] = SHAPES) -> list[Row]:
    """Return tokens per second of one cached step: ours beside the peer's, then beside our own.

    The second row of a shape has our expanded path as peer: the same model and cache, with keys
    and values rebuilt. The limit is the time that copying as many bytes would take as the weights
    and the cache have, which each step reads once. Caches hold random numbers: what they are
    changes no time. Memory comes from the C library as it is, as it does for those who use the
    peer: what is rebuilt has to be laid out anew in every step, and that is part of its price.
    """
    torch.set_num_threads(threads())
    bandwidth = copy_bandwidth()
    rows = []
    for batch, context in shapes:
        model = Transformer(toy(context + 1)).eval()
        cache = filled(model, batch, context)
        expanded = expanding(our_step(model, cache, "expanded"))
        actions = {"absorbed": our_step(model, cache), "expanded": expanded}
        if peer := peer_step(model, cache):
            actions["peer"] = peer
        counts = {name: steps_in_a_turn(step) for name, step in actions.items()}
        in_a_row = {name: several(step, counts[name]) for name, step in actions.items()}
        turns = in_turns(in_a_row, repeats)
        seconds = {name: [t / counts[name] for t in taken] for name, taken in turns.items()}
        ours, at_best = seconds["absorbed"], bytes_read(model, cache) / bandwidth
        name = f"MLA decode {batch} x {context}"
        for against, title in (("peer", name), ("expanded", f"{name}, against ours expanded")):
            rows.append(speed(title, batch, ours, seconds.get(against), at_best))
    return rows


def toy(context: int) -> ModelConfig:
    """Return V3's attention at 4 layers and width 128, 4 heads and a cache of 32 + 16 numbers."""
    return replace(preset("toy-v3"), n_dense=0, moe=None, context=context)


def copy_bandwidth(megabytes: int = 256) -> float:
    """Return the bytes per second that copying reads and writes together, the best of ten."""
    source = torch.zeros(megabytes * 2**18)
    target = torch.empty_like(source)
    seconds = in_turns({"copy": lambda: target.copy_(source)}, 10)["copy"]
    return 2 * source.nbytes / min(seconds)


def bytes_read(model: Transformer, cache: Cache) -> int:
    """Return the bytes that one decode step must read: all weights and the past of all rows.

    The embedding is not among them: a step looks up one line of it for each row.
    """
    weights = sum(p.nbytes for p in model.parameters()) - model.embed.weight.nbytes
    return weights + cache.nbytes


def filled(model: Transformer, batch: int, context: int, seed: int = 0) -> Cache:
    """Return a cache of `context` tokens with room for one more, of random numbers."""
    cache, g = model.new_cache(batch, context + 1), torch.Generator().manual_seed(seed)
    for layer in latents(cache):
        layer.kept.normal_(generator=g)
        layer.length = context
    return cache


def latents(cache: Cache) -> list[LatentCache]:
    """Return the layers of a cache, which all keep latents here."""
    return [layer for layer in cache.layers if isinstance(layer, LatentCache)]


def our_step(
    model: Transformer, cache: Cache, mla: Literal["absorbed", "expanded"] = "absorbed"
) -> Callable[[], Tensor]:
    """One decode step behind the tokens in `cache`, as a function that returns the logits."""
    token, length = torch.zeros(len(latents(cache)[0].kept), 1, dtype=torch.long), cache.length
    work = flops_per_token(model.c, length, "decode", mla) * len(token)

    def step() -> Tensor:
        with threads_that_pay(work):  # as `generate` does
            logits = model(token, cache, last=1).logits
        cache.rewind(length)
        return logits

    return step


def steps_in_a_turn(step: Callable[[], Tensor]) -> int:
    """Return how many steps make a turn: at least two."""
    return max(2, round(A_TURN / min(in_turns({"step": step}, 3)["step"])))


def several(step: Callable[[], Tensor], count: int) -> Callable[[], None]:
    """The same step, `count` times."""

    def steps() -> None:
        for _ in range(count):
            step()

    return steps


def expanding(step: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """The same step, with the keys and values of all tokens rebuilt."""

    def step_expanding() -> Tensor:
        with patch.object(attention, "absorbing_pays", lambda *_: False):
            return step()

    return step_expanding


def peer_step(model: Transformer, cache: Cache) -> Callable[[], Tensor] | None:
    """The step of `DeepseekV3ForCausalLM`, same weights, same past; None if not installed."""
    try:
        from transformers import DeepseekV3Config, DeepseekV3ForCausalLM, DynamicCache
    except ImportError:
        return None
    c = model.c
    fields = {k: v for k, v in to_hf(c).items() if k != "model_type"}
    config = DeepseekV3Config(**fields, rope_interleave=True)
    peer = DeepseekV3ForCausalLM(config).eval()
    peer.load_state_dict(to_hf_weights(model))
    past = DynamicCache(config=config)
    for i, layer in enumerate(latents(cache)):
        latent, k_rope = layer.joint.split(layer.widths, -1)
        # It keeps rotary pairs as halves: all first numbers, then all second ones.
        k_rope = rearrange(k_rope, "b s (half two) -> b 1 s (two half)", two=2)
        past.update(latent.unsqueeze(1).clone(), k_rope, i)
    token = torch.zeros(len(latents(cache)[0].kept), 1, dtype=torch.long)

    def step() -> Tensor:
        logits = peer(token, past_key_values=past, use_cache=True, logits_to_keep=1).logits
        past.crop(-1)
        return logits

    return step
