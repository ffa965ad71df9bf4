"""Grouped-query attention: several query heads share one key and value head.

One key head for every query head is multi-head attention (MHA), a single one for all is
multi-query attention (MQA). DeepSeek LLM 7B uses the first end, 67B has 64 query heads on
8 key heads (DeepSeek LLM, section 2.2; arXiv 2305.13245).

axes: b batch, t new tokens, s all tokens so far, h query heads, g key heads, d head width
"""

import torch
from einops import einsum, rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from minids.config import GQAConfig, ModelConfig
from minids.model.cache import KVCache
from minids.model.multiply import BF16Attention, causal_bias
from minids.model.products import Linear, kind_for
from minids.model.rope import Rotary, rotate_halves, softmax_factor

Mask = Bool[Tensor, "*b t s"]

SHORT = 128
"""Tokens up to which a CPU attends with all scores at once; the scores of more leave its cache."""

SHORT_BF16 = range(25, 257)
"""The same where factors are rounded to bf16; with fewer tokens rounding takes longer."""

FEW_KEYS, MANY_HEADS = 16, 512
"""A single new token gains from it with so many keys, and key heads of all rows together."""


class Attention(nn.Module):
    """Causal self-attention with `n_kv_heads` key heads; weights of q, k and v in one matrix."""

    def __init__(self, c: ModelConfig) -> None:
        super().__init__()
        a = c.attention
        if not isinstance(a, GQAConfig):
            raise TypeError(f"Attention is built from a GQAConfig, got {type(a).__name__}")
        self.heads = [a.n_heads, a.n_kv_heads, a.n_kv_heads]
        self.widths = [n * a.head_dim for n in self.heads]
        self.head_dim = a.head_dim
        self.scale = a.head_dim**-0.5 * softmax_factor(c.rope_scaling)
        self.qkv = Linear(c.dim, sum(self.widths), bias=a.qkv_bias)
        self.out = Linear(a.n_heads * a.head_dim, c.dim, bias=False)

    def forward(
        self,
        x: Float[Tensor, "b t dim"],
        rotary: Rotary,
        cache: KVCache | None = None,
        mask: Mask | None = None,
    ) -> Float[Tensor, "b t dim"]:
        """Return what the tokens `x` gather from all that they see, ready for the residual stream.

        They sit at the positions that `rotary` was made for; with a cache they see what is in it,
        too. `mask` is True where a query may look; None means causal.
        """
        every = rearrange(self.qkv(x), "b t (h d) -> b h t d", d=self.head_dim)
        queries, keys, values = self.heads
        turning, v = every.split_with_sizes([queries + keys, values], dim=1)
        # One rotation for queries and keys: they are turned alike.
        q, k = rotate_halves(turning, rotary).split_with_sizes([queries, keys], dim=1)
        if cache is not None:  # of the type of x, also where autocast has narrowed the product
            k, v = cache.append(k.to(x.dtype), v.to(x.dtype))
        return self.out(rearrange(attend(q, k, v, self.scale, mask), "b h t d -> b t (h d)"))


def attend(
    q: Float[Tensor, "b h t d"],
    k: Float[Tensor, "b g s d"],
    v: Float[Tensor, "b g s dv"],
    scale: float,
    mask: Mask | None = None,
) -> Float[Tensor, "b h t dv"]:
    """Return the mixed values of every query head, in the way that is fastest.

    Without a mask, query i of t sees the keys up to position s - t + i.
    """
    t, s = q.shape[2], k.shape[2]
    if mask is None and q.is_cpu and q.dtype == torch.float32:
        if t == 1 and torch.compiler.is_compiling():
            return attend_from_one(q, k, v, scale)
        if t > 1 and SHORT_BF16.start <= s < SHORT_BF16.stop and kind_for(q, k, v) == "bf16":
            return BF16Attention.apply(q, k, v, scale)
        many = s >= FEW_KEYS and k.shape[0] * k.shape[1] >= MANY_HEADS
        if s <= SHORT and (t > 1 or many):
            return attend_in_three(q, k, v, scale)
    return attend_fused(q, k, v, scale, mask)


