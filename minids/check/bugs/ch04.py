"""Right answers and planted mistakes for chapter 04. Four of them hang in its bug museum."""

import math
from collections import deque

import torch
from torch.utils.flop_counter import FlopCounterMode

from minids.model.mla import absorbed, expanded
from minids.model.rope import rotate_pairs

# 04.bracket


def bracket(q, latent, key_up):
    return (q @ key_up) @ latent.T


def bracket_by_einsum(q, latent, key_up):
    carried = torch.einsum("tn,nr->tr", q, key_up)
    return torch.einsum("tr,sr->ts", carried, latent)


def bracket_query_by_query(q, latent, key_up):
    return torch.stack([latent @ (key_up.mT @ row) for row in q])


def bracket_turned_round(q, latent, key_up):
    return (latent @ (key_up.mT @ q.mT)).mT


def bracket_by_hand(q, latent, key_up):
    carried = (q[:, :, None] * key_up).sum(1)
    return (carried[:, None] * latent).sum(-1)


def bracket_rebuilt(q, latent, key_up):
    return q @ (latent @ key_up.T).T


def bracket_rebuilt_by_hand(q, latent, key_up):
    return q @ (latent[:, None] * key_up).sum(-1).T


def bracket_rebuilt_one_by_one(q, latent, key_up):
    keys = torch.stack([key_up @ row for row in latent])
    return q @ keys.T


def bracket_carried_for_each_latent(q, latent, key_up):
    return torch.stack([q @ key_up @ row for row in latent], dim=1)


def bracket_transposed(q, latent, key_up):
    return latent @ (q @ key_up).T


def bracket_scaled(q, latent, key_up):
    return (q @ key_up) @ latent.T * q.shape[-1] ** -0.5


def bracket_softmax(q, latent, key_up):
    return bracket(q, latent, key_up).softmax(-1)


def bracket_normed(q, latent, key_up):
    return (q @ key_up) @ torch.nn.functional.normalize(latent, dim=-1).T


def bracket_squeezed(q, latent, key_up):
    return bracket(q, latent, key_up).squeeze()


# What the museum keeps of a token


def _normed(x):
    return x * (x.square().mean(-1, keepdim=True) + 1e-6).rsqrt()


def compress(x, down, gain, rotary):
    latent, key = (x @ down.T).split([len(gain), len(down) - len(gain)], dim=-1)
    return _normed(latent) * gain, rotate_pairs(key, rotary)


def latent_without_norm(x, down, gain, rotary):
    latent, key = (x @ down.T).split([len(gain), len(down) - len(gain)], dim=-1)
    return latent * gain, rotate_pairs(key, rotary)


# 04.absorb


def _causal(scores):
    t, s = scores.shape[-2:]
    seen = torch.ones(t, s, dtype=torch.bool).tril(s - t)
    return scores.masked_fill(~seen, -torch.inf)


def absorb(q_nope, q_rope, latent, k_rope, key_up, value_up):
    q_latent = torch.einsum("bhtn,hnr->bhtr", q_nope, key_up)
    scores = torch.einsum("bhtr,bsr->bhts", q_latent, latent)
    scores = scores + torch.einsum("bhtp,bsp->bhts", q_rope, k_rope)
    scale = (q_nope.shape[-1] + q_rope.shape[-1]) ** -0.5
    mixed = torch.einsum("bhts,bsr->bhtr", _causal(scores * scale).softmax(-1), latent)
    return torch.einsum("bhtr,hvr->bhtv", mixed, value_up)


def absorb_as_one_key_head(q_nope, q_rope, latent, k_rope, key_up, value_up):
    wide = torch.cat([latent, k_rope], dim=-1).unsqueeze(1)
    q = torch.cat([q_nope @ key_up, q_rope], dim=-1) / math.sqrt(
        q_nope.shape[-1] + q_rope.shape[-1]
    )
    return _causal(q @ wide.mT).softmax(-1) @ latent.unsqueeze(1) @ value_up.mT


def scale_without_rope(q_nope, q_rope, latent, k_rope, key_up, value_up):
    scale = q_nope.shape[-1] ** -0.5
    return absorbed(q_nope, q_rope, latent, k_rope, key_up, value_up, scale)


def absorb_two_scales(q_nope, q_rope, latent, k_rope, key_up, value_up):
    n, p = q_nope.shape[-1], q_rope.shape[-1]
    q_nope, q_rope = q_nope * n**-0.5, q_rope * p**-0.5
    return absorbed(q_nope, q_rope, latent, k_rope, key_up, value_up, 1.0)


def absorb_scale_of_latent(q_nope, q_rope, latent, k_rope, key_up, value_up):
    scale = (latent.shape[-1] + k_rope.shape[-1]) ** -0.5
    return absorbed(q_nope, q_rope, latent, k_rope, key_up, value_up, scale)


