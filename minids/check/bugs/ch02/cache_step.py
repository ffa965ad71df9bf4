"""Answers to 02.cache_step, right and wrong: a step of attention that keeps keys and values."""

import torch
from einops import rearrange

from minids.check.bugs.ch02.repeat_kv import shared, tiled


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


def step_masked_without_an_offset(q, k, v, past, turn):
    start, n = _length(past), q.shape[1] // k.shape[1]
    k, v = _append(past, turn(k, start), v)
    q, keys, values = turn(q, start), shared(k, n), shared(v, n)
    attention = torch.nn.functional.scaled_dot_product_attention
    return attention(q, keys, values, is_causal=True), (k, v)


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


_MEMORY = {}


def step_with_a_memory(q, k, v, past, turn):
    out, _MEMORY["past"] = step(q, k, v, past and _MEMORY["past"], turn)
    return out, _MEMORY["past"]


RIGHT = [step, step_turning_late, step_by_groups]

WRONG = [
    ("tiles the heads", step_tiled, "gets the value of its group"),
    ("keeps repeated heads", step_keeping_copies, "what is kept of one token's keys"),
    ("positions start at 0 in every step", step_restarting, "positions go on"),
    ("keeps keys from before the turn", step_keeping_before_the_turn, "turned when it is used"),
    ("turns kept keys again", step_turning_again, "each key to its own position"),
    ("turns queries alone", step_turning_queries_alone, "keys are both turned"),
    ("turns values", step_turning_values, "values are not"),
    ("no scale", step_without_scale, "divided by the root of d"),
    ("looks ahead", step_looking_ahead, "look at later tokens"),
    ("masks without an offset", step_masked_without_an_offset, "the last one, not the first"),
    ("masks as if nothing was kept", step_masked_as_if_first, "tril(all - new)"),
    ("keeps the newest token alone", step_forgetting, "append along the axis"),
    ("a memory of its own", step_with_a_memory, "keep nothing elsewhere"),
    ("newest first", step_newest_first, "tril(all - new)"),
    ("returns no past", step_without_past, "return mixed, (k, v)"),
]
