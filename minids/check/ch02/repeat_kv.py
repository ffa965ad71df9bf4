"""02.repeat_kv: key heads shared by neighbouring query heads."""

from collections.abc import Iterator

import torch

from minids.check import Attempt, Claim, checker, shaped
from minids.check.sizes import draw


@checker(
    "02.repeat_kv",
    hints=(
        "Query head i uses key head i // n: neighbours share. So the first key head must come n "
        "times before the second one comes.",
        "Only the axis of heads grows: (b, g, s, d) becomes (b, g * n, s, d), and head i of the "
        "result is head i // n of the input.",
        "return x.repeat_interleave(n, dim=1)",
    ),
)
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    n, heads = draw(g, 2, 4), draw(g, 2, 3)
    x = torch.randn(2, heads, 5, 6, generator=g)
    out = attempt(x, n)
    yield shaped(out, (2, heads * n, 5, 6), like=x)
    alike = torch.arange(1.0, heads + 1)[None, :, None, None].expand(2, heads, 5, 6).clone()
    got = attempt(alike, n)
    yield Claim(
        "every query head gets the numbers of one key head as they are",
        set(got.unique().tolist()) <= set(alike.unique().tolist()),
        "copy, and calculate nothing: no mean over the group, and nothing divided by n.",
    )
    yield Claim(
        "every key head is read by n query heads",
        all(int((got == i + 1).sum()) == n * x[:, i].numel() for i in range(heads)),
        "no key head may be left out: each of the g comes n times.",
    )
    yield Claim(
        "the first n query heads all get the first key head",
        bool((out[:, :n] == x[:, :1]).all()),
        "neighbours share a key head: repeat_interleave gives 0 0 1 1, repeat gives 0 1 0 1.",
    )
    yield Claim(
        "query head i gets key head i // n, with its tokens and numbers in place",
        all(bool((out[:, i] == x[:, i // n]).all()) for i in range(heads * n)),
        "the heads are the axis that grows; tokens and numbers stay where they are.",
    )
    yield Claim(
        "with one query head for each key head nothing changes (n = 1 is MHA)",
        torch.equal(attempt(x, 1), x),
        "n says how often each head comes: once, here.",
    )
    one = torch.randn(1, 1, 1, 4, generator=g)
    yield Claim(
        "one key head serves all (MQA), also for a batch of 1 and a length of 1",
        torch.equal(attempt(one, 6), one.expand(1, 6, 1, 4)),
        "count axes from the left: batch, heads, tokens, numbers.",
    )
    x.requires_grad_()
    if (heard := attempt(x, n)).requires_grad:
        heard.sum().backward()
    yield Claim(
        "a shared key head hears from each of its n query heads in training",
        x.grad is not None and bool((x.grad == n).all()),
        "the gradient of a copy is the sum over its readers; do not detach, nor average.",
    )
