"""Right answers and planted mistakes for chapter 06. Three of them hang in its bug museum."""

import math

import torch
from einops import rearrange, reduce

from minids.model.balance import expert_balance
from minids.model.routing import Routing, open_groups, route

# 06.nudge


def nudge(bias, load, speed):
    return bias + speed * torch.sign(load.mean() - load)


def nudge_by_where(bias, load, speed):
    mean = load.sum() / len(load)
    step = torch.where(load > mean, -speed, torch.where(load < mean, speed, 0.0))
    return bias + step


def nudge_expert_by_expert(bias, load, speed):
    mean = load.mean()
    steps = [0.0 if x == mean else speed if x < mean else -speed for x in load]
    return torch.stack([old + step for old, step in zip(bias, steps, strict=True)])


def nudge_by_comparing(bias, load, speed):
    starved, crowded = load < load.mean(), load > load.mean()
    return bias.add(starved.to(bias.dtype) - crowded.to(bias.dtype), alpha=speed)


def nudge_in_bfloat16(bias, load, speed):
    return nudge(bias.bfloat16(), load, speed).bfloat16().float()


def nudge_flipped(bias, load, speed):
    return bias - speed * torch.sign(load.mean() - load)


def nudge_by_the_gap(bias, load, speed):
    return bias + speed * (load.mean() - load)


def nudge_never_stays(bias, load, speed):
    return bias + speed * torch.where(load > load.mean(), -1.0, 1.0)


def nudge_from_one_over_e(bias, load, speed):
    return bias + speed * torch.sign(1 / len(load) - load)


def nudge_from_zero(bias, load, speed):
    return speed * torch.sign(load.mean() - load)


def nudge_only_the_busiest(bias, load, speed):
    step = torch.zeros_like(bias)
    step[load.argmax()], step[load.argmin()] = -speed, speed
    return bias + step


def nudge_nothing(bias, load, speed):
    return bias.clone()


# 06.route


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


def route_detached(scores, bias, top_k):
    experts, weights = by_scores(scores, bias, top_k)
    return experts, weights.detach()


def route_over_tokens(scores, bias, top_k):
    experts = (scores + bias).topk(min(top_k, len(scores)), dim=0).indices.mT
    experts = experts.repeat(len(scores), 1)[: len(scores), :top_k] % scores.shape[-1]
    return experts, by_scores(scores, bias, top_k)[1]


def route_swapped(scores, bias, top_k):
    return by_scores(scores, bias, top_k)[::-1]


def leaking_router(scores, bias=None, *, top_k):
    """The leak as a `choose` of the package's router: one line off."""
    routing = route(scores, bias, top_k=top_k, normalise=True)
    weights = (scores + bias).gather(-1, routing.experts)
    return Routing(routing.experts, weights / weights.sum(-1, keepdim=True), scores)


# 06.balance


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


def balance_interleaved(scores, experts, n_sequences):
    order = rearrange(torch.arange(len(scores)), "(t b) -> (b t)", b=n_sequences)
    return balance(scores[order], experts[order], n_sequences)


def balance_of_the_package(scores, experts, n_sequences):
    return expert_balance(Routing(experts, scores.gather(1, experts), scores), n_sequences)


# Nodes of the museum


def nodes(preference, n_nodes, kept, best):
    grouped = rearrange(preference, "t (n m) -> t n m", n=n_nodes)
    worth = grouped.topk(best, dim=-1).values.sum(-1)
    keep = torch.zeros_like(worth).scatter(1, worth.topk(kept, dim=-1).indices, 1.0).bool()
    return rearrange(grouped.masked_fill(~keep[..., None], -torch.inf), "t n m -> t (n m)")


def closed_at_zero(preference, n_nodes, kept, best):
    return preference.masked_fill(~open_groups(preference, n_nodes, kept, best), 0.0)


# 06.predict

NUMBERS = {"most nodes": 4, "nodes by chance": 5.29, "worst MaxVio": 31, "steps": 250}
COMPUTED = {
    "most nodes": 8 // 2,
    "nodes by chance": 8 * (1 - math.comb(224, 8) / math.comb(256, 8)),
    "worst MaxVio": 256 / 8 - 1.0,
    "steps": 0.25 / 0.001,
}

# 06.explain

REASON = (
    "Even a perfect router gives an expert 128 choices in a batch only on average, give or take "
    "10.6, and MaxVio looks at the busiest of sixteen."
)
EXPLAINED = {"mean": 128, "spread": 10.58, "batches": 69, "because": REASON}
EXPLAINED_AGAIN = {
    "mean": 1024 * 2 / 16,
    "spread": 128**0.5,
    "batches": 128 / 128**2 / 1e-4,
    "because": "Chance moves a load of 128 by about 11 from batch to batch, so that one expert "
    "always stands out.",
}

