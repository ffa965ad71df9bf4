"""What decoding remembers. A cache is a value you pass in; no module keeps one.

Learning may use one as well: where gradients flow, new tokens are joined to the old ones instead of
being written behind them, because what was read must stay as it was until its gradient is taken.

axes: b batch, h key heads, t new tokens, s all tokens so far, d head width, r kv_rank, p rope_dim
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F


class _Slots:
    """Tensors with room for `max_len` tokens along one axis, of which `length` are filled."""

    def __init__(self, max_len: int) -> None:
        self.max_len, self.length = max_len, 0

    def _advance(self, new: int) -> slice:
        """Reserve the next `new` slots and return where they are."""
        end = self.length + new
        if end > self.max_len:
            raise ValueError(
                f"the cache holds {self.max_len} tokens and already has {self.length}; "
                f"{new} more do not fit. Build it with max_len >= {end}."
            )
        where = slice(self.length, end)
        self.length = end
        return where

    def _stored(self, store: Tensor, new: Tensor, where: slice) -> Tensor:
        """Return the store with the new tokens in it; axis -2 is that of tokens."""
        if new.requires_grad or store.shape[-2] < self.max_len:
            return torch.cat([store[..., : where.start, :], new], dim=-2)
        store[..., where, :] = new
        return store

    def rewind(self, length: int) -> None:
        """Forget every token from `length` on: how speculative decoding drops a rejected draft."""
        if not 0 <= length <= self.length:
            raise ValueError(f"cannot rewind to {length}: the cache has {self.length} tokens")
        self.length = length


class KVCache(_Slots):
    """Keys and values of one attention layer: two vectors for each key head and token."""

    def __init__(
        self,
        batch: int,
        max_len: int,
        n_kv_heads: int,
        head_dim: int,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(max_len)
        shape = (batch, n_kv_heads, max_len, head_dim)
        self.keys = torch.zeros(shape, device=device, dtype=dtype)
        self.values = torch.zeros(shape, device=device, dtype=dtype)

    def append(
        self, keys: Float[Tensor, "b h t d"], values: Float[Tensor, "b h t d"]
    ) -> tuple[Float[Tensor, "b h s d"], Float[Tensor, "b h s d"]]:
        """Store the new tokens and return everything so far, old tokens first."""
        _same_kind(self.keys, keys)
        where = self._advance(keys.shape[2])
        self.keys = self._stored(self.keys, keys, where)
        self.values = self._stored(self.values, values, where)
        return self.keys[:, :, : where.stop], self.values[:, :, : where.stop]

    def take(self, rows: Int[Tensor, " n"]) -> None:
        """Hold these rows from now on, in this order; a row may come several times, or not."""
        self.keys, self.values = _rows(self.keys, rows), _rows(self.values, rows)

    @property
    def nbytes(self) -> int:
        """Bytes that the tokens held so far take."""
        a_token = self.keys[:, :, :1].nbytes + self.values[:, :, :1].nbytes
        return a_token * self.length


class LatentCache(_Slots):
    """The compressed past of one MLA layer: a latent and a rotary key for each token.

    Both lie side by side in one tensor, so that attention can read them as one wide key.
    """

    def __init__(
        self,
        batch: int,
        max_len: int,
        kv_rank: int,
        rope_dim: int,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(max_len)
        self.widths = [kv_rank, rope_dim]
        self.kept = torch.zeros(batch, max_len, kv_rank + rope_dim, device=device, dtype=dtype)

    def append(
        self, latent: Float[Tensor, "b t r"], k_rope: Float[Tensor, "b t p"]
    ) -> Float[Tensor, "b s kept"]:
        """Store the new tokens and return everything so far, as `joint` does."""
        _same_kind(self.kept, latent)
        where = self._advance(latent.shape[1])
        self.kept = self._stored(self.kept, torch.cat([latent, k_rope], dim=-1), where)
        return self.joint

    def take(self, rows: Int[Tensor, " n"]) -> None:
        """Hold these rows from now on, in this order; a row may come several times, or not."""
        self.kept = _rows(self.kept, rows)

    @property
    def joint(self) -> Float[Tensor, "b s kept"]:
        """Latent and rotary key of every token so far, old tokens first, as one view of the store.

        `joint.split(widths, -1)` takes them apart.
        """
        return self.kept[:, : self.length]

    @property
    def nbytes(self) -> int:
        """Bytes that the tokens held so far take."""
        return self.kept[:, :1].nbytes * self.length


class Cache:
    """The caches of all layers, which advance together.

    `pad` counts the padding tokens at the start of each row, so that prompts of different
    length can share a batch; padded slots are never attended to.
    """

    def __init__(
        self, layers: list[KVCache | LatentCache], pad: Int[Tensor, " b"] | None = None
    ) -> None:
        self.layers = layers
        self.pad = pad

    @property
    def length(self) -> int:
        """Tokens held so far, padding included."""
        return self.layers[0].length

    @property
    def max_len(self) -> int:
        """Tokens that fit."""
        return self.layers[0].max_len

    @property
    def nbytes(self) -> int:
        """Bytes that the tokens held so far take, over all layers."""
        return sum(layer.nbytes for layer in self.layers)

    def rewind(self, length: int) -> None:
        """Forget every token from `length` on, in every layer."""
        for layer in self.layers:
            layer.rewind(length)

    def take(self, rows: Int[Tensor, " n"]) -> None:
        """Hold these rows from now on, in this order, in every layer.

        So one prompt, read once, can be continued many times, and finished rows can be left out.
        """
        for layer in self.layers:
            layer.take(rows)
        self.pad = None if self.pad is None else self.pad[rows]


def _rows(x: Tensor, rows: Tensor) -> Tensor:
    """x[rows], looked up as embeddings are: torch adds their gradients up faster."""
    return F.embedding(rows, x.flatten(1)).unflatten(1, x.shape[1:])


def _same_kind(store: Tensor, new: Tensor) -> None:
    """Refuse tensors that would be converted silently on the way into the cache."""
    if store.dtype != new.dtype or store.device != new.device:
        raise ValueError(
            f"the cache holds {store.dtype} on {store.device}, the new tokens are {new.dtype} on "
            f"{new.device}. Build the cache with model.new_cache, or pass device= and dtype=."
        )
    if store.shape[0] != new.shape[0]:
        raise ValueError(
            f"the cache was built for a batch of {store.shape[0]}, got {new.shape[0]} rows"
        )
