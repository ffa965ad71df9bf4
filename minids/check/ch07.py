"""Checks of chapter 07: who predicts what, and how drafts are taken without changing the text."""

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from minids.check import Claim, call, checker, close, shaped
from minids.check.answers import answers_for, explains, numbers_for, pair
from minids.config import GQAConfig, ModelConfig
from minids.model.layers import init_weights
from minids.model.transformer import Transformer


@checker(
    "07.shift",
    hints=(
        "Write five tokens down. Module 1 at place 0 knows tokens 0 and 1. What can it predict?",
        "At place i module k is given token i + k and has to say token i + k + 1. The last k + 1 "
        "places have no such token.",
        "return tokens[:, k:-1], tokens[:, k + 1 :]",
    ),
)
def _(attempt: Callable[..., Any], g: torch.Generator) -> Iterator[Claim]:
    tokens = torch.randperm(26, generator=g).view(2, 13)
    added, predicted = pair(attempt(tokens, 1))
    yield shaped(added, (2, 11), like=tokens, what="what module 1 is given along the row")
    yield shaped(predicted, (2, 11), like=tokens, what="what module 1 has to predict")
    where = {token: i for row in tokens.tolist() for i, token in enumerate(row)}
    read, asked = ([where.get(x, -1) for x in m.flatten().tolist()] for m in (added, predicted))
    yield Claim(
        "a module is not given the token that it has to predict",
        all(i != j for i, j in zip(read, asked, strict=True)),
        "a module that is given the token it has to say learns nothing: predict the token behind "
        "the one it reads.",
    )
    yield Claim(
        "what it predicts stands right behind what it reads",
        all(i + 1 == j for i, j in zip(read, asked, strict=True)),
        "which of your two tensors is read, and which is asked? Return what is given first.",
    )
    yield Claim(
        "module 1 starts with token 1 and predicts token 2",
        torch.equal(added, tokens[:, 1:12]) and torch.equal(predicted, tokens[:, 2:]),
        "place i reads token i + k and predicts token i + k + 1: with k = 1 the first are tokens "
        "1 and 2.",
    )
    deep = {k: pair(attempt(tokens, k)) for k in (2, 4)}
    yield Claim(
        "each module has one place less than the one before",
        all(getattr(x, "shape", ()) == (2, 12 - k) for k in deep for x in deep[k]),
        "k counts: the deeper the module, the earlier the text ends for it. Nothing wraps around.",
    )
    yield Claim(
        "place 0 of module k is given token k, and the other places go on from there",
        all(torch.equal(deep[k][0], tokens[:, k:12]) for k in deep),
        "what is given moves with the depth, too: module 2 is given token 2 first, and not token "
        "1 again.",
    )
    yield Claim(
        "and predicts the one behind",
        all(torch.equal(deep[k][1], tokens[:, k + 1 :]) for k in deep),
        "each depth looks one token further: module 2 predicts token 3 first.",
    )
    one = pair(attempt(tokens[:1, :5], 3))
    yield Claim(
        "a row with room for one place gives one place",
        torch.equal(one[0], tokens[:1, 3:4]) and torch.equal(one[1], tokens[:1, 4:5]),
        "slices along the row keep both axes: tokens[:, k:-1].",
    )


