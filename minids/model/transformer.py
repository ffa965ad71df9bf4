"""The whole model: embedding, blocks, norm, head. One class for every generation.

The config decides what a block holds: grouped-query or latent attention, a dense feed-forward
or experts. `Output` carries all that a loss, a balancing rule or a decoder needs.

axes: b batch, t tokens, d model width, v vocabulary
"""

from typing import NamedTuple, TypeVar, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from minids.config import GQAConfig, ModelConfig
from minids.model.attention import Attention, causal_mask
from minids.model.cache import Cache, KVCache, LatentCache
from minids.model.layers import RMSNorm, SwiGLU, init_weights
from minids.model.mla import MLA
from minids.model.moe import MoE
from minids.model.products import Linear
from minids.model.rope import Rotary, frequencies, rotary
from minids.model.routing import Routing


class Output(NamedTuple):
    """What one forward pass returns."""

    logits: Float[Tensor, "b k v"]  # for the last k positions; k = t unless `last` was given
    hidden: Float[Tensor, "b t d"]  # after the final norm
    routings: tuple[Routing, ...]  # one for each MoE layer, first layer first


class Block(nn.Module):
    """Attention, then a feed-forward, each behind a norm and added to the residual stream."""

    def __init__(self, c: ModelConfig, layer: int) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(c.dim, c.norm_eps)
        self.attention = Attention(c) if isinstance(c.attention, GQAConfig) else MLA(c)
        self.ffn_norm = RMSNorm(c.dim, c.norm_eps)
        self.ffn = MoE(c) if c.is_moe(layer) else SwiGLU(c.dim, c.hidden)

    def forward(
        self,
        x: Float[Tensor, "b t d"],
        turn: Rotary,
        cache: KVCache | LatentCache | None = None,
        mask: Bool[Tensor, "b 1 t s"] | None = None,
    ) -> tuple[Float[Tensor, "b t d"], Routing | None]:
        """Return the residual stream after this block, and its routing if it has experts."""
        x = x + self.attention(self.attention_norm(x), turn, cache, mask)
        h = self.ffn_norm(x)
        if isinstance(self.ffn, MoE):
            y, routing = self.ffn(h)
            return x + y, routing
        return x + self.ffn(h), None


class Transformer(nn.Module):
    """A decoder-only language model, built from a config; weights are drawn with `seed`."""

    cos: Tensor
    sin: Tensor

    def __init__(self, c: ModelConfig, *, seed: int | None = 0) -> None:
        super().__init__()
        self.c = c
        self.embed = nn.Embedding(c.vocab, c.dim)
        self.layers = nn.ModuleList(Block(c, layer) for layer in range(c.n_layers))
        self.norm = RMSNorm(c.dim, c.norm_eps)
        self.head = Linear(c.dim, c.vocab, bias=False)
        if c.tied:
            self.head.weight = self.embed.weight
        freqs = frequencies(c.attention.rotary_width, c.rope_theta, c.rope_scaling)
        turn = rotary(freqs, torch.arange(c.context))
        self.register_buffer("cos", turn.cos, persistent=False)
        self.register_buffer("sin", turn.sin, persistent=False)
        if not self.embed.weight.is_meta:
            generator = None if seed is None else torch.Generator().manual_seed(seed)
            init_weights(self, c.init_std, generator)

    def forward(
        self, tokens: Int[Tensor, "b t"], cache: Cache | None = None, *, last: int | None = None
    ) -> Output:
        """Return logits for the token after each position, continuing `cache` where given.

        `last=n` computes logits for the last n positions alone: all that decoding needs.
        Positions are cache slots: a left-padded row sits at shifted positions, which changes
        nothing, because only distances count.
        """
        if tokens.shape[1] == 0 or (last is not None and last < 1):
            raise ValueError(f"{tokens.shape[1]} tokens and last={last}: give one or more of each")
        start = 0 if cache is None else cache.length
        end = start + tokens.shape[1]
        if end > self.c.context:
            raise ValueError(
                f"position {end - 1} lies outside the context of {self.c.context}: shorten the "
                "text, or build the model from replace(config, context=...)"
            )
        turn = Rotary(self.cos[start:end], self.sin[start:end])
        mask = None if cache is None else _padding_mask(cache, start, end)
        x, routings = self.embed(tokens), []
        for i, block in enumerate(self.layers):
            x, routing = block(x, turn, cache.layers[i] if cache else None, mask)
            if routing is not None:
                routings.append(routing)
        x = self.norm(x)
        logits = self.head(x if last is None else x[:, -last:])
        return Output(logits, x, tuple(routings))

    def new_cache(self, batch: int, max_len: int, pad: Int[Tensor, " b"] | None = None) -> Cache:
        """Return an empty cache for `batch` rows of up to `max_len` tokens, beside the weights."""
        if pad is not None and pad.shape != (batch,):
            raise ValueError(f"pad counts padding per row: expected ({batch},), got {pad.shape}")
        return Cache([self.layer_cache(batch, max_len) for _ in self.layers], pad)

    def layer_cache(self, batch: int, max_len: int) -> KVCache | LatentCache:
        """Return an empty cache for one layer of this model, or one module behind it."""
        a, w = self.c.attention, self.embed.weight
        if isinstance(a, GQAConfig):
            widths = (a.n_kv_heads, a.head_dim)
            return KVCache(batch, max_len, *widths, device=w.device, dtype=w.dtype)
        widths = (a.kv_rank, a.rope_dim)
        return LatentCache(batch, max_len, *widths, device=w.device, dtype=w.dtype)


M = TypeVar("M", bound=nn.Module)


def uncompiled(model: M) -> M:
    """Return the model inside torch's compiler, if it is in one: there weights have other names."""
    return cast(M, getattr(model, "_orig_mod", model))


def _padding_mask(cache: Cache, start: int, end: int) -> Bool[Tensor, "b 1 t s"] | None:
    """True where a query may look: not at the future, and not at its row's padding.

    A query that is padding itself sees its own slot, so that its softmax is defined.
    """
    if cache.pad is None:
        return None
    device = cache.pad.device
    slots = torch.arange(end, device=device)
    real = slots >= cache.pad[:, None, None]
    itself = slots == slots[start:end, None]
    return ((causal_mask(end - start, end, device) & real) | itself)[:, None]
