"""Rows of different length, read side by side: what a batch needs whose rows advance unevenly.

Slot j of a cache holds token j of a row's own text, whatever the other rows hold. New tokens are
appended behind the longest row, turned by the places they have in their own row, and shown only
what belongs to it. Then every row says how many of them it keeps, and these move to their slots.
Rows of equal length take none of these detours.

axes: b rows, t new tokens, s slots, d model width; `...` any further axes
"""

from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from minids.model.attention import causal_mask
from minids.model.cache import KVCache, LatentCache
from minids.model.rope import Rotary


class Rows:
    """The caches of some layers, and how many tokens each row of them holds.

    `cos` and `sin` are a model's tables of angles, one line a place.
    """

    def __init__(
        self, layers: Sequence[KVCache | LatentCache], batch: int, cos: Tensor, sin: Tensor
    ) -> None:
        self.layers, self.cos, self.sin = list(layers), cos, sin
        self.lengths = [0] * batch

    @property
    def even(self) -> bool:
        """Whether all rows hold as many tokens."""
        return len(set(self.lengths)) == 1

    def view(self, t: int) -> tuple[Rotary, Bool[Tensor, "b 1 t s"] | None]:
        """Return the angles of the next `t` tokens of every row, and which slots they may see."""
        first = max(self.lengths)
        end = first + t
        if self.even:
            turn = Rotary(self.cos[first:end], self.sin[first:end])
            if t == 1 or first == 0:
                return turn, None
            mask = causal_mask(t, end, self.cos.device)
            return turn, mask.expand(len(self.lengths), 1, t, end)
        start = torch.tensor(self.lengths, device=self.cos.device)[:, None]
        place = (start + torch.arange(t, device=start.device)).clamp(max=len(self.cos) - 1)
        slot = torch.arange(end, device=start.device)
        own = slot < start[:, None]
        new = causal_mask(t, end, start.device) & (slot >= first)
        return Rotary(self.cos[place][:, None], self.sin[place][:, None]), (own | new)[:, None]

    def keep(self, counts: Sequence[int]) -> None:
        """Keep the first `counts[b]` of the tokens that row b has just read; forget the others."""
        if not self.even:
            first = max(self.lengths)
            for layer in self.layers:
                for store, axis in _stores(layer):
                    new = store.narrow(axis, first, layer.length - first).clone()
                    put(store.movedim(axis, 1), self.lengths, new.movedim(axis, 1))
        self.lengths = [n + count for n, count in zip(self.lengths, counts, strict=True)]
        for layer in self.layers:
            layer.rewind(max(self.lengths))

    def rewind(self, lengths: Sequence[int]) -> None:
        """Forget what lies behind the first `lengths[b]` tokens of every row."""
        if any(not 0 <= new <= old for new, old in zip(lengths, self.lengths, strict=True)):
            raise ValueError(f"cannot rewind to {list(lengths)}: the rows hold {self.lengths}")
        self.lengths = list(lengths)
        for layer in self.layers:
            layer.rewind(max(self.lengths))


def through(
    blocks: Iterable[nn.Module], x: Float[Tensor, "b t d"], rows: Rows
) -> Float[Tensor, "b t d"]:
    """Return the residual stream after `blocks`, which append to their rows what they read."""
    turn, mask = rows.view(x.shape[1])
    for block, layer in zip(blocks, rows.layers, strict=True):
        x, _ = block(x, turn, layer, mask)
    return x


def window(
    store: Shaped[Tensor, "b s *rest"], starts: Sequence[int], t: int
) -> Shaped[Tensor, "b t *rest"]:
    """Return `t` entries of every row, from `starts[b]` on: a view if all start alike."""
    if len(set(starts)) == 1:
        return store[:, starts[0] : starts[0] + t]
    return store[_places(starts, t, store.device)]


def put(
    store: Shaped[Tensor, "b s *rest"], starts: Sequence[int], new: Shaped[Tensor, "b t *rest"]
) -> None:
    """Write `new` into every row of `store`, in place, from `starts[b]` on."""
    t = new.shape[1]
    if len(set(starts)) == 1:
        store[:, starts[0] : starts[0] + t] = new
    else:
        store[_places(starts, t, store.device)] = new


def _places(
    starts: Sequence[int], t: int, device: torch.device
) -> tuple[Int[Tensor, "b 1"], Int[Tensor, "b t"]]:
    start = torch.tensor(starts, device=device)[:, None]
    row = torch.arange(len(starts), device=device)[:, None]
    return row, start + torch.arange(t, device=device)


def _stores(layer: KVCache | LatentCache) -> list[tuple[Tensor, int]]:
    """The tensors of a layer's cache, each with the axis of its slots."""
    if isinstance(layer, KVCache):
        return [(layer.keys, 2), (layer.values, 2)]
    return [(layer.kept, 1)]
