"""04.bracket: a product carried to the query, not to every key."""

from collections.abc import Iterator

import torch

from minids.check import Attempt, Claim, checker, close, shaped
from minids.check.ch04.common import count_flops, has_gradient


@checker(
    "04.bracket",
    hints=(
        "A product of three matrices does not depend on the order in which you multiply.",
        "(t, n) @ (n, r) gives (t, r); that times (r, s) gives (t, s). No (s, n) on the way.",
        "return (q @ key_up) @ latent.T",
    ),
)
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    q, latent, key_up = (torch.randn(*size, generator=g) for size in ((3, 5), (11, 7), (5, 7)))
    out = attempt(q, latent, key_up)
    yield shaped(out, (3, 11), like=q, what="the table of scores")
    yield Claim(
        "a query twice as large has scores twice as large",
        torch.allclose(attempt(2 * q, latent, key_up), 2 * out, atol=1e-3),
        "scores come before the softmax, and here nothing comes after them: no softmax.",
    )
    yield Claim(
        "a latent twice as large has scores twice as large",
        torch.allclose(attempt(q, 2 * latent, key_up), 2 * out, atol=1e-3),
        "latents were normed before they were kept: no norm here.",
    )
    yield Claim(
        "the scores are those of the rebuilt keys",
        close(out, q @ (latent @ key_up.T).T),
        "plain products: no scale; key_up takes a latent of r numbers to a key of n.",
    )
    a_query, a_latent, up = q[:1].abs(), latent[:1].abs(), key_up.abs()
    one = attempt(a_query, a_latent, up)
    yield Claim(
        "one query and one latent work too",
        tuple(one.shape) == (1, 1) and close(one, a_query @ up @ a_latent.T),
        "no squeeze: a table of one row and one column stays a table.",
    )
    yield Claim(
        "gradients reach every input",
        has_gradient(attempt, {"q": q, "latent": latent, "key_up": key_up}),
        "stay in torch, without numpy, detach() or no_grad(): what leaves torch cannot be trained, "
        "nor counted.",
    )
    q, latent, key_up = (torch.randn(*size, generator=g) for size in ((1, 16), (997, 32), (16, 32)))
    rebuilding = 2 * 997 * 32 * 16
    yield Claim(
        "one query over many latents costs less than a tenth of rebuilding their keys",
        10 * count_flops(lambda: attempt(q, latent, key_up)) < rebuilding,
        "the keys are built first, or the query is carried anew for every latent: carry it once, "
        "brackets first.",
    )
