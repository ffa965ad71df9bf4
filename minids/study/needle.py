"""A needle in a haystack: a task that asks for what stood far back, and for what stood near.

    tokens   filler ... key value ... filler ... key
                        the needle               the question: which value went with this key?

Filler is no noise. Most of it is the token three places back, replaced by a fixed rule, so that
a model that loses its sense of near distances shows it at every filler token. Needles test far
positions by content, filler tests near ones by distance: one without the other proves nothing.

A model of two layers finds no value by its key in the time of a chapter, unless every token
brings its predecessor along: `with_token_shift`, put in front of the package's Transformer.

axes: b rows, t tokens, d model width, v vocabulary
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from minids.model.transformer import Transformer
from minids.text.batches import Batch
from minids.text.chance import chance

N_FILLER, N_KEYS, N_VALUES = 24, 16, 16
VOCAB = N_FILLER + N_KEYS + N_VALUES  # numbered in this order
BACK, FAITHFUL = 3, 0.8  # filler repeats the token so far back, by the rule, this often

AT_ONCE = 16_384
"""Tokens in memory at a time, or one row if that has more."""

RULE = torch.randperm(N_FILLER, generator=torch.Generator().manual_seed(5))
"""What the filler token `BACK` places ago becomes: one fixed permutation."""


class Haystack(NamedTuple):
    """Rows that end in a question, and what should come next."""

    tokens: Int[Tensor, "b t"]
    answers: Int[Tensor, " b"]


def filler(rows: int, length: int, g: torch.Generator) -> Int[Tensor, "b t"]:
    """Return tokens of which four in five follow from the one three places back.

    No loop over the tokens: every place knows where its chain last began anew, and the rule is
    applied as often as there are links since.
    """
    links = -(-length // BACK)
    fresh = torch.randint(N_FILLER, (rows, links, BACK), generator=g)
    anew = torch.rand(rows, links, BACK, generator=g) >= FAITHFUL
    anew[:, 0] = True
    place = torch.arange(links).view(1, links, 1)
    start = torch.where(anew, place, 0).cummax(1).values
    turns = place - start
    powers = [torch.arange(N_FILLER)]
    for _ in range(int(turns.max())):
        powers.append(RULE[powers[-1]])
    return torch.stack(powers)[turns, fresh.gather(1, start)].flatten(1)[:, :length]


def floor() -> float:
    """Return the loss on filler of a model that knows the rule and nothing more, nats per token."""
    p = torch.full((N_FILLER,), (1 - FAITHFUL) / N_FILLER)
    p[0] += FAITHFUL
    return float(-(p * p.log()).sum())


def haystacks(rows: int, length: int, depth: float, *, seed: int, distractors: int = 3) -> Haystack:
    """Return rows of `length` tokens with one needle each, at `depth`, and the question last.

    Depth 0 is the start of the row, far from the question; depth 1 the place just before it.
    `distractors` other pairs, with other keys and other values, lie at random places: a guess
    among the values present is right once in 1 + distractors. ValueError if they do not fit.
    """
    slots = (length - 1) // 2
    if not 0 <= depth <= 1 or slots < distractors + 3:
        raise ValueError(
            f"depth={depth} must lie in 0..1, and length={length} must hold a needle and "
            f"{distractors} distractors: at least {2 * distractors + 7} tokens"
        )
    g = chance("haystacks", seed, length, float(depth))
    tokens = filler(rows, length, g)
    keys = torch.rand(rows, N_KEYS, generator=g).argsort(1)[:, : distractors + 1] + N_FILLER
    values = torch.rand(rows, N_VALUES, generator=g).argsort(1)[:, : distractors + 1]
    values = values + N_FILLER + N_KEYS
    needle = round(depth * (length - 3))
    free = torch.rand(rows, slots, generator=g)
    free[:, [needle // 2, min((needle + 1) // 2, slots - 1)]] = 2.0  # taken by the needle
    places = 2 * free.argsort(1)[:, :distractors]
    at = torch.cat([torch.full((rows, 1), needle), places], dim=1)
    tokens.scatter_(1, at, keys).scatter_(1, at + 1, values)
    tokens[:, -1] = keys[:, 0]
    return Haystack(tokens, values[:, 0])


def lessons(
    rows: int, length: int, seed: int, *, pairs: int = 10, n_keys: int = 4
) -> Callable[[int], Batch]:
    """Return the function from `i` to batch `i`: filler with `pairs` pairs of `n_keys` keys.

    A key that comes again keeps its value in the row, so the second time it can be known.
    The number of pairs does not grow with the length: a longer row asks from further away.
    ValueError if they do not fit.
    """
    if not 0 < pairs <= length // 2 or not 0 < n_keys <= N_KEYS:
        raise ValueError(
            f"pairs={pairs} of n_keys={n_keys} keys in rows of {length}: a pair takes two tokens, "
            f"and there are {N_KEYS} keys"
        )

    def batch(i: int) -> Batch:
        g = chance("lessons", seed, length, i)
        tokens = filler(rows, length + 1, g)
        keys = torch.rand(rows, N_KEYS, generator=g).argsort(1)[:, :n_keys]
        values = torch.randint(N_VALUES, (rows, n_keys), generator=g)
        at = 2 * torch.rand(rows, length // 2, generator=g).argsort(1)[:, :pairs]
        which = torch.randint(n_keys, at.shape, generator=g)
        tokens.scatter_(1, at, N_FILLER + keys.gather(1, which))
        tokens.scatter_(1, at + 1, N_FILLER + N_KEYS + values.gather(1, which))
        inputs, targets = tokens[:, :-1], tokens[:, 1:]
        return Batch(inputs, targets, torch.ones_like(inputs, dtype=torch.bool))

    return batch


def recalls(tokens: Int[Tensor, "b t"]) -> Bool[Tensor, "b t"]:
    """Return True at every key that stood in its row before: there the value can be known."""
    keys = torch.arange(N_FILLER, N_FILLER + N_KEYS, device=tokens.device)
    shown = (tokens[..., None] == keys).cumsum(1)
    is_key = (tokens >= N_FILLER) & (tokens < N_FILLER + N_KEYS)
    own = shown.gather(2, (tokens - N_FILLER).clamp(0, N_KEYS - 1)[..., None])[..., 0]
    return is_key & (own > 1)


def predictable(tokens: Int[Tensor, "b t"], targets: Int[Tensor, "b t"]) -> Bool[Tensor, "b t"]:
    """Return True where the target is filler and so is the token that it follows from."""
    source = torch.full_like(tokens, VOCAB)
    source[:, BACK - 1 :] = tokens[:, : tokens.shape[1] - BACK + 1]
    return (targets < N_FILLER) & (source < N_FILLER)


class TokenShift(nn.Module):
    """An embedding to which a matrix adds the embedding of the token before."""

    def __init__(self, embed: nn.Embedding, std: float, g: torch.Generator) -> None:
        super().__init__()
        self.weight = embed.weight
        self.before = nn.Parameter(torch.randn(2 * embed.weight.shape[1:], generator=g) * std)

    def forward(self, tokens: Int[Tensor, "b t"]) -> Float[Tensor, "b t d"]:
        """Return the embeddings of whole rows: the first token has none before it."""
        x = nn.functional.embedding(tokens, self.weight)
        return x + nn.functional.linear(nn.functional.pad(x, (0, 0, 1, 0))[:, :-1], self.before)


def with_token_shift(model: Transformer, seed: int) -> Transformer:
    """Return the model with its embedding replaced by one that brings the token before along.

    Blocks, attention and positions stay the package's own. Rows have to be read as a whole: a
    cache does not know the token before a new one (`stretch.answer` shows how to decode).
    """
    shift = TokenShift(model.embed, model.c.init_std, torch.Generator().manual_seed(seed))
    model.embed = shift  # type: ignore[assignment]
    return model


@torch.inference_mode()
def accuracy_by_depth(
    logits_of: Callable[[Int[Tensor, "b t"]], Float[Tensor, "b v"]],
    length: int,
    depths: Sequence[float],
    *,
    rows: int,
    seed: int,
    at_once: int = AT_ONCE,
    device: torch.device | str = "cpu",
) -> list[float]:
    """Return the share of right answers at each depth, `rows` haystacks each.

    `logits_of(tokens)` returns the logits after the last token of each row. Rows are read so many
    at a time that `at_once` tokens are in memory, at least one.
    """
    step = max(1, at_once // length)
    found = []
    for depth in depths:
        hay = haystacks(rows, length, depth, seed=seed)
        right = 0
        for tokens, answers in zip(hay.tokens.split(step), hay.answers.split(step), strict=True):
            said = logits_of(tokens.to(device)).argmax(-1).cpu()
            right += int((said == answers).sum())
        found.append(right / rows)
    return found
