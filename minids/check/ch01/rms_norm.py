"""01.rms_norm: numbers divided by their root mean square."""

from collections.abc import Iterator

import torch

from minids.check import Attempt, Claim, checker, close, shaped
from minids.check.sizes import draw


@checker(
    "01.rms_norm",
    hints=(
        "Square every number, take the mean over the vector, take the root: that is its root mean "
        "square. Divide the vector by it.",
        "The mean goes over the last axis and keeps it, as 1, so that it divides each vector: "
        "(…, d) / (…, 1) * (d,).",
        "return x / (x.square().mean(-1, keepdim=True) + eps).sqrt() * gain",
    ),
)
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    d, none = 2 * draw(g, 4, 7) + 1, 1e-12
    x = 3 * torch.randn(2, 5, d, generator=g) + 1
    ones, gain = torch.ones(d), torch.randn(d, generator=g)
    out = attempt(x, ones, none)
    yield shaped(out, (2, 5, d), like=x)
    louder = torch.cat([x[:, :1], 9 * x[:, 1:]], dim=1)
    yield Claim(
        "no vector notices another one",
        torch.allclose(attempt(louder, ones, none)[:, 0], out[:, 0], rtol=1e-4, atol=1e-5),
        "the mean goes over the last axis alone, not over tokens or the batch.",
    )
    yield Claim(
        "with a gain of 1 every vector has a root mean square of 1",
        close(out.square().mean(-1), torch.ones(2, 5)),
        "divide by the root of the MEAN of the SQUARES of the numbers themselves.",
    )
    yield Claim(
        "a vector keeps its direction: no mean is taken away",
        bool((torch.cosine_similarity(out, x, dim=-1) > 1 - 1e-5).all()),
        "subtracting the mean first is LayerNorm; RMSNorm leaves it out.",
    )
    yield Claim(
        "every number is multiplied by its own gain",
        close(attempt(x, gain, none), out * gain),
        "gain has one number for each place of the vector: multiply, do not add, and do so after "
        "the division.",
    )
    large = x.square().mean().item() * 0.5
    expected = torch.stack(
        [v * gain * ((v @ v) / d + large).pow(-0.5) for v in x.flatten(0, 1)]
    ).view_as(x)
    yield Claim(
        "eps is added to the mean of the squares, under the root",
        close(attempt(x, gain, large), expected),
        "mean + eps first, then the root; a large eps makes the difference visible.",
    )
    yield Claim(
        "a single vector, and a vector of zeros, work too",
        close(attempt(x[0, 0], ones, none), out[0, 0])
        and not bool(attempt(torch.zeros(1, 1, d), ones, 1e-6).any()),
        "count axes from the right: the last one is -1 however many there are.",
    )
    leaf, learned = x[0, 0].clone().requires_grad_(), gain.clone().requires_grad_()
    normed = attempt(leaf, learned, none)[0]
    if normed.requires_grad:
        normed.backward()
    grad = leaf.grad
    yield Claim(
        "the numbers and the gain get a gradient",
        grad is not None and learned.grad is not None,
        "no detach, item or numpy on the way: without a gradient no layer below learns, and no "
        "gain.",
    )
    assert grad is not None
    yield Claim(
        "gradients also pass through the root mean square",
        abs(float(grad @ leaf.detach())) < 1e-4 * float(grad.norm() * leaf.detach().norm()),
        "no detach, item or data: a longer vector gives the same result, so the gradient must "
        "stand at a right angle to it.",
    )
