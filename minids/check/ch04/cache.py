"""04.cache: what latent attention keeps of a token."""

from collections import deque
from collections.abc import Iterator
from types import MemberDescriptorType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from minids.check import Attempt, Claim, call, checker, close, raises, shaped
from minids.check.ch04.common import latent_inputs, mixed_head_by_head


@checker(
    "04.cache",
    hints=(
        "Two tensors are enough: the latents so far, and the rotary keys so far.",
        "step: torch.cat old and new along the tokens, dimension 1, then `absorbed` over all of "
        "them. rewind: cut both at `length`, and refuse what is longer.",
        "self.latent = torch.cat([self.latent, latent], dim=1)",
    ),
)
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    b, h, s = 2, 3, 9
    r, n, p, v = sizes = (10, 5, 4, 6)
    w = latent_inputs(g, b, h, s, s, sizes=sizes)
    ups = w["key_up"], w["value_up"]
    expected = mixed_head_by_head(w)

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
        "every step sees all earlier tokens, oldest first, and the new one last; the scale is "
        "(n + p) ** -0.5.",
    )

    def of_a_text(heads: int) -> int:
        """Numbers kept of a text, without the up-projections, a copy of them and one token."""
        source = latent_inputs(g, 16, heads, s, s, sizes=sizes)
        fed = attempt(source["key_up"], source["value_up"])
        feed(fed, 0, 1, source)
        fixed = min(_kept(fed), 2 * heads * r * (n + v))
        for i in range(1, s):
            feed(fed, i, i + 1, source)
        return _kept(fed) - fixed

    yield Claim(
        "what it keeps of a text does not grow with the number of heads",
        of_a_text(12) - of_a_text(3) <= (12 - 3) * 16 * (r + n + p + v),
        "keep the latent and ONE rotary key for all heads; keys and values of the heads, a copy "
        "for each head, or old queries are more than it needs, also in a buffer made beforehand.",
    )
    yield Claim(
        f"a token costs r + p = {r + p} numbers",
        _kept(memory) - early <= b * (s - 3) * (r + p),
        "keep each latent and each rotary key once; what grows, grows by the new tokens alone, "
        "and does not double.",
    )
    one, two = attempt(*ups), attempt(*ups)
    feed(one, 0, 3)
    yield Claim(
        "two memories do not share what they hold",
        close(feed(two, 0, 1), expected[:, :, :1], rtol=1e-3),
        "make the tensors in __init__, not in the body of the class.",
    )
    chunks = attempt(*ups)
    out = torch.cat([feed(chunks, 0, 2), feed(chunks, 2, 5), feed(chunks, 5, s)], dim=2)
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
        close(feed(chunks, 0, 3, other), mixed_head_by_head(joined)[:, :, 5:], rtol=1e-3),
        "rewind(length) keeps the first `length` tokens, of the latents and of the rotary keys.",
    )
    full = attempt(*ups)
    feed(full, 0, 5)
    yield Claim(
        "rewinding to as many tokens as there are is allowed",
        not raises(full.rewind, ValueError, 5),
        "five of five tokens are there: ValueError is for MORE than are held, > and not >=.",
    )
    yield Claim(
        "and keeps them all",
        close(feed(full, 5, s), expected[:, :, 5:], rtol=1e-3),
        "`x[:, :-0]` is empty: cut at `length`, and do not count from the end.",
    )
    yield Claim(
        "rewinding to more tokens than there are is refused",
        _refuses(chunks, 99) and _refuses(chunks, 9),
        "raise ValueError, and no other error, if length is larger than what is held: after "
        "rewind(5) and three new tokens 8 are held, and 9 are too many.",
    )
    yield Claim(
        "and so is rewinding to one token before there is any",
        _refuses(attempt(*ups), 1),
        "a fresh memory holds no tokens, which is fewer than 1: ValueError, and no other error.",
    )
    call(chunks.rewind, 0, may_be_none=True)
    yield Claim(
        "rewind(0) forgets all",
        close(feed(chunks, 0, 2), expected[:, :, :2], rtol=1e-3),
        "a memory of no tokens is an empty one, and takes new tokens.",
    )


def _refuses(memory: Any, length: int) -> bool:
    """Whether rewinding to `length` raises ValueError, and no other error."""
    try:
        return raises(memory.rewind, ValueError, length)
    except Exception:
        return False


def _kept(memory: Any) -> int:
    """Numbers in the tensors and arrays that an object holds, wherever it holds them.

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
        elif isinstance(value, np.ndarray):
            place = value.ctypes.data
            held[place] = max(held.get(place, 0), value.size)
        elif isinstance(value, list | tuple | set | deque):
            for x in value:
                look(x)
        elif isinstance(value, dict):
            for x in value.values():
                look(x)
        else:
            look(getattr(value, "__dict__", None))
            for slot in _slots(type(value)):
                if hasattr(value, slot.__name__):
                    look(slot.__get__(value))

    look(memory)
    return sum(held.values())


def _slots(kind: type) -> list[MemberDescriptorType]:
    """What a class and those that it comes from keep in __slots__."""
    homes = [vars(c) for c in kind.__mro__ if "__slots__" in vars(c)]
    return [x for home in homes for x in home.values() if isinstance(x, MemberDescriptorType)]