def attend_fused(
    q: Float[Tensor, "b h t d"],
    k: Float[Tensor, "b g s d"],
    v: Float[Tensor, "b g s dv"],
    scale: float,
    mask: Mask | None = None,
) -> Float[Tensor, "b h t dv"]:
    """Return what `attend` computes, by torch's fused kernel, which never stores the scores.

    Values are padded to the width of the keys: unequal widths fall back to a kernel that is up
    to three times slower. Of one token, heads that share a key head are more queries to it: on a
    GPU, shared heads in fp32 or under a mask leave nothing but torch's slowest kernel.
    """
    shape, t, s, missing = q.shape, q.shape[2], k.shape[2], k.shape[3] - v.shape[3]
    causal = False
    if t == 1:
        q = q.reshape(*k.shape[:2], -1, shape[3])
    elif mask is None and t < s:
        mask = causal_mask(t, s, q.device)
    elif mask is None:
        causal = True
    if missing > 0:
        v = F.pad(v, (0, missing))
    mixed = F.scaled_dot_product_attention(
        q, k, v, mask, is_causal=causal, scale=scale, enable_gqa=q.shape[1] != k.shape[1]
    )
    mixed = mixed[..., :-missing] if missing > 0 else mixed
    return mixed.reshape(*shape[:3], -1)


FEW_QUERIES = 4096
"""Queries of all rows up to which two products serve a GPU better than its fused kernel."""


def attend_to_one_head(
    q: Float[Tensor, "b 1 n d"],
    kept: Float[Tensor, "b 1 s d"],
    scale: float,
    mask: Mask | None = None,
) -> Float[Tensor, "b 1 n d"]:
    """Return attention whose keys are its values: `kept`, of a single head. None masks nothing.

    A GPU's fused kernel reads the keys one after another for each block of queries, so a few
    queries leave most of the GPU idle. Two products are shared out over the keys as well.
    """
    if q.is_cpu or q.shape[0] * q.shape[2] > FEW_QUERIES:
        return F.scaled_dot_product_attention(q, kept, kept, mask, scale=scale)
    return in_two_products(q, kept, scale, mask)


def in_two_products(
    q: Float[Tensor, "b 1 n d"],
    kept: Float[Tensor, "b 1 s d"],
    scale: float,
    mask: Mask | None = None,
) -> Float[Tensor, "b 1 n d"]:
    """Return what `attend_to_one_head` does: scores in the type of the factors, softmax in fp32."""
    scores = (q * scale) @ kept.mT
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    wide = torch.promote_types(scores.dtype, torch.float32)
    return scores.softmax(-1, dtype=wide).to(kept.dtype) @ kept


def attend_in_three(
    q: Float[Tensor, "b h t d"],
    k: Float[Tensor, "b g s d"],
    v: Float[Tensor, "b g s dv"],
    scale: float,
) -> Float[Tensor, "b h t dv"]:
    """Return what `attend` computes without a mask: scores, softmax, mixture, of all heads at once.

    The fused kernel works through each head by itself, in blocks. Query heads that share a key
    head are more queries to it.
    """
    ahead = causal_bias(q, k, q.dtype)
    queries = q.reshape(-1, len(ahead), q.shape[3])
    keys, values = k.flatten(0, 1), v.flatten(0, 1)
    weights = torch.baddbmm(ahead, queries, keys.mT, alpha=scale).softmax(-1)
    return (weights @ values).view(*q.shape[:3], v.shape[3])


def attend_from_one(
    q: Float[Tensor, "b h 1 d"],
    k: Float[Tensor, "b g s d"],
    v: Float[Tensor, "b g s dv"],
    scale: float,
) -> Float[Tensor, "b h 1 dv"]:
    """Return what `attend` computes for a single query, as sums of products.

    A compiler makes one pass over keys and values of it; one by one it takes as many as calls.
    """
    queries = rearrange(q * scale, "b (g m) 1 d -> b g m 1 d", g=k.shape[1])
    weights = (queries * k[:, :, None]).sum(-1).softmax(-1)
    return (weights[..., None] * v[:, :, None]).sum(-2).view(*q.shape[:3], v.shape[3])


def attend_written_out(
    q: Float[Tensor, "b h t d"],
    k: Float[Tensor, "b g s d"],
    v: Float[Tensor, "b g s dv"],
    scale: float,
    mask: Mask | None = None,
) -> Float[Tensor, "b h t dv"]:
    """Return what `attend` computes, as the formula: softmax(q k^T scale) v, group by group."""
    q = rearrange(q, "b (g m) t d -> b g m t d", g=k.shape[1])
    scores = einsum(q, k, "b g m t d, b g s d -> b g m t s") * scale
    if mask is None:
        mask = causal_mask(q.shape[3], k.shape[2], q.device)
    else:
        mask = mask.unsqueeze(-3)
    weights = scores.masked_fill(~mask, -torch.inf).softmax(-1)
    mixed = einsum(weights, v, "b g m t s, b g s d -> b g m t d")
    return rearrange(mixed, "b g m t d -> b (g m) t d")


def causal_mask(
    new: int, total: int, device: torch.device | None = None
) -> Bool[Tensor, "new total"]:
    """Return True where a query may look. The queries are the last `new` of `total` positions."""
    return torch.ones(new, total, dtype=torch.bool, device=device).tril(diagonal=total - new)
