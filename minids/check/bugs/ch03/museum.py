"""What hangs in the museum of chapter 03 and answers no exercise."""

import torch


def balance(scores, chosen, n_devices):
    (t, e), k = scores.shape, chosen.shape[1]
    f = torch.bincount(chosen.flatten(), minlength=e) * e / (k * t)
    by_device = f.view(n_devices, -1).mean(1), scores.mean(0).view(n_devices, -1).sum(1)
    return (by_device[0] * by_device[1]).sum()


def counts_alone(scores, chosen, n_devices):
    (t, e), k = scores.shape, chosen.shape[1]
    f = torch.bincount(chosen.flatten(), minlength=e) * e / (k * t)
    f = f.view(n_devices, -1).mean(1).to(scores.dtype)
    return f.square().mean()