# 06.detector


def detector(router, scores, bias, top_k):
    g = torch.Generator().manual_seed(0)
    other = bias + 1e-3 * torch.randn(bias.shape, generator=g)
    e1, w1 = router(scores, bias, top_k)
    e2, w2 = router(scores, other, top_k)
    same = (e1 == e2).all(-1)
    return float((w1 - w2)[same].abs().max())


def detector_in_steps(router, scores, bias, top_k):
    worst = 0.0
    before, weights = router(scores, bias, top_k)
    for expert in range(len(bias)):
        moved = bias.clone()
        moved[expert] += 0.002
        after, now = router(scores, moved, top_k)
        for row in (before == after).all(-1).nonzero().flatten().tolist():
            worst = max(worst, (weights[row] - now[row]).abs().max().item())
    return worst


def detector_of_one_bias(router, scores, bias, top_k):
    """A move that is not the same for all, too."""
    other = bias.clone()
    other[0] += 1e-3
    (e1, w1), (e2, w2) = router(scores, bias, top_k), router(scores, other, top_k)
    return ((w1 - w2).abs() * (e1 == e2).all(-1, keepdim=True)).max()


def detector_of_both_sides(router, scores, bias, top_k):
    noise = 1e-3 * torch.randn(bias.shape)
    (e1, w1), (e2, w2) = (router(scores, bias + x, top_k) for x in (noise, -noise))
    same = (e1 == e2).all(-1)
    return float((w1[same] - w2[same]).abs().max() / 2)


def _differences(router, scores, bias, other, top_k):
    """By how much the weights of tokens move whose choice stays."""
    (e1, w1), (e2, w2) = router(scores, bias, top_k), router(scores, other, top_k)
    return (w1 - w2)[(e1 == e2).all(-1)]


def _noisy(bias):
    return bias + 1e-3 * torch.randn(bias.shape, generator=torch.Generator().manual_seed(0))


def detector_of_means(router, scores, bias, top_k):
    return float(_differences(router, scores, bias, _noisy(bias), top_k).abs().mean())


def detector_without_abs(router, scores, bias, top_k):
    return float(_differences(router, scores, bias, _noisy(bias), top_k).max())


def detector_without_abs_turned(router, scores, bias, top_k):
    return -float(_differences(router, scores, bias, _noisy(bias), top_k).min())


def detector_of_any(router, scores, bias, top_k):
    return float((_differences(router, scores, bias, _noisy(bias), top_k).abs() > 1e-9).any())


def detector_by_a_factor(router, scores, bias, top_k):
    return float(_differences(router, scores, bias, 1.01 * bias, top_k).abs().max())


def detector_of_everything(router, scores, bias, top_k):
    (_, w1), (_, w2) = router(scores, bias, top_k), router(scores, 1.01 * bias, top_k)
    (_, w3) = router(scores, bias + torch.linspace(0, 0.3, len(bias)), top_k)
    return float(max((w1 - w2).abs().max(), (w1 - w3).abs().max()))


def detector_of_a_shift(router, scores, bias, top_k):
    (_, w1), (_, w2) = router(scores, bias, top_k), router(scores, bias + 0.1, top_k)
    return float((w1 - w2).abs().max())


def detector_of_sums(router, scores, bias, top_k):
    g = torch.Generator().manual_seed(0)
    other = bias + 1e-3 * torch.randn(bias.shape, generator=g)
    (_, w1), (_, w2) = router(scores, bias, top_k), router(scores, other, top_k)
    return float((w1.sum(-1) - w2.sum(-1)).abs().max())


def detector_signed(router, scores, bias, top_k):
    return -detector(router, scores, bias, top_k) - 1e-9


def detector_of_the_load(router, scores, bias, top_k):
    e1, _ = router(scores, bias, top_k)
    load = torch.bincount(e1.flatten(), minlength=len(bias)).float()
    return float(load.max() / load.mean() - 1)


def detector_asleep(router, scores, bias, top_k):
    return 0.0


def detector_of_scores(router, scores, bias, top_k):
    e, w = router(scores, bias, top_k)
    return float((w - scores.gather(-1, e)).abs().max())


RIGHT = {
    "06.nudge": [nudge, nudge_by_where, nudge_expert_by_expert, nudge_by_comparing],
    "06.route": [by_scores, by_sorting, token_by_token, by_one_hot, by_taking_the_bias_off],
    "06.balance": [balance, balance_by_one_hot, balance_of_the_package],
    "06.predict": [NUMBERS, COMPUTED],
    "06.explain": [EXPLAINED, EXPLAINED_AGAIN],
    "06.detector": [detector, detector_in_steps, detector_of_one_bias, detector_of_both_sides],
}

