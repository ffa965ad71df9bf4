"""03.measure: how much experts belong to domains."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from minids.check import Attempt, Claim, checker, close
from minids.check.answers import is_number


def _information(chosen: Tensor, domain: Tensor, n_experts: int) -> float:
    n_domains = int(domain.max()) + 1
    pair = domain[:, None] * n_experts + chosen
    joint = torch.bincount(pair.flatten(), minlength=n_domains * n_experts).double()
    joint = joint.view(n_domains, n_experts) / joint.sum()
    p, q = joint.sum(1), joint.sum(0)
    shared = sum(
        float(joint[d, e]) * math.log(float(joint[d, e]) / float(p[d] * q[e]))
        for d in range(n_domains)
        for e in range(n_experts)
        if joint[d, e] > 0
    )
    return shared / -sum(float(x) * math.log(float(x)) for x in p if x > 0)


def _swapped(chosen: Tensor, domain: Tensor) -> tuple[Tensor, Tensor]:
    """Every choice by itself, with the domain for an expert and the expert for a domain."""
    return domain.repeat_interleave(chosen.shape[1])[:, None], chosen.flatten()


@checker(
    "03.measure",
    hints=(
        "Count how often each domain chose each expert, make the table sum to 1, and compare it "
        "with the product of its margins.",
        "I = sum of p(d, e) ln(p(d, e) / (p(d) p(e))), where 0 ln 0 is 0; H = - sum of p(d) "
        "ln p(d). Return I / H.",
        "torch.xlogy(p, p / outside).nansum() / -torch.xlogy(p_d, p_d).sum()",
    ),
)
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    e = 6
    domain = torch.arange(4).repeat_interleave(30)
    perfect = torch.stack([domain, domain], dim=1)
    pick = torch.randint(2, (30, 1), generator=g)
    same = torch.cat([pick, 3 - pick], dim=1).repeat(4, 1)
    found = attempt(same, domain, e)
    yield Claim(
        "0 when every domain chooses alike, also when all of them crowd the same experts",
        (is_number(found) or isinstance(found, Tensor)) and abs(float(found)) < 1e-3,
        "compare with the product of the margins: p(d) p(e), not with an even table.",
    )
    yield Claim(
        "1 when every domain has experts of its own, also when some experts are never chosen",
        close(attempt(perfect, domain, e), 1.0, rtol=1e-3),
        "an empty cell adds 0: 0 ln 0 = 0, not nan. Divide I by H, the entropy of the domains.",
    )
    eight = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    often = attempt(torch.tensor([0, 0, 0, 1, 1, 1, 1, 0])[:, None], eight, 2)
    yield Claim(
        "a pair that comes three times counts three times",
        abs(float(often)) > 0.01,
        "`+=` with index tensors counts equal pairs once: index_put_(..., accumulate=True), "
        "bincount or a loop.",
    )
    first = (domain + torch.randint(3, (120,), generator=g)) % e
    chosen = torch.stack([first, torch.randint(e, (120,), generator=g)], dim=1)
    found = float(attempt(chosen, domain, e))
    yield Claim(
        "the numbers of the experts mean nothing",
        abs(float(attempt(e - 1 - chosen, domain, e)) - found) <= 1e-3 * abs(found),
        "no correlation: experts have names, not sizes.",
    )
    expected = _information(chosen, domain, e)
    turned = _information(*_swapped(chosen, domain), len(domain.unique()))
    yield Claim(
        "it is a share of what there is to know about the domain",
        close(found, expected, rtol=1e-3) or not close(found, turned, rtol=1e-3),
        "H is the entropy of the domains, - sum of p(d) ln p(d), and not that of the experts.",
    )
    yield Claim(
        "in between it is I / H",
        close(found, expected, rtol=1e-3),
        "p(d, e) sums to 1 over the whole table; natural logarithm above and below. H is the "
        "entropy of the domains alone: no mean, no product and no sum with that of the experts.",
    )
    cut = torch.cat([torch.arange(30), 30 + torch.randperm(90, generator=g)[:20]])
    unequal = chosen[cut], domain[cut]
    yield Claim(
        "domains of unequal size are weighed by their size",
        close(attempt(*unequal, e), _information(*unequal, e), rtol=1e-3),
        "H is the entropy of the domains as they come, not ln 4; p(d) is the row's sum.",
    )
    few, many = domain.clamp(max=2), torch.arange(6).repeat_interleave(20)
    yield Claim(
        "three domains work, and six",
        close(attempt(chosen, few, e), _information(chosen, few, e), rtol=1e-3)
        and close(attempt(chosen, many, e), _information(chosen, many, e), rtol=1e-3),
        "the table has a row for each domain: int(domain.max()) + 1 of them, not always 4. H is "
        "the entropy of the domains, also where that of the experts is smaller.",
    )
    yield Claim(
        "a number that no domain has changes nothing",
        close(attempt(chosen, 2 * domain, e), found, rtol=1e-3),
        "domains may be numbered 0, 2, 4: a row or column of zeros adds 0 to I and to H.",
    )
    yield Claim(
        "one expert for each token works too",
        close(attempt(chosen[:, :1], domain, e), _information(chosen[:, :1], domain, e), rtol=1e-3),
        "k may be 1: chosen is (t, 1), and every choice is one count.",
    )
