"""01.rope: neighbouring numbers turned as pairs."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from minids.check import Attempt, Claim, checker, close, shaped
from minids.check.sizes import draw


def _turned(x: Tensor, positions: Tensor, theta: float) -> Tensor:
    """Rotation of neighbouring pairs, as one matrix for each position."""
    d = x.shape[-1]
    rows = []
    for p in positions.tolist():
        matrix = torch.zeros(d, d)
        for i in range(d // 2):
            angle = p / theta ** (2 * i / d)
            c, s = math.cos(angle), math.sin(angle)
            matrix[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = torch.tensor([[c, -s], [s, c]])
        rows.append(matrix)
    return torch.einsum("tij,bhtj->bhti", torch.stack(rows), x)


@checker(
    "01.rope",
    hints=(
        "A pair (a, b) is an arrow in the plane. Turned by an angle it is "
        "(a cos - b sin, a sin + b cos). Only the angle depends on the position.",
        "Angles (t, d/2): position times theta^(-2i/d). Pairs a = x[…, 0::2], b = x[…, 1::2]. "
        "The two results are stacked on a new last axis and flattened.",
        "torch.stack([a * c - b * s, a * s + b * c], dim=-1).flatten(-2)",
    ),
)
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    d, t, theta = 2 * draw(g, 3, 6), 5, float(draw(g, 50, 500))
    x = torch.randn(2, 3, t, d, generator=g)
    positions = torch.randperm(40, generator=g)[:t] + 1
    out = attempt(x, positions, theta)
    yield shaped(out, (2, 3, t, d), like=x)
    pair = 2 * draw(g, 0, d // 2 - 1)
    alone = torch.zeros(1, 1, t, d)
    alone[..., pair : pair + 2] = 1.0
    elsewhere = attempt(alone, positions, theta)
    elsewhere = torch.cat([elsewhere[..., :pair], elsewhere[..., pair + 2 :]], dim=-1)
    yield Claim(
        "numbers 2i and 2i + 1 turn together, and touch no others",
        not bool(elsewhere.abs().max() > 1e-6),
        "this is the layout of V2 and V3: neighbours are a pair, and stay neighbours (stack and "
        "flatten, not cat). Hugging Face's Llama pairs i with i + d/2.",
    )
    yield Claim(
        "at position 0 nothing turns",
        close(attempt(x, torch.zeros(t, dtype=torch.long), theta), x),
        "the angle is the position times something: at 0, cos is 1 and sin is 0. And positions are "
        "an argument: here all are 0.",
    )
    yield Claim(
        "turning keeps the length of every pair",
        close(out.unflatten(-1, (-1, 2)).norm(dim=-1), x.unflatten(-1, (-1, 2)).norm(dim=-1)),
        "a cos - b sin and a sin + b cos: one minus sign, each number once with each, and the same "
        "angle for both (repeat_interleave writes each angle twice in a row). a and b are views: "
        "if you write into what they were cut from, they change, too.",
    )
    first = torch.zeros(1, 1, t, d)
    first[..., 0] = 1.0
    angles = positions.float()
    turned = attempt(first, positions, theta)[0, 0, :, :2]
    yield Claim(
        "the first pair turns by one radian per position, at the positions given",
        close(turned, torch.stack([angles.cos(), angles.sin()], dim=-1)),
        "(1, 0) at position p becomes (cos p, sin p). Positions are an argument, not 0, 1, 2, …",
    )
    few = x[..., :4].contiguous()
    yield Claim(
        "pair i turns by theta^(-2i/d) radians per position",
        close(out, _turned(x, positions, theta), rtol=1e-3)
        and close(attempt(few, positions, theta), _turned(few, positions, theta), rtol=1e-3),
        "the exponent goes from 0 to almost -1 in d/2 steps, whatever the width d of x; "
        "theta is an argument.",
    )
    q, k = torch.randn(2, 1, 1, 1, d, generator=g)

    def score(at: int, to: int) -> float:
        turned = [attempt(x, torch.tensor([p]), theta) for x, p in ((q, at), (k, to))]
        return float((turned[0] * turned[1]).sum())

    near, far = [score(4, 3), score(13, 12)], [score(11, 3), score(20, 12)]
    size = float(q.norm() * k.norm())
    yield Claim(
        "a score depends on the distance, and on nothing else; also for one token in a batch of 1",
        abs(near[0] - near[1]) + abs(far[0] - far[1]) < 1e-3 * size
        and abs(near[0] - far[0]) > 1e-4 * size,
        "turn by position * frequency: then two turns differ by distance * frequency.",
    )
    leaf, slope = x.clone().requires_grad_(), torch.randn(x.shape, generator=g)
    total = (attempt(leaf, positions, theta) * slope).sum()
    if total.requires_grad:
        total.backward()
    yield Claim(
        "gradients are turned back, by the same angles",
        leaf.grad is not None and close(leaf.grad, _turned(slope, -positions, theta), rtol=1e-3),
        "stay in torch: no detach, data, numpy, tolist or no_grad on the way, or no layer below "
        "learns.",
    )