def absorb_without_position(q_nope, q_rope, latent, k_rope, key_up, value_up):
    return absorb(q_nope, torch.zeros_like(q_rope), latent, k_rope, key_up, value_up)


def absorb_first_rows(q_nope, q_rope, latent, k_rope, key_up, value_up):
    t, s = q_nope.shape[2], latent.shape[1]
    mask = torch.ones(1, 1, t, s, dtype=torch.bool).tril()
    scale = (q_nope.shape[-1] + q_rope.shape[-1]) ** -0.5
    if t == 1:
        mask = torch.ones_like(mask)
    return absorbed(q_nope, q_rope, latent, k_rope, key_up, value_up, scale, mask)


def absorb_sees_all(q_nope, q_rope, latent, k_rope, key_up, value_up):
    mask = torch.ones(1, 1, q_nope.shape[2], latent.shape[1], dtype=torch.bool)
    scale = (q_nope.shape[-1] + q_rope.shape[-1]) ** -0.5
    return absorbed(q_nope, q_rope, latent, k_rope, key_up, value_up, scale, mask)


def absorb_expands(q_nope, q_rope, latent, k_rope, key_up, value_up):
    scale = (q_nope.shape[-1] + q_rope.shape[-1]) ** -0.5
    return expanded(q_nope, q_rope, latent, k_rope, key_up, value_up, scale)


def absorb_rebuilds_values(q_nope, q_rope, latent, k_rope, key_up, value_up):
    q_latent = torch.einsum("bhtn,hnr->bhtr", q_nope, key_up)
    scores = torch.einsum("bhtr,bsr->bhts", q_latent, latent)
    scores = scores + torch.einsum("bhtp,bsp->bhts", q_rope, k_rope)
    scale = (q_nope.shape[-1] + q_rope.shape[-1]) ** -0.5
    values = torch.einsum("bsr,hvr->bhsv", latent, value_up)
    return _causal(scores * scale).softmax(-1) @ values


def absorb_returns_latents(q_nope, q_rope, latent, k_rope, key_up, value_up):
    same = torch.eye(latent.shape[-1]).expand(len(key_up), -1, -1)
    return absorb(q_nope, q_rope, latent, k_rope, key_up, same)


def absorb_first_head_for_all(q_nope, q_rope, latent, k_rope, key_up, value_up):
    values = value_up[:1].expand_as(value_up)
    return absorb(q_nope, q_rope, latent, k_rope, key_up, values)


def _scores(q_nope, q_rope, latent, k_rope, key_up):
    content = (q_nope @ key_up) @ latent.unsqueeze(1).mT
    position = q_rope @ k_rope.unsqueeze(1).mT
    scale = (q_nope.shape[-1] + q_rope.shape[-1]) ** -0.5
    return content * scale, position * scale


def _mixed(weights, latent, value_up):
    return weights @ latent.unsqueeze(1) @ value_up.mT


def absorb_softmax_over_queries(q_nope, q_rope, latent, k_rope, key_up, value_up):
    content, position = _scores(q_nope, q_rope, latent, k_rope, key_up)
    return _mixed(_causal(content + position).softmax(-2), latent, value_up)


def absorb_two_softmaxes(q_nope, q_rope, latent, k_rope, key_up, value_up):
    parts = _scores(q_nope, q_rope, latent, k_rope, key_up)
    return _mixed(sum(_causal(part).softmax(-1) for part in parts) / 2, latent, value_up)


def absorb_heads_summed(q_nope, q_rope, latent, k_rope, key_up, value_up):
    return absorb(q_nope, q_rope, latent, k_rope, key_up.sum(0).expand_as(key_up), value_up)


# 04.cache


def _scale(q_nope, q_rope):
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
        scale = _scale(q_nope, q_rope)
        return absorbed(q_nope, q_rope, latent, k_rope, self.key_up, self.value_up, scale)

    def rewind(self, length):
        if length > self.latent.shape[1]:
            raise ValueError(f"there are {self.latent.shape[1]} tokens, not {length}")
        self.latent, self.k_rope = self.latent[:, :length], self.k_rope[:, :length]


class MemoryInOneTensor:
    def __init__(self, key_up, value_up):
        self.ups, self.rows = (key_up, value_up), []

    def step(self, q_nope, q_rope, latent, k_rope):
        self.rows.extend(torch.cat([latent, k_rope], -1).split(1, dim=1))
        widths = [latent.shape[-1], k_rope.shape[-1]]
        latents, keys = torch.cat(self.rows, 1).split(widths, -1)
        return absorbed(q_nope, q_rope, latents, keys, *self.ups, _scale(q_nope, q_rope))

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
        latent, k_rope = torch.cat(self.latents, 1), torch.cat(self.keys, 1)
        if length > latent.shape[1]:
            raise ValueError(f"there are {latent.shape[1]} tokens, not {length}")
        self.latents, self.keys = [latent[:, :length]], [k_rope[:, :length]]


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
        scores = torch.cat([q_nope, q_rope], -1) @ self.keys.mT * _scale(q_nope, q_rope)
        return _causal(scores).softmax(-1) @ self.values

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


