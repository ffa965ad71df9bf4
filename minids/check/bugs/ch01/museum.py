"""What hangs in the museum of chapter 01 and answers no exercise."""

import torch
from einops import rearrange
from torch import nn

from minids.model.attention import attend
from minids.model.rope import rotate_halves


def copied(batch):
    """Targets that are the tokens themselves: the shift is missing."""
    return batch._replace(targets=batch.tokens)


class SeesTheFuture(nn.Module):
    """Attention whose mask hides nothing."""

    def __init__(self, attention):
        super().__init__()
        self.attention = attention

    def forward(self, x, rotary, cache=None, mask=None):
        t = x.shape[1]
        everything = torch.ones(1, 1, t, t, dtype=torch.bool, device=x.device)
        return self.attention(x, rotary, cache, everything)


class TurnsValues(nn.Module):
    """Attention that turns the values by their position, too."""

    def __init__(self, attention):
        super().__init__()
        self.attention = attention

    def forward(self, x, rotary, cache=None, mask=None):
        a = self.attention
        q, k, v = (
            rotate_halves(rearrange(part, "b t (h d) -> b h t d", d=a.head_dim), rotary)
            for part in a.qkv(x).split(a.widths, dim=-1)
        )
        return a.out(rearrange(attend(q, k, v, a.scale, mask), "b h t d -> b t (h d)"))


class NormOverBatch(nn.Module):
    """A norm that takes its mean over the batch instead of over the vector."""

    def __init__(self, norm):
        super().__init__()
        self.weight, self.eps = norm.weight, norm.eps

    def forward(self, x):
        mean_square = x.square().mean((0, 1), keepdim=True)
        return x * torch.rsqrt(mean_square + self.eps) * self.weight
