"""Who serves what, and what is lost without it: counts that can be checked by hand."""

import math
from functools import partial

import pytest
import torch

from minids.check.bugs.ch03.measure import special_by_entropies
from minids.config import GQAConfig, ModelConfig, MoEConfig
from minids.model.moe import MoE
from minids.model.routing import Routing, route
from minids.model.transformer import Transformer
from minids.study import specialise as s
from minids.study.served import relative_load


def routing_of(experts, n_experts):
    experts = torch.as_tensor(experts)
    return Routing(experts, torch.ones(experts.shape), torch.rand(len(experts), n_experts))


def model(n_shared=1, top_k=2, n_routed=5, **moe):
    return Transformer(
        ModelConfig(
            name="tiny", vocab=11, dim=16, n_layers=2, hidden=8, context=8, init_std=0.5,
            attention=GQAConfig(n_heads=2, n_kv_heads=2, head_dim=8),
            moe=MoEConfig(n_routed=n_routed, n_shared=n_shared, top_k=top_k, hidden=8, **moe),
        )
    )  # fmt: skip


TOKENS = torch.arange(8)[None] % 11


def test_choices_are_counted_by_the_domain_of_their_row():
    routing = routing_of([[0, 1], [0, 2], [3, 1], [3, 2]], 4)
    counts = s.by_domain(routing, torch.tensor([0, 1]), 2)
    assert counts.tolist() == [[2, 1, 1, 0], [0, 1, 1, 2]]


def test_tokens_that_do_not_split_into_rows_are_refused():
    with pytest.raises(ValueError, match="4 tokens do not split into 3 rows"):
        s.by_domain(routing_of([[0]] * 4, 2), torch.tensor([0, 1, 1]), 2)


def test_relative_loads_average_to_1_in_every_domain():
    loads = relative_load(torch.tensor([[2.0, 1, 1, 0], [10, 10, 10, 10]]))
    assert loads.tolist() == [[2, 1, 1, 0], [1, 1, 1, 1]]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [([[4, 0], [0, 4]], 1.0), ([[3, 1], [3, 1]], 0.0), ([[9, 0, 1], [0, 10, 0]], 1.0)],
)
def test_specialisation_is_1_when_experts_give_the_domain_away_and_0_when_alike(counts, expected):
    assert s.specialisation(torch.tensor(counts).float()) == pytest.approx(expected, abs=1e-9)


def test_specialisation_is_what_three_entropies_say():
    g = torch.Generator().manual_seed(0)
    experts, domain = torch.randint(6, (90, 2), generator=g), torch.arange(3).repeat_interleave(30)
    experts[:30] = experts[:30] // 2
    counts = s.by_domain(routing_of(experts, 6), torch.tensor([0, 1, 2]), 3)
    by_hand = special_by_entropies(experts, domain, 6)
    assert 0.02 < by_hand == pytest.approx(s.specialisation(counts), rel=1e-5)


def test_shuffling_keeps_the_domains_and_chance_is_small_but_not_0():
    g = torch.Generator().manual_seed(1)
    domain = torch.arange(4).repeat(16)
    assert s.shuffled(domain, 3).bincount().tolist() == [16] * 4
    assert not torch.equal(s.shuffled(domain, 3), domain)
    routing = routing_of(torch.randint(8, (64 * 5, 2), generator=g), 8)
    assert 0 < s.by_chance(routing, domain, 4) < 0.05


def test_chance_is_far_below_real_specialists():
    domain = torch.arange(4).repeat(16)
    routing = routing_of(domain.repeat_interleave(5)[:, None], 4)
    assert s.specialisation(s.by_domain(routing, domain, 4)) == pytest.approx(1)
    assert s.by_chance(routing, domain, 4) < 0.3


def test_a_change_is_made_to_a_copy():
    whole = model()
    before = whole(TOKENS).logits
    changed = s.change(whole, s.shared_off)
    assert all(layer.shared is None for layer in changed.modules() if isinstance(layer, MoE))
    assert torch.equal(whole(TOKENS).logits, before)
    assert not torch.allclose(changed(TOKENS).logits, before, atol=1e-4)


