"""Does sampling follow its distribution? Thousands of short texts, counted beside exact chances.

With a small vocabulary and a few tokens all texts can be listed, and the chance of each worked
out. A chi-square test then says how likely counts as far off as these would be by chance alone.

axes: v vocabulary, c cells (all texts of so many tokens), n tokens
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from minids.config import GQAConfig, ModelConfig
from minids.decode.draft import Pick
from minids.decode.speculative import Drafter, speculate
from minids.model.layers import init_weights
from minids.model.mtp import MTP
from minids.model.transformer import Transformer


class Test(NamedTuple):
    """A chi-square test. `p` is small where the counts do not fit: below 0.001 call it broken."""

    statistic: float  # about `freedom` where the counts fit
    freedom: int
    p: float


def tiny(vocab: int = 5, depth: int = 2, seed: int = 0) -> MTP:
    """Return a small untrained model with modules, whose choices and guesses are far from even."""
    heads = GQAConfig(n_heads=2, n_kv_heads=2, head_dim=8)
    c = ModelConfig(
        name="tiny", vocab=vocab, dim=16, n_layers=2, hidden=32, attention=heads, context=32,
        mtp_depth=depth,
    )  # fmt: skip
    model = MTP(Transformer(c))
    init_weights(model, 0.4, torch.Generator().manual_seed(seed))
    return model.eval()


def smaller(c: ModelConfig, seed: int = 1) -> Transformer:
    """Return another model of the same vocabulary, with one layer, to draft."""
    model = Transformer(replace(c, n_layers=1, mtp_depth=0))
    init_weights(model, 0.4, torch.Generator().manual_seed(seed))
    return model.eval()


@torch.no_grad()
def chances(model: Transformer, prompt: Sequence[int], n: int, pick: Pick) -> Float[Tensor, " c"]:
    """Return the exact chance of every text of `n` tokens behind the prompt; they sum to 1."""
    v = model.c.vocab
    texts = torch.tensor(list(product(range(v), repeat=n)))
    rows = torch.cat([torch.tensor(prompt).expand(len(texts), -1), texts], dim=1)
    p = pick.probabilities(model(rows[:, :-1], last=n).logits).double()
    return p.gather(-1, texts[..., None])[..., 0].prod(-1)


def counts(
    model: Transformer,
    drafter: Drafter | None,
    prompt: Sequence[int],
    n: int,
    pick: Pick,
    *,
    draws: int = 10_000,
    n_drafts: int = 1,
) -> Int[Tensor, " c"]:
    """Return how often each text of `n` tokens was written in so many draws, all in one batch."""
    written = speculate(
        model,
        drafter,
        [list(prompt)] * draws,
        n,
        n_drafts=n_drafts,
        temperature=pick.temperature,
        top_k=pick.top_k,
        top_p=pick.top_p,
        generator=pick.generator,
    )
    v = model.c.vocab
    cell = (torch.tensor(written.answers) * v ** torch.arange(n - 1, -1, -1)).sum(-1)
    return torch.bincount(cell, minlength=v**n)


def chi_square(found: Int[Tensor, " c"], chance: Float[Tensor, " c"]) -> Test:
    """Return the test of counts against chances; cells expected fewer than 5 times are pooled.

    A text of chance 0 that was written all the same gives p = 0.
    """
    expected = chance.double() * found.sum()
    if bool(((expected == 0) & (found > 0)).any()):
        return Test(float("inf"), 0, 0.0)
    rare = expected < 5
    seen = torch.cat([found[~rare], found[rare].sum()[None]]).double()
    hoped = torch.cat([expected[~rare], expected[rare].sum()[None]])
    seen, hoped = seen[hoped > 0], hoped[hoped > 0]
    statistic = ((seen - hoped).square() / hoped).sum()
    freedom = len(hoped) - 1
    if freedom < 1:
        raise ValueError("fewer than two cells are expected five times: take more draws")
    half = torch.tensor(freedom / 2, dtype=torch.float64)
    p = torch.special.gammaincc(half, statistic / 2)
    return Test(float(statistic), freedom, float(p))
