"""02.cache_step: a step of attention that keeps keys and values."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from minids.check import Attempt, Claim, checker, close, shaped
from minids.check.sizes import draw


def _angles(width: int) -> Tensor:
    return 0.7 ** torch.arange(width // 2)


def turn(x: Tensor, start: int) -> Tensor:
    """Turn vectors [..., t, d] to the positions start, start + 1, ... (half-split RoPE)."""
    at = (start + torch.arange(x.shape[-2], device=x.device))[:, None] * _angles(x.shape[-1])
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * at.cos() - b * at.sin(), b * at.cos() + a * at.sin()], dim=-1)


def _still(x: Tensor, start: int) -> Tensor:
    """A turn that turns nothing."""
    return x.clone()


def _whole(parts: list[Tensor], turn: Any = turn) -> Tensor:
    """Causal attention of a whole text, one head and one token at a time."""
    q, k, v = turn(parts[0], 0), turn(parts[1], 0), parts[2]
    share = q.shape[1] // k.shape[1]
    out = torch.zeros(*q.shape[:3], v.shape[3])
    for h in range(q.shape[1]):
        for t in range(q.shape[2]):
            keys, values = k[:, h // share, : t + 1], v[:, h // share, : t + 1]
            scores = (keys @ q[:, h, t, :, None])[..., 0] * q.shape[3] ** -0.5
            out[:, h, t] = (scores.softmax(-1)[..., None] * values).sum(1)
    return out


def _in_pieces(
    attempt: Any, parts: list[Tensor], sizes: list[int], turn: Any = turn
) -> tuple[Tensor, Any]:
    past, outs = None, []
    for q, k, v in zip(*(part.split(sizes, dim=2) for part in parts), strict=True):
        out, past = attempt(q, k, v, past, turn)
        outs.append(out)
    return torch.cat(outs, dim=2), past


def _three(
    g: torch.Generator, b: int, heads: int, keys: int, t: int, d: int, dv: int
) -> list[Tensor]:
    """Queries, keys and values of a drawn text."""
    return [torch.randn(b, h, t, w, generator=g) for h, w in ((heads, d), (keys, d), (keys, dv))]


@checker(
    "02.cache_step",
    hints=(
        "A new token is the only one whose query is needed. It looks at the keys and values of all "
        "tokens so far: those that were kept, and its own.",
        "start = number of tokens kept; turn q and k to start; append k and v to what was kept; "
        "attend with each key head repeated for its group; among the new tokens, no look ahead.",
        "k = k if past is None else torch.cat([past[0], k], dim=2)",
    ),
)
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    heads, keys, t, d = 6, draw(g, 2, 3), draw(g, 6, 9), 10
    parts = _three(g, 2, heads, keys, t, d, 5)
    result = attempt(*(part[:, :, :1] for part in parts), None, turn)
    yield Claim(
        "a step returns two things: what is mixed, and the pair (keys, values) to keep",
        isinstance(result, tuple | list)
        and len(result) == 2
        and isinstance(result[1], tuple | list)
        and len(result[1]) == 2,
        "end with `return mixed, (k, v)`.",
    )
    out, kept = result
    yield shaped(out, (2, heads, 1, 5), like=parts[0], what="what is mixed")
    first = parts[2][:, :, :1].repeat_interleave(heads // keys, dim=1)
    yield Claim(
        "the first token sees itself alone: each query head gets the value of its group",
        close(out, first),
        "query head i reads key head i // (h / g), and weights sum to 1.",
    )
    yield shaped(kept[0], (2, keys, 1, d), what="what is kept of one token's keys")
    yield shaped(kept[1], (2, keys, 1, 5), what="what is kept of one token's values")
    expected = _whole(parts)
    yield Claim(
        "a whole text in one step is causal attention",
        close(_in_pieces(attempt, parts, [t])[0], expected),
        "no query may look at later tokens, scores are divided by the root of d, and queries and "
        "keys are both turned; values are not.",
    )
    out, kept = _in_pieces(attempt, parts, [1] * t)
    yield Claim(
        "after t steps, t keys and values are kept for each key head",
        tuple(kept[0].shape) == (2, keys, t, d) and tuple(kept[1].shape) == (2, keys, t, 5),
        "append along the axis of tokens (dim=2), old tokens first, and keep the g key heads: "
        "repeat them for their groups only after appending, or the cache saves nothing.",
    )
    still, _ = _in_pieces(attempt, parts, [1] * t, _still)
    yield Claim(
        "where nothing is turned, a step of one token looks at all that was kept",
        close(still, _whole(parts, _still)),
        "a new token is the last one, not the first: tril() alone, or is_causal, lets it see the "
        "oldest key and no other; tril(all - new).",
    )
    yield Claim(
        "three steps of one token are the same as one step of three",
        close(out[:, :, :3], expected[:, :, :3]),
        "the second token sits at position 1, not at 0: positions go on where the kept tokens end; "
        "and what is kept must be turned when it is used, each key to its own position.",
    )
    yield Claim("token by token gives what the whole text gives", close(out, expected),
                "every step must see all that was kept, and keep what it saw.")  # fmt: skip
    sizes = [3, 1, t - 4]
    yield Claim(
        "pieces of any length give what the whole text gives",
        close(_in_pieces(attempt, parts, sizes)[0], expected),
        "among several new tokens, the i-th sees all that was kept and i + 1 new ones: "
        "torch.ones(new, all).tril(all - new).",
    )
    start = [part[:, :, :2] for part in parts]
    _, kept = _in_pieces(attempt, start, [2])
    _in_pieces(attempt, [part + 1 for part in parts], [t])
    ends = [attempt(*(part[:, :, 2:3] for part in parts), kept, turn)[0] for _ in range(2)]
    yield Claim(
        "an old past can be continued later, and more than once",
        all(close(end, expected[:, :, 2:3]) for end in ends),
        "what was kept comes in as `past`: take it from there, and keep nothing elsewhere.",
    )
    small = _three(g, 1, 4, 1, 3, 2, 2)
    yield Claim(
        "one key head, a batch of 1 and the narrowest head work too",
        close(_in_pieces(attempt, small, [1, 2])[0], _whole(small)),
        "take every size from the shapes.",
    )
