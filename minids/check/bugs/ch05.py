"""Right answers and planted mistakes for chapter 05. Two of them hang in its bug museum."""

import math

import torch
from torch.nn import functional as F

# 05.wavelength


def turns(width, theta, length):
    return length * theta ** (-torch.arange(0, width, 2) / width) / (2 * math.pi)


def turns_pair_by_pair(width, theta, length):
    waves = [2 * math.pi * theta ** (2 * i / width) for i in range(width // 2)]
    return torch.tensor([length / wave for wave in waves])


def turns_by_exponentials(width, theta, length):
    return torch.exp(-torch.arange(0, width, 2) / width * math.log(theta)) * length / math.tau


def turns_by_products(width, theta, length):
    found = [length / math.tau]
    while len(found) < width // 2:
        found.append(found[-1] / theta ** (2 / width))
    return torch.tensor(found)


def radians(width, theta, length):
    return 2 * math.pi * turns(width, theta, length)


def waves(width, theta, length):
    return length / turns(width, theta, 1) / length


def turns_half_exponent(width, theta, length):
    return length * theta ** (-torch.arange(width // 2) / width) / (2 * math.pi)


def turns_to_the_base(width, theta, length):
    return length * theta ** (-torch.linspace(0, 1, width // 2)) / (2 * math.pi)


def turns_from_one(width, theta, length):
    return turns(width, theta, length) * theta ** (-2 / width)


def turns_growing(width, theta, length):
    return turns(width, theta, length) ** -1 * (length / (2 * math.pi)) ** 2


def turns_fixed_base(width, theta, length):
    return turns(width, 10_000.0, length)


def turns_for_every_number(width, theta, length):
    return turns(width, theta, length).repeat_interleave(2)


# 05.yarn


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


# 05.temperature


def _scores(q, k):
    return torch.einsum("bd,bsd->bs", q, k) / q.shape[-1] ** 0.5


def _sharper(factor, mscale):
    return 0.1 * mscale * math.log(factor) + 1 if factor > 1 else 1.0


def weights(q, k, factor, mscale):
    return (_scores(q, k) * _sharper(factor, mscale) ** 2).softmax(-1)


def weights_both_sides(q, k, factor, mscale):
    t = _sharper(factor, mscale)
    return F.softmax(((t * q)[:, None] * (t * k)).sum(-1) / math.sqrt(q.shape[-1]), dim=-1)


def weights_once(q, k, factor, mscale):
    return _scores(_sharper(factor, mscale) * q, k).softmax(-1)


def weights_flatter(q, k, factor, mscale):
    return (_scores(q, k) / _sharper(factor, mscale) ** 2).softmax(-1)


def weights_decimal(q, k, factor, mscale):
    t = 0.1 * mscale * math.log10(factor) + 1 if factor > 1 else 1.0
    return (_scores(q, k) * t**2).softmax(-1)


def weights_without_mscale(q, k, factor, mscale):
    return weights(q, k, factor, 1.0)


def weights_without_root(q, k, factor, mscale):
    return (_scores(q, k) * q.shape[-1] ** 0.5 * _sharper(factor, mscale) ** 2).softmax(-1)


def weights_after_softmax(q, k, factor, mscale):
    return _scores(q, k).softmax(-1) * _sharper(factor, mscale) ** 2


def weights_over_rows(q, k, factor, mscale):
    return (_scores(q, k) * _sharper(factor, mscale) ** 2).softmax(0)


def weights_shrunk_too(q, k, factor, mscale):
    return (_scores(q, k) * (0.1 * mscale * math.log(factor) + 1) ** 2).softmax(-1)


def weights_forgotten(q, k, factor, mscale):
    return _scores(q, k).softmax(-1)


# 05.predict

MOVES = {
    "twice the factor": {"temperature"},
    "twice the trained context": {"low", "high"},
    "beta 16 instead of 32": {"low"},
    "alpha 2 instead of 1": {"high"},
    "base 100,000 instead of 10,000": {"low", "high"},
    "mscale 0.707 instead of 1": {"temperature"},
}

# 05.measure


def by_position(logits, targets, mask, bins):
    surprise = F.cross_entropy(logits.transpose(1, 2), targets, reduction="none")
    cut = [targets.shape[1] * i // bins for i in range(bins + 1)]
    return [
        surprise[:, a:b][mask[:, a:b]].mean().item() for a, b in zip(cut, cut[1:], strict=False)
    ]


def by_position_weighed(logits, targets, mask, bins):
    surprise = -logits.log_softmax(-1).gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    t = targets.shape[1]
    out = torch.zeros(bins)
    for i in range(bins):
        here = slice(i * t // bins, (i + 1) * t // bins)
        out[i] = (surprise[:, here] * mask[:, here]).sum() / mask[:, here].sum()
    return out


def by_position_unmasked(logits, targets, mask, bins):
    return by_position(logits, targets, torch.ones_like(mask), bins)


def by_position_over_size(logits, targets, mask, bins):
    surprise = F.cross_entropy(logits.transpose(1, 2), targets, reduction="none") * mask
    return [part.mean().item() for part in surprise.tensor_split(_cuts(targets, bins), dim=1)]


def by_position_row_by_row(logits, targets, mask, bins):
    rows = [
        by_position(logits[i : i + 1], targets[i : i + 1], mask[i : i + 1], bins)
        for i in range(len(targets))
    ]
    return torch.tensor(rows).nanmean(0)


def by_position_summed(logits, targets, mask, bins):
    surprise = F.cross_entropy(logits.transpose(1, 2), targets, reduction="none") * mask
    return [part.sum().item() for part in surprise.tensor_split(_cuts(targets, bins), dim=1)]


def by_position_overflows(logits, targets, mask, bins):
    p = logits.softmax(-1).gather(-1, targets[..., None])[..., 0]
    return by_position(torch.stack([p.log(), (1 - p).log()], -1), 0 * targets, mask, bins)


def by_position_in_bits(logits, targets, mask, bins):
    return [x / math.log(2) for x in by_position(logits, targets, mask, bins)]


def by_position_shifted(logits, targets, mask, bins):
    return by_position(logits, targets.roll(-1, 1), mask, bins)


def by_position_one_mean(logits, targets, mask, bins):
    return bins * by_position(logits, targets, mask, 1)


def by_position_without_the_rest(logits, targets, mask, bins):
    n = targets.shape[1] // bins * bins
    return by_position(logits[:, :n], targets[:, :n], mask[:, :n], bins)


def by_position_just_one(logits, targets, mask, bins):
    return by_position(logits, targets, mask, 1)


def _cuts(targets, bins):
    return [targets.shape[1] * i // bins for i in range(1, bins)]


# 05.explain

ANGLES = {
    "as trained": 3.0,
    "after PI": 0.375,
    "because": "An angle of 0.375 lies between no token and one: training showed 0, 1, 2 and 3.",
}
ANGLES_IN_WHOLE = ANGLES | {
    "as trained": 3,
    "after PI": 3 / 8,
    "because": "Training showed whole radians, so 0.375 means neither this token nor the last one.",
}

RIGHT = {
    "05.explain": [ANGLES, ANGLES_IN_WHOLE],
    "05.wavelength": [turns, turns_pair_by_pair, turns_by_exponentials, turns_by_products],
    "05.yarn": [yarn, yarn_pair_by_pair, yarn_by_interpolation, yarn_in_three_parts],
    "05.temperature": [weights, weights_both_sides],
    "05.predict": [MOVES, {change: sorted(words) for change, words in MOVES.items()}],
    "05.measure": [by_position, by_position_weighed],
}

WRONG = {
    "05.wavelength": [
        ("radians, not turns", radians, "a turn has 2 pi radians"),
        ("wavelengths, not turns", waves, "you may have returned the wavelength"),
        ("i over width", turns_half_exponent, "two numbers make a pair"),
        ("down to the base itself", turns_to_the_base, "two numbers make a pair"),
        ("pairs counted from one", turns_from_one, "pair 0 has exponent 0"),
        ("the slowest first", turns_growing, "the exponent is negative"),
        ("always base 10,000", turns_fixed_base, "no base of your own"),
        ("one for every number of the head", turns_for_every_number, "expected shape"),
    ],
    "05.yarn": [
        ("ramp inverted: fast pairs stretched", yarn_inverted, "the fast ones and carry near"),
        ("no bounds on the share", yarn_unclamped, "never below"),
        ("no upper bound on the share", yarn_clamped_below, "never above"),
        ("multiplied, not divided", yarn_faster, "frequencies are divided"),
        ("every pair divided", yarn_everywhere, "the fast ones and carry near"),
        ("wavelengths mixed", yarn_of_wavelengths, "not wavelengths"),
        ("a step, no ramp", yarn_as_a_step, "the ramp is linear"),
        ("a smooth step", yarn_curved, "begins at low and ends at high"),
        ("0 / 0 where low is high", yarn_divided_by_nothing, "0/0"),
    ],
    "05.temperature": [
        ("applied once", weights_once, "it counts once"),
        ("divided", weights_flatter, "do not divide"),
        ("decimal logarithm", weights_decimal, "the natural logarithm"),
        ("mscale forgotten", weights_without_mscale, "V2 has 0.707"),
        ("no root of the width", weights_without_root, "divide q . k by sqrt(d)"),
        ("after the softmax", weights_after_softmax, "not the weights after it"),
        ("softmax over the rows", weights_over_rows, "softmax over the keys"),
        ("factors below 1 too", weights_shrunk_too, "only a longer context is sharpened"),
        ("forgotten", weights_forgotten, "makes attention sharper"),
    ],
    "05.predict": [
        ("the factor moves the bounds", MOVES | {"twice the factor": {"temperature", "high"}},
         "on the trained context alone"),
        ("the context moves one bound", MOVES | {"twice the trained context": {"high"}},
         "both bounds move"),
        ("beta moves both bounds", MOVES | {"beta 16 instead of 32": {"low", "high"}},
         "the lower bound"),
        ("alpha is the lower bound", MOVES | {"alpha 2 instead of 1": {"low"}}, "the upper bound"),
        ("the base moves nothing", MOVES | {"base 100,000 instead of 10,000": set()},
         "slows all pairs but the first"),
        ("mscale moves frequencies", MOVES | {"mscale 0.707 instead of 1": {"high", "temperature"}},
         "frequencies do not know it"),
        ("a change left out", {"twice the factor": {"temperature"}}, "every change has an answer"),
        ("a word that is none of the three", MOVES | {"twice the factor": {"all"}},
         "every word is low"),
    ],
    "05.explain": [
        ("turns", ANGLES | {"as trained": 0.477}, "not turns"),
        ("one token", ANGLES | {"as trained": 1.0}, "three tokens back"),
        ("PI multiplies", ANGLES | {"after PI": 24.0}, "divides every pace"),
        ("PI leaves it", ANGLES | {"after PI": 3.0}, "divides every pace"),
        ("one token after PI", ANGLES | {"after PI": 0.125}, "the same three tokens"),
        ("no number", ANGLES | {"because": "Training never showed an angle as small as that."},
         "say that angle"),
        ("no words", ANGLES | {"because": "0.375"}, "write a sentence"),
        ("no reason", {"as trained": 3.0, "after PI": 0.375}, "three entries"),
    ],
    "05.measure": [
        ("mask ignored", by_position_unmasked, "left out before anything"),
        ("over the size of the bin", by_position_over_size, "not by its size"),
        ("row by row", by_position_row_by_row, "not row by row"),
        ("sums", by_position_summed, "as a mean over targets"),
        ("logarithm of a softmax", by_position_overflows, "log_softmax keeps its digits"),
        ("bits", by_position_in_bits, "the natural logarithm"),
        ("targets shifted once more", by_position_shifted, "belong to the target at that"),
        ("one mean for all bins", by_position_one_mean, "mean of its own positions"),
        ("the rest thrown away", by_position_without_the_rest, "every target once"),
        ("one bin", by_position_just_one, "a number for every bin"),
    ],
}  # fmt: skip
