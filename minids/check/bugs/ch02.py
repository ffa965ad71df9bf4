"""Right answers and planted mistakes of chapter 02. Its bug museum shows four of the steps."""

import math

import torch
from einops import rearrange

from minids import accounting
from minids.check.ch02 import NUMBERS, RATIOS, WORDS

# 02.repeat_kv


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


# 02.cache_step


def _attend(q, k, v, scale=None, ahead=False):
    """Attention of the last tokens of a text, with mistakes on demand."""
    t, s, n = q.shape[2], k.shape[2], q.shape[1] // k.shape[1]
    k, v = shared(k, n), shared(v, n)
    scores = q @ k.mT * (q.shape[-1] ** -0.5 if scale is None else scale)
    if not ahead:
        may = torch.ones(t, s, dtype=torch.bool, device=q.device).tril(s - t)
        scores = scores.masked_fill(~may, -torch.inf)
    return scores.softmax(-1) @ v


def _append(past, k, v, dim=2):
    return (k, v) if past is None else (torch.cat([past[0], k], dim), torch.cat([past[1], v], dim))


def _length(past):
    return 0 if past is None else past[0].shape[2]


def step(q, k, v, past, turn):
    start = _length(past)
    q, k = turn(q, start), turn(k, start)
    k, v = _append(past, k, v)
    return _attend(q, k, v), (k, v)


def step_turning_late(q, k, v, past, turn):
    start = _length(past)
    k, v = _append(past, k, v)
    return _attend(turn(q, start), turn(k, 0), v), (k, v)


def step_by_groups(q, k, v, past, turn):
    start = _length(past)
    old, q, k = past, turn(q, start), turn(k, start)
    if old is not None:
        k, v = torch.cat([old[0], k], 2), torch.cat([old[1], v], 2)
    q = rearrange(q, "b (g m) t d -> b g m t d", g=k.shape[1])
    scores = torch.einsum("bgmtd,bgsd->bgmts", q, k) / q.shape[-1] ** 0.5
    place = torch.arange(k.shape[2])
    scores = scores.masked_fill(place > place[start:, None], float("-inf"))
    mixed = torch.einsum("bgmts,bgsd->bgmtd", scores.softmax(-1), v)
    return rearrange(mixed, "b g m t d -> b (g m) t d"), (k, v)


def step_tiled(q, k, v, past, turn):
    start = _length(past)
    q, k = turn(q, start), turn(k, start)
    k, v = _append(past, k, v)
    n = q.shape[1] // k.shape[1]
    return _attend(q, tiled(k, n), tiled(v, n)), (k, v)


def step_keeping_copies(q, k, v, past, turn):
    start, n = _length(past), q.shape[1] // k.shape[1]
    q, k, v = turn(q, start), shared(turn(k, start), n), shared(v, n)
    k, v = _append(past, k, v)
    return _attend(q, k, v), (k, v)


def step_restarting(q, k, v, past, turn):
    q, k = turn(q, 0), turn(k, 0)
    k, v = _append(past, k, v)
    return _attend(q, k, v), (k, v)


def step_keeping_before_the_turn(q, k, v, past, turn):
    start = _length(past)
    kept = _append(past, k, v)
    k, v = _append(past, turn(k, start), v)
    return _attend(turn(q, start), k, v), kept


def step_turning_again(q, k, v, past, turn):
    start = _length(past)
    q, k = turn(q, start), turn(k, start)
    k, v = _append(past, k, v)
    return _attend(q, turn(k, 0) if past is not None else k, v), (k, v)


def step_turning_queries_alone(q, k, v, past, turn):
    start = _length(past)
    k, v = _append(past, k, v)
    return _attend(turn(q, start), k, v), (k, v)


def step_turning_values(q, k, v, past, turn):
    start = _length(past)
    q, k, v = turn(q, start), turn(k, start), torch.cat([turn(v[..., :4], start), v[..., 4:]], -1)
    k, v = _append(past, k, v)
    return _attend(q, k, v), (k, v)


