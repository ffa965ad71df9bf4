"""Answers to 03.measure, right and wrong: how much experts belong to domains."""

import math

import numpy as np
import torch


def special(chosen, domain, n_experts):
    table = torch.zeros(int(domain.max()) + 1, n_experts)
    for column in chosen.T:
        table.index_put_((domain, column), torch.ones(len(domain)), accumulate=True)
    p = table / table.sum()
    p_d, p_e = p.sum(1, keepdim=True), p.sum(0, keepdim=True)
    shared = torch.xlogy(p, p).sum() - torch.xlogy(p, p_d * p_e).sum()
    return float(shared / -torch.xlogy(p_d, p_d).sum())


def special_by_entropies(chosen, domain, n_experts):
    def entropy(labels):
        p = torch.bincount(labels).double() / len(labels)
        return float(-torch.xlogy(p, p).sum())

    d, e = domain.repeat_interleave(chosen.shape[1]), chosen.flatten()
    return (entropy(d) + entropy(e) - entropy(d * n_experts + e)) / entropy(d)


def special_with_nan(chosen, domain, n_experts):
    pair = (domain[:, None] * n_experts + chosen).flatten()
    p = torch.bincount(pair, minlength=4 * n_experts).view(-1, n_experts) / len(pair)
    p_d, p_e = p.sum(1, keepdim=True), p.sum(0, keepdim=True)
    return float((p * (p / (p_d * p_e)).log()).sum() / -(p_d * p_d.log()).sum())


def special_in_nats(chosen, domain, n_experts):
    p = torch.bincount(domain).double() / len(domain)
    return special(chosen, domain, n_experts) * float(-torch.xlogy(p, p).sum())


def special_over_ln4(chosen, domain, n_experts):
    return special_in_nats(chosen, domain, n_experts) / math.log(4)


def special_against_even(chosen, domain, n_experts):
    p = torch.bincount((domain[:, None] * n_experts + chosen).flatten(), minlength=4 * n_experts)
    p = p / p.sum()
    return float(math.log(len(p)) + torch.xlogy(p, p).sum()) / math.log(4)


def special_by_share(chosen, domain, n_experts):
    table = torch.bincount(
        (domain[:, None] * n_experts + chosen).flatten(), minlength=4 * n_experts
    )
    table = table.view(-1, n_experts).float()
    return float(table.amax(0).sum() / table.sum())


def special_by_correlation(chosen, domain, n_experts):
    both = torch.stack([domain.repeat_interleave(chosen.shape[1]), chosen.flatten()])
    return float(torch.corrcoef(both.float())[0, 1])


def special_of_first(chosen, domain, n_experts):
    return special(chosen[:, :1], domain, n_experts)


def special_of_four(chosen, domain, n_experts):
    p = torch.zeros(4, n_experts)
    for column in chosen.T:
        p.index_put_((domain, column), torch.tensor(1 / chosen.numel()), accumulate=True)
    p_d, p_e = p.sum(1), p.sum(0)
    joint, apart = torch.xlogy(p, p).sum(), torch.xlogy(p, p_d[:, None] * p_e).sum()
    return float((joint - apart) / -torch.xlogy(p_d, p_d).sum())


def special_of_every_number(chosen, domain, n_experts):
    p = torch.bincount((domain[:, None] * n_experts + chosen).flatten())
    p = torch.nn.functional.pad(p, (0, -len(p) % n_experts)).view(-1, n_experts) / p.sum()
    p_d, p_e = p.sum(1, keepdim=True), p.sum(0, keepdim=True)
    return float(torch.xlogy(p, p / (p_d * p_e)).nansum() / -(p_d * p_d.log()).sum())


def special_of_pairs_once(chosen, domain, n_experts):
    p = torch.zeros(int(domain.max()) + 1, n_experts)
    p[domain[:, None].expand_as(chosen), chosen] += 1
    p /= p.sum()
    p_d, p_e = p.sum(1, keepdim=True), p.sum(0, keepdim=True)
    return float(torch.xlogy(p, p / (p_d * p_e)).nansum() / -torch.xlogy(p_d, p_d).sum())


def special_over_the_experts(chosen, domain, n_experts):
    return special(domain.repeat_interleave(chosen.shape[1])[:, None], chosen.flatten(), 9)


def special_in_numpy(chosen, domain, n_experts):
    p = np.zeros((int(domain.max()) + 1, n_experts), dtype=np.float32)
    np.add.at(p, (domain.numpy()[:, None], chosen.numpy()), 1)
    p /= p.sum()
    p_d = p.sum(1)
    there, apart = p > 0, p_d[:, None] * p.sum(0)
    information = (p[there] * np.log(p[there] / apart[there])).sum()
    return information / -(p_d[p_d > 0] * np.log(p_d[p_d > 0])).sum()


RIGHT = [special, special_by_entropies, special_in_numpy]

WRONG = [
    ("nan in empty cells", special_with_nan, "returns NaN"),
    ("in nats", special_in_nats, "Divide I by H"),
    ("over the entropy of the experts", special_over_the_experts, "not that of the experts"),
    ("over ln 4", special_over_ln4, "not ln 4"),
    ("against an even table", special_against_even, "not with an even table"),
    ("share of the best domain", special_by_share, "product of the margins"),
    ("correlation", special_by_correlation, "names, not sizes"),
    ("the first choice alone", special_of_first, "it is I / H"),
    ("a number that no domain has", special_of_every_number, "returns NaN"),
    ("equal pairs once", special_of_pairs_once, "accumulate=True"),
    ("always four domains", special_of_four, "index 4 is out of bounds"),
]
