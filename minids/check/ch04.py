"""Checks of chapter 04: what latent attention must keep, and what carrying the query must save."""

import math
from collections import deque
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from minids import accounting
from minids.check import Claim, call, checker, close, raises, shaped
from minids.check.answers import explains, is_whole, number_entries, numbers_for
from minids.check.sizes import draw
from minids.config import MLAConfig
from minids.model.mla import absorbed, expanded
from minids.presets import preset


def _by_hand(*inputs: Any, out_shape: Any, **_named: Any) -> int:
    """Operations of a product of two tensors, number by number, and of adding the products up."""
    return 2 * max(math.prod(shape) for shape in (*inputs, out_shape) if isinstance(shape, tuple))


# Products that torch's counter leaves out: a key can be built of them, too.
_BY_HAND = dict.fromkeys(
    (torch.ops.aten.mul, torch.ops.aten.mul_, torch.ops.aten.mv, torch.ops.aten.dot), _by_hand
)


def _flops(action: Callable[[], Any]) -> int:
    """Operations of all products while `action` runs, be they of matrices or of single numbers."""
    with FlopCounterMode(display=False, custom_mapping=_BY_HAND) as counter:
        action()
    return int(counter.get_total_flops())


@checker(
    "04.bracket",
    hints=(
        "A product of three matrices does not depend on the order in which you multiply.",
        "(t, n) @ (n, r) gives (t, r); that times (r, s) gives (t, s). No (s, n) on the way.",
        "return (q @ key_up) @ latent.T",
    ),
)
def _(attempt: Callable[..., Any], g: torch.Generator) -> Iterator[Claim]:
    q, latent, key_up = (torch.randn(*size, generator=g) for size in ((3, 5), (11, 7), (5, 7)))
    out = attempt(q, latent, key_up)
    yield shaped(out, (3, 11), like=q, what="the table of scores")
    yield Claim(
        "a query twice as large has scores twice as large",
        close(attempt(2 * q, latent, key_up), 2 * out.detach()),
        "scores come before the softmax, and here nothing comes after them: no softmax.",
    )
    yield Claim(
        "a latent twice as large has scores twice as large",
        close(attempt(q, 2 * latent, key_up), 2 * out.detach()),
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
    q, latent, key_up = (torch.randn(*size, generator=g) for size in ((1, 16), (997, 32), (16, 32)))
    rebuilding = 2 * 997 * 32 * 16
    yield Claim(
        "one query over many latents costs less than a tenth of rebuilding their keys",
        10 * _flops(lambda: attempt(q, latent, key_up)) < rebuilding,
        "the keys are built first, or the query is carried anew for every latent: carry it once, "
        "brackets first.",
    )


def _inputs(
    g: torch.Generator, b: int, h: int, t: int, s: int, *, sizes: tuple[int, int, int, int]
) -> dict[str, Tensor]:
    """Random queries, latents, keys and up-projections, sharp enough for the softmax to choose."""
    r, n, p, v = sizes
    shapes = {
        "q_nope": (b, h, t, n),
        "q_rope": (b, h, t, p),
        "latent": (b, s, r),
        "k_rope": (b, s, p),
        "key_up": (h, n, r),
        "value_up": (h, v, r),
    }
    drawn = {name: torch.randn(*shape, generator=g) for name, shape in shapes.items()}
    return drawn | {"key_up": drawn["key_up"] * r**-0.5, "value_up": drawn["value_up"] * r**-0.5}


def _expected(w: dict[str, Tensor]) -> Tensor:
    """Latent attention, head by head and query by query, from rebuilt keys and values."""
    b, h, t, n = w["q_nope"].shape
    s, p = w["k_rope"].shape[1:]
    out = w["q_nope"].new_zeros(b, h, t, w["value_up"].shape[1])
    for i in range(t):
        seen = s - t + i + 1
        for head in range(h):
            k = w["latent"][:, :seen] @ w["key_up"][head].T
            v = w["latent"][:, :seen] @ w["value_up"][head].T
            scores = (w["q_nope"][:, head, i, None] * k).sum(-1)
            scores = scores + (w["q_rope"][:, head, i, None] * w["k_rope"][:, :seen]).sum(-1)
            weights = (scores / math.sqrt(n + p)).softmax(-1)
            out[:, head, i] = (weights[..., None] * v).sum(1)
    return out


@checker(
    "04.absorb",
    hints=(
        "Each head carries its query to the latents, mixes the latents, and only then goes up to "
        "values.",
        "q_latent (b, h, t, r) = q_nope with key_up. Scores (b, h, t, s) = q_latent with latent, "
        "plus q_rope with k_rope. Mask, softmax. Mixed latents (b, h, t, r). Up with value_up.",
        'q_latent = torch.einsum("bhtn,hnr->bhtr", q_nope, key_up)',
    ),
)
def _(attempt: Callable[..., Any], g: torch.Generator) -> Iterator[Claim]:
    sizes = (9, 5, 6, 7)
    w = _inputs(g, 2, 3, 4, 8, sizes=sizes)
    out = attempt(**w)
    yield shaped(out, (2, 3, 4, 7), like=w["latent"], what="the mixed values")
    first = _inputs(g, 1, 3, 1, 1, sizes=sizes)
    yield Claim(
        "a first token alone gets its own values back",
        close(attempt(**first), torch.einsum("hvr,bsr->bhsv", first["value_up"], first["latent"])),
        "one latent has weight 1: softmax over the latents, and value_up of each head on the mix.",
    )
    w1 = _inputs(g, 2, 3, 1, 8, sizes=sizes)
    silent = w1 | {name: torch.zeros_like(w1[name]) for name in ("q_nope", "q_rope")}
    yield Claim(
        "a query of zeros mixes all latents alike",
        close(attempt(**silent), _of_equal_weights(silent), rtol=1e-3),
        "the weights of a query sum to 1: softmax over the latents, the last axis.",
    )
    loud = silent | {"q_nope": 1e6 * w1["q_nope"]}
    yield Claim(
        "a very large query sees one latent alone, the one that fits its head best",
        close(attempt(**loud), _expected(loud), rtol=1e-3),
        "each head carries its query with its own key_up; and there is one softmax, over the sum "
        "of both parts of the scores.",
    )
    still = w1 | {"q_nope": torch.zeros_like(w1["q_nope"])}
    yield Claim(
        "a query that says nothing still looks by position",
        close(attempt(**still), _expected(still), rtol=1e-3)
        or not close(attempt(**still), _of_equal_weights(still)),
        "the scores have two parts: add q_rope with k_rope before the softmax.",
    )
    rope_first = w1 | {"q_rope": torch.zeros_like(w1["q_rope"])}
    yield Claim(
        "scores are divided by the root of both widths, n + p",
        close(attempt(**rope_first), _expected(rope_first), rtol=1e-3)
        and close(attempt(**still), _expected(still), rtol=1e-3),
        "one scale for the sum of both parts: (n + p) ** -0.5, the rope width counts too.",
    )
    yield Claim(
        "no query looks into the future: of t new tokens, number i sees s - t + i + 1",
        close(out, _expected(w), rtol=1e-3),
        "the new tokens are the LAST t of s: shift the triangle by s - t.",
    )
    alone = _inputs(g, 1, 1, 1, 6, sizes=sizes)
    square = _inputs(g, 1, 2, 5, 5, sizes=(4, 3, 2, 8))
    yield Claim(
        "one head alone works, and a whole text without a past",
        close(attempt(**alone), _expected(alone), rtol=1e-3)
        and close(attempt(**square), _expected(square), rtol=1e-3),
        "nothing may depend on the number of heads or on s > t.",
    )
    many = _inputs(g, 1, 4, 1, 499, sizes=(32, 16, 8, 16))
    rebuilding = 2 * 4 * 499 * 32 * (16 + 16)
    yield Claim(
        "one new token over many latents costs less than a quarter of rebuilding",
        4 * _flops(lambda: attempt(**many)) < rebuilding,
        "keys or values are rebuilt for every token: multiply the query by key_up instead, and the "
        "mixed latent by value_up.",
    )


def _of_equal_weights(w: dict[str, Tensor]) -> Tensor:
    """What comes out if the last of the tokens looks at all alike."""
    return torch.einsum("hvr,br->bhv", w["value_up"], w["latent"].mean(1))[:, :, None]


@checker(
    "04.cache",
    hints=(
        "Two tensors are enough: the latents so far, and the rotary keys so far.",
        "step: torch.cat old and new along the tokens, dimension 1, then `absorbed` over all of "
        "them. rewind: cut both at `length`, and refuse what is longer.",
        "self.latent = torch.cat([self.latent, latent], dim=1)",
    ),
)
def _(attempt: Callable[..., Any], g: torch.Generator) -> Iterator[Claim]:
    b, h, s = 2, 3, 9
    r, n, p, v = sizes = (10, 5, 4, 6)
    w = _inputs(g, b, h, s, s, sizes=sizes)
    ups = w["key_up"], w["value_up"]
    expected = _expected(w)

    def feed(memory: Any, start: int, end: int, source: dict[str, Tensor] = w) -> Tensor:
        q = (source[name][:, :, start:end].clone() for name in ("q_nope", "q_rope"))
        new = (source[name][:, start:end].clone() for name in ("latent", "k_rope"))
        out = call(memory.step, *q, *new)
        assert isinstance(out, Tensor)
        return out

    memory = attempt(*ups)
    begun = [feed(memory, i, i + 1) for i in range(3)]
    early = _kept(memory)
    out = torch.cat([*begun, *(feed(memory, i, i + 1) for i in range(3, s))], dim=2)
    yield shaped(out, (b, h, s, v), like=w["latent"], what="what the steps return")
    yield Claim(
        "token by token gives what one pass over the whole text gives",
        close(out, expected, rtol=1e-3),
        "every step sees all earlier tokens, oldest first, and the new one last.",
    )
    yield Claim(
        f"a token costs r + p = {r + p} numbers, whatever the number of heads",
        _kept(memory) - early <= b * (s - 3) * (r + p),
        "keep the latent and ONE rotary key for all heads; keys and values of the heads, a copy "
        "for each head, or old queries save nothing.",
    )
    one, two = attempt(*ups), attempt(*ups)
    feed(one, 0, 3)
    yield Claim(
        "two memories do not share what they hold",
        close(feed(two, 0, 1), expected[:, :, :1], rtol=1e-3),
        "make the tensors in __init__, not in the body of the class.",
    )
    chunks = attempt(*ups)
    out = torch.cat([feed(chunks, 0, 4), feed(chunks, 4, 5), feed(chunks, 5, s)], dim=2)
    yield Claim(
        "several tokens at once give the same",
        close(out, expected, rtol=1e-3),
        "append all new tokens after the old ones, along dimension 1; none of them sees a later "
        "one.",
    )
    other = w | {name: w[name].flip(-1) for name in ("q_nope", "q_rope", "latent", "k_rope")}
    joined = w | {
        name: torch.cat([w[name].narrow(axis, 0, 5), other[name].narrow(axis, 0, 3)], axis)
        for name, axis in (("q_nope", 2), ("q_rope", 2), ("latent", 1), ("k_rope", 1))
    }
    call(chunks.rewind, 5, may_be_none=True)
    yield Claim(
        "after rewind(5) it goes on from five tokens, as if the rest had never been",
        close(feed(chunks, 0, 3, other), _expected(joined)[:, :, 5:], rtol=1e-3),
        "rewind(length) keeps the first `length` tokens, of the latents and of the rotary keys.",
    )
    full = attempt(*ups)
    feed(full, 0, 5)
    yield Claim(
        "rewinding to as many tokens as there are keeps them all",
        not raises(full.rewind, ValueError, 5)
        and close(feed(full, 5, s), expected[:, :, 5:], rtol=1e-3),
        "five of five tokens are there: ValueError is for MORE than are held, > and not >=.",
    )
    yield Claim(
        "rewinding to more tokens than there are is refused",
        raises(chunks.rewind, ValueError, 99),
        "raise ValueError if length is larger than what is held.",
    )
    call(chunks.rewind, 0, may_be_none=True)
    yield Claim(
        "rewind(0) forgets all",
        close(feed(chunks, 0, 2), expected[:, :, :2], rtol=1e-3),
        "a memory of no tokens is an empty one, and takes new tokens.",
    )


def _kept(memory: Any) -> int:
    """Numbers in the tensors that an object holds, wherever it holds them.

    What lies in the same place is counted once, but for a tensor that says a number several times.
    """
    held: dict[int, int] = {}
    seen: set[int] = set()

    def look(value: Any) -> None:
        if id(value) in seen or isinstance(value, type | ModuleType):
            return
        seen.add(id(value))
        if isinstance(value, Tensor):
            storage, n = value.untyped_storage(), value.numel()
            room, place = storage.nbytes() // value.element_size(), storage.data_ptr()
            before = held.get(place, 0)
            held[place] = max(before, n, min(room, before + n))
        elif isinstance(value, list | tuple | set | deque):
            for x in value:
                look(x)
        elif isinstance(value, dict):
            for x in value.values():
                look(x)
        elif hasattr(value, "__dict__"):
            look(vars(value))

    look(memory)
    return sum(held.values())


_CONTEXT = 128 * 1024
_PREDICT = ("bytes per token", "GB per user", "users", "users with MHA")


@checker(
    "04.predict",
    takes=dict,
    hints=(
        "Everything that is kept, over all layers, times the tokens of one text.",
        "(512 + 64) numbers x 61 layers x 2 bytes; x 128 x 1024 tokens; then 80e9 bytes divided "
        "by that, whole users only.",
        '"users": 80e9 // (bytes_per_token * 128 * 1024)',
    ),
)
def _(attempt: dict[str, Any], g: torch.Generator) -> Iterator[Claim]:
    v3 = preset("deepseek-v3")
    size = accounting.cache_bytes(v3)
    user = size * _CONTEXT
    mha = 2 * accounting.mha_cache_elements(v3) * _CONTEXT
    yield numbers_for(attempt, _PREDICT, write="write numbers, without units.")
    yield Claim(
        "a token keeps the latent and the rotary key",
        attempt["bytes per token"] not in (2 * 512 * 61, 2 * 64 * 61),
        "both are kept: kv_rank + rope_dim numbers in a layer.",
    )
    yield Claim(
        "a token keeps them in every layer",
        attempt["bytes per token"] > 2 * 576,
        "each of the 61 layers has a latent of its own.",
    )
    yield Claim(
        "the bytes of one token, exactly",
        attempt["bytes per token"] == size,
        "(512 + 64) numbers, 61 layers, 2 bytes each; heads do not count.",
    )
    yield Claim(
        "one user at 128K",
        close(float(attempt["GB per user"]), user / 1e9, rtol=5e-3),
        "128K is 128 x 1024 tokens, and a GB here is 1e9 bytes.",
    )
    yield Claim(
        "whole users in 80 GB",
        attempt["users"] == 80e9 // user,
        "a user who does not fit is not served: round down.",
    )
    yield Claim(
        "users with a key and a value for each of 128 heads",
        attempt["users with MHA"] == 80e9 // mha,
        "MHA keeps 2 x 128 x 128 numbers in a layer: how many GB is one user then?",
    )


@checker(
    "04.explain",
    takes=dict,
    hints=(
        "A product of a tall and a wide matrix can be larger than both. Count one head of V3.",
        "W_UQ of a head: 128 x 1536. W_UK of a head: 128 x 512. Merged: 1536 x 512.",
        '"two factors": 128 * 1536 + 128 * 512',
    ),
)
def _(attempt: dict[str, Any], g: torch.Generator) -> Iterator[Claim]:
    factors, merged = 128 * 1536 + 128 * 512, 1536 * 512
    yield number_entries(attempt, "two factors", "merged")
    stored = attempt["two factors"]
    yield Claim(
        "two factors: what is stored side by side adds up",
        stored != 128 * 1536 * 128 * 512,
        "count each matrix, then add them: they are not multiplied out.",
    )
    yield Claim(
        "two factors: of one head, not of all 128",
        stored != 128 * factors,
        "every head has its own two factors, and the question is about one head.",
    )
    yield Claim(
        "what one head has in its two factors",
        stored == factors,
        "one head, position-free part: 128 x 1536 from the query latent, 128 x 512 from the "
        "key-value latent.",
    )
    yield Claim(
        "merged: the product has more numbers than its two factors",
        attempt["merged"] > factors,
        "the product of a tall and a wide matrix has all rows of one and all columns of the other.",
    )
    yield Claim(
        "what their product has",
        attempt["merged"] == merged,
        "the product goes from one latent to the other: 1536 rows, 512 columns; the 128 between "
        "them is gone.",
    )
    yield from explains(
        attempt,
        (factors,),
        (merged,),
        says="it says both numbers",
        hint="say which number is larger and why: what does merging throw away?",
    )


@checker(
    "04.measure",
    hints=(
        "Measure both for 1 new token, for 2, … and stop where carrying is no longer cheaper.",
        "flops(attend, new, total, c) is given. Compare flops(carry, …) with flops(rebuild, …).",
        "while flops(carry, new, total, c) < flops(rebuild, new, total, c): new += 1",
    ),
)
def _(attempt: Callable[..., Any], g: torch.Generator) -> Iterator[Claim]:
    c = MLAConfig(
        n_heads=draw(g, 1, 3),
        kv_rank=draw(g, 24, 32),
        q_rank=None,
        nope_dim=draw(g, 8, 12),
        rope_dim=4,
        value_dim=draw(g, 8, 12),
    )
    total = draw(g, 20, 30)
    found = attempt(absorbed, expanded, total, c)
    yield Claim(
        "the answer is a whole number of new tokens",
        is_whole(found) and 1 <= found <= total,
        "return the number of new tokens, an int, between 1 and total.",
    )
    yield Claim(
        "for a single new token carrying pays",
        found > 1,
        "`carry` comes first and `rebuild` second: go on while carrying is the cheaper one.",
    )
    longer = attempt(absorbed, expanded, 4 * total, c)
    yield Claim(
        "a longer past moves it",
        longer != found,
        "`total` counts: every one of them is rebuilt.",
    )
    crossing, later = _crossing(total, c, 1, 1), _crossing(4 * total, c, 1, 1)
    yield Claim(
        "for so many new tokens carrying pays no longer",
        found >= crossing and longer >= later,
        "that is the last number for which it pays; the first for which it does not is asked for.",
    )
    yield Claim(
        "for one fewer it still pays",
        found <= crossing and longer <= later,
        "the smallest such number: stop at the first for which carrying takes as many operations "
        "as rebuilding, or more.",
    )
    yield Claim(
        "a wasteful way to carry, which does everything twice, is found out",
        attempt(_twice(absorbed), expanded, total, c) == _crossing(total, c, 2, 1),
        "measure what you are given; a formula of the widths cannot notice what really runs.",
    )
    tie = draw(g, 3, 9)
    yield Claim(
        "it pays no longer where both take as many operations",
        attempt(_carry_each, _rebuild_the_first(tie), total, c) == tie,
        "carrying has to be cheaper: go on while it takes FEWER operations, < and not <=.",
    )
    v3 = preset("deepseek-v3").attention
    assert isinstance(v3, MLAConfig)
    yield Claim(
        "with DeepSeek-V3's widths behind 100,000 tokens it is 171",
        attempt(absorbed, expanded, 100_000, v3) == 171,
        "tensors on the meta device have a shape and no memory: V3 fits.",
    )


def _crossing(total: int, c: MLAConfig, carrying: int, rebuilding: int) -> int:
    """The first number of new tokens at which so many times carrying is no cheaper."""
    up = c.kv_rank * (c.nope_dim + c.value_dim)
    new = 1
    while carrying * new * (up + total * (2 * c.kv_rank + c.rope_dim)) < rebuilding * total * (
        up + new * (c.nope_dim + c.rope_dim + c.value_dim)
    ):
        new += 1
    return new


def _twice(attend: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def wasteful(*inputs: Any, **named: Any) -> Tensor:
        attend(*inputs, **named)
        return attend(*inputs, **named)

    return wasteful


def _carry_each(*inputs: Any, **_: Any) -> Tensor:
    """Carries the queries of one head, and no more."""
    q_nope, key_up = inputs[0], inputs[4]
    return q_nope[0, 0] @ key_up[0]


def _rebuild_the_first(count: int) -> Callable[..., Tensor]:
    """Rebuilds so many keys of one head: as dear as to carry so many queries."""

    def rebuild(*inputs: Any, **_: Any) -> Tensor:
        latent, key_up = inputs[2], inputs[4]
        return latent[0, :count] @ key_up[0].mT

    return rebuild