@checker(
    "07.verify",
    hints=(
        "Compare from the left. The first draft that the model would not have written ends it.",
        "kept = number of drafts equal to best, from the left. The model's own choice best[kept] "
        "comes behind them, always.",
        "return [*drafts[:kept], best[kept]]",
    ),
)
def _(attempt: Callable[..., Any], g: torch.Generator) -> Iterator[Claim]:
    a, b, c, d, e = torch.randperm(90, generator=g)[:5].tolist()
    cases = {
        "right": ([a, b, c], [a, b]),
        "wrong": ([a, b, c], [d, b]),
        "half": ([a, b, c, d], [a, e, c]),
    }
    out = {name: attempt(*case) for name, case in cases.items()}
    yield Claim(
        "the answer is a list of tokens",
        all(isinstance(x, list) and all(isinstance(t, int) for t in x) for x in out.values()),
        "return a list: the tokens that this pass adds to the text.",
    )
    yield Claim(
        "without drafts it is plain writing",
        attempt([a], []) == [a],
        "no drafts: one token comes, the model's own choice. It comes in every pass.",
    )
    yield Claim(
        "if all are right, all are kept, and the model's own choice behind the last comes too",
        out["right"] == [a, b, c],
        "best[i] is the choice in the place of drafts[i]; best has one entry more than drafts.",
    )
    yield Claim(
        "no draft that the model would not have written is in the text",
        d not in out["wrong"] and e not in out["half"],
        "a wrong draft is dropped.",
    )
    yield Claim(
        "nothing behind the first wrong draft counts",
        len(out["wrong"]) == 1 and len(out["half"]) == 2,
        "stop at the first wrong draft: later choices have read a draft that is wrong.",
    )
    yield Claim(
        "what is dropped is replaced by the model's choice at that very place",
        out["wrong"] == [a]
        and out["half"] == [a, b]
        and attempt([b, c, d, e], [b, c, a]) == [b, c, d],
        "best[kept], where kept drafts were right: the choice at that very place.",
    )


def _spread(attempt: Callable[..., Any], p: Tensor, q: Tensor) -> Tensor:
    """The distribution of the first token that comes out, with one draft, integrated exactly."""
    out = torch.zeros_like(p[0])
    for draft in range(q.shape[1]):
        chance = float((p[0, draft] / q[0, draft]).clamp(max=1))
        for weight, coin in ((chance, chance / 2), (1 - chance, (1 + chance) / 2)):
            if weight > 0:
                kept, rest = _kept(attempt, p, q, [draft], [coin])
                new = torch.eye(p.shape[1])[draft] if kept else rest
                out = out + q[0, draft] * weight * new
    return out


def _kept(
    attempt: Callable[..., Any], p: Tensor, q: Tensor, drafts: list[int], coins: list[float]
) -> tuple[int, Tensor]:
    kept, rest = pair(attempt(p, q, torch.tensor(drafts), torch.tensor(coins)))
    return (
        (int(kept), rest)
        if isinstance(kept, int | Tensor) and isinstance(rest, Tensor)
        else (-1, p[0])
    )


