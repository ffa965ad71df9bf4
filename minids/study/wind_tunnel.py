"""A wind tunnel for routers: tokens from labelled clusters, so that the right experts are known.

A token is a point near the centre of its cluster, and each cluster has a map of its own that the
layer has to learn. Clusters are unequally frequent, as topics are, and a sequence stays in one
cluster, as a text stays with its topic. The layer under test is the package's MoE with V3's
sigmoid scores, eight small experts, two chosen.

Left out: everything around the layer (attention, residual stream, text).

axes: t tokens (sequences one after another), d width, c clusters, e routed experts, n steps
"""

from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import NamedTuple

import torch
from einops import einsum, repeat
from jaxtyping import Float, Int
from torch import Tensor

from minids.config import GQAConfig, ModelConfig, MoEConfig
from minids.model.balance import expert_balance, load, max_violation, nudge
from minids.model.moe import MoE
from minids.model.routing import Routing
from minids.study.served import by_label, specialisation
from minids.train.schedule import multi_step

WIDTH, CLUSTERS, EXPERTS, LENGTH, SEQUENCES = 16, 8, 8, 8, 64
Speed = float | tuple[float, float]
"""Of the bias: one for all steps, or one for the first three quarters and one for the rest."""


class World(NamedTuple):
    """What there is to learn, a function of its seed."""

    share: Float[Tensor, " c"]  # how frequent a cluster is: 1, 1/2, 1/3 ... of the first
    centres: Float[Tensor, "c d"]
    maps: Float[Tensor, "c d d"]


class Moment(NamedTuple):
    """One step of the layer's training."""

    loss: float
    load: Float[Tensor, " e"]  # of this step's tokens
    bias: Float[Tensor, " e"]  # after this step


@cache
def world(seed: int) -> World:
    """Return clusters with random centres and random maps; shares fall as 1, 1/2, 1/3 ..."""
    g = torch.Generator().manual_seed(seed)
    share = 1 / torch.arange(1, CLUSTERS + 1).float()
    centres = torch.randn(CLUSTERS, WIDTH, generator=g)
    maps = torch.randn(CLUSTERS, WIDTH, WIDTH, generator=g) * WIDTH**-0.5
    return World(share / share.sum(), centres, maps)


def tokens(
    w: World, n_sequences: int, g: torch.Generator
) -> tuple[Float[Tensor, "t d"], Float[Tensor, "t d"], Int[Tensor, " t"]]:
    """Return tokens, what the layer should make of them, and the cluster of each token."""
    drawn = torch.multinomial(w.share, n_sequences, replacement=True, generator=g)
    cluster = repeat(drawn, "b -> (b t)", t=LENGTH)
    x = w.centres[cluster] + 0.5 * torch.randn(len(cluster), WIDTH, generator=g)
    return x, einsum(w.maps[cluster], x, "t i j, t j -> t i"), cluster


def layer(seed: int, choose: Callable[..., Routing] | None = None) -> MoE:
    """Return the layer under test with weights of `seed`; `choose` may replace its routing."""
    experts = MoEConfig(
        n_routed=EXPERTS,
        n_shared=0,
        top_k=2,
        hidden=16,
        scores="sigmoid",
        normalise=True,
        biased=True,
    )
    config = ModelConfig(
        name="wind tunnel",
        vocab=1,
        dim=WIDTH,
        n_layers=1,
        hidden=1,
        attention=GQAConfig(n_heads=1, n_kv_heads=1, head_dim=WIDTH),
        moe=experts,
        context=LENGTH,
        init_std=0.25,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = MoE(config)
    if choose is not None:
        made.router.choose = partial(choose)
    return made


def train(
    moe: MoE,
    seed: int,
    *,
    steps: int,
    loss: float = 0.0,
    by_sequence: float = 0.0,
    speed: Speed = 0.0,
) -> Iterator[Moment]:
    """Return the training of `moe` as a generator: squared error, balance losses, the bias.

    `loss` weighs the balance loss over the whole batch, `by_sequence` the one within sequences.
    """
    w, g = world(seed), torch.Generator().manual_seed(seed + 1)
    schedule = multi_step(steps, warmup=min(10, steps), drops=((0.6, 0.316), (0.85, 0.1)))
    optimizer = torch.optim.AdamW(moe.parameters(), weight_decay=0.0)
    for i in range(steps):
        x, y, _ = tokens(w, SEQUENCES, g)
        out, routing = moe(x[None])
        error = (out[0] - y).square().mean()
        total = error + loss * expert_balance(routing)
        if by_sequence:
            total = total + by_sequence * expert_balance(routing, SEQUENCES)
        optimizer.zero_grad()
        total.backward()
        optimizer.param_groups[0]["lr"] = 1e-2 * schedule(i)
        optimizer.step()
        share, bias = load(routing), moe.router.bias
        assert bias is not None
        bias.copy_(nudge(bias, share, speed_at(speed, i, steps)))
        yield Moment(float(error.detach()), share, bias.clone())


def speed_at(speed: Speed, i: int, steps: int) -> float:
    """Return the speed of the bias at step `i`."""
    if isinstance(speed, tuple):
        return speed[0] if i < 0.75 * steps else speed[1]
    return speed


class Exam(NamedTuple):
    """What a layer does with 8,192 tokens that it has not seen."""

    error: float  # mean squared, over the mean square of what should come out
    counts: Float[Tensor, "c e"]


@torch.no_grad()
def examine(moe: MoE, seed: int, n_sequences: int = 1024) -> Exam:
    """Return the error of a layer on fresh tokens of its world, and which expert served which."""
    x, y, cluster = tokens(world(seed), n_sequences, torch.Generator().manual_seed(seed + 1000))
    out, routing = moe(x[None])
    error = (out[0] - y).square().mean() / y.square().mean()
    counts = by_label(routing.experts, cluster, n_labels=CLUSTERS, n_experts=EXPERTS)
    return Exam(float(error), counts)


def run(
    *,
    seed: int,
    steps: int,
    loss: float = 0.0,
    by_sequence: float = 0.0,
    speed: Speed = 0.0,
    choose: Callable[..., Routing] | None = None,
) -> dict[str, float]:
    """Return for one training MaxVio of its last sixth, error and specialisation of the result."""
    moe = layer(seed, choose)
    how = {"loss": loss, "by_sequence": by_sequence}
    loads = [m.load for m in train(moe, seed, steps=steps, speed=speed, **how)]
    exam = examine(moe, seed)
    return {
        "max_vio": float(max_violation(torch.stack(loads[-max(1, steps // 6) :]).mean(0))),
        "error": exam.error,
        "specialisation": specialisation(exam.counts),
    }
