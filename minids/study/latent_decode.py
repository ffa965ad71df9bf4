"""One decode step of latent attention, carried or rebuilt, beside MHA and GQA: counted and timed.

Only attention runs here, on random numbers: what they are changes neither time nor operations.

axes: b batch, h heads, t new tokens, s all tokens, r kv_rank, n nope_dim, p rope_dim, v value_dim
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from minids.config import MLAConfig
from minids.model.attention import attend
from minids.model.mla import carry, rebuild
from minids.study.bench import in_turns

SHAPE = MLAConfig(n_heads=16, kv_rank=128, q_rank=None, nope_dim=32, rope_dim=16, value_dim=32)
"""Attention of DeepSeek-V2-Lite with every width but the number of heads divided by four."""


def flops(attention: Callable[..., Tensor], new: int, total: int, c: MLAConfig) -> int:
    """Return the operations of all matrix products of `absorbed`, `expanded` or one like them.

    Counted by torch while it runs, on tensors that have a shape and no memory.
    """
    with FlopCounterMode(display=False) as counter, torch.device("meta"):
        attention(
            torch.empty(1, c.n_heads, new, c.nope_dim),
            torch.empty(1, c.n_heads, new, c.rope_dim),
            torch.empty(1, total, c.kv_rank),
            torch.empty(1, total, c.rope_dim),
            torch.empty(c.n_heads, c.nope_dim, c.kv_rank),
            torch.empty(c.n_heads, c.value_dim, c.kv_rank),
            1.0,
        )
    return int(counter.get_total_flops())


@torch.no_grad()
def step_seconds(
    context: int, *, c: MLAConfig = SHAPE, repeats: int = 5, device: str = "cpu", seed: int = 0
) -> dict[str, float]:
    """Return the seconds of one step over `context` cached tokens, for four kinds of attention.

    The kinds take turns, and the shortest time of each counts: other work can only make it longer.
    GQA has a quarter of the key heads.
    """
    g = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g).to(device)

    h, d, scale = c.n_heads, c.value_dim, (c.nope_dim + c.rope_dim) ** -0.5
    q_nope, q_rope, q = draw(1, h, 1, c.nope_dim), draw(1, h, 1, c.rope_dim), draw(1, h, 1, d)
    joint = draw(1, context, c.cached_width)
    latent, k_rope = joint.split_with_sizes([c.kv_rank, c.rope_dim], dim=-1)
    up = draw(h, c.nope_dim + c.value_dim, c.kv_rank) * c.kv_rank**-0.5
    rows = up.flatten(0, 1)
    key_up, value_up = up.split_with_sizes([c.nope_dim, c.value_dim], dim=1)
    keys, values = draw(2, 1, h, context, d)
    few_keys, few_values = draw(2, 1, max(1, h // 4), context, d)
    actions: dict[str, Callable[[], Tensor]] = {
        "MHA": lambda: attend(q, keys, values, scale),
        "GQA": lambda: attend(q, few_keys, few_values, scale),
        "MLA, rebuilt": lambda: rebuild(q_nope, q_rope, latent, k_rope, rows, scale),
        "MLA, carried": lambda: carry(q_nope, q_rope, joint, key_up, value_up, scale),
    }
    waiting = {name: _finished(action) for name, action in actions.items()}
    return {name: min(times) for name, times in in_turns(waiting, repeats).items()}


def _finished(action: Callable[[], Tensor]) -> Callable[[], float]:
    """The same action, which ends when its result is there, also on a GPU."""
    return lambda: float(action()[0, 0, 0, 0])
