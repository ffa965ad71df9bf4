"""Answers to 04.absorb, right and wrong: latent attention without rebuilding keys and values."""

import math

import torch

from minids.model.mla import absorbed, expanded


def causal(scores):
    t, s = scores.shape[-2:]
    seen = torch.ones(t, s, dtype=torch.bool).tril(s - t)
    return scores.masked_fill(~seen, -torch.inf)


def absorb(q_nope, q_rope, latent, k_rope, key_up, value_up):
    q_latent = torch.einsum("bhtn,hnr->bhtr", q_nope, key_up)
    scores = torch.einsum("bhtr,bsr->bhts", q_latent, latent)
    scores = scores + torch.einsum("bhtp,bsp->bhts", q_rope, k_rope)
    scale = (q_nope.shape[-1] + q_rope.shape[-1]) ** -0.5
    mixed = torch.einsum("bhts,bsr->bhtr", causal(scores * scale).softmax(-1), latent)
    return torch.einsum("bhtr,hvr->bhtv", mixed, value_up)


def absorb_as_one_key_head(q_nope, q_rope, latent, k_rope, key_up, value_up):
    wide = torch.cat([latent, k_rope], dim=-1).unsqueeze(1)
    q = torch.cat([q_nope @ key_up, q_rope], dim=-1) / math.sqrt(
        q_nope.shape[-1] + q_rope.shape[-1]
    )
    return causal(q @ wide.mT).softmax(-1) @ latent.unsqueeze(1) @ value_up.mT


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
    return causal(scores * scale).softmax(-1) @ values


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
    return _mixed(causal(content + position).softmax(-2), latent, value_up)


def absorb_two_softmaxes(q_nope, q_rope, latent, k_rope, key_up, value_up):
    parts = _scores(q_nope, q_rope, latent, k_rope, key_up)
    return _mixed(sum(causal(part).softmax(-1) for part in parts) / 2, latent, value_up)


def absorb_heads_summed(q_nope, q_rope, latent, k_rope, key_up, value_up):
    return absorb(q_nope, q_rope, latent, k_rope, key_up.sum(0).expand_as(key_up), value_up)


def absorb_only_one_new_token(q_nope, q_rope, latent, k_rope, key_up, value_up):
    way = absorb if q_nope.shape[2] == 1 else absorb_expands
    return way(q_nope, q_rope, latent, k_rope, key_up, value_up)


def absorb_rebuilds_in_numpy(q_nope, q_rope, latent, k_rope, key_up, value_up):
    rows, up_k, up_v = latent.numpy()[:, None], key_up.numpy(), value_up.numpy()
    keys = torch.from_numpy(rows @ up_k.swapaxes(-1, -2))
    values = torch.from_numpy(rows @ up_v.swapaxes(-1, -2))
    scores = q_nope @ keys.mT + q_rope @ k_rope.unsqueeze(1).mT
    scale = (q_nope.shape[-1] + q_rope.shape[-1]) ** -0.5
    return causal(scores * scale).softmax(-1) @ values


def absorb_masks_after_the_softmax(q_nope, q_rope, latent, k_rope, key_up, value_up):
    weights = sum(_scores(q_nope, q_rope, latent, k_rope, key_up)).softmax(-1)
    t, s = weights.shape[-2:]
    return _mixed(weights.tril(s - t), latent, value_up)


def absorb_unshifted(q_nope, q_rope, latent, k_rope, key_up, value_up):
    scores = sum(_scores(q_nope, q_rope, latent, k_rope, key_up))
    seen = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
    return _mixed(scores.masked_fill(~seen, -torch.inf).softmax(-1), latent, value_up)


def absorb_masks_with_0(q_nope, q_rope, latent, k_rope, key_up, value_up):
    scores = sum(_scores(q_nope, q_rope, latent, k_rope, key_up))
    t, s = scores.shape[-2:]
    return _mixed(scores.tril(s - t).softmax(-1), latent, value_up)


def absorb_detached(q_nope, q_rope, latent, k_rope, key_up, value_up):
    return absorb(q_nope, q_rope, latent.detach(), k_rope.detach(), key_up, value_up)


RIGHT = [absorb, absorb_as_one_key_head]

WRONG = [
    ("scale without the rope width", scale_without_rope, "the rope width counts too"),
    ("a scale for each part", absorb_two_scales, "one scale for the sum"),
    ("scale of the latent", absorb_scale_of_latent, "divided by the root of both widths"),
    ("no rotary scores", absorb_without_position, "the scores have two parts"),
    ("mask of the first rows", absorb_first_rows, "shift the triangle"),
    ("mask of the first rows, always", absorb_unshifted, "also if t is 1"),
    ("masked scores 0", absorb_masks_with_0, "and not 0"),
    ("the future seen", absorb_sees_all, "into the future"),
    ("keys and values rebuilt", absorb_expands, "are rebuilt for every token"),
    ("values rebuilt", absorb_rebuilds_values, "are rebuilt for every token"),
    ("rebuilt for two new tokens", absorb_only_one_new_token, "one way for every t"),
    ("rebuilt in numpy", absorb_rebuilds_in_numpy, "without numpy"),
    ("what is kept detached", absorb_detached, "reach every input"),
    ("masked after the softmax", absorb_masks_after_the_softmax, "take part in none"),
    ("latents returned", absorb_returns_latents, "right shape"),
    ("values of the first head", absorb_first_head_for_all, "value_up of each head"),
    ("softmax over the queries", absorb_softmax_over_queries, "softmax over the latents"),
    ("a softmax for each part", absorb_two_softmaxes, "there is one softmax"),
    ("key_up summed over heads", absorb_heads_summed, "its own key_up"),
]
