"""Chance that is the same every time: a generator whose seed is made of several things."""

import hashlib

import torch


def chance(*key: int | float | str, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a generator seeded by several things, of which neighbours have nothing in common."""
    digest = hashlib.sha256(repr(key).encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:7]))
