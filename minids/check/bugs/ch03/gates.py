"""Answers to 03.gates, right and wrong: who is chosen, and how much each counts."""

import torch


def gates(x, centroids, k):
    s = (x @ centroids.T).softmax(-1)
    best = s.topk(k, dim=-1)
    return torch.zeros_like(s).scatter(-1, best.indices, best.values)


def gates_by_threshold(x, centroids, k):
    s = torch.softmax(torch.einsum("td,ed->te", x, centroids), dim=1)
    smallest = s.sort(dim=-1, descending=True).values[:, k - 1 : k]
    return s * (s >= smallest)


def gates_token_by_token(x, centroids, k):
    out = torch.zeros(len(x), len(centroids))
    for i, token in enumerate(x):
        affinity = (centroids @ token).softmax(0)
        for expert in affinity.argsort(descending=True)[:k].tolist():
            out[i, expert] = affinity[expert]
    return out


def gates_by_mask(x, centroids, k):
    logits = torch.nn.functional.linear(x, centroids)
    rest = torch.ones_like(logits, dtype=torch.bool).scatter(-1, logits.topk(k).indices, False)
    return (logits - logits.logsumexp(-1, keepdim=True)).exp().masked_fill(rest, 0.0)


def renormalised(x, centroids, k):
    s = gates(x, centroids, k)
    return s / s.sum(-1, keepdim=True)


def gates_softmax_of_chosen(x, centroids, k):
    s = x @ centroids.T
    best = s.topk(k, dim=-1)
    return torch.zeros_like(s).scatter(-1, best.indices, best.values.softmax(-1))


def gates_over_tokens(x, centroids, k):
    s = (x @ centroids.T).softmax(0)
    best = s.topk(k, dim=-1)
    return torch.zeros_like(s).scatter(-1, best.indices, best.values)


def gates_smallest(x, centroids, k):
    s = (x @ centroids.T).softmax(-1)
    best = s.topk(k, dim=-1, largest=False)
    return torch.zeros_like(s).scatter(-1, best.indices, best.values)


def gates_all(x, centroids, k):
    return (x @ centroids.T).softmax(-1)


def gates_of_one(x, centroids, k):
    s = (x @ centroids.T).softmax(-1)
    return torch.zeros_like(s).scatter(-1, s.topk(k, dim=-1).indices, 1.0)


def gates_detached(x, centroids, k):
    return gates(x, centroids, k).detach()


def gates_of_fixed_tokens(x, centroids, k):
    return gates(x.detach(), centroids, k)


def gates_logits(x, centroids, k):
    s = x @ centroids.T
    best = s.topk(k, dim=-1)
    return torch.zeros_like(s).scatter(-1, best.indices, best.values)


def _gates_of(affinities, k):
    best = affinities.topk(k, dim=-1)
    return torch.zeros_like(affinities).scatter(-1, best.indices, best.values)


def gates_scaled(x, centroids, k):
    return _gates_of((x @ centroids.T / x.shape[1] ** 0.5).softmax(-1), k)


def gates_sharpened(x, centroids, k):
    return _gates_of((2 * x @ centroids.T).softmax(-1), k)


def gates_to_base_two(x, centroids, k):
    powers = torch.exp2(x @ centroids.T)
    return _gates_of(powers / powers.sum(-1, keepdim=True), k)


def gates_by_sigmoid(x, centroids, k):
    s = (x @ centroids.T).sigmoid()
    return _gates_of(s / s.sum(-1, keepdim=True), k)


def gates_by_exp(x, centroids, k):
    powers = torch.exp(x @ centroids.T)
    return _gates_of(powers / powers.sum(-1, keepdim=True), k)


def gates_straight_through(x, centroids, k):
    s = (x @ centroids.T).softmax(-1)
    return _gates_of(s, k) + s - s.detach()


RIGHT = [gates, gates_by_threshold, gates_token_by_token, gates_by_mask]

WRONG = [
    ("renormalised over the chosen", renormalised, "do not renormalise"),
    ("softmax of the chosen", gates_softmax_of_chosen, "to them alone"),
    ("softmax over tokens", gates_over_tokens, "softmax over the experts of one token"),
    ("the k smallest", gates_smallest, "fit the token best"),
    ("all experts", gates_all, "the others get exactly 0"),
    ("gates of one", gates_of_one, "sum to 1"),
    ("no gradient", gates_detached, "the router still learns"),
    ("straight-through", gates_straight_through, "no straight-through sum"),
    ("tokens detached", gates_of_fixed_tokens, "not of the tokens either"),
    ("no softmax", gates_logits, "sum to 1"),
    ("products scaled as in attention", gates_scaled, "no scale"),
    ("a temperature", gates_sharpened, "no temperature"),
    ("powers of two", gates_to_base_two, "the softmax itself"),
    ("sigmoids that sum to 1", gates_by_sigmoid, "the softmax itself"),
    ("exp of large logits", gates_by_exp, "returns NaN"),
]
