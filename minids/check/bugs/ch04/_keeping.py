"""Mistakes of 04.cache: memories that keep too much of a token."""

from collections import deque

import torch

from minids.check.bugs.ch04._memories import Memory, MemoryInLists, scale_of
from minids.check.bugs.ch04.absorb import causal


class KeepsQueries(MemoryInLists):
    def __init__(self, key_up, value_up):
        super().__init__(key_up, value_up)
        self.queries = []

    def step(self, q_nope, q_rope, latent, k_rope):
        self.queries.append(q_nope)
        return super().step(q_nope, q_rope, latent, k_rope)


class RopeKeyExpanded(MemoryInLists):
    def step(self, q_nope, q_rope, latent, k_rope):
        self.latents.append(latent)
        self.keys.append(k_rope.unsqueeze(1).expand(-1, len(self.key_up), -1, -1))
        keys = torch.cat(self.keys, 2)
        return self.look(q_nope, q_rope, torch.cat(self.latents, 1), keys[:, 0])


class KeysInADeque(Memory):
    def __init__(self, key_up, value_up):
        super().__init__(key_up, value_up)
        self.rebuilt = deque()

    def step(self, q_nope, q_rope, latent, k_rope):
        self.rebuilt.append(torch.einsum("bsr,hnr->bhsn", latent, self.key_up))
        return super().step(q_nope, q_rope, latent, k_rope)


class KeysInASlot(Memory):
    __slots__ = ("rebuilt",)

    def __init__(self, key_up, value_up):
        super().__init__(key_up, value_up)
        self.rebuilt = []

    def step(self, q_nope, q_rope, latent, k_rope):
        self.rebuilt.append(torch.einsum("bsr,hnr->bhsn", latent, self.key_up))
        return super().step(q_nope, q_rope, latent, k_rope)


class KeysInNumpy(KeysInADeque):
    def step(self, q_nope, q_rope, latent, k_rope):
        self.rebuilt.append(torch.einsum("bsr,hnr->bhsn", latent, self.key_up).numpy())
        return Memory.step(self, q_nope, q_rope, latent, k_rope)


class KeysAndValues(Memory):
    def __init__(self, key_up, value_up):
        super().__init__(key_up, value_up)
        self.keys = self.values = None

    def step(self, q_nope, q_rope, latent, k_rope):
        h = len(self.key_up)
        content = torch.einsum("bsr,hnr->bhsn", latent, self.key_up)
        keys = torch.cat([content, k_rope.unsqueeze(1).expand(-1, h, -1, -1)], dim=-1)
        values = torch.einsum("bsr,hvr->bhsv", latent, self.value_up)
        self.keys = keys if self.keys is None else torch.cat([self.keys, keys], 2)
        self.values = values if self.values is None else torch.cat([self.values, values], 2)
        scores = torch.cat([q_nope, q_rope], -1) @ self.keys.mT * scale_of(q_nope, q_rope)
        return causal(scores).softmax(-1) @ self.values

    def rewind(self, length):
        if length > self.keys.shape[2]:
            raise ValueError(f"there are {self.keys.shape[2]} tokens, not {length}")
        self.keys, self.values = self.keys[:, :, :length], self.values[:, :, :length]


class RopeKeyForEachHead(Memory):
    def step(self, q_nope, q_rope, latent, k_rope):
        keys = k_rope.unsqueeze(1).repeat(1, len(self.key_up), 1, 1)
        self.latent = latent if self.latent is None else torch.cat([self.latent, latent], 1)
        self.k_rope = keys if self.k_rope is None else torch.cat([self.k_rope, keys], 2)
        return self.look(q_nope, q_rope, self.latent, self.k_rope[:, 0])

    def rewind(self, length):
        self.latent, self.k_rope = self.latent[:, :length], self.k_rope[:, :, :length]


class KeysAndValuesInABuffer(Memory):
    def __init__(self, key_up, value_up):
        super().__init__(key_up, value_up)
        self.held, self.room = 0, None

    def step(self, q_nope, q_rope, latent, k_rope):
        h, latents = len(self.key_up), latent.unsqueeze(1)
        rotary = k_rope.unsqueeze(1).expand(-1, h, -1, -1)
        new = torch.cat([latents @ self.key_up.mT, rotary, latents @ self.value_up.mT], -1)
        if self.room is None:
            self.room = new.new_zeros(len(new), h, 64, new.shape[-1])
        start, self.held = self.held, self.held + new.shape[2]
        self.room[:, :, start : self.held] = new
        widths = [q_nope.shape[-1] + q_rope.shape[-1], self.value_up.shape[1]]
        keys, values = self.room[:, :, : self.held].split(widths, -1)
        scores = torch.cat([q_nope, q_rope], -1) @ keys.mT * scale_of(q_nope, q_rope)
        return causal(scores).softmax(-1) @ values

    def rewind(self, length):
        if length > self.held:
            raise ValueError(f"there are {self.held} tokens, not {length}")
        self.held = length


class LatentsTwice(MemoryInLists):
    def step(self, q_nope, q_rope, latent, k_rope):
        self.latent = torch.cat([*self.latents, latent], 1)
        return super().step(q_nope, q_rope, latent, k_rope)
