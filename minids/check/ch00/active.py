"""00.active: parameters that one token meets."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch

from minids import accounting
from minids.check import Attempt, Claim, checker
from minids.check.sizes import draw
from minids.config import MLAConfig, ModelConfig, MoEConfig
from minids.presets import preset


def _mixture(g: torch.Generator) -> ModelConfig:
    """A small V3-like config whose widths are drawn."""
    return ModelConfig(
        name="drawn",
        vocab=draw(g, 50, 99),
        dim=draw(g, 5, 20),
        n_layers=draw(g, 4, 7),
        hidden=draw(g, 30, 60),
        attention=MLAConfig(
            n_heads=draw(g, 2, 5),
            kv_rank=draw(g, 3, 9),
            q_rank=draw(g, 3, 9),
            nope_dim=draw(g, 3, 9),
            rope_dim=2 * draw(g, 1, 4),
            value_dim=draw(g, 3, 9),
        ),
        moe=MoEConfig(
            n_routed=draw(g, 6, 12), n_shared=draw(g, 1, 3), top_k=draw(g, 2, 4), hidden=7
        ),
        n_dense=draw(g, 1, 2),
        context=64,
    )


def _same(got: Any, expected: int) -> bool:
    """Whether a count is right, but for what floats round."""
    return bool(abs(got - expected) < 0.5)


@checker(
    "00.active",
    hints=(
        "Take the total and leave out what a token does not meet.",
        "attention, norms, router, shared experts, dense feed-forwards: all of them. Routed "
        "experts: top_k of n_routed. Vocabulary: as many tables as asked for.",
        "p = accounting.parameters(c); p.routed * c.moe.top_k // c.moe.n_routed + ...",
    ),
)
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    c = _mixture(g)
    m = c.moe
    assert m is not None
    dense = replace(preset("toy-llama"), n_layers=draw(g, 1, 5))
    yield Claim(
        "a dense model activates all it has, when both tables count",
        _same(attempt(dense, 2), accounting.parameters(dense).total),
        "attention, dense feed-forwards, norms and both tables, each once; moe is None here.",
    )
    yield Claim(
        "every table counted adds vocab x dim, in a dense model too",
        all(
            _same(attempt(some, n + 1) - attempt(some, n), some.vocab * some.dim)
            for some in (c, dense)
            for n in (0, 1)
        ),
        "`tables` is 0, 1 or 2, and a table has vocab * dim numbers.",
    )
    yield Claim(
        "a module of multi-token prediction adds nothing",
        _same(attempt(replace(c, mtp_depth=1), 1), attempt(c, 1)),
        "`mtp` stays outside, as in the reports; `p.total` leaves it out, too.",
    )
    expert = 3 * c.dim * m.hidden * c.n_moe

    def changed(**fields: Any) -> Any:
        return attempt(replace(c, moe=replace(m, **fields)), 1) - attempt(c, 1)

    more, rows = changed(n_routed=m.n_routed + 5), 5 * c.dim * c.n_moe
    yield Claim(
        "experts that are not chosen do not count",
        more < expert,
        "routed experts count top_k times, not n_routed times.",
    )
    yield Claim(
        "more experts to choose from cost a token the router's rows, and nothing else",
        _same(more, rows),
        "a share of the experts that is the same for every model? Take top_k of n_routed."
        if more > rows
        else "the router scores every expert, chosen or not, so all of its rows count.",
    )
    yield Claim(
        "one more expert per token adds one expert in each MoE layer",
        _same(changed(top_k=m.top_k + 1), expert),
        "three matrices of dim x hidden, in n_layers - n_dense layers.",
    )
    yield Claim(
        "one more shared expert adds one expert in each MoE layer",
        _same(changed(n_shared=m.n_shared + 1), expert),
        "shared experts see every token: all of them count, beside the chosen ones.",
    )
    yield Claim(
        "a wider dense feed-forward is felt in the first n_dense layers only",
        _same(attempt(replace(c, hidden=c.hidden + 1), 1) - attempt(c, 1), 3 * c.dim * c.n_dense),
        "layers from n_dense on have experts in place of the dense feed-forward.",
    )
    yield Claim(
        "nothing is missing and nothing counted twice, norms included",
        _same(attempt(c, 1), accounting.activated(c, "head only")),
        "two norms a layer, one at the end, and one on each latent of MLA, each once.",
    )
