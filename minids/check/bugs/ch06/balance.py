"""Answers to 06.balance, right and wrong: the balance loss, by batch and by sequence."""

import torch
from einops import rearrange, reduce

from minids.model.balance import expert_balance
from minids.model.routing import Routing


def balance(scores, experts, n_sequences):
    e, k = scores.shape[-1], experts.shape[-1]
    wanted = scores / scores.sum(-1, keepdim=True)
    chosen = torch.zeros_like(scores).scatter(1, experts, 1.0) * e / k
    chosen, wanted = (x.view(n_sequences, -1, e).mean(1) for x in (chosen, wanted))
    return (chosen * wanted).sum(-1).mean()


def balance_by_one_hot(scores, experts, n_sequences):
    e, k = scores.shape[-1], experts.shape[-1]
    hot = torch.nn.functional.one_hot(experts, e).sum(1).to(scores.dtype)
    share = torch.einsum("te,t->te", scores, 1 / scores.sum(-1))
    f = reduce(hot, "(b t) e -> b e", "mean", b=n_sequences)
    p = reduce(share, "(b t) e -> b e", "mean", b=n_sequences)
    return torch.einsum("be,be->", f, p) * e / k / n_sequences


def balance_squared(scores, experts, n_sequences):
    hot = torch.zeros_like(scores).scatter(1, experts, 1.0)
    f = reduce(hot, "(b t) e -> b e", "mean", b=n_sequences) * scores.shape[-1] / experts.shape[-1]
    return f.square().mean(-1).mean() + 0 * scores.sum()


def balance_over_all(scores, experts, n_sequences):
    return balance(scores, experts, 1)


def balance_summed(scores, experts, n_sequences):
    return balance(scores, experts, n_sequences) * n_sequences


def balance_without_factor(scores, experts, n_sequences):
    return balance(scores, experts, n_sequences) * experts.shape[-1] / scores.shape[-1]


def balance_of_two_choices(scores, experts, n_sequences):
    return balance(scores, experts, n_sequences) * experts.shape[-1] / 2


def balance_flipped(scores, experts, n_sequences):
    even = 1.0
    return 2 * even - balance(scores, experts, n_sequences)


def balance_raw_scores(scores, experts, n_sequences):
    return balance(scores, experts, n_sequences) * scores.sum(-1).mean()


def balance_of_the_chosen(scores, experts, n_sequences):
    kept = torch.zeros_like(scores).scatter(1, experts, scores.gather(1, experts))
    return balance(kept, experts, n_sequences)


def balance_detached(scores, experts, n_sequences):
    return balance(scores.detach(), experts, n_sequences) + 0 * scores.sum()


def balance_of_a_copy(scores, experts, n_sequences):
    return balance(scores.detach().clone().requires_grad_(), experts, n_sequences)


def balance_interleaved(scores, experts, n_sequences):
    order = rearrange(torch.arange(len(scores)), "(t b) -> (b t)", b=n_sequences)
    return balance(scores[order], experts[order], n_sequences)


def balance_of_the_package(scores, experts, n_sequences):
    return expert_balance(Routing(experts, scores.gather(1, experts), scores), n_sequences)


def balance_of_choices_once(scores, experts, n_sequences):
    e, total = scores.shape[1], 0.0
    share = scores / scores.sum(-1, keepdim=True)
    for rows, wanted in zip(experts.chunk(n_sequences), share.chunk(n_sequences), strict=True):
        chosen = torch.zeros(e)
        chosen[rows.flatten()] += 1
        total = total + (chosen / len(rows) * wanted.mean(0)).sum() * e / rows.shape[1]
    return total / n_sequences


def balance_of_its_own_choice(scores, experts, n_sequences):
    return balance(scores, scores.topk(experts.shape[-1]).indices, n_sequences)


def balance_token_by_token(scores, experts, n_sequences):
    return balance(scores, experts, len(scores) // n_sequences)


def balance_multiplied_first(scores, experts, n_sequences):
    return balance(scores, experts, len(scores))


RIGHT = [balance, balance_by_one_hot, balance_of_the_package]

WRONG = [
    ("frequency squared", balance_squared, "not f squared either"),
    ("always over the batch", balance_over_all, "average within each"),
    ("summed over sequences", balance_summed, "average within each"),
    ("factor e / k forgotten", balance_without_factor, "multiplied by e / k"),
    ("equal choices once", balance_of_choices_once, "accumulate=True"),
    ("k always 2", balance_of_two_choices, "the number of columns"),
    ("sign flipped", balance_flipped, "no minus"),
    ("scores not normalised", balance_raw_scores, "divided by their sum"),
    ("affinities of the chosen alone", balance_of_the_chosen, "chosen or not"),
    ("choices of its own", balance_of_its_own_choice, "count the choices in"),
    ("multiplied before the average", balance_multiplied_first, "not for each token"),
    ("so many tokens a text", balance_token_by_token, "not for each token"),
    ("no gradient", balance_detached, "do not detach"),
    ("the gradient of a copy", balance_of_a_copy, "do not detach"),
    ("sequences interleaved", balance_interleaved, "the first half of the tokens"),
]
