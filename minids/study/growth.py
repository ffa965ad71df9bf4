"""How the cost of a training step grows: with batch, context, experts and width.

    curves()[0].slope                         # 0.9: twice the rows take 2 ** 0.9 times as long

Seconds are proportional to size ** slope, and log(seconds) is a line over log(size): a slope is the
slope of that line by least squares. A slope of 1 doubles the seconds with the size, 0 leaves them.

Beside each stands the slope that the counted operations have over the same sizes. Where the two
differ, something else than arithmetic costs time: calling functions, moving memory, the optimizer.
"""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch

from minids.accounting import flops_per_token
from minids.config import ModelConfig, MoEConfig
from minids.model.products import fastest
from minids.model.transformer import Transformer
from minids.presets import preset, shrink
from minids.study.bench import Row, in_turns
from minids.study.bench_step import training_step
from minids.study.scale import keep_memory, threads


class Step(NamedTuple):
    """A training step to be timed: a model, and `rows` texts of `length` tokens."""

    config: ModelConfig
    rows: int
    length: int


class Curve(NamedTuple):
    """Seconds of a step by the size of one thing; everything else is held."""

    name: str  # what grows
    held: str  # what does not
    sizes: list[int]
    tokens: list[int]  # of a step, by size
    flops: list[float]  # of a step, by size
    seconds: list[list[float]]  # by round, then by size

    @property
    def medians(self) -> list[float]:
        """Seconds of a step, by size: the median of the rounds."""
        return [statistics.median(column) for column in zip(*self.seconds, strict=True)]

    @property
    def slope(self) -> float:
        """The slope of the medians."""
        return power_law(self.sizes, self.medians)[0]

    @property
    def last(self) -> float:
        """The slope between the two largest sizes, where fixed costs weigh least."""
        return power_law(self.sizes[-2:], self.medians[-2:])[0]

    @property
    def counted(self) -> float:
        """The slope of the counted operations."""
        return power_law(self.sizes, self.flops)[0]

    @property
    def spread(self) -> float:
        """Half the distance between the quartiles of the slopes of single rounds."""
        slopes = [power_law(self.sizes, seconds)[0] for seconds in self.seconds]
        low, _, high = statistics.quantiles(slopes, n=4)
        return (high - low) / 2


def power_law(sizes: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """Return slope and factor so that values are near factor * size ** slope.

    A line through the logarithms, by least squares. ValueError for fewer than two sizes, or for
    numbers that have no logarithm.
    """
    if len(set(sizes)) < 2 or min(*sizes, *values) <= 0:
        raise ValueError(f"a slope needs two sizes and positive numbers, got {sizes}, {values}")
    x, y = [math.log(size) for size in sizes], [math.log(value) for value in values]
    slope, intercept = statistics.linear_regression(x, y)
    return slope, math.exp(intercept)


PLANS: dict[str, tuple[str, tuple[int, ...]]] = {
    "batch": ("64 tokens each", (1, 2, 4, 8, 16, 32, 64)),
    "context": ("4096 tokens a step", (64, 128, 256, 512, 1024)),
    "experts": ("top-4; 16 rows of 128 tokens", (4, 8, 16, 32, 64)),
    "width": ("8 rows of 128 tokens", (64, 128, 256, 512)),
}
"""What grows: what is held beside it, and the sizes."""


def step(name: str, size: int) -> Step:
    """Return the step of a plan at one size; two layers, a vocabulary of 1024."""
    if name == "batch":
        return Step(dense(128), size, 64)
    if name == "context":
        return Step(dense(128), 4096 // size, size)
    if name == "experts":
        moe = MoEConfig(n_routed=size, n_shared=0, top_k=4, hidden=64)
        return Step(replace(dense(128), name="growth-moe", moe=moe), 16, 128)
    if name == "width":
        return Step(dense(size), 8, 128)
    raise ValueError(f"there is no plan {name!r}; there are: {', '.join(PLANS)}")


def dense(dim: int) -> ModelConfig:
    """Return DeepSeek LLM in small, with heads of width 32."""
    llama = preset("deepseek-llm-7b")
    return shrink(llama, dim=dim, n_heads=dim // 32, n_layers=2, vocab=1024, context=1024)


def flops(s: Step) -> float:
    """Return the operations of a step; a token of a causal row sees half of it on average."""
    return flops_per_token(s.config, s.length // 2) * s.rows * s.length


def curves(repeats: int = 9, plans: dict[str, tuple[str, tuple[int, ...]]] = PLANS) -> list[Curve]:
    """Return the measured curves: every round of a plan takes its sizes in turns."""
    keep_memory()
    torch.set_num_threads(threads())
    return [_curve(name, held, list(sizes), repeats) for name, (held, sizes) in plans.items()]


def _curve(name: str, held: str, sizes: list[int], repeats: int) -> Curve:
    steps = [step(name, size) for size in sizes]
    actions = {str(size): _action(s) for size, s in zip(sizes, steps, strict=True)}
    seconds = in_turns(actions, repeats)
    return Curve(
        name,
        held,
        sizes,
        [s.rows * s.length for s in steps],
        [float(flops(s)) for s in steps],
        [list(one) for one in zip(*seconds.values(), strict=True)],
    )


def _action(s: Step) -> Callable[[], None]:
    model, g = Transformer(s.config), torch.Generator().manual_seed(0)
    tokens = torch.randint(0, s.config.vocab, (s.rows, s.length + 1), generator=g)
    return training_step(lambda x: model(x).logits, model, tokens, fastest(exact=True))


def measure(repeats: int = 9) -> list[Row]:
    """Return the slopes of all plans as rows."""
    return rows(curves(repeats))


def rows(measured: Sequence[Curve]) -> list[Row]:
    """Return a row for each curve: the slope measured, and in place of a peer the counted one.

    There is no ratio and no limit. The spread is that of the slope itself, see `Curve.spread`.
    """
    return [
        Row(
            f"seconds over {c.name}, {c.sizes[0]} to {c.sizes[-1]}",
            c.slope,
            c.counted,
            "slope",
            None,
            None,
            c.spread,
        )
        for c in measured
    ]
