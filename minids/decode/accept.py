"""Which drafts are kept, so that the text stays the model's own.

Greedy: those that the model would have written. Sampled: by chance, so that what comes out follows
the model's distribution, whatever the drafts were drawn from (arXiv 2211.17192, algorithm 1).

axes: b rows, n drafts, m = n + 1 places that are checked, v vocabulary
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from minids.decode.draft import Pick


def accept(
    p: Float[Tensor, "b m v"], q: Float[Tensor, "b n v"], drafts: Int[Tensor, "b n"], pick: Pick
) -> tuple[Int[Tensor, " b"], Int[Tensor, " b"]]:
    """Return how many drafts of each row are kept, and the token that follows them.

    `p` are the model's probabilities at each draft and behind the last, `q` those that the drafts
    were drawn from. A draft x is kept with chance p(x) / q(x), at most 1. The first that is not
    gives its place to a token drawn from what p has and q has not, max(p - q, 0). What comes out
    follows p, whatever q is.
    """
    n = drafts.shape[1]
    odds = [x.gather(-1, drafts[..., None])[..., 0] for x in (p[:, :n], q)]
    coins = torch.rand(drafts.shape, dtype=p.dtype, device=p.device, generator=pick.generator)
    kept = (coins * odds[1] < odds[0]).long().cumprod(-1).sum(-1)
    row = torch.arange(len(p), device=p.device)
    here, drafted = p[row, kept], torch.cat([q, torch.zeros_like(p[:, :1])], dim=1)[row, kept]
    rest = (here - drafted).clamp(min=0)
    some = rest.sum(-1, keepdim=True) > 0  # nothing is left only by rounding
    return kept, pick.draw(torch.where(some, rest, here))


def accept_greedy(
    best: Int[Tensor, "b m"], drafts: Int[Tensor, "b n"]
) -> tuple[Int[Tensor, " b"], Int[Tensor, " b"]]:
    """Return how many drafts of each row are the model's own choices, and its choice behind them.

    `best` are the model's likeliest tokens at each draft and behind the last.
    """
    kept = (best[:, :-1] == drafts).long().cumprod(-1).sum(-1)
    return kept, best.gather(-1, kept[:, None])[:, 0]
