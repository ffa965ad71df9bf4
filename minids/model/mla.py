"""Multi-head latent attention (DeepSeek-V2, section 2.1; unchanged in DeepSeek-V3).

Ordinary attention caches a key and a value for every head. MLA caches one short latent, from
which all keys and values can be rebuilt, and one rotary key that all heads share, because a
turned key cannot be rebuilt from an unturned latent. To decode, nothing is rebuilt: the query
is carried to the latents instead, and what is left is attention with a single wide key head.

axes: b batch, t new tokens, s all tokens so far, h heads, r kv_rank, n nope_dim, p rope_dim,
v value_dim
"""

import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor, nn

from minids.config import MLAConfig, ModelConfig
from minids.model.attention import Mask, attend, attend_to_one_head, causal_mask
from minids.model.cache import LatentCache
from minids.model.layers import RMSNorm
from minids.model.products import Linear, linear
from minids.model.rope import Rotary, rotate_pairs, softmax_factor

LATENT_EPS = 1e-6  # of both latent norms: fixed in every released model, whatever norm_eps says


class MLA(nn.Module):
    """Causal self-attention that remembers `kv_rank + rope_dim` numbers for each token.

    here       paper             Hugging Face          shape (output, input)
    q_down     W^DQ              q_a_proj              q_rank, d       only with a query latent
    q_up       W^UQ and W^QR     q_b_proj or q_proj    h (n + p), q_rank or d
    kv_down    W^DKV and W^KR    kv_a_proj_with_mqa    r + p, d
    kv_up      W^UK and W^UV     kv_b_proj             h (n + v), r
    out        W^O               o_proj                d, h v
    """

    def __init__(self, c: ModelConfig) -> None:
        super().__init__()
        a = c.attention
        if not isinstance(a, MLAConfig):
            raise TypeError(f"MLA is built from an MLAConfig, got {type(a).__name__}")
        self.c = a
        self.scale = (a.nope_dim + a.rope_dim) ** -0.5 * softmax_factor(c.rope_scaling)
        if a.q_rank is not None:
            self.q_down = Linear(c.dim, a.q_rank, bias=False)
            self.q_norm = RMSNorm(a.q_rank, LATENT_EPS)
        q_width = a.n_heads * (a.nope_dim + a.rope_dim)
        self.q_up = Linear(a.q_rank or c.dim, q_width, bias=False)
        self.kv_down = Linear(c.dim, a.kv_rank + a.rope_dim, bias=False)
        self.kv_norm = RMSNorm(a.kv_rank, LATENT_EPS)
        self.kv_up = Linear(a.kv_rank, a.n_heads * (a.nope_dim + a.value_dim), bias=False)
        self.out = Linear(a.n_heads * a.value_dim, c.dim, bias=False)

    def forward(
        self,
        x: Float[Tensor, "b t dim"],
        rotary: Rotary,
        cache: LatentCache | None = None,
        mask: Mask | None = None,
    ) -> Float[Tensor, "b t dim"]:
        """Return what the tokens `x` gather from all that they see, ready for the residual stream.

        They sit at the positions that `rotary` was made for. `mask` is True where a query may look;
        None means causal. Keys and values are rebuilt without a cache, and with one where that is
        cheaper (see `absorbing_pays`).
        """
        q_nope, q_rope, latent, k_rope = self.project(x, rotary)
        if cache is not None:
            joint = cache.append(latent, k_rope)
            if absorbing_pays(x.shape[1], cache.length, self.c):
                heads = carry(q_nope, q_rope, joint, *self.up_matrices(), self.scale, mask)
                return self.out(heads.transpose(1, 2).flatten(2))
            latent, k_rope = joint.split_with_sizes(cache.widths, dim=-1)
        heads = rebuild(q_nope, q_rope, latent, k_rope, self.kv_up.weight, self.scale, mask)
        return self.out(heads.transpose(1, 2).flatten(2))

    def project(
        self, x: Float[Tensor, "b t dim"], rotary: Rotary
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return what attention needs of `x`: q_nope, turned q_rope, latent, turned k_rope."""
        c, (b, t, _) = self.c, x.shape
        # Norms work in the type of x, also where autocast has narrowed the product before them.
        hidden = x if c.q_rank is None else self.q_norm(self.q_down(x).to(x.dtype))
        q = self.q_up(hidden)
        q = q.view(b, t, c.n_heads, -1).transpose(1, 2)
        q_nope, q_rope = q.split_with_sizes([c.nope_dim, c.rope_dim], dim=-1)
        latent, k_rope = self.kv_down(x).split_with_sizes([c.kv_rank, c.rope_dim], dim=-1)
        # One rotation for all: the shared key travels as one head more.
        turned = rotate_pairs(torch.cat([q_rope, k_rope.unsqueeze(1)], dim=1), rotary)
        q_rope, k_rope = turned.split_with_sizes([c.n_heads, 1], dim=1)
        return q_nope, q_rope, self.kv_norm(latent.to(x.dtype)), k_rope.squeeze(1)

    def up_matrices(self) -> tuple[Float[Tensor, "h n r"], Float[Tensor, "h v r"]]:
        """Return W^UK and W^UV of every head: two views of the weight of `kv_up`."""
        by_head = self.kv_up.weight.view(self.c.n_heads, -1, self.c.kv_rank)
        key_up, value_up = by_head.split_with_sizes([self.c.nope_dim, self.c.value_dim], dim=1)
        return key_up, value_up


def absorbing_pays(new: int, total: int, c: MLAConfig) -> bool:
    """Return whether carrying `new` queries to `total` latents takes fewer multiplications.

    Per head: rebuilding costs r (n + v) for each of the `total` tokens, then n + p + v for each
    pair of tokens; carrying costs r (n + v) for each of the `new` tokens, then 2 r + p a pair.
    With DeepSeek-V3's widths it pays for up to 170 new tokens behind a long past.
    """
    up = c.kv_rank * (c.nope_dim + c.value_dim)
    rebuilding = total * up + new * total * (c.nope_dim + c.rope_dim + c.value_dim)
    carrying = new * up + new * total * (2 * c.kv_rank + c.rope_dim)
    return carrying < rebuilding


def expanded(
    q_nope: Float[Tensor, "b h t n"],
    q_rope: Float[Tensor, "b h t p"],
    latent: Float[Tensor, "b s r"],
    k_rope: Float[Tensor, "b s p"],
    key_up: Float[Tensor, "h n r"],
    value_up: Float[Tensor, "h v r"],
    scale: float,
    mask: Mask | None = None,
) -> Float[Tensor, "b h t v"]:
    """Return the mixed values of every head: rebuild all keys and values, then attend as usual."""
    keys = einsum(latent, key_up, "b s r, h n r -> b h s n")
    values = einsum(latent, value_up, "b s r, h v r -> b h s v")
    content = einsum(q_nope, keys, "b h t n, b h s n -> b h t s")
    weights = attention_weights(content, q_rope, k_rope, scale, mask)
    return einsum(weights, values, "b h t s, b h s v -> b h t v")


def absorbed(
    q_nope: Float[Tensor, "b h t n"],
    q_rope: Float[Tensor, "b h t p"],
    latent: Float[Tensor, "b s r"],
    k_rope: Float[Tensor, "b s p"],
    key_up: Float[Tensor, "h n r"],
    value_up: Float[Tensor, "h v r"],
    scale: float,
    mask: Mask | None = None,
) -> Float[Tensor, "b h t v"]:
    """Return the same, brackets moved: carry the query to the latents, not the latents to keys."""
    q_latent = einsum(q_nope, key_up, "b h t n, h n r -> b h t r")
    content = einsum(q_latent, latent, "b h t r, b s r -> b h t s")
    weights = attention_weights(content, q_rope, k_rope, scale, mask)
    mixed = einsum(weights, latent, "b h t s, b s r -> b h t r")
    return einsum(mixed, value_up, "b h t r, h v r -> b h t v")


def attention_weights(
    content: Float[Tensor, "b h t s"],
    q_rope: Float[Tensor, "b h t p"],
    k_rope: Float[Tensor, "b s p"],
    scale: float,
    mask: Mask | None = None,
) -> Float[Tensor, "b h t s"]:
    """Return the softmax of both kinds of score: what a token says, and where it stands."""
    position = einsum(q_rope, k_rope, "b h t p, b s p -> b h t s")
    if mask is None:
        mask = causal_mask(content.shape[2], content.shape[3], content.device)
    return ((content + position) * scale).masked_fill(~mask, -torch.inf).softmax(-1)


def rebuild(
    q_nope: Float[Tensor, "b h t n"],
    q_rope: Float[Tensor, "b h t p"],
    latent: Float[Tensor, "b s r"],
    k_rope: Float[Tensor, "b s p"],
    kv_up: Float[Tensor, "ups r"],
    scale: float,
    mask: Mask | None = None,
) -> Float[Tensor, "b h t v"]:
    """Return `expanded`, by one product for all keys and values and the fastest attention."""
    h, n = q_nope.shape[1], q_nope.shape[3]
    keys_values = linear(latent, kv_up).unflatten(-1, (h, -1)).transpose(1, 2)
    k_nope, values = keys_values.split_with_sizes([n, keys_values.shape[3] - n], dim=-1)
    keys = torch.cat([k_nope, k_rope.unsqueeze(1).expand(-1, h, -1, -1)], dim=-1)
    return attend(torch.cat([q_nope, q_rope], dim=-1), keys, values, scale, mask)


def carry(
    q_nope: Float[Tensor, "b h t n"],
    q_rope: Float[Tensor, "b h t p"],
    joint: Float[Tensor, "b s kept"],
    key_up: Float[Tensor, "h n r"],
    value_up: Float[Tensor, "h v r"],
    scale: float,
    mask: Mask | None = None,
) -> Float[Tensor, "b h t v"]:
    """Return `absorbed`, as attention with one key head whose keys and values are the cache.

    `joint` holds latent and turned key of every token side by side. The heads of all new tokens
    become the rows of one query; the rotary part of the mixed result means nothing and is cut.
    """
    # Plain reshapes: this runs once for each layer and token, and there einops would show.
    b, h, t, _ = q_nope.shape
    r = key_up.shape[2]
    q_latent = torch.bmm(q_nope.transpose(0, 1).flatten(1, 2), key_up)
    q = torch.cat([q_latent.view(h, b, t, r).transpose(0, 1), q_rope], dim=-1)
    if mask is None and t > 1:
        mask = causal_mask(t, joint.shape[1], joint.device)
    if mask is not None and t > 1:
        mask = mask.expand(b, 1, t, -1).repeat(1, 1, h, 1)
    kept = joint.unsqueeze(1).to(q.dtype)  # under autocast, once for keys and values
    mixed = attend_to_one_head(q.view(b, 1, h * t, -1), kept, scale, mask)
    mixed = mixed.reshape(b, h, t, -1)[..., :r].transpose(0, 1).flatten(1, 2)
    return torch.bmm(mixed, value_up.transpose(1, 2)).view(h, b, t, -1).transpose(0, 1)