def step_without_scale(q, k, v, past, turn):
    start = _length(past)
    q, k = turn(q, start), turn(k, start)
    k, v = _append(past, k, v)
    return _attend(q, k, v, scale=1.0), (k, v)


def step_looking_ahead(q, k, v, past, turn):
    start = _length(past)
    q, k = turn(q, start), turn(k, start)
    k, v = _append(past, k, v)
    return _attend(q, k, v, ahead=True), (k, v)


def step_masked_as_if_first(q, k, v, past, turn):
    start = _length(past)
    q, k = turn(q, start), turn(k, start)
    k, v = _append(past, k, v)
    if q.shape[2] == 1 or past is None:
        return _attend(q, k, v), (k, v)
    t, n = q.shape[2], q.shape[1] // k.shape[1]
    may = torch.ones(t, k.shape[2], dtype=torch.bool).tril()
    scores = q @ shared(k, n).mT * q.shape[-1] ** -0.5
    return scores.masked_fill(~may, -torch.inf).softmax(-1) @ shared(v, n), (k, v)


def step_forgetting(q, k, v, past, turn):
    start = _length(past)
    q, k = turn(q, start), turn(k, start)
    return _attend(q, *_append(past, k, v)), (k, v)


def step_newest_first(q, k, v, past, turn):
    start = _length(past)
    q, k = turn(q, start), turn(k, start)
    if past is not None:
        k, v = torch.cat([k, past[0]], 2), torch.cat([v, past[1]], 2)
    return _attend(q, k, v), (k, v)


def step_without_past(q, k, v, past, turn):
    return step(q, k, v, past, turn)[0]


# 02.cache_bytes


def cache_bytes(config, context, batch, bits=16):
    a = config.attention
    per_token = 2 * a.n_kv_heads * a.head_dim * config.n_layers
    return per_token * context * batch * bits / 8


def cache_bytes_by_package(config, context, batch, bits=16):
    return accounting.cache_bytes(config, bits) * context * batch


def bytes_of_keys_alone(config, context, batch, bits=16):
    return cache_bytes(config, context, batch, bits) / 2


def bytes_for_query_heads(config, context, batch, bits=16):
    a = config.attention
    return cache_bytes(config, context, batch, bits) * a.n_heads / a.n_kv_heads


def bytes_of_model_width(config, context, batch, bits=16):
    a = config.attention
    return 2 * a.n_kv_heads * config.dim * config.n_layers * context * batch * bits / 8


def bytes_of_one_layer(config, context, batch, bits=16):
    return cache_bytes(config, context, batch, bits) / config.n_layers


def bytes_of_one_text(config, context, batch, bits=16):
    return cache_bytes(config, context, 1, bits)


def bits_not_bytes(config, context, batch, bits=16):
    return 8 * cache_bytes(config, context, batch, bits)


def bytes_at_16_bits(config, context, batch, bits=16):
    return cache_bytes(config, context, batch, 16)


def bytes_with_the_next_token(config, context, batch, bits=16):
    return cache_bytes(config, context + 1, batch, bits)