WRONG = {
    "06.nudge": [
        ("sign flipped", nudge_flipped, "the sign of mean - load"),
        ("step as long as the gap", nudge_by_the_gap, "only the sign of the gap"),
        ("never at rest", nudge_never_stays, "do not use `where"),
        ("compared with 1 / e", nudge_from_one_over_e, "load.mean()"),
        ("starts from zero each time", nudge_from_zero, "added to the old bias"),
        ("only the two extremes", nudge_only_the_busiest, "not only the most crowded"),
        ("no step at all", nudge_nothing, "each expert has a step"),
        ("kept in bfloat16", nudge_in_bfloat16, "the digits of float32"),
    ],
    "06.route": [
        ("the bias leaks into the weights", by_preference, "leaks into the weights"),
        ("softmax of the preference", route_softmax_of_preference, "no softmax"),
        ("bias forgotten", route_without_bias, "PLUS bias"),
        ("bias subtracted", route_minus_bias, "PLUS bias"),
        ("twice the bias", route_twice_the_bias, "without a factor"),
        ("bias divided by the experts", route_by_a_mean_bias, "without a factor"),
        ("logarithms of the scores", route_by_logarithms, "a logarithm"),
        ("softmax of the scores", route_by_softmax, "a softmax or a clamp"),
        ("preference clamped", route_clamped, "a softmax or a clamp"),
        ("bias as a factor", route_by_a_factor, "scores + bias exactly"),
        ("normalised over all experts", route_over_all, "not over all"),
        ("not normalised", route_raw, "the sum over the chosen"),
        ("all count alike", route_equal, "in proportion to their scores"),
        ("weights detached", route_detached, "do not detach"),
        ("top-k over the tokens", route_over_tokens, "topk"),
        ("the two swapped", route_swapped, "right shape"),
    ],
    "06.balance": [
        ("frequency squared", balance_squared, "not f squared either"),
        ("always over the batch", balance_over_all, "average within each"),
        ("summed over sequences", balance_summed, "average within each"),
        ("factor e / k forgotten", balance_without_factor, "multiplied by e / k"),
        ("k always 2", balance_of_two_choices, "the number of columns"),
        ("sign flipped", balance_flipped, "no minus"),
        ("scores not normalised", balance_raw_scores, "divided by their sum"),
        ("affinities of the chosen alone", balance_of_the_chosen, "chosen or not"),
        ("no gradient", balance_detached, "do not detach"),
        ("sequences interleaved", balance_interleaved, "the first half of the tokens"),
    ],
    "06.predict": [
        ("all eight nodes", NUMBERS | {"most nodes": 8}, "M = 4"),
        ("no node hit twice", NUMBERS | {"nodes by chance": 8}, "some share one"),
        ("with replacement, and wrong", NUMBERS | {"nodes by chance": 5.0}, "a node is missed"),
        ("with replacement", NUMBERS | {"nodes by chance": 8 * (1 - (7 / 8) ** 8)},
         "without replacement"),
        ("all choices to one expert", NUMBERS | {"worst MaxVio": 255}, "1/8 of all choices"),
        ("minus 1 forgotten", NUMBERS | {"worst MaxVio": 32}, "minus 1"),
        ("scaled by the gap", NUMBERS | {"steps": 1000}, "distance over speed"),
        ("an answer left out", {"most nodes": 4}, "the keys are"),
    ],
    "06.explain": [
        ("one choice a token", EXPLAINED | {"mean": 64}, "2 choices each"),
        ("the variance", EXPLAINED | {"spread": 112.0}, "the ROOT"),
        ("not squared", EXPLAINED | {"batches": 8}, "squared"),
        ("one batch will do", EXPLAINED | {"batches": 1}, "is it a hundredth"),
        ("no numbers", EXPLAINED | {"because": "Chance moves every load a little in every batch."},
         "with both numbers"),
        ("an entry left out", {"mean": 128}, "four entries"),
    ],
    "06.detector": [
        ("all tokens compared", detector_of_everything, "a token that chose others"),
        ("all biases raised alike", detector_of_a_shift, "raising all biases alike"),
        ("sums of weights", detector_of_sums, "a sum over the chosen hides"),
        ("negative", detector_signed, "0 or larger"),
        ("the load", detector_of_the_load, "how many tokens an expert gets"),
        ("finds nothing", detector_asleep, "is caught"),
        ("whether, not how much", detector_of_any, "how MUCH"),
        ("a mean", detector_of_means, "not a mean"),
        ("without abs", detector_without_abs, "a move down is a move"),
        ("without abs, the other way round", detector_without_abs_turned, "a move down is a move"),
        ("bias multiplied", detector_by_a_factor, "by adding to them"),
        ("weights beside scores", detector_of_scores, "compare its weights"),
    ],
}  # fmt: skip