def test_more_and_fewer_experts_are_chosen_with_the_same_weights():
    whole = model()
    for n in (-1, 1, 3):
        routing = s.change(whole, lambda layer, n=n: s.more_routed(layer, n))(TOKENS).routings[0]
        expected = route(routing.scores, top_k=2 + n)
        assert torch.equal(routing.experts, expected.experts)
        assert torch.equal(routing.weights, expected.weights)


def test_masking_takes_the_best_experts_away_and_the_next_ones_serve():
    whole = model()
    plain = whole(TOKENS).routings[0]
    masked = s.change(whole, lambda layer: s.masked(layer, 2))(TOKENS).routings[0]
    ranks = plain.scores.argsort(dim=-1, descending=True)
    assert torch.equal(masked.experts.sort().values, ranks[:, 2:4].sort().values)
    assert not set(masked.experts[0].tolist()) & set(plain.experts[0].tolist())


def test_masking_and_then_fewer_can_be_combined():
    whole = model()
    ranks = whole(TOKENS).routings[0].scores.argsort(dim=-1, descending=True)
    for first, second in ((s.masked, s.more_routed), (s.more_routed, s.masked)):
        both = s.change(whole, lambda layer, f=first: f(layer, 1 if f is s.masked else -1))
        both = s.change(both, lambda layer, f=second: f(layer, 1 if f is s.masked else -1))
        assert torch.equal(both(TOKENS).routings[0].experts, ranks[:, 1:2])


def test_masked_twice_the_two_best_are_gone():
    whole = model()
    ranks = whole(TOKENS).routings[0].scores.argsort(dim=-1, descending=True)
    twice = s.change(s.change(whole, partial(s.masked, n=1)), partial(s.masked, n=1))
    routing = twice(TOKENS).routings[0]
    assert torch.equal(routing.experts.sort().values, ranks[:, 2:4].sort().values)
    assert torch.equal(routing.scores, whole(TOKENS).routings[0].scores)


def test_what_a_bias_makes_the_best_is_masked_and_cannot_win_by_its_bias():
    whole = model(scores="sigmoid", normalise=True, biased=True)
    bias = torch.tensor([3.0, 2.0, -1.0, -1.0, -1.0])
    for layer in whole.layers:
        layer.ffn.router.bias.copy_(bias)
    assert set(whole(TOKENS).routings[0].experts.flatten().tolist()) == {0, 1}
    routing = s.change(whole, partial(s.masked, n=2))(TOKENS).routings[0]
    expected = route(routing.scores[:, 2:], top_k=2, normalise=True)
    assert torch.equal(routing.experts, expected.experts + 2)
    assert torch.equal(routing.weights, expected.weights)


def test_of_groups_the_best_that_a_token_would_choose_are_masked():
    whole = model(n_routed=6, n_groups=2, kept_groups=1)
    plain = whole(TOKENS).routings[0]
    best = route(plain.scores, top_k=1, n_groups=2, kept_groups=1).experts
    routing = s.change(whole, partial(s.masked, n=1))(TOKENS).routings[0]
    assert not (routing.experts == best).any()
    assert torch.equal(routing.experts[:, 0] // 3, routing.experts[:, 1] // 3)


def test_where_masking_leaves_too_few_it_is_refused():
    with pytest.raises(ValueError, match="4 experts are masked, and too few are left"):
        s.change(model(), partial(s.masked, n=4))(TOKENS)


def test_a_model_without_shared_expert_has_none_to_switch_off():
    with pytest.raises(ValueError, match="no shared expert"):
        s.change(model(n_shared=0), s.shared_off)


def test_the_even_table_has_no_information():
    assert s.specialisation(torch.ones(4, 16)) == pytest.approx(0, abs=1e-12)
    assert math.isfinite(s.specialisation(torch.eye(4)))
