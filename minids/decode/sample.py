"""Write with a model: choose one token after another, for a whole batch of prompts at once.

axes: n rows (rollouts), t tokens of the longest prompt plus what was written, v vocabulary
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from minids.accounting import flops_per_token
from minids.decode.refused import refuse_no_choice, refuse_no_room
from minids.decode.threads import threads_that_pay
from minids.model.transformer import Transformer


class Rollouts(NamedTuple):
    """What `generate` wrote: rows of prompt and answer, aligned where the answers begin."""

    tokens: Int[Tensor, "n t"]  # padding, prompt, answer, padding
    mask: Bool[Tensor, "n t"]  # True on written tokens, the stop token included
    logp: Float[Tensor, "n t"]  # nats; log-probability of each written token, 0 elsewhere
    prompt_length: int  # answers start at this column
    pad: Int[Tensor, " n"]  # padding tokens before each prompt

    def answers(self) -> list[list[int]]:
        """Return the written tokens of each row, the stop token included."""
        rows, lengths = self.tokens[:, self.prompt_length :].tolist(), self.mask.sum(-1).tolist()
        return [row[:length] for row, length in zip(rows, lengths, strict=True)]


class Share(NamedTuple):
    """Chance for rows that are part of a larger batch: they draw what they would draw in it."""

    generator: torch.Generator | None
    first: int  # which row of the larger batch is the first here
    total: int  # rows of the larger batch
    rows: Int[Tensor, " n"] | None = None  # those left, counted from `first`; None: all


@torch.no_grad()
def generate(
    model: Transformer,
    prompts: Sequence[Sequence[int]],
    max_new: int,
    *,
    each: int = 1,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    stop: int | None = None,
    pad: int = 0,
    generator: torch.Generator | Share | None = None,
) -> Rollouts:
    """Return what the model writes behind every prompt: up to `max_new` tokens, `each` times.

    A prompt is read once, however often it is continued; its rows are neighbours. A row ends with
    the token `stop`; all end when each row has stopped, and whenever half of them have, these
    leave the batch, which changes no draw of the others. `temperature` 0 takes the likeliest
    token. Prompts of different length share a batch: the short ones are padded on the left with
    `pad`, which no token attends to. The log-probabilities are those of the whole distribution at
    `temperature` (at 1 when greedy), before top-k or top-p cut it.
    """
    refuse_no_room(prompts, max_new, model.c.context)
    refuse_no_choice(temperature, top_k, top_p)
    if each < 1:
        raise ValueError(f"each={each}: continue every prompt at least once")
    device = model.embed.weight.device
    asked, padding = _side_by_side(prompts, pad, device)
    source = torch.arange(len(prompts), device=device).repeat_interleave(each)
    n, longest = len(source), asked.shape[1]
    total = longest + max_new
    tokens = torch.cat([asked[source], torch.full((n, max_new), pad, device=device)], dim=1)
    logp = torch.zeros(n, total, dtype=torch.float32, device=device)  # as `choose` gives it
    mask = torch.zeros(n, total, dtype=torch.bool, device=device)

    chance = generator if isinstance(generator, Share) else Share(generator, 0, n)
    cache = model.new_cache(len(prompts), total, padding if bool(padding.any()) else None)
    work = flops_per_token(model.c, total, "decode")
    writing = torch.arange(n, device=device)  # rows in the batch
    alive = torch.ones(n, dtype=torch.bool, device=device)  # those of them that have not stopped
    new = asked
    for at in range(longest, total):
        with threads_that_pay(work * new.numel()):
            logits = model(new, cache, last=1).logits[:, -1]
        if at == longest and each > 1:
            logits = logits[source]
            cache.take(source)
        chosen, chosen_logp = choose(logits, temperature, top_k, top_p, chance)
        tokens[writing, at] = torch.where(alive, chosen, pad)
        logp[writing, at] = torch.where(alive, chosen_logp, 0.0)
        mask[writing, at] = alive
        if stop is not None:
            alive = alive & (chosen != stop)
            left = int(alive.sum())
            if left == 0:
                total = at + 1
                break
            if 2 * left <= len(alive):
                kept = alive.nonzero()[:, 0]
                cache.take(kept)
                writing, alive = writing[kept], alive[kept]
                chance = chance._replace(rows=writing)
        new = tokens[writing, at : at + 1]
    return Rollouts(tokens[:, :total], mask[:, :total], logp[:, :total], longest, padding[source])


def _side_by_side(
    prompts: Sequence[Sequence[int]], pad: int, device: torch.device
) -> tuple[Int[Tensor, "p t"], Int[Tensor, " p"]]:
    """The prompts as one tensor, padded on the left, and how much padding each has."""
    longest = max(map(len, prompts))
    rows = [[pad] * (longest - len(p)) + list(p) for p in prompts]
    padding = [longest - len(p) for p in prompts]
    return torch.tensor(rows, device=device), torch.tensor(padding, device=device)


def choose(
    logits: Float[Tensor, "n v"],
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: torch.Generator | Share | None = None,
) -> tuple[Int[Tensor, " n"], Float[Tensor, " n"]]:
    """Return one token per row and its log-probability in nats."""
    scaled = logits.float() / (temperature or 1.0)
    logp = scaled.log_softmax(-1)
    if temperature == 0:
        token = logp.argmax(-1)
    else:
        share = _shares_of(len(logp), logp.device, generator)
        token = draw(truncate(logp, top_k, top_p).exp(), share)
    return token, logp.gather(-1, token[:, None])[:, 0]


def draw(weights: Float[Tensor, "n v"], share: Float[Tensor, " n"]) -> Int[Tensor, " n"]:
    """Return a token for each row, with chances in proportion to its weights.

    It is the first at which the running sum of the weights reaches a share, in (0, 1], of all of
    them. So a token of weight 0 is never drawn where sums are carried out one after the other, as
    on a CPU; elsewhere as rarely as rounding makes it. Of weights that are no numbers the last.
    """
    running = weights.to(share.dtype).cumsum(-1)
    token = torch.searchsorted(running, running[:, -1:] * share[:, None])[:, 0]
    return token.clamp(max=weights.shape[1] - 1)


def shares(
    n: int, device: torch.device | str, generator: torch.Generator | None = None
) -> Float[Tensor, " n"]:
    """Return n random numbers from 0, excluded, to 1, included; in fp64, which MPS lacks."""
    wide = torch.float32 if torch.device(device).type == "mps" else torch.float64
    return 1 - torch.rand(n, dtype=wide, device=device, generator=generator)


def _shares_of(
    n: int, device: torch.device, generator: torch.Generator | Share | None
) -> Float[Tensor, " n"]:
    if not isinstance(generator, Share):
        return shares(n, device, generator)
    first, whole = generator.first, shares(generator.total, device, generator.generator)
    return whole[first : first + n] if generator.rows is None else whole[first + generator.rows]


def truncate(
    logp: Float[Tensor, "n v"], top_k: int | None = None, top_p: float | None = None
) -> Float[Tensor, "n v"]:
    """Return `logp` with every token outside the top k and outside the nucleus at -inf.

    The nucleus is the smallest set of likeliest tokens whose probability reaches `top_p`
    (arXiv 1904.09751); the likeliest token always stays. Both cuts may be given: top-k first. Of
    equals the first stays, as in greedy writing.
    """
    if top_k is not None and top_k < logp.shape[-1]:
        kth = logp.topk(top_k, dim=-1).values[:, -1:]
        equals, left = logp == kth, top_k - (logp > kth).sum(-1, keepdim=True)
        surplus = equals & (equals.cumsum(-1) > left)
        logp = logp.masked_fill((logp < kth) | surplus, -torch.inf)
    if top_p is not None and top_p < 1:
        ordered, order = logp.log_softmax(-1).sort(dim=-1, descending=True, stable=True)
        before = ordered.exp().cumsum(-1) - ordered.exp()
        dropped = torch.zeros_like(logp, dtype=torch.bool).scatter(-1, order, before >= top_p)
        logp = logp.masked_fill(dropped, -torch.inf)
    return logp


def token_logp(
    logits: Float[Tensor, "n t v"], tokens: Int[Tensor, "n t"], temperature: float = 1.0
) -> Float[Tensor, "n t"]:
    """Return the log-probability, in nats, of each of `tokens` under the logits at its place."""
    scaled = logits.float() / temperature
    return scaled.log_softmax(-1).gather(-1, tokens[..., None])[..., 0]
