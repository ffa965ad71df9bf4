"""What hangs in the museum of chapter 04 and answers no exercise."""

import torch

from minids.check.bugs.ch04.absorb import scale_without_rope
from minids.check.bugs.ch04.cache import Memory
from minids.model.rope import rotate_pairs


def normed(x):
    return x * (x.square().mean(-1, keepdim=True) + 1e-6).rsqrt()


def compress(x, down, gain, rotary):
    latent, key = (x @ down.T).split([len(gain), len(down) - len(gain)], dim=-1)
    return normed(latent) * gain, rotate_pairs(key, rotary)


def latent_without_norm(x, down, gain, rotary):
    latent, key = (x @ down.T).split([len(gain), len(down) - len(gain)], dim=-1)
    return latent * gain, rotate_pairs(key, rotary)


class ScaleWithoutRope(Memory):
    def look(self, q_nope, q_rope, latent, k_rope):
        return scale_without_rope(q_nope, q_rope, latent, k_rope, self.key_up, self.value_up)


def forget_the_norm(model):
    for block in model.layers:
        block.attention.kv_norm = torch.nn.Identity()


def forget_the_rope_width(model):
    for block in model.layers:
        block.attention.scale = block.attention.c.nope_dim**-0.5
