"""06.nudge: one step of the bias after one step of training."""

from collections.abc import Iterator

import torch

from minids.check import Attempt, Claim, checker, close, shaped


@checker(
    "06.nudge",
    hints=(
        "An expert above the mean load becomes less attractive, one below it more, all by the "
        "same step.",
        "torch.sign of (mean - load) is +1, -1 or 0 for each expert; the step is `speed` times it.",
        "return bias + speed * torch.sign(load.mean() - load)",
    ),
)
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    bias = torch.randn(8, generator=g)
    shares = torch.tensor([64.0, 16.0, 32.0, 48.0, 1.0, 32.0, 31.0, 32.0]) / 256
    load = shares[torch.randperm(8, generator=g)]
    after = attempt(bias, load, 0.01)
    yield shaped(after, (8,), like=bias, what="the next bias")
    step = after - bias
    high = torch.full((8,), 5.0)
    later = attempt(high, load, 0.001)
    yield Claim(
        "a bias goes on from where it was",
        close(later, high, rtol=0.05),
        "the step is added to the old bias: it is the sum of all steps so far.",
    )
    crowded, starved = load > 0.125, load < 0.125
    yield Claim(
        "a crowded expert goes down and a starved one up",
        bool((step[crowded] <= 0).all()) and bool((step[starved] >= 0).all()),
        "the sign of mean - load: above the mean a bias falls.",
    )
    yield Claim(
        "every expert above or below the mean moves",
        bool((step[crowded | starved] != 0).all()),
        "not only the most crowded and the most starved: each expert has a step of its own, also "
        "one that is near the mean.",
    )
    yield Claim(
        "a small step is not lost beside a large bias",
        bool((later[crowded | starved] != 5.0).all()),
        "5 and 0.001 together need the digits of float32: keep the dtype of the bias.",
    )
    yield Claim(
        "an expert that has exactly the mean load stays",
        bool((step[load == 0.125].abs() < 1e-9).all()),
        "sign(0) is 0: do not use `where(load > mean, -1, 1)`.",
    )
    yield Claim(
        "every step is as long as `speed`, however far an expert is off",
        close(step[load != 0.125].abs(), torch.full((5,), 0.01), rtol=1e-3),
        "only the sign of the gap counts, not its size; and one step is one times `speed`.",
    )
    counts = torch.tensor([12.0, 3.0, 0.0])
    yield Claim(
        "counts do as well as shares, whatever the number of experts",
        close(attempt(torch.zeros(3), counts, 0.5), torch.tensor([-0.5, 0.5, 0.5])),
        "compare with load.mean(): not with a constant such as 1 / e, nor with the median.",
    )
