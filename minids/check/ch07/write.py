"""07.write: a text written with drafts and a cache."""

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from minids.check import Attempt, Claim, call, checker
from minids.check.answers import is_whole, pair
from minids.config import GQAConfig, ModelConfig
from minids.model.layers import init_weights
from minids.model.transformer import Transformer


class _Counted:
    """A model that counts its passes and the tokens it reads; its answers are the model's.

    `stale` says whether it ever read behind a cache that holds something else than `text`.
    """

    def __init__(self, model: Transformer, text: list[int]) -> None:
        self.model, self.c, self.new_cache = model, model.c, model.new_cache
        self.passes = self.read = 0
        self.text, self.stale = text, False
        self.caches: dict[int, tuple[Any, list[int]]] = {}

    def __call__(self, tokens: Tensor, cache: Any = None, *, last: int | None = None) -> Any:
        self.passes += 1
        self.read += tokens.numel()
        if self.passes > 60:
            raise ValueError("60 passes for two dozen tokens: does every pass add a token?")
        if cache is not None:
            held = self.caches.get(id(cache), (cache, []))[1][: cache.length]
            self.stale |= held != self.text[: cache.length]
            self.caches[id(cache)] = cache, held + tokens.flatten().tolist()
        with torch.no_grad():
            return self.model(tokens, cache, last=last)


def _writer(g: torch.Generator) -> Transformer:
    heads = GQAConfig(n_heads=2, n_kv_heads=1, head_dim=4)
    c = ModelConfig(
        name="writer", vocab=13, dim=8, n_layers=2, hidden=16, attention=heads, context=256
    )
    model = Transformer(c)
    init_weights(model, 0.6, g)
    return model.double().eval()


def _plain(model: Transformer, prompt: list[int], n: int) -> list[int]:
    text = list(prompt)
    with torch.no_grad():
        for _ in range(n):
            text.append(int(model(torch.tensor([text])).logits[0, -1].argmax()))
    return text


@checker(
    "07.write",
    hints=(
        "The cache may hold what was right, and nothing else. All of it but the last token of the "
        "text has been read.",
        "Each pass: read the tokens that the cache lacks, then the drafts; best = argmax at the "
        "last len(drafts) + 1 places; verify; rewind the cache to the text without its last token.",
        "cache.rewind(len(text) - 1), after the new tokens have been added to `text`",
    ),
)
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    model, n = _writer(g), 23
    prompt = torch.randint(13, (5,), generator=g).tolist()
    whole = _plain(model, prompt, n + 8)
    plain = whole[5 : 5 + n]

    def knows(text: list[int], at_most: int = 3) -> list[int]:
        return whole[len(text) : len(text) + at_most]

    def errs(text: list[int], at_most: int = 3) -> list[int]:
        return [(token + 1) % 13 for token in knows(text, at_most)]

    def half(text: list[int]) -> list[int]:
        good = knows(text)
        return [*good[:1], *[(token + 1) % 13 for token in good[1:]]]

    def run(draft: Callable[..., Any], n: int = n) -> tuple[Any, Any, _Counted]:
        counted = _Counted(model, whole)
        out = pair(call(attempt, counted, draft, prompt, n))
        return *out, counted

    told: list[Any] = []

    def listens(text: Any) -> list[int]:
        told.append(list(text) if isinstance(text, list) else text)
        return whole[len(text) : len(text) + 3]

    new, passes, counted = run(listens)
    yield Claim(
        "the answer is a pair: the new tokens and the number of passes",
        isinstance(new, list) and is_whole(passes),
        "return a pair: a list of n_new tokens, and how often the model was called.",
    )
    yield Claim(
        "passes is how often the model was called",
        passes == counted.passes,
        "every call counts, the one that reads the prompt, too.",
    )
    yield Claim(
        "the drafter is given the text so far: the prompt, and every token that is known behind it",
        all(isinstance(text, list) and text[:5] == prompt for text in told),
        "draft(text) wants one list of tokens: the whole prompt, and behind it all that was "
        "written, up to the newest.",
    )
    yield Claim(
        "it writes exactly n_new tokens",
        len(new) == n,
        "the last pass may bring more than is asked: return exactly n_new of them.",
    )
    wrong, _, counted_wrong = run(errs)
    yield Claim(
        "with wrong drafts the first token is the model's own",
        wrong[:1] == plain[:1],
        "wrong drafts are dropped, and the model's own choice stands in their place.",
    )
    yield Claim(
        "nothing of a wrong draft stays behind",
        wrong == plain and not counted_wrong.stale,
        "rewind the cache to what is right: the text without its last token, which is unread.",
    )
    yield Claim("with right drafts it is the same text", new == plain, "verify from the left.")
    yield Claim(
        "right drafts save passes: several tokens a pass",
        counted.passes <= 1 + math.ceil((n - 1) / 4),
        "read all drafts in one pass, and keep all that are right: several tokens a pass.",
    )
    yield Claim(
        "what is right is read once",
        counted.read <= 5 + n + 4 + 3 and counted_wrong.read <= 5 + n * 4,
        "the cache holds what was read: each pass reads nothing twice but what it had to drop.",
    )
    mixed, *_ = run(half)

    def two_right(text: list[int]) -> list[int]:
        return [*knows(text, 2), *errs(text)[2:]]

    some, some_passes, counted_some = run(two_right)
    threes = math.ceil((n - 1) / 3)  # two drafts that are right, and the model's own choice
    none, none_passes, _ = run(lambda text: [])
    yield Claim(
        "drafts that begin well and no drafts at all give the same text",
        mixed == plain and none == plain,
        "rewind by what was dropped, whatever their number.",
    )
    yield Claim(
        "two right drafts of three bring three tokens a pass, and are read once",
        some == plain and some_passes <= 1 + threes and counted_some.read <= 5 + 4 * threes,
        "keep every draft up to the first wrong one, take the model's own choice there, and leave "
        "in the cache what was right.",
    )
    yield Claim(
        "without drafts a pass brings one token",
        none_passes <= n + 1,
        "no drafts: one token a pass, and at most one pass more to read the prompt.",
    )
    wrong, *_ = run(partial(errs, at_most=8))
    new, passes, _ = run(partial(knows, at_most=8))
    yield Claim(
        "eight drafts at once are read and judged, too",
        wrong == plain and new == plain and passes <= 1 + math.ceil((n - 1) / 9),
        "a drafter may guess up to 8 tokens: read all of them, and make room for them in the cache "
        "behind the text.",
    )
    one, *_ = run(knows, 1)
    yield Claim("one token is one token", one == plain[:1], "n_new = 1 is a text, too.")
    text = _plain(model, prompt[:1], 5)
    short, _ = pair(attempt(_Counted(model, text), lambda so_far: [], prompt[:1], 5))
    yield Claim(
        "a prompt of one token is a prompt, too",
        short == text[1:],
        "there is nothing to read before its last token: no pass over an empty row.",
    )
