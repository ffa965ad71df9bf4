"""Answers to 07.accept, right and wrong: a draft accepted, or drawn again without a bias."""

import numpy as np
import torch


def accept(p, q, drafts, coins):
    for i, draft in enumerate(drafts.tolist()):
        if coins[i] * q[i, draft] >= p[i, draft]:
            rest = (p[i] - q[i]).clamp(min=0)
            return i, rest / rest.sum()
    return len(drafts), p[len(drafts)]


def accept_at_once(p, q, drafts, coins):
    n = len(drafts)
    row = torch.arange(n)
    kept = int((coins < p[row, drafts] / q[row, drafts]).long().cumprod(0).sum())
    behind = torch.cat([q, torch.zeros_like(p[:1])])[kept]
    rest = torch.relu(p[kept] - behind)
    return kept, rest / rest.sum()


def resamples_from_p(p, q, drafts, coins):
    kept, _ = accept(p, q, drafts, coins)
    return kept, p[kept]


def resamples_without_the_draft(p, q, drafts, coins):
    kept, rest = accept(p, q, drafts, coins)
    if kept < len(drafts):
        rest = p[kept].clone()
        rest[drafts[kept]] = 0
    return kept, rest / rest.sum()


def accepts_the_likely(p, q, drafts, coins):
    for i, draft in enumerate(drafts.tolist()):
        if p[i, draft] < 0.3:
            rest = (p[i] - q[i]).clamp(min=0)
            return i, rest / rest.sum()
    return len(drafts), p[len(drafts)]


def accepts_by_p_alone(p, q, drafts, coins):
    return accept(p, torch.ones_like(q), drafts, coins)[0], accept(p, q, drafts, coins)[1]


def ratio_upside_down(p, q, drafts, coins):
    for i, draft in enumerate(drafts.tolist()):
        if coins[i] * p[i, draft] >= q[i, draft]:
            rest = (p[i] - q[i]).clamp(min=0)
            return i, rest / rest.sum()
    return len(drafts), p[len(drafts)]


def absolute_difference(p, q, drafts, coins):
    kept, rest = accept(p, q, drafts, coins)
    if kept < len(drafts):
        rest = (p[kept] - q[kept]).abs()
    return kept, rest / rest.sum()


def what_q_has_more(p, q, drafts, coins):
    kept, rest = accept(p, q, drafts, coins)
    if kept < len(drafts):
        rest = (q[kept] - p[kept]).clamp(min=0)
    return kept, rest / rest.sum()


def not_normalised(p, q, drafts, coins):
    kept, rest = accept(p, q, drafts, coins)
    return kept, (p[kept] - q[kept]).clamp(min=0) if kept < len(drafts) else rest


def goes_on_after_a_wrong_one(p, q, drafts, coins):
    row = torch.arange(len(drafts))
    kept = int((coins * q[row, drafts] < p[row, drafts]).sum())
    if kept == len(drafts):
        return kept, p[kept]
    rest = (p[kept] - q[kept]).clamp(min=0)
    return kept, rest / rest.sum()


def one_coin_for_all(p, q, drafts, coins):
    return accept(p, q, drafts, coins[:1].expand(len(coins)))


def no_token_behind_the_last(p, q, drafts, coins):
    kept, rest = accept(p, q, drafts, coins)
    return kept, p[kept - 1] if kept == len(drafts) else rest


def accept_by_the_product_of_all_ratios(p, q, drafts, coins):
    chance = 1.0
    for i, draft in enumerate(drafts.tolist()):
        chance *= min(1.0, float(p[i, draft] / q[i, draft]))
        if coins[i] >= chance:
            rest = (p[i] - q[i]).clamp(min=0)
            return i, rest / rest.sum()
    return len(drafts), p[len(drafts)]


def accept_at_an_equal_coin(p, q, drafts, coins):
    for i, draft in enumerate(drafts.tolist()):
        if coins[i] > p[i, draft] / q[i, draft]:
            rest = (p[i] - q[i]).clamp(min=0)
            return i, rest / rest.sum()
    return len(drafts), p[len(drafts)]


def accept_counting_with_numpy(p, q, drafts, coins):
    kept, rest = accept(p, q, drafts, coins)
    return np.int64(kept), rest


def keeps_what_is_kept_anywhere(p, q, drafts, coins):
    row = torch.arange(len(drafts))
    keep = coins < p[row, drafts] / q[row, drafts]
    kept = int(keep.sum()) if bool(keep[0]) else 0
    return kept, accept(p, q, drafts[: kept + 1], coins[: kept + 1])[1]


RIGHT = [accept, accept_at_once, accept_counting_with_numpy]

WRONG = [
    ("a fresh draw from p", resamples_from_p, "what p has more than q"),
    ("p without the draft", resamples_without_the_draft, "what p has more than q"),
    ("likely drafts accepted", accepts_the_likely, "coin"),
    ("q forgotten", accepts_by_p_alone, "the ratio p / q"),
    ("the ratio upside down", ratio_upside_down, "the ratio p / q"),
    ("absolute difference", absolute_difference, "what p has more than q"),
    ("what q has more", what_q_has_more, "what p has more than q"),
    ("not normalised", not_normalised, "sum to 1"),
    ("drafts behind a wrong one", goes_on_after_a_wrong_one, "nothing behind it counts"),
    ("every draft kept if the first is", keeps_what_is_kept_anywhere, "any number of drafts"),
    ("one coin for all", one_coin_for_all, "a coin of its own"),
    ("the product of all ratios", accept_by_the_product_of_all_ratios, "does not count again"),
    ("kept at an equal coin", accept_at_an_equal_coin, "< and not <="),
    ("no row behind the last", no_token_behind_the_last, "the last row of p"),
]