def bytes_of_whole_bytes(config, context, batch, bits=16):
    return cache_bytes(config, context, batch, 8) * (bits // 8)


def bytes_of_dim_over_heads(config, context, batch, bits=16):
    a = config.attention
    per_token = 2 * a.n_kv_heads * (config.dim // a.n_heads) * config.n_layers
    return per_token * context * batch * bits / 8


# 02.predict, 02.explain

HEAVY = {name: value for name, (value, _) in NUMBERS.items()}
HEAVY |= {name: word for name, (word, _) in WORDS.items()}
WHY = {name: value for name, (value, _) in RATIOS.items()}
_WHERE = "so it is faster where the time goes into"
WHY |= {_WHERE: "reading"}

# 02.measure


def outweighs(model, batch):
    weights = sum(p.nbytes for p in model.parameters())
    cache = model.new_cache(batch, 4)
    model(torch.zeros(batch, 4, dtype=torch.long), cache)
    return weights // (cache.nbytes // 4) + 1


def outweighs_by_growth(model, batch):
    cache, sizes = model.new_cache(batch, 2), []
    for _ in range(2):
        model(torch.ones(batch, 1, dtype=torch.long), cache, last=1)
        sizes.append(cache.nbytes)
    kept, n = sizes[1] - sizes[0], 0
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    while n * kept <= weights:
        n += 1
    return n


def outweighs_for_one_text(model, batch):
    return outweighs(model, 1)


def outweighs_as_a_fraction(model, batch):
    cache = model.new_cache(batch, 1)
    model(torch.zeros(batch, 1, dtype=torch.long), cache)
    return sum(p.nbytes for p in model.parameters()) / cache.nbytes


def outweighs_one_too_early(model, batch):
    return outweighs(model, batch) - 1


def outweighs_rounded_up(model, batch):
    return math.ceil(outweighs_as_a_fraction(model, batch))


def outweighs_numbers_by_bytes(model, batch):
    return outweighs(model, batch) // 4


def outweighs_without_tables(model, batch):
    weights = sum(p.nbytes for p in model.layers.parameters())
    cache = model.new_cache(batch, 1)
    model(torch.zeros(batch, 1, dtype=torch.long), cache)
    return weights // cache.nbytes + 1


def outweighs_with_tables_twice(model, batch):
    weights = sum(p.nbytes for p in model.state_dict().values())
    cache = model.new_cache(batch, 1)
    model(torch.zeros(batch, 1, dtype=torch.long), cache)
    return weights // cache.nbytes + 1


def outweighs_by_formula(model, batch):
    bits = 8 * model.embed.weight.element_size()
    weights = sum(p.nbytes for p in model.parameters())
    return int(weights // (batch * accounting.cache_bytes(model.c, bits)) + 1)


def outweighs_in_float32(model, batch):
    cache = model.new_cache(batch, 1)
    model(torch.zeros(batch, 1, dtype=torch.long), cache)
    return 4 * sum(p.numel() for p in model.parameters()) // cache.nbytes + 1


def outweighs_by_one_layer(model, batch):
    cache = model.new_cache(batch, 1)
    model(torch.zeros(batch, 1, dtype=torch.long), cache)
    return sum(p.nbytes for p in model.parameters()) // cache.layers[0].nbytes + 1


RIGHT = {
    "02.repeat_kv": [shared, shared_by_expanding, shared_by_index, shared_by_stacking],
    "02.cache_step": [step, step_turning_late, step_by_groups],
    "02.cache_bytes": [cache_bytes, cache_bytes_by_package],
    "02.predict": [HEAVY, HEAVY | {"weights, GB": 135, "cache, GB": 50, "cache as MHA, GB": 400}],
    "02.explain": [WHY, WHY | {"operations on the cache": 1, "bytes of cache read": 0.125}],
    "02.measure": [outweighs, outweighs_by_growth],
}

WRONG = {
    "02.repeat_kv": [
        ("tiles the heads", tiled, "repeat_interleave"),
        ("repeats the tokens", repeated_tokens, "expected shape"),
        ("repeats the batch", repeated_batch, "expected shape"),
        ("the first head serves all", first_head_for_all, "no key head may be left out"),
        ("mixes heads and tokens", tokens_for_heads, "neighbours share"),
        ("cuts the gradient", detached, "do not detach"),
        ("at least twice", always_twice, "n = 1 is MHA"),
        ("divides by the group", divided, "calculate nothing"),
    ],
    "02.cache_step": [
        ("tiles the heads", step_tiled, "gets the value of its group"),
        ("keeps repeated heads", step_keeping_copies, "what is kept of one token's keys"),
        ("positions start at 0 in every step", step_restarting, "positions go on"),
        ("keeps keys from before the turn", step_keeping_before_the_turn, "turned when it is used"),
        ("turns kept keys again", step_turning_again, "each key to its own position"),
        ("turns queries alone", step_turning_queries_alone, "keys are both turned"),
        ("turns values", step_turning_values, "values are not"),
        ("no scale", step_without_scale, "divided by the root of d"),
        ("looks ahead", step_looking_ahead, "look at later tokens"),
        ("masks as if nothing was kept", step_masked_as_if_first, "tril(all - new)"),
        ("keeps the newest token alone", step_forgetting, "append along the axis"),
        ("newest first", step_newest_first, "tril(all - new)"),
        ("returns no past", step_without_past, "return mixed, (k, v)"),
    ],
    "02.cache_bytes": [
        ("keys without values", bytes_of_keys_alone, "a key AND a value"),
        ("a key for every query head", bytes_for_query_heads, "count n_kv_heads"),
        ("the width of the model", bytes_of_model_width, "width of a head is head_dim"),
        ("dim / n_heads", bytes_of_dim_over_heads, "width of a head is head_dim"),
        ("one layer", bytes_of_one_layer, "every layer keeps"),
        ("one text", bytes_of_one_text, "every text of the batch"),
        ("bits for bytes", bits_not_bytes, "in bytes, not in bits"),
        ("always 16 bits", bytes_at_16_bits, "a byte has 8 bits"),
        ("whole bytes for a number", bytes_of_whole_bytes, "not bits // 8"),
        ("the token to come", bytes_with_the_next_token, "nothing comes on top"),
    ],
    "02.predict": [
        ("a tensor", HEAVY | {"weights, GB": torch.tensor(135.0)}, "write a plain number"),
        ("a byte for a weight", HEAVY | {"weights, GB": 67.4}, "2 bytes"),
        ("keys without values", HEAVY | {"cache, GB": HEAVY["cache, GB"] / 2}, "2 * 8 key heads"),
        ("one text", HEAVY | {"cache, GB": HEAVY["cache, GB"] / 32}, "4096 tokens of 32 texts"),
        ("no sharing to undo", HEAVY | {"cache as MHA, GB": HEAVY["cache, GB"]}, "8 times"),
        ("the cache is always heavier", HEAVY | {"heavier": "cache"}, "compare the first two"),
        ("weights are always heavier", HEAVY | {"heavier as MHA": "weights"}, "67B shares"),
        ("small models, small caches", HEAVY | {"heavier in the 7B": "weights"}, "shares nothing"),
        ("an answer left out", {"heavier": "weights"}, "every question has an answer"),
        ("a third word", HEAVY | {"heavier": "both"}, "one of weights, cache"),
    ],
    "02.explain": [
        ("text", WHY | {"parameters": "0.87"}, "write a plain number"),
        ("sharing saves operations", WHY | {"operations on the cache": 1 / 8}, "of the 64 query"),
        ("sharing saves no bytes", WHY | {"bytes of cache read": 1.0}, "8 key heads are read"),
        ("upside down", WHY | {"operations per byte": 1 / 8}, "serves 8 queries"),
        ("parameters shrink like the cache", WHY | {"parameters": 1 / 8}, "beside the feed"),
        ("parameters stay", WHY | {"parameters": 1.0}, "matrices of keys and values shrink"),
        ("faster by computing less", WHY | {_WHERE: "computing"},
         "the bytes are not"),
        ("an answer left out", {"parameters": 1.0}, "every question has an answer"),
    ],
    "02.measure": [
        ("one text for the batch", outweighs_for_one_text, "the smallest such length"),
        ("a fraction", outweighs_as_a_fraction, "a whole number"),
        ("one too early", outweighs_one_too_early, "strictly more"),
        ("rounded up", outweighs_rounded_up, "as heavy is not heavier"),
        ("numbers against bytes", outweighs_numbers_by_bytes, "strictly more"),
        ("layers without tables", outweighs_without_tables, "all weights count"),
        ("a tied table twice", outweighs_with_tables_twice, "a tied table is one"),
        ("the formula, and no measurement", outweighs_by_formula, "measure the cache"),
        ("four bytes for every weight", outweighs_in_float32, "do not assume 4"),
        ("one layer's cache", outweighs_by_one_layer, "every layer"),
    ],
}  # fmt: skip
