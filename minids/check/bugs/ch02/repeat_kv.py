"""Answers to 02.repeat_kv, right and wrong: key heads shared by neighbouring query heads."""

import torch


def shared(x, n):
    return x.repeat_interleave(n, dim=1)


def shared_by_expanding(x, n):
    b, g, s, d = x.shape
    return x[:, :, None].expand(b, g, n, s, d).reshape(b, g * n, s, d)


def shared_by_index(x, n):
    return x[:, torch.arange(x.shape[1] * n) // n]


def shared_by_stacking(x, n):
    return torch.stack([x] * n, dim=2).flatten(1, 2)


def tiled(x, n):
    return x.repeat(1, n, 1, 1)


def repeated_tokens(x, n):
    return x.repeat_interleave(n, dim=2)


def repeated_batch(x, n):
    return x.repeat_interleave(n, dim=0)


def first_head_for_all(x, n):
    return x[:, :1].expand(-1, x.shape[1] * n, -1, -1)


def tokens_for_heads(x, n):
    return x.transpose(1, 2).repeat_interleave(n, dim=2).reshape(x.shape[0], -1, *x.shape[2:])


def detached(x, n):
    return x.detach().repeat_interleave(n, dim=1)


def always_twice(x, n):
    return x.repeat_interleave(max(n, 2), dim=1)


def divided(x, n):
    return x.repeat_interleave(n, dim=1) / n


RIGHT = [shared, shared_by_expanding, shared_by_index, shared_by_stacking]

WRONG = [
    ("tiles the heads", tiled, "repeat_interleave"),
    ("repeats the tokens", repeated_tokens, "expected shape"),
    ("repeats the batch", repeated_batch, "expected shape"),
    ("the first head serves all", first_head_for_all, "no key head may be left out"),
    ("mixes heads and tokens", tokens_for_heads, "neighbours share"),
    ("cuts the gradient", detached, "do not detach"),
    ("at least twice", always_twice, "n = 1 is MHA"),
    ("divides by the group", divided, "calculate nothing"),
]
