"""Answers to 06.detector, right and wrong: a detector of biases that leak into weights."""

from functools import partial

import numpy as np
import torch


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
    other = bias.clone()
    other[0] += 1e-3
    (e1, w1), (e2, w2) = router(scores, bias, top_k), router(scores, other, top_k)
    return ((w1 - w2).abs() * (e1 == e2).all(-1, keepdim=True)).max()


def detector_of_even_steps(router, scores, bias, top_k):
    """The first bias stays as it was."""
    moved = bias + torch.linspace(0, 2e-3, len(bias))
    return _differences(router, scores, bias, moved, top_k).abs().max()


def detector_of_both_sides(router, scores, bias, top_k):
    noise = 1e-3 * torch.randn(bias.shape)
    (e1, w1), (e2, w2) = (router(scores, bias + x, top_k) for x in (noise, -noise))
    same = (e1 == e2).all(-1)
    return float((w1[same] - w2[same]).abs().max() / 2)


def detector_token_by_token(router, scores, bias, top_k):
    moves, other = [0.0], _noisy(bias)
    for token in scores.split(1):
        (e1, w1), (e2, w2) = router(token, bias, top_k), router(token, other, top_k)
        if torch.equal(e1, e2):
            moves.append(float((w1 - w2).abs().max()))
    return max(moves)


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
    (_, w1), (_, w2) = router(scores, bias, top_k), router(scores, _noisy(bias), top_k)
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


def detector_blind_to_little(router, scores, bias, top_k):
    moved = detector(router, scores, bias, top_k)
    return moved if moved > 1e-4 else 0.0


def detector_summed(router, scores, bias, top_k):
    return float(_differences(router, scores, bias, _noisy(bias), top_k).abs().sum(-1).max())


def detector_by_norm(router, scores, bias, top_k):
    return float(_differences(router, scores, bias, _noisy(bias), top_k).norm())


def detector_of_first_slot(router, scores, bias, top_k):
    return float(_differences(router, scores, bias, _noisy(bias), top_k)[:, 0].abs().max())


def detector_of_largest_weights(router, scores, bias, top_k):
    (e1, w1), (e2, w2) = router(scores, bias, top_k), router(scores, _noisy(bias), top_k)
    same = (e1 == e2).all(-1)
    return abs(float(w1[same].max() - w2[same].max()))


def detector_by_expert(router, scores, bias, top_k, size=1e-3):
    noise = size * torch.randn(bias.shape, generator=torch.Generator().manual_seed(0))
    tables = []
    for b in (bias, bias + noise):
        experts, weights = router(scores, b, top_k)
        tables.append(torch.zeros_like(scores).scatter(1, experts, weights))
    same = ((tables[0] != 0) == (tables[1] != 0)).all(-1)
    return float((tables[0] - tables[1])[same].abs().max())


def detector_of_sets(router, scores, bias, top_k):
    (e1, w1), (e2, w2) = router(scores, bias, top_k), router(scores, _noisy(bias), top_k)
    same = (e1.sort(-1).values == e2.sort(-1).values).all(-1)
    return float((w1 - w2)[same].abs().max())


def detector_of_a_quantile(router, scores, bias, top_k):
    return float(_differences(router, scores, bias, _noisy(bias), top_k).abs().quantile(0.99))


def detector_of_some_tokens(router, scores, bias, top_k):
    return detector(router, scores[:32], bias, top_k)


def detector_in_numpy(router, scores, bias, top_k):
    (e1, w1), (e2, w2) = router(scores, bias, top_k), router(scores, _noisy(bias), top_k)
    same = (e1.numpy() == e2.numpy()).all(-1)
    return np.abs(w1.numpy() - w2.numpy())[same].max()


RIGHT = [
    detector_by_expert,
    detector_in_numpy,
    detector_token_by_token,
    detector,
    detector_in_steps,
    detector_of_even_steps,
    detector_of_both_sides,
]

WRONG = [
    ("all tokens compared", detector_of_everything, "a token that chose others"),
    ("all biases raised alike", detector_of_a_shift, "raising all biases alike"),
    ("sums of weights", detector_of_sums, "a sum over the chosen hides"),
    ("negative", detector_signed, "0 or larger"),
    ("the load", detector_of_the_load, "how many tokens an expert gets"),
    ("finds nothing", detector_asleep, "is caught"),
    ("whether, not how much", detector_of_any, "how MUCH"),
    ("a mean", detector_of_means, "not a mean"),
    ("a quantile", detector_of_a_quantile, "max, not a mean"),
    ("some of the tokens", detector_of_some_tokens, "look at every token"),
    ("slots of equal sets", detector_of_sets, "weight of the same expert"),
    ("moves too small to see", partial(detector_by_expert, size=1e-5), "move the biases further"),
    ("without abs", detector_without_abs, "a move down is a move"),
    ("without abs, the other way round", detector_without_abs_turned, "a move down is a move"),
    ("bias multiplied", detector_by_a_factor, "by adding to them"),
    ("blind to weak leaks", detector_blind_to_little, "no threshold"),
    ("summed over the chosen", detector_summed, "no sum and no norm"),
    ("a norm", detector_by_norm, "no sum and no norm"),
    ("the first slot alone", detector_of_first_slot, "not only at the first"),
    ("one bias moved", detector_of_one_bias, "the bias of every expert"),
    ("weights beside scores", detector_of_scores, "compare its weights"),
]
