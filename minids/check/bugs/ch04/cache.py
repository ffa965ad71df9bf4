"""Mistakes of 04.cache: memories that keep too much or too little, or rewind otherwise."""

import torch

from minids.check.bugs.ch04._keeping import (
    KeepsQueries,
    KeysAndValues,
    KeysAndValuesInABuffer,
    KeysInADeque,
    KeysInASlot,
    KeysInNumpy,
    LatentsTwice,
    RopeKeyExpanded,
    RopeKeyForEachHead,
)
from minids.check.bugs.ch04._memories import (
    RIGHT,
    Memory,
    MemoryInOneTensor,
    scale_of,
)
from minids.model.mla import absorbed


class RewindsByAnAssert(Memory):
    def rewind(self, length):
        assert length <= (0 if self.latent is None else self.latent.shape[1])
        super().rewind(length)


class KeepsTheLast(Memory):
    def step(self, q_nope, q_rope, latent, k_rope):
        self.latent, self.k_rope = latent, k_rope
        return self.look(q_nope, q_rope, latent, k_rope)


class NewestFirst(Memory):
    def step(self, q_nope, q_rope, latent, k_rope):
        self.latent = latent if self.latent is None else torch.cat([latent, self.latent], 1)
        self.k_rope = k_rope if self.k_rope is None else torch.cat([k_rope, self.k_rope], 1)
        return self.look(q_nope, q_rope, self.latent, self.k_rope)


class RewindsNothing(Memory):
    def rewind(self, length):
        if length > self.latent.shape[1]:
            raise ValueError("too long")


class RewindsBy(Memory):
    def rewind(self, length):
        super().rewind(self.latent.shape[1] - length)


class RewindsOneShort(Memory):
    def rewind(self, length):
        super().rewind(max(0, length - 1))


class RewindsToFewer(Memory):
    def rewind(self, length):
        if length >= self.latent.shape[1]:
            raise ValueError(f"there are {self.latent.shape[1]} tokens, not {length}")
        super().rewind(length)


class RewindsFromTheEnd(Memory):
    def rewind(self, length):
        drop = (0 if self.latent is None else self.latent.shape[1]) - length
        if drop < 0:
            raise ValueError(f"{-drop} tokens too many")
        self.latent, self.k_rope = self.latent[:, :-drop], self.k_rope[:, :-drop]


class RewindsAnywhere(Memory):
    def rewind(self, length):
        self.latent, self.k_rope = self.latent[:, :length], self.k_rope[:, :length]


class RewindsOnlyWhatIsThere(Memory):
    def rewind(self, length):
        if length > self.latent.shape[1]:
            raise ValueError(f"there are {self.latent.shape[1]} tokens, not {length}")
        super().rewind(length)


class CountsOnlyUp(Memory):
    def __init__(self, key_up, value_up):
        super().__init__(key_up, value_up)
        self.held = 0

    def step(self, q_nope, q_rope, latent, k_rope):
        self.held += latent.shape[1]
        return super().step(q_nope, q_rope, latent, k_rope)

    def rewind(self, length):
        if length > self.held:
            raise ValueError(f"there are {self.held} tokens, not {length}")
        if self.held:
            self.latent, self.k_rope = self.latent[:, :length], self.k_rope[:, :length]


class KeepsTheLastOfSeveral(Memory):
    def step(self, q_nope, q_rope, latent, k_rope):
        before = self.latent, self.k_rope
        out = super().step(q_nope, q_rope, latent, k_rope)
        if before[0] is not None:
            self.latent = torch.cat([before[0], latent[:, -1:]], 1)
            self.k_rope = torch.cat([before[1], k_rope[:, -1:]], 1)
        return out


class ScaledByTheContent(Memory):
    def look(self, q_nope, q_rope, latent, k_rope):
        w, scale = (self.key_up, self.value_up), q_nope.shape[-1] ** -0.5
        return absorbed(q_nope, q_rope, latent, k_rope, *w, scale)


class SharedByAll(MemoryInOneTensor):
    stores = []

    def __init__(self, key_up, value_up):
        super().__init__(key_up, value_up)
        for weights, rows in self.stores:
            if weights is key_up:
                self.rows = rows
        self.stores.append((key_up, self.rows))


class SeesTheNext(Memory):
    def look(self, q_nope, q_rope, latent, k_rope):
        everything = torch.ones(1, 1, q_nope.shape[2], latent.shape[1], dtype=torch.bool)
        w, scale = (self.key_up, self.value_up), scale_of(q_nope, q_rope)
        return absorbed(q_nope, q_rope, latent, k_rope, *w, scale, everything)


__all__ = ["RIGHT", "WRONG"]

WRONG = [
    ("keys and values kept", KeysAndValues, "more than it needs"),
    (
        "a buffer of keys and values",
        KeysAndValuesInABuffer,
        "does not grow with the number of heads",
    ),
    ("latents kept twice", LatentsTwice, "each rotary key once"),
    ("a rotary key for each head", RopeKeyForEachHead, "ONE rotary key"),
    ("a rotary key spread over the heads", RopeKeyExpanded, "ONE rotary key"),
    ("queries kept", KeepsQueries, "old queries are more"),
    ("keys kept in a deque", KeysInADeque, "more than it needs"),
    ("keys kept in a slot", KeysInASlot, "more than it needs"),
    ("keys kept in numpy", KeysInNumpy, "more than it needs"),
    ("the last token alone", KeepsTheLast, "all earlier tokens"),
    ("the newest first", NewestFirst, "after the old ones"),
    ("rewind does nothing", RewindsNothing, "keeps the first `length`"),
    ("rewind by, not to", RewindsBy, "keeps the first `length`"),
    ("rewind one too far", RewindsOneShort, "keeps the first `length`"),
    ("rewind to all refused", RewindsToFewer, "> and not >="),
    ("rewind from the end", RewindsFromTheEnd, "is empty: cut at"),
    ("rewind past the end", RewindsAnywhere, "raise ValueError"),
    ("rewind by an assert", RewindsByAnAssert, "and no other error, if"),
    ("a fresh memory forgotten", RewindsOnlyWhatIsThere, "a fresh memory holds no tokens"),
    ("one store for all", SharedByAll, "not in the body of the class"),
    ("new tokens see each other", SeesTheNext, "none of them sees a later"),
    ("a count that only rises", CountsOnlyUp, "9 are too many"),
    ("the last of several kept", KeepsTheLastOfSeveral, "append all new tokens"),
    ("scale without the rope width", ScaledByTheContent, "(n + p) ** -0.5"),
]
