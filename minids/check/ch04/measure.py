"""04.measure: the number of queries at which carrying stops to pay."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from minids.check import Attempt, Claim, checker
from minids.check.answers import is_whole
from minids.check.sizes import draw
from minids.config import MLAConfig
from minids.model.mla import absorbed, expanded
from minids.presets import preset


@checker(
    "04.measure",
    hints=(
        "Measure both for 1 new token, for 2, … and stop where carrying is no longer cheaper.",
        "flops(attend, new, total, c) is given. Compare flops(carry, …) with flops(rebuild, …).",
        "while flops(carry, new, total, c) < flops(rebuild, new, total, c): new += 1",
    ),
)
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    c = MLAConfig(
        n_heads=draw(g, 1, 3),
        kv_rank=draw(g, 24, 32),
        q_rank=None,
        nope_dim=draw(g, 8, 12),
        rope_dim=4,
        value_dim=draw(g, 8, 12),
    )
    total = draw(g, 20, 30)
    found = attempt(absorbed, expanded, total, c)
    yield Claim(
        "the answer is a whole number of new tokens",
        is_whole(found) and 1 <= found <= total,
        "return the number of new tokens, an int, between 1 and total.",
    )
    yield Claim(
        "for a single new token carrying pays",
        found > 1,
        "`carry` comes first and `rebuild` second: go on while carrying is the cheaper one.",
    )
    longer = attempt(absorbed, expanded, 4 * total, c)
    yield Claim(
        "a longer past moves it",
        longer != found,
        "`total` counts: every one of them is rebuilt.",
    )
    crossing, later = _crossing(total, c, 1, 1), _crossing(4 * total, c, 1, 1)
    yield Claim(
        "for so many new tokens carrying pays no longer",
        found >= crossing and longer >= later,
        "that is the last number for which it pays; the first for which it does not is asked for.",
    )
    yield Claim(
        "for one fewer it still pays",
        found <= crossing and longer <= later,
        "the smallest such number: stop at the first for which carrying takes as many operations "
        "as rebuilding, or more.",
    )
    yield Claim(
        "a wasteful way to carry, which does everything twice, is found out",
        attempt(_times(2, absorbed), expanded, total, c) == _crossing(total, c, 2, 1),
        "measure what you are given; a formula of the widths cannot notice what really runs.",
    )
    yield Claim(
        "where carrying is dearer from the start, the answer is 1",
        attempt(_times(15, absorbed), expanded, total, c) == 1,
        "begin with one new token: even there carrying may take more operations.",
    )
    tie = draw(g, 3, 9)
    yield Claim(
        "it pays no longer where both take as many operations",
        attempt(_carry_each, _rebuild_the_first(tie), total, c) == tie,
        "carrying has to be cheaper: go on while it takes FEWER operations, < and not <=.",
    )
    v3 = preset("deepseek-v3").attention
    assert isinstance(v3, MLAConfig)
    yield Claim(
        "with DeepSeek-V3's widths behind 16 tokens it is 15",
        attempt(absorbed, expanded, 16, v3) == 15,
        "tensors on the meta device have a shape and no memory: V3 fits.",
    )


def _crossing(total: int, c: MLAConfig, carrying: int, rebuilding: int) -> int:
    """The first number of new tokens at which so many times carrying is no cheaper."""
    up = c.kv_rank * (c.nope_dim + c.value_dim)
    new = 1
    while carrying * new * (up + total * (2 * c.kv_rank + c.rope_dim)) < rebuilding * total * (
        up + new * (c.nope_dim + c.rope_dim + c.value_dim)
    ):
        new += 1
    return new


def _times(count: int, attend: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def wasteful(*inputs: Any, **named: Any) -> Tensor:
        return [attend(*inputs, **named) for _ in range(count)][-1]

    return wasteful


def _carry_each(*inputs: Any, **_: Any) -> Tensor:
    """Carries the queries of one head, and no more."""
    q_nope, key_up = inputs[0], inputs[4]
    return q_nope[0, 0] @ key_up[0]


def _rebuild_the_first(count: int) -> Callable[..., Tensor]:
    """Rebuilds so many keys of one head: as dear as to carry so many queries."""

    def rebuild(*inputs: Any, **_: Any) -> Tensor:
        latent, key_up = inputs[2], inputs[4]
        return latent[0, :count] @ key_up[0].mT

    return rebuild