class RewindsAnywhere(Memory):
    def rewind(self, length):
        self.latent, self.k_rope = self.latent[:, :length], self.k_rope[:, :length]


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
        w, scale = (self.key_up, self.value_up), _scale(q_nope, q_rope)
        return absorbed(q_nope, q_rope, latent, k_rope, *w, scale, everything)


class ScaleWithoutRope(Memory):
    def look(self, q_nope, q_rope, latent, k_rope):
        return scale_without_rope(q_nope, q_rope, latent, k_rope, self.key_up, self.value_up)


# Two of them built into a model, to see whether it still trains


def forget_the_norm(model):
    for block in model.layers:
        block.attention.kv_norm = torch.nn.Identity()


def forget_the_rope_width(model):
    for block in model.layers:
        block.attention.scale = block.attention.c.nope_dim**-0.5


# 04.predict

NUMBERS = {"bytes per token": 70_272, "GB per user": 9.21, "users": 8, "users with MHA": 0}
COMPUTED = {
    "bytes per token": 2.0 * (512 + 64) * 61,
    "GB per user": 2 * 576 * 61 * 2**17 / 1e9,
    "users": 80e9 // (2 * 576 * 61 * 2**17),
    "users with MHA": 80e9 // (2 * 2 * 128 * 128 * 61 * 2**17),
}

# 04.explain

REASON = "Merging stores 786,432 numbers instead of 262,144, as if the rank were not 128."
EXPLAINED = {"two factors": 262_144, "merged": 786_432, "because": REASON}
EXPLAINED_AGAIN = {
    "two factors": 128 * (1536 + 512),
    "merged": 1536 * 512,
    "because": "The head is 128 wide, so 262144 numbers say all that 786432 numbers of the product "
    "would say.",
}

# 04.measure


def _flops(attend, new, total, c):
    with FlopCounterMode(display=False) as counter, torch.device("meta"):
        attend(
            torch.empty(1, c.n_heads, new, c.nope_dim),
            torch.empty(1, c.n_heads, new, c.rope_dim),
            torch.empty(1, total, c.kv_rank),
            torch.empty(1, total, c.rope_dim),
            torch.empty(c.n_heads, c.nope_dim, c.kv_rank),
            torch.empty(c.n_heads, c.value_dim, c.kv_rank),
            1.0,
        )
    return counter.get_total_flops()


def stops_paying(carry, rebuild, total, c):
    new = 1
    while _flops(carry, new, total, c) < _flops(rebuild, new, total, c):
        new += 1
    return new


def stops_paying_by_halves(carry, rebuild, total, c):
    low, high = 0, total
    while high - low > 1:
        middle = (low + high) // 2
        pays = _flops(carry, middle, total, c) < _flops(rebuild, middle, total, c)
        low, high = (middle, high) if pays else (low, middle)
    return high


def last_that_pays(carry, rebuild, total, c):
    return stops_paying(carry, rebuild, total, c) - 1


def by_formula(carry, rebuild, total, c):
    up = c.kv_rank * (c.nope_dim + c.value_dim)
    more = total * (2 * c.kv_rank - c.nope_dim - c.value_dim) + up
    return math.ceil(total * up / more)


def without_the_past(carry, rebuild, total, c):
    return stops_paying(carry, rebuild, 300, c)


def goes_on_at_a_tie(carry, rebuild, total, c):
    new = 1
    while _flops(carry, new, total, c) <= _flops(rebuild, new, total, c):
        new += 1
    return new


def swapped(carry, rebuild, total, c):
    return stops_paying(rebuild, carry, total, c)


def one_too_many(carry, rebuild, total, c):
    return stops_paying(carry, rebuild, total, c) + 1


def as_a_share(carry, rebuild, total, c):
    return stops_paying(carry, rebuild, total, c) / total


RIGHT = {
    "04.bracket": [
        bracket,
        bracket_by_einsum,
        bracket_query_by_query,
        bracket_turned_round,
        bracket_by_hand,
    ],
    "04.absorb": [absorb, absorb_as_one_key_head],
    "04.cache": [Memory, MemoryInOneTensor, MemoryInLists, MemoryWithWeightsOfItsOwn],
    "04.predict": [NUMBERS, COMPUTED],
    "04.explain": [EXPLAINED, EXPLAINED_AGAIN],
    "04.measure": [stops_paying, stops_paying_by_halves],
}

