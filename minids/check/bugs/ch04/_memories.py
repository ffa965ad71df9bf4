"""What latent attention keeps of a token: right answers to 04.cache, each written otherwise."""

import torch

from minids.model.mla import absorbed


def scale_of(q_nope, q_rope):
    return (q_nope.shape[-1] + q_rope.shape[-1]) ** -0.5


class Memory:
    def __init__(self, key_up, value_up):
        self.key_up, self.value_up = key_up, value_up
        self.latent = self.k_rope = None

    def step(self, q_nope, q_rope, latent, k_rope):
        self.latent = latent if self.latent is None else torch.cat([self.latent, latent], 1)
        self.k_rope = k_rope if self.k_rope is None else torch.cat([self.k_rope, k_rope], 1)
        return self.look(q_nope, q_rope, self.latent, self.k_rope)

    def look(self, q_nope, q_rope, latent, k_rope):
        scale = scale_of(q_nope, q_rope)
        return absorbed(q_nope, q_rope, latent, k_rope, self.key_up, self.value_up, scale)

    def rewind(self, length):
        held = 0 if self.latent is None else self.latent.shape[1]
        if length > held:
            raise ValueError(f"there are {held} tokens, not {length}")
        if held:
            self.latent, self.k_rope = self.latent[:, :length], self.k_rope[:, :length]


class MemoryInOneTensor:
    def __init__(self, key_up, value_up):
        self.ups, self.rows = (key_up, value_up), []

    def step(self, q_nope, q_rope, latent, k_rope):
        self.rows.extend(torch.cat([latent, k_rope], -1).split(1, dim=1))
        widths = [latent.shape[-1], k_rope.shape[-1]]
        latents, keys = torch.cat(self.rows, 1).split(widths, -1)
        return absorbed(q_nope, q_rope, latents, keys, *self.ups, scale_of(q_nope, q_rope))

    def rewind(self, length):
        if not 0 <= length <= len(self.rows):
            raise ValueError(f"{length} is not between 0 and {len(self.rows)}")
        del self.rows[length:]


class MemoryWithWeightsOfItsOwn(Memory):
    def __init__(self, key_up, value_up):
        super().__init__(key_up.clone(), value_up.clone())


class MemoryInLists(Memory):
    def __init__(self, key_up, value_up):
        super().__init__(key_up, value_up)
        self.latents, self.keys = [], []

    def step(self, q_nope, q_rope, latent, k_rope):
        self.latents.append(latent)
        self.keys.append(k_rope)
        return self.look(q_nope, q_rope, torch.cat(self.latents, 1), torch.cat(self.keys, 1))

    def rewind(self, length):
        held = sum(latent.shape[1] for latent in self.latents)
        if length > held:
            raise ValueError(f"there are {held} tokens, not {length}")
        if held:
            self.latents = [torch.cat(self.latents, 1)[:, :length]]
            self.keys = [torch.cat(self.keys, 1)[:, :length]]


class MemoryInABuffer(Memory):
    def __init__(self, key_up, value_up):
        super().__init__(key_up, value_up)
        self.held, self.room = 0, None

    def step(self, q_nope, q_rope, latent, k_rope):
        new = torch.cat([latent, k_rope], -1)
        if self.room is None:
            self.room = new.new_zeros(len(new), 64, new.shape[-1])
        start, self.held = self.held, self.held + new.shape[1]
        self.room[:, start : self.held] = new
        widths = [latent.shape[-1], k_rope.shape[-1]]
        return self.look(q_nope, q_rope, *self.room[:, : self.held].split(widths, -1))

    def rewind(self, length):
        if length > self.held:
            raise ValueError(f"there are {self.held} tokens, not {length}")
        self.held = length


RIGHT = [Memory, MemoryInOneTensor, MemoryInLists, MemoryInABuffer, MemoryWithWeightsOfItsOwn]
