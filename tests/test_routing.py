"""Who is chosen, by what, and how much it counts."""

from math import comb

import pytest
import torch

from minids.model.balance import load
from minids.model.routing import (
    drop,
    gshard,
    how_often,
    kept_by_affinity,
    kept_by_arrival,
    open_groups,
    route,
    sigmoid_scores,
    softmax_scores,
    switch,
)


def logits(tokens: int, experts: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(tokens, experts, generator=torch.Generator().manual_seed(seed))


def test_a_token_on_paper_v1():
    scores = torch.tensor([[0.1, 0.4, 0.2, 0.3]])
    routing = route(scores, top_k=2)
    assert routing.experts.tolist() == [[1, 3]]
    torch.testing.assert_close(routing.weights, torch.tensor([[0.4, 0.3]]))  # not renormalised


def test_a_token_on_paper_v3():
    scores, bias = torch.tensor([[0.1, 0.4, 0.2, 0.3]]), torch.tensor([0.35, 0.0, 0.0, -0.3])
    routing = route(scores, bias, top_k=2, normalise=True, scale=2.5)
    assert routing.experts.tolist() == [[0, 1]]  # 0.45, 0.40, 0.20, 0.00
    torch.testing.assert_close(routing.weights, torch.tensor([[0.5, 2.0]]))  # 2.5 * (0.2, 0.8)


def test_softmax_scores_compete_and_sigmoid_scores_do_not():
    x = logits(5, 8)
    raised = x + torch.nn.functional.one_hot(torch.tensor(3), 8)
    torch.testing.assert_close(softmax_scores(x).sum(-1), torch.ones(5))
    others = [i for i in range(8) if i != 3]
    assert (softmax_scores(raised) < softmax_scores(x))[:, others].all()
    assert torch.equal(sigmoid_scores(raised)[:, others], sigmoid_scores(x)[:, others])


def test_every_token_gets_different_experts_and_the_best_ones():
    scores = sigmoid_scores(logits(200, 16))
    experts = route(scores, top_k=5).experts
    assert all(len(set(row)) == 5 for row in experts.tolist())
    worst_chosen = scores.gather(-1, experts).min(-1).values
    best_left = scores.scatter(-1, experts, -1.0).max(-1).values
    assert (worst_chosen >= best_left).all()


def test_normalised_weights_sum_to_the_scale():
    routing = route(
        sigmoid_scores(logits(50, 16)), logits(1, 16)[0], top_k=4, normalise=True, scale=2.5
    )
    torch.testing.assert_close(routing.weights.sum(-1), torch.full((50,), 2.5))


def test_normalising_keeps_the_ratios():
    scores = softmax_scores(logits(50, 16))
    raw, normalised = (route(scores, top_k=4, normalise=n).weights for n in (False, True))
    torch.testing.assert_close(raw / raw[:, :1], normalised / normalised[:, :1])
    assert (raw.sum(-1) < 1).all()


def test_the_bias_selects():
    scores = sigmoid_scores(logits(64, 8))
    bias = torch.tensor([3.0] + 7 * [0.0])
    assert (route(scores, bias, top_k=2).experts == 0).any(-1).all()


def test_the_bias_never_weighs():
    scores = sigmoid_scores(logits(64, 8))
    everyone = torch.full((8,), 0.7)  # moves all alike: the choice stays
    plain, pushed = route(scores, top_k=2), route(scores, everyone, top_k=2)
    assert torch.equal(plain.experts, pushed.experts)
    assert torch.equal(plain.weights, pushed.weights)
    forced = route(scores, 5 * logits(1, 8)[0], top_k=2)
    assert torch.equal(forced.weights, scores.gather(-1, forced.experts))
    assert torch.equal(forced.scores, scores)


def test_only_the_chosen_scores_get_a_gradient_and_the_bias_gets_none():
    scores = sigmoid_scores(logits(20, 8)).requires_grad_()
    bias = torch.zeros(8, requires_grad=True)
    routing = route(scores, bias, top_k=3, normalise=True)
    routing.weights.square().sum().backward()
    chosen = torch.zeros(20, 8, dtype=torch.bool).scatter(-1, routing.experts, True)
    assert (scores.grad[chosen] != 0).all()
    assert (scores.grad[~chosen] == 0).all()
    assert bias.grad is None


@pytest.mark.parametrize("kept", [2, 4, 7, 8])
def test_choosing_by_groups_bounds_the_groups_visited(kept):
    scores = sigmoid_scores(logits(500, 32))
    routing = route(scores, top_k=8, n_groups=8, kept_groups=kept, group_best=2)
    visited = [len(set(row)) for row in (routing.experts // 4).tolist()]
    assert max(visited) == kept


def test_one_group_or_all_groups_kept_is_no_limit():
    scores = softmax_scores(logits(100, 12))
    free = route(scores, top_k=3)
    kept = route(scores, top_k=3, n_groups=4, kept_groups=4)
    assert torch.equal(free.experts, kept.experts)


def test_v2_and_v3_disagree_about_the_worth_of_a_group():
    # The first group has the best expert, the second the best pair.
    preference = torch.tensor([[0.9, 0.0, 0.0, 0.6, 0.6, 0.0]])
    v2, v3 = (open_groups(preference, 2, 1, best).tolist() for best in (1, 2))
    assert v2 == [3 * [True] + 3 * [False]]
    assert v3 == [3 * [False] + 3 * [True]]


def test_a_closed_group_stays_closed_when_every_preference_is_negative():
    # Closed with 0 instead of -inf, the closed experts would win.
    scores = sigmoid_scores(logits(300, 16))
    routing = route(scores, torch.full((16,), -2.0), top_k=4, n_groups=4, kept_groups=2)
    assert max(len(set(row)) for row in (routing.experts // 4).tolist()) == 2
    same = route(scores, top_k=4, n_groups=4, kept_groups=2)
    assert torch.equal(routing.experts, same.experts)


def test_fine_grained_experts_combine_in_billions_of_ways():
    # DeepSeekMoE, section 3.1; the smaller number we can visit in full.
    assert (comb(16, 2), comb(64, 8)) == (120, 4_426_165_368)
    experts = route(softmax_scores(logits(20_000, 16)), top_k=2).experts
    assert len({tuple(sorted(row)) for row in experts.tolist()}) == 120


@pytest.mark.parametrize("top_k, kept", [(5, 1), (9, 2), (0, 1)])
def test_more_experts_than_the_open_groups_hold_are_refused(top_k, kept):
    with pytest.raises(ValueError, match=f"top_k={top_k}, but {kept} of 4 groups hold"):
        route(logits(3, 16), top_k=top_k, n_groups=4, kept_groups=kept)


def test_groups_must_split_evenly():
    with pytest.raises(ValueError, match="10 experts do not split into n_groups=4"):
        open_groups(logits(3, 10), 4, 1)


def test_a_device_drops_its_lowest_affinities_on_paper():
    # Two devices of one expert, two places each. Four tokens want: 0, 0, 0, 1.
    scores = torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.8, 0.2], [0.3, 0.7]])
    kept = kept_by_affinity(route(scores, top_k=1), n_devices=2)
    assert kept.flatten().tolist() == [True, False, True, True]


def test_no_device_keeps_more_than_its_budget_and_only_full_ones_drop():
    routing = route(softmax_scores(logits(512, 16) + torch.linspace(0, 2, 16)), top_k=4)
    for n_devices, factor in ((4, 1.0), (8, 1.25), (16, 0.5)):
        kept = kept_by_affinity(routing, n_devices, factor)
        budget = int(factor * 512 * 4 / n_devices)
        device = routing.experts // (16 // n_devices)
        asked = torch.bincount(device.flatten(), minlength=n_devices)
        got = torch.bincount(device[kept], minlength=n_devices)
        assert torch.equal(got, asked.clamp(max=budget))
        affinity = routing.scores.gather(-1, routing.experts)
        for d in range(n_devices):
            here = device == d
            if (here & ~kept).any():
                assert affinity[here & kept].min() >= affinity[here & ~kept].max()


def test_room_for_all_drops_nothing():
    routing = route(softmax_scores(logits(64, 8)), top_k=2)
    assert kept_by_affinity(routing, 4, factor=4.0).all()
    assert kept_by_arrival(routing, factor=8.0).all()


def test_a_share_of_whole_places_loses_none_to_rounding():
    routing = route(softmax_scores(torch.zeros(100, 1)), top_k=1)
    assert 0.29 * 100 < 29  # in floating point
    assert kept_by_affinity(routing, 1, factor=0.29).sum() == 29
    assert kept_by_arrival(routing, factor=0.29).sum() == 29


def test_first_choices_queue_before_second_ones():
    # Three tokens on three experts, two places each: the second choice of token 0 comes last.
    scores = torch.tensor([[0.5, 0.4, 0.1], [0.1, 0.6, 0.3], [0.1, 0.6, 0.3]])
    routing = route(scores, top_k=2)
    assert routing.experts.tolist() == [[0, 1], [1, 2], [1, 2]]
    kept = kept_by_arrival(routing)
    assert kept.tolist() == [[True, False], [True, True], [True, True]]


def test_what_is_dropped_weighs_nothing_and_the_rest_as_before():
    routing = route(softmax_scores(logits(64, 4) + torch.linspace(0, 3, 4)), top_k=2)
    kept = kept_by_affinity(routing, 4)
    dropped = drop(routing, kept)
    assert 0 < (~kept).sum() < kept.numel()
    assert (dropped.weights[~kept] == 0).all()
    assert torch.equal(dropped.weights[kept], routing.weights[kept])
    assert torch.equal(load(dropped), load(routing))


def test_switch_takes_the_best_expert_at_its_raw_weight_first_come_first_served():
    x = torch.tensor([[2.0, 0.0], [1.0, 0.0], [3.0, 0.0], [0.0, 1.0]])
    routing = switch(x, factor=1.0)
    p = x.softmax(-1)
    assert routing.experts.flatten().tolist() == [0, 0, 0, 1]
    torch.testing.assert_close(
        routing.weights.flatten(), torch.stack([p[0, 0], p[1, 0], torch.tensor(0.0), p[3, 1]])
    )


def test_switch_leaves_an_expert_a_quarter_more_than_its_even_share():
    everyone_wants_the_first = torch.tensor([[1.0, 0.0]]).repeat(8, 1)
    assert (switch(everyone_wants_the_first).weights > 0).sum() == 8 // 2 * 5 // 4


def test_gshard_takes_two_experts_whose_weights_sum_to_one():
    routing = gshard(logits(100, 8), factor=8.0)
    assert routing.experts.shape == (100, 2)
    torch.testing.assert_close(routing.weights.sum(-1), torch.ones(100))


def test_an_expert_of_gshard_takes_no_more_than_its_places():
    routing = gshard(logits(100, 8) + torch.linspace(0, 3, 8))
    busy = torch.bincount(routing.experts[routing.weights > 0], minlength=8)
    assert busy.max() == 100 * 2 // 8


def test_choices_are_counted_with_those_that_nobody_made():
    chosen = torch.tensor([3, 0, 3, 1])
    assert how_often(chosen, 6).tolist() == torch.bincount(chosen, minlength=6).tolist()
    assert how_often(chosen[:0], 2).tolist() == [0, 0]


def test_affinities_of_zero_are_normalised_to_zero_and_not_to_nan():
    assert route(torch.zeros(2, 4), top_k=2, normalise=True).weights.eq(0).all()
