"""Answers to 01.rms_norm, right and wrong: numbers divided by their root mean square."""

import numpy as np
import torch
from torch import nn


def rms_norm(x, gain, eps):
    return x / (x.square().mean(-1, keepdim=True) + eps).sqrt() * gain


def rms_norm_by_dot_product(x, gain, eps):
    return gain * x * torch.rsqrt(torch.einsum("...d,...d->...", x, x) / len(gain) + eps)[..., None]


def rms_norm_of_torch(x, gain, eps):
    return nn.functional.rms_norm(x, gain.shape, gain, eps)


def rms_norm_in_double(x, gain, eps):
    wide = x.double()
    root = torch.linalg.vector_norm(wide, dim=-1, keepdim=True).pow(2) / x.shape[-1] + eps
    return (wide * root.pow(-0.5) * gain).to(x.dtype)


def norm_of_the_sum(x, gain, eps):
    return x / (x.square().sum(-1, keepdim=True) + eps).sqrt() * gain


def norm_without_root(x, gain, eps):
    return x / (x.square().mean(-1, keepdim=True) + eps) * gain


def norm_over_tokens(x, gain, eps):
    return x / (x.square().mean(list(range(x.dim() - 1)), keepdim=True) + eps).sqrt() * gain


def layer_norm(x, gain, eps):
    x = x - x.mean(-1, keepdim=True)
    return rms_norm(x, gain, eps)


def norm_by_variance(x, gain, eps):
    return x / (x.var(-1, correction=0, keepdim=True) + eps).sqrt() * gain


def norm_without_gain(x, gain, eps):
    return rms_norm(x, torch.ones_like(gain), eps)


def norm_with_one_plus_gain(x, gain, eps):
    return rms_norm(x, 1 + gain, eps)


def norm_with_gain_added(x, gain, eps):
    return rms_norm(x, torch.ones_like(gain), eps) + gain - 1


def norm_eps_outside(x, gain, eps):
    return x / (x.square().mean(-1, keepdim=True).sqrt() + eps) * gain


def norm_without_eps(x, gain, eps):
    return rms_norm(x, gain, 0.0)


def norm_after_the_gain(x, gain, eps):
    return rms_norm(x * gain, torch.ones_like(gain), eps)


def norm_detached(x, gain, eps):
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps).detach() * gain


def norm_with_a_fixed_gain(x, gain, eps):
    return rms_norm(x, gain.detach(), eps)


def norm_in_numpy(x, gain, eps):
    numbers = x.detach().numpy()
    root = np.sqrt((numbers**2).mean(-1, keepdims=True) + eps)
    return torch.from_numpy(numbers / root) * gain


def norm_of_zeros(x, gain, eps):
    return torch.zeros_like(x)


RIGHT = [rms_norm, rms_norm_by_dot_product, rms_norm_of_torch, rms_norm_in_double]

WRONG = [
    ("statistic over the tokens", norm_over_tokens, "over the last axis alone"),
    ("sum of squares", norm_of_the_sum, "the MEAN of the SQUARES"),
    ("no root", norm_without_root, "divide by the root"),
    ("variance", norm_by_variance, "numbers themselves"),
    ("mean subtracted", layer_norm, "subtracting the mean first"),
    ("no gain", norm_without_gain, "multiplied by its own gain"),
    ("one plus gain", norm_with_one_plus_gain, "gain of 1"),
    ("gain added", norm_with_gain_added, "multiply, do not add"),
    ("gain before the norm", norm_after_the_gain, "after the division"),
    ("eps outside the root", norm_eps_outside, "under the root"),
    ("no eps", norm_without_eps, "under the root"),
    ("gain detached", norm_with_a_fixed_gain, "and no gain"),
    ("in numpy", norm_in_numpy, "no layer below learns"),
    ("zeros", norm_of_zeros, "divide by the root"),
    ("norm detached", norm_detached, "no detach"),
]