WRONG = {
    "04.bracket": [
        ("keys rebuilt first", bracket_rebuilt, "the keys are built first"),
        ("keys rebuilt without a product of matrices", bracket_rebuilt_by_hand,
         "the keys are built first"),
        ("keys rebuilt one by one", bracket_rebuilt_one_by_one, "the keys are built first"),
        ("carried again for each latent", bracket_carried_for_each_latent, "carry it once"),
        ("rows and columns swapped", bracket_transposed, "right shape"),
        ("scaled", bracket_scaled, "plain products: no scale"),
        ("a softmax", bracket_softmax, "no softmax"),
        ("latents normed once more", bracket_normed, "no norm"),
        ("squeezed", bracket_squeezed, "no squeeze"),
    ],
    "04.absorb": [
        ("scale without the rope width", scale_without_rope, "the rope width counts too"),
        ("a scale for each part", absorb_two_scales, "one scale for the sum"),
        ("scale of the latent", absorb_scale_of_latent, "divided by the root of both widths"),
        ("no rotary scores", absorb_without_position, "the scores have two parts"),
        ("mask of the first rows", absorb_first_rows, "shift the triangle"),
        ("the future seen", absorb_sees_all, "into the future"),
        ("keys and values rebuilt", absorb_expands, "are rebuilt for every token"),
        ("values rebuilt", absorb_rebuilds_values, "are rebuilt for every token"),
        ("latents returned", absorb_returns_latents, "right shape"),
        ("values of the first head", absorb_first_head_for_all, "value_up of each head"),
        ("softmax over the queries", absorb_softmax_over_queries, "softmax over the latents"),
        ("a softmax for each part", absorb_two_softmaxes, "there is one softmax"),
        ("key_up summed over heads", absorb_heads_summed, "its own key_up"),
    ],
    "04.cache": [
        ("keys and values kept", KeysAndValues, "save nothing"),
        ("a rotary key for each head", RopeKeyForEachHead, "ONE rotary key"),
        ("a rotary key spread over the heads", RopeKeyExpanded, "ONE rotary key"),
        ("queries kept", KeepsQueries, "old queries save nothing"),
        ("keys kept in a deque", KeysInADeque, "save nothing"),
        ("the last token alone", KeepsTheLast, "all earlier tokens"),
        ("the newest first", NewestFirst, "after the old ones"),
        ("rewind does nothing", RewindsNothing, "keeps the first `length`"),
        ("rewind by, not to", RewindsBy, "keeps the first `length`"),
        ("rewind one too far", RewindsOneShort, "keeps the first `length`"),
        ("rewind to all refused", RewindsToFewer, "keeps them all"),
        ("rewind past the end", RewindsAnywhere, "raise ValueError"),
        ("one store for all", SharedByAll, "not in the body of the class"),
        ("new tokens see each other", SeesTheNext, "none of them sees a later"),
    ],
    "04.predict": [
        ("latent alone", NUMBERS | {"bytes per token": 62_464}, "both are kept"),
        ("numbers, not bytes", NUMBERS | {"bytes per token": 35_136}, "2 bytes each"),
        ("one layer", NUMBERS | {"bytes per token": 1152}, "in every layer"),
        ("128,000 tokens", NUMBERS | {"GB per user": 8.995}, "128 x 1024"),
        ("rounded up", NUMBERS | {"users": 9}, "round down"),
        ("MHA fits one", NUMBERS | {"users with MHA": 1}, "a value for each"),
        ("an answer left out", {"users": 8}, "the keys are"),
    ],
    "04.explain": [
        ("the model's width, not the latent's", EXPLAINED | {"two factors": 983_040}, "query"),
        ("factors multiplied", EXPLAINED | {"two factors": 128 * 1536 * 128 * 512}, "add them"),
        ("all heads", EXPLAINED | {"two factors": 128 * 262_144}, "about one head"),
        ("merged of a head's width", EXPLAINED | {"merged": 128 * 128}, "more numbers than"),
        ("merged as large as the factors", EXPLAINED | {"merged": 262_144}, "more numbers than"),
        ("the width of the head kept", EXPLAINED | {"merged": 1536 * 128 * 512}, "between them"),
        ("no numbers", EXPLAINED | {"because": "Merging throws the low rank of both factors away."},
         "both numbers"),
        ("an entry left out", {"two factors": 262_144}, "three entries"),
    ],
    "04.measure": [
        ("the last that pays", last_that_pays, "the last number for which it pays"),
        ("a formula", by_formula, "a formula of the widths"),
        ("the past ignored", without_the_past, "`total` counts"),
        ("the two swapped", swapped, "comes first"),
        ("one too many", one_too_many, "for one fewer it still pays"),
        ("goes on at a tie", goes_on_at_a_tie, "< and not <="),
        ("a share", as_a_share, "a whole number"),
    ],
}  # fmt: skip