@checker(
    "07.accept",
    hints=(
        "A draft that q proposes too often must be dropped in so many cases that just p of them "
        "are left. What is dropped must come back where q proposes too rarely.",
        "From the left: keep draft i if coins[i] < p[i, x] / q[i, x]. At the first that is not "
        "kept: max(p[i] - q[i], 0), divided by its sum. If all are kept: the last row of p.",
        "rest = (p[i] - q[i]).clamp(min=0); return i, rest / rest.sum()",
    ),
)
def _(attempt: Callable[..., Any], g: torch.Generator) -> Iterator[Claim]:
    p = torch.tensor([[0.5, 0.3, 0.2, 0.0], [0.1, 0.2, 0.3, 0.4], [0.25, 0.25, 0.4, 0.1]])
    q = torch.tensor([[0.1, 0.6, 0.1, 0.2], [0.3, 0.4, 0.2, 0.1]])
    mixed = torch.randperm(4, generator=g)
    p, q = p[:, mixed], q[:, mixed]
    where = {name: int((mixed == i).nonzero()) for i, name in enumerate("abcd")}
    a, b, c = (where[name] for name in "abc")

    first = pair(attempt(p, q, torch.tensor([b, a]), torch.tensor([0.9, 0.1])))
    yield Claim(
        "the answer is a pair: how many drafts are kept, and a distribution",
        int(first[0] if isinstance(first[0], int | Tensor) else -1) in (0, 1, 2)
        and isinstance(first[1], Tensor)
        and tuple(first[1].shape) == (4,)
        and close(float(first[1].sum()), 1.0, rtol=1e-3),
        "return kept, weights: an int and (v,) numbers that sum to 1.",
    )
    yield Claim(
        "drafts that p likes at least as much as q are kept, whatever the coin",
        _kept(attempt, p, q, [a, c], [0.99, 0.99])[0] == 2,
        "keep a draft if its coin lies below the ratio p / q of that draft, in its own row.",
    )
    yield Claim(
        "a draft that q likes twice as much is kept if its coin lies below one half",
        _kept(attempt, p[:2], q[:1], [b], [0.49])[0] == 1
        and _kept(attempt, p[:2], q[:1], [b], [0.51])[0] == 0,
        "the coin decides, by the ratio p / q: 0.3 / 0.6 here.",
    )
    yield Claim(
        "each draft has a coin of its own",
        _kept(attempt, p, q, [a, b], [0.9, 0.45])[0] == 2
        and _kept(attempt, p, q, [a, b], [0.1, 0.55])[0] == 1,
        "a coin of its own for each draft: coins[i].",
    )
    kept, rest = _kept(attempt, p, q, [b, c], [0.9, 0.1])
    yield Claim(
        "the first draft that is dropped ends it: nothing behind it counts",
        kept == 0,
        "count from the left; nothing behind it counts, because it was read behind a wrong token.",
    )
    more = (p[0] - q[0]).clamp(min=0)
    yield Claim(
        "in its place comes what p has more than q",
        close(rest, more / more.sum(), rtol=1e-3),
        "draw from what p has more than q, at that place: max(p - q, 0), divided by its sum.",
    )
    kept, rest = _kept(attempt, p, q, [a, a], [0.5, 0.9])
    more = (p[1] - q[1]).clamp(min=0)
    yield Claim(
        "the same one place further",
        kept == 1 and close(rest, more / more.sum(), rtol=1e-3),
        "rows of p and q at the place of the dropped draft.",
    )
    kept, rest = _kept(attempt, p, q, [a, c], [0.5, 0.5])
    yield Claim(
        "if all are kept, one more token comes from the last row of p",
        kept == 2 and close(rest, p[2], rtol=1e-3),
        "p has one row more than q: the last row of p.",
    )
    few = torch.rand(3, 1, 5, generator=g) + 0.05
    few = few / few.sum(-1, keepdim=True)
    yield Claim(
        "with one draft, what comes out follows p exactly",
        close(_spread(attempt, torch.cat([few[0], few[1]]), few[2]), few[0, 0], rtol=1e-3),
        "add up: chance to draft x, times chance to keep it, plus what replaces it.",
    )


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
def _(attempt: Callable[..., Any], g: torch.Generator) -> Iterator[Claim]:
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

    new, passes, counted = run(knows)
    yield Claim(
        "the answer is a pair: the new tokens and the number of passes",
        isinstance(new, list) and isinstance(passes, int) and passes == counted.passes,
        "return a pair: a list of n_new tokens, and how often the model was called.",
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
    none, none_passes, _ = run(lambda text: [])
    yield Claim(
        "drafts that begin well and no drafts at all give the same text",
        mixed == plain and none == plain,
        "rewind by what was dropped, whatever their number.",
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


@checker(
    "07.measure",
    hints=(
        "A draft is tested only if its turn comes: all before it were kept.",
        "Position i is tested in rounds with drafts > i and kept >= i, and kept in those with "
        "kept > i.",
        "turns = [kept > i for drafts, kept in rounds if drafts > i and kept >= i]",
    ),
)
def _(attempt: Callable[..., Any], g: torch.Generator) -> Iterator[Claim]:
    simple = [(1, 1), (1, 0), (1, 1), (1, 1)]
    out = attempt(simple)
    yield Claim(
        "the answer is a list, a share for each position",
        isinstance(out, list) and len(out) == 1,
        "return a list: as many shares as the longest round has drafts.",
    )
    yield Claim(
        "three of four kept is 0.75",
        close(float(out[0]), 0.75),
        "the share that was kept, not rejected.",
    )
    two = attempt([(2, 2), (2, 0), (2, 1), (2, 2)])
    yield Claim(
        "the first position has a share of its own",
        len(two) == 2 and close(float(two[0]), 0.75),
        "for each position by itself: three of these four rounds kept their first draft.",
    )
    yield Claim(
        "the second position is judged by the rounds whose turn came",
        close(float(two[1]), 2 / 3),
        "of the rounds whose turn came, because all before it was kept, which share kept this one?",
    )
    uneven = attempt([(2, 1), (1, 1), (3, 3), (2, 2), (1, 0), (3, 2)])
    yield Claim(
        "short rounds count at the positions that they drafted",
        len(uneven) == 3 and close(float(uneven[0]), 5 / 6),
        "every round has a first draft, however long the longest is: all six count here.",
    )
    yield Claim(
        "and not at positions behind their last draft",
        close(float(uneven[1]), 0.75) and close(float(uneven[2]), 0.5),
        "a round that drafted one token and kept it says nothing about the second: nobody guessed "
        "there.",
    )
    never = attempt([(2, 1), (2, 0)])
    yield Claim(
        "a position whose drafts were all dropped has a share, too: 0",
        len(never) == 2 and close(float(never[0]), 0.5) and float(never[1]) == 0,
        "as many shares as the longest round has DRAFTS, however many of them were kept.",
    )
    n = 400
    kept = torch.rand(n, 3, generator=g) < torch.tensor([0.9, 0.6, 0.3])
    counts = kept.long().cumprod(-1).sum(-1).tolist()
    found = attempt([(3, count) for count in counts])
    tested = [sum(count >= i for count in counts) for i in range(3)]
    truth = [sum(count > i for count in counts) / tested[i] for i in range(3)]
    yield Claim(
        "shares of 400 rounds",
        len(found) == 3 and all(close(float(x), y) for x, y in zip(found, truth, strict=True)),
        "given that those before it were kept.",
    )


_PREDICT = ("tokens per round", "V3", "needed", "two drafts", "fresh draw")


@checker(
    "07.predict",
    takes=dict,
    hints=(
        "A round brings one token of the model's own, and every draft that is kept. For the last: "
        "chance to be drafted and kept, plus what comes instead of a rejected draft.",
        "1 + a tokens for one draft, 1 + a + a * a for two; divided by what a round costs. q "
        "drafts token 0 with 0.1, and it is kept; a fresh draw gives it with 0.7.",
        '"V3": 1.9 / 1.044, "fresh draw": 0.1 + 0.6 * 0.7',
    ),
)
def _(attempt: dict[str, Any], g: torch.Generator) -> Iterator[Claim]:
    yield answers_for(attempt, (*_PREDICT, "because"))
    yield numbers_for({name: attempt[name] for name in _PREDICT}, _PREDICT)
    yield Claim(
        "tokens of a round at 90 %",
        close(float(attempt["tokens per round"]), 1.9, rtol=5e-3),
        "a round brings its drafts that are kept and one of its own.",
    )
    yield Claim(
        "V3's speed-up, at a cost of 1.044",
        close(float(attempt["V3"]), 1.9 / 1.044, rtol=5e-3),
        "1.9 tokens for 1.044 steps: divide by what a round costs.",
    )
    yield Claim(
        "what must be kept if a round costs 1.8 steps",
        close(float(attempt["needed"]), 0.8, rtol=5e-3),
        "it pays if 1 + a is more than the cost: a share between 0 and 1.",
    )
    yield Claim(
        "tokens of a round with two drafts, each kept at 80 %",
        close(float(attempt["two drafts"]), 1 + 0.8 + 0.64, rtol=5e-3),
        "the second is kept only if the first was.",
    )
    fresh = float(attempt["fresh draw"])
    yield Claim(
        "a fresh draw brings token 0 sometimes, and less often than p does",
        0.1 < fresh < 0.699,
        "it comes as a draft of q, which is always kept, or instead of one that was rejected. "
        "Were both together 0.7, nothing would be wrong with it.",
    )
    yield Claim(
        "how often token 0 comes out after a fresh draw",
        close(fresh, 0.52, rtol=5e-3),
        "0.1 + (share of rejected drafts) x 0.7: how often is a draft rejected?",
    )
    yield from explains(
        attempt,
        (0.52, 52),
        (0.7, 70),
        says="it says how often token 0 comes, and how often it should",
        hint="say both numbers, and what a fresh draw forgets about the draft that was rejected.",
    )
