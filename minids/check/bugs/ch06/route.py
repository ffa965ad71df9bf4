"""Answers to 06.route, right and wrong: a bias that selects and never weighs."""

import torch


def by_scores(scores, bias, top_k):
    experts = (scores + bias).topk(top_k, dim=-1).indices
    weights = scores.gather(-1, experts)
    return experts, weights / weights.sum(-1, keepdim=True)


def by_sorting(scores, bias, top_k):
    order = torch.argsort(scores + bias, dim=-1, descending=True)[:, :top_k]
    chosen = torch.zeros_like(scores).scatter(1, order, 1.0) * scores
    return order, (chosen / chosen.sum(1, keepdim=True)).gather(1, order)


def token_by_token(scores, bias, top_k):
    rows = [sorted(range(len(bias)), key=lambda i: -row[i]) for row in (scores + bias).tolist()]
    experts = torch.tensor([row[:top_k] for row in rows])
    return experts, torch.stack(
        [row[chosen] / row[chosen].sum() for row, chosen in zip(scores, experts, strict=True)]
    )


def by_one_hot(scores, bias, top_k):
    experts = torch.topk(scores.detach() + bias.detach(), top_k).indices.sort().values
    hot = torch.nn.functional.one_hot(experts, scores.shape[-1]).to(scores.dtype)
    weights = torch.einsum("te,tke->tk", scores, hot)
    return experts, torch.nn.functional.normalize(weights, p=1, dim=-1)


def by_taking_the_bias_off(scores, bias, top_k):
    weights, experts = (scores + bias).topk(top_k, dim=-1)
    weights = weights - bias[experts]
    return experts, weights / weights.sum(-1, keepdim=True)


def by_preference(scores, bias, top_k):
    weights, experts = (scores + bias).topk(top_k, dim=-1)
    return experts, weights / weights.sum(-1, keepdim=True)


def route_softmax_of_preference(scores, bias, top_k):
    weights, experts = (scores + bias).topk(top_k, dim=-1)
    return experts, weights.softmax(-1)


def route_without_bias(scores, bias, top_k):
    return by_scores(scores, torch.zeros_like(bias), top_k)


def route_minus_bias(scores, bias, top_k):
    return by_scores(scores, -bias, top_k)


def _routed_by(preference, scores, top_k):
    """Right weights for the experts that a preference chooses."""
    experts = preference.topk(top_k, dim=-1).indices
    weights = scores.gather(-1, experts)
    return experts, weights / weights.sum(-1, keepdim=True)


def route_twice_the_bias(scores, bias, top_k):
    return _routed_by(scores + 2 * bias, scores, top_k)


def route_by_a_mean_bias(scores, bias, top_k):
    return _routed_by(scores + bias / len(bias), scores, top_k)


def route_by_logarithms(scores, bias, top_k):
    return _routed_by(scores.log() + bias, scores, top_k)


def route_by_softmax(scores, bias, top_k):
    return _routed_by(scores.softmax(-1) + bias, scores, top_k)


def route_clamped(scores, bias, top_k):
    return _routed_by((scores + bias).clamp(0, 1), scores, top_k)


def route_by_a_factor(scores, bias, top_k):
    return _routed_by(scores * (1 + bias), scores, top_k)


def route_over_all(scores, bias, top_k):
    experts, weights = by_scores(scores, bias, top_k)
    return experts, scores.gather(-1, experts) / scores.sum(-1, keepdim=True)


def route_raw(scores, bias, top_k):
    experts, _ = by_scores(scores, bias, top_k)
    return experts, scores.gather(-1, experts)


def route_equal(scores, bias, top_k):
    experts, weights = by_scores(scores, bias, top_k)
    return experts, torch.full_like(weights, 1 / top_k)


def route_by_clamped_weights(scores, bias, top_k):
    experts, _ = by_scores(scores, bias, top_k)
    weights = scores.gather(-1, experts).clamp(min=0.2)
    return experts, weights / weights.sum(-1, keepdim=True)


def route_detached(scores, bias, top_k):
    experts, weights = by_scores(scores, bias, top_k)
    return experts, weights.detach()


def route_over_tokens(scores, bias, top_k):
    experts = (scores + bias).topk(min(top_k, len(scores)), dim=0).indices.mT
    experts = experts.repeat(len(scores), 1)[: len(scores), :top_k] % scores.shape[-1]
    return experts, by_scores(scores, bias, top_k)[1]


def route_swapped(scores, bias, top_k):
    return by_scores(scores, bias, top_k)[::-1]


def route_by_a_detached_sum(scores, bias, top_k):
    experts = (scores + bias).topk(top_k, dim=-1).indices
    weights = scores.gather(-1, experts)
    return experts, weights / weights.sum(-1, keepdim=True).detach()


def route_sorted_experts(scores, bias, top_k):
    experts, weights = by_scores(scores, bias, top_k)
    return experts.sort(-1).values, weights


def route_by_the_largest_scores(scores, bias, top_k):
    weights = scores.topk(top_k, dim=-1).values
    return by_scores(scores, bias, top_k)[0], weights / weights.sum(-1, keepdim=True)


RIGHT = [by_scores, by_sorting, token_by_token, by_one_hot, by_taking_the_bias_off]

WRONG = [
    ("the bias leaks into the weights", by_preference, "leaks into the weights"),
    ("softmax of the preference", route_softmax_of_preference, "no softmax"),
    ("bias forgotten", route_without_bias, "PLUS bias"),
    ("bias subtracted", route_minus_bias, "PLUS bias"),
    ("twice the bias", route_twice_the_bias, "without a factor"),
    ("bias divided by the experts", route_by_a_mean_bias, "without a factor"),
    ("logarithms of the scores", route_by_logarithms, "a logarithm"),
    ("softmax of the scores", route_by_softmax, "a softmax or a clamp"),
    ("preference clamped", route_clamped, "a softmax or a clamp"),
    ("bias as a factor", route_by_a_factor, "the choice is by scores"),
    ("normalised over all experts", route_over_all, "not over all"),
    ("not normalised", route_raw, "the sum over the chosen"),
    ("weights of the largest scores", route_by_the_largest_scores, "gather the scores"),
    ("all count alike", route_equal, "in proportion to their scores"),
    ("weights clamped", route_by_clamped_weights, "clamp over the chosen"),
    ("weights detached", route_detached, "do not detach"),
    ("the sum detached", route_by_a_detached_sum, "do not detach the sum"),
    ("experts sorted, weights not", route_sorted_experts, "belong together"),
    ("top-k over the tokens", route_over_tokens, "topk"),
    ("the two swapped", route_swapped, "right shape"),
]
