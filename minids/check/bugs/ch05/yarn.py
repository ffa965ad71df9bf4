"""Answers to 05.yarn, right and wrong: the ramp from pairs that stay to pairs that are slowed."""

from functools import partial

import torch


def yarn(plain, factor, low, high):
    index = torch.arange(len(plain), dtype=plain.dtype)
    share = ((index - low) / max(high - low, 0.001)).clamp(0, 1)
    return plain / factor * share + plain * (1 - share)


def yarn_pair_by_pair(plain, factor, low, high):
    out = plain.clone()
    for i in range(len(plain)):
        if i > low:
            share = min(1.0, (i - low) / (high - low)) if high > low else 1.0
            out[i] = plain[i] * (1 + share * (1 / factor - 1))
    return out


def yarn_by_interpolation(plain, factor, low, high):
    shares = [0.0 if i <= low else 1.0 if i >= high else None for i in range(len(plain))]
    shares = [(i - low) / (high - low) if x is None else x for i, x in enumerate(shares)]
    return torch.lerp(plain, plain / factor, torch.tensor(shares))


def yarn_in_three_parts(plain, factor, low, high):
    high = max(high, low + 1)
    between = torch.arange(low, high, dtype=plain.dtype)
    ramp = plain[low:high] * (
        1 - (between - low)[: len(plain[low:])] / (high - low) * (1 - 1 / factor)
    )
    return torch.cat([plain[:low], ramp, plain[high:] / factor])


def yarn_with_a_little_more(plain, factor, low, high, more=1e-6):
    index = torch.arange(len(plain), dtype=plain.dtype)
    share = ((index - low) / (high - low + more)).clamp(0, 1)
    return plain / factor * share + plain * (1 - share)


def yarn_inverted(plain, factor, low, high):
    index = torch.arange(len(plain), dtype=plain.dtype)
    share = 1 - ((index - low) / max(high - low, 0.001)).clamp(0, 1)
    return plain / factor * share + plain * (1 - share)


def yarn_unclamped(plain, factor, low, high):
    share = (torch.arange(len(plain), dtype=plain.dtype) - low) / max(high - low, 0.001)
    return plain / factor * share + plain * (1 - share)


def yarn_clamped_below(plain, factor, low, high):
    share = (torch.arange(len(plain), dtype=plain.dtype) - low) / max(high - low, 0.001)
    return plain / factor * share.clamp(min=0) + plain * (1 - share.clamp(min=0))


def yarn_faster(plain, factor, low, high):
    return yarn(plain, 1 / factor, low, high)


def yarn_everywhere(plain, factor, low, high):
    return plain / factor


def yarn_of_wavelengths(plain, factor, low, high):
    return 1 / yarn(1 / plain, 1 / factor, low, high)


def yarn_as_a_step(plain, factor, low, high):
    return torch.where(torch.arange(len(plain)) < high, plain, plain / factor)


def yarn_curved(plain, factor, low, high):
    middle = (low + high) / 2
    index = torch.arange(len(plain), dtype=plain.dtype)
    share = ((index - low) / max(high - low, 0.001)).clamp(0, 1)
    bent = torch.where(index == middle, share, share**2 * (3 - 2 * share))
    return plain / factor * bent + plain * (1 - bent)


def yarn_divided_by_nothing(plain, factor, low, high):
    index = torch.arange(len(plain), dtype=plain.dtype)
    share = ((index - low) / (high - low)).clamp(0, 1)
    return plain / factor * share + plain * (1 - share)


def yarn_one_step_short(plain, factor, low, high):
    share = torch.zeros(len(plain))
    share[low:high], share[high:] = torch.linspace(0, 1, high - low), 1
    return plain / factor * share + plain * (1 - share)


RIGHT = [
    yarn,
    yarn_pair_by_pair,
    yarn_by_interpolation,
    yarn_in_three_parts,
    yarn_with_a_little_more,
]

WRONG = [
    ("ramp inverted: fast pairs stretched", yarn_inverted, "the fast ones and carry near"),
    ("no bounds on the share", yarn_unclamped, "never below"),
    ("no upper bound on the share", yarn_clamped_below, "never above"),
    ("a ramp a little too wide", partial(yarn_with_a_little_more, more=1e-3), "a little below"),
    ("multiplied, not divided", yarn_faster, "frequencies are divided"),
    ("every pair divided", yarn_everywhere, "the fast ones and carry near"),
    ("wavelengths mixed", yarn_of_wavelengths, "not wavelengths"),
    ("a step, no ramp", yarn_as_a_step, "the ramp is linear"),
    ("a ramp that ends one pair early", yarn_one_step_short, "high - low steps away"),
    ("a smooth step", yarn_curved, "begins at low and ends at high"),
    ("0 / 0 where low is high", yarn_divided_by_nothing, "0/0"),
]
