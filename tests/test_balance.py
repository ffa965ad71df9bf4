"""What even means, what the losses see, and what the bias repairs."""

import pytest
import torch
from einops import rearrange

from minids.model.balance import (
    communication_balance,
    device_balance,
    expert_balance,
    load,
    max_violation,
    nudge,
    sequence_balance,
    weighted_load,
)
from minids.model.routing import Routing, route, sigmoid_scores, softmax_scores


def logits(tokens: int, experts: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(tokens, experts, generator=torch.Generator().manual_seed(seed))


def even(n_experts: int = 8, k: int = 2) -> Routing:
    """One token for each expert, which chooses it and its neighbours, with equal affinities."""
    experts = (torch.arange(n_experts)[:, None] + torch.arange(k)) % n_experts
    scores = torch.full((n_experts, n_experts), 0.3)
    return Routing(experts, scores.gather(-1, experts), scores)


def collapsed(n_experts: int = 8, k: int = 2) -> Routing:
    """Ten tokens that want the first k experts alone, with all their affinity."""
    scores = torch.zeros(10, n_experts)
    scores[:, :k] = 1 / k
    return route(scores, top_k=k)


def test_load_is_the_share_of_assignments():
    experts = torch.tensor([[0, 2], [2, 3], [2, 0]])
    routing = Routing(experts, torch.ones(3, 2), torch.ones(3, 5))
    torch.testing.assert_close(load(routing), torch.tensor([2, 0, 3, 1, 0]) / 6)


def test_max_violation_is_zero_when_even_and_experts_minus_one_at_worst():
    assert max_violation(load(even())).item() == 0
    assert max_violation(torch.tensor([0.0, 1.0, 0.0, 0.0])).item() == 3
    torch.testing.assert_close(max_violation(torch.tensor([0.5, 0.25, 0.25])), torch.tensor(0.5))


def test_a_nudge_on_paper():
    bias = torch.tensor([0.1, 0.0, -0.2, 0.3])
    moved = nudge(bias, torch.tensor([0.7, 0.0, 0.05, 0.25]), speed=0.001)
    torch.testing.assert_close(moved, torch.tensor([0.099, 0.001, -0.199, 0.3]))


def test_an_even_load_moves_no_bias_whatever_the_number_of_experts():
    for n in range(1, 300):
        assert not nudge(torch.zeros(n), torch.full((n,), 7) / (7 * n), speed=0.1).any()


def test_nudging_evens_out_a_lopsided_router():
    scores, bias = sigmoid_scores(logits(512, 8) + torch.linspace(0, 2, 8)), torch.zeros(8)
    before = max_violation(load(route(scores, top_k=2)))
    for _ in range(1000):
        bias = nudge(bias, load(route(scores, bias, top_k=2)), speed=0.001)
    after = max_violation(load(route(scores, bias, top_k=2)))
    assert before > 1.0
    assert after < 0.08


@pytest.mark.parametrize(
    "loss",
    [
        expert_balance,
        lambda r: sequence_balance(r, 1),
        lambda r: device_balance(r, 4),
        lambda r: communication_balance(even(8, 1), 4, 1),
    ],
)
def test_every_loss_is_one_when_even(loss):
    torch.testing.assert_close(loss(even()), torch.tensor(1.0))


def test_every_loss_is_at_its_worst_when_all_tokens_want_the_same_experts():
    worst = collapsed(8, 2)
    torch.testing.assert_close(expert_balance(worst), torch.tensor(8 / 2))
    torch.testing.assert_close(sequence_balance(worst, 5), torch.tensor(8 / 2))
    torch.testing.assert_close(device_balance(worst, 4), torch.tensor(4.0))
    torch.testing.assert_close(communication_balance(worst, 4, 1), torch.tensor(4.0))


def test_the_expert_level_loss_is_the_printed_sum():
    # DeepSeekMoE, section 3.3, written out for 30 tokens, 5 experts, 2 of them chosen.
    routing = route(softmax_scores(logits(30, 5)), top_k=2)
    total = 0.0
    for i in range(5):
        f = 5 / (2 * 30) * sum(i in row for row in routing.experts.tolist())
        p = sum(routing.scores[t, i].item() for t in range(30)) / 30
        total += f * p
    assert expert_balance(routing).item() == pytest.approx(total, rel=1e-5)


def test_device_and_communication_losses_are_the_printed_sums():
    # DeepSeek-V2, section 2.2.3: 3 devices of 2 experts, at most 2 devices for a token.
    routing = route(softmax_scores(logits(40, 6)), top_k=2, n_groups=3, kept_groups=2)
    device, communication = 0.0, 0.0
    rows = routing.experts.tolist()
    for d in range(3):
        here = (2 * d, 2 * d + 1)
        p = routing.scores[:, list(here)].sum(-1).mean().item()
        f = sum(6 / (2 * 40) * sum(i in row for row in rows) for i in here) / 2
        sent = 3 / (2 * 40) * sum(any(i in row for i in here) for row in rows)
        device += f * p
        communication += sent * p
    assert device_balance(routing, 3).item() == pytest.approx(device, rel=1e-5)
    assert communication_balance(routing, 3, 2).item() == pytest.approx(communication, rel=1e-5)


def test_devices_do_not_mind_how_their_experts_share():
    # Each device gets half the tokens, but always for its first expert.
    scores = torch.tensor([[0.5, 0.0, 0.5, 0.0]]).repeat(6, 1)
    routing = route(scores, top_k=2)
    torch.testing.assert_close(device_balance(routing, 2), torch.tensor(1.0))
    torch.testing.assert_close(expert_balance(routing), torch.tensor(2.0))


def test_within_sequences_even_the_batch_is_not_enough():
    # Two sequences with experts of their own: even over the batch, lopsided in each.
    scores = torch.zeros(8, 4)
    scores[:4, :2] = 0.5
    scores[4:, 2:] = 0.5
    routing = route(scores, top_k=2)
    torch.testing.assert_close(expert_balance(routing), torch.tensor(1.0))
    torch.testing.assert_close(expert_balance(routing, n_sequences=2), torch.tensor(2.0))
    torch.testing.assert_close(sequence_balance(routing, 2), torch.tensor(2.0))


@pytest.mark.parametrize(
    "loss",
    [
        expert_balance,
        lambda r, n=1: device_balance(r, 4, n),
        lambda r, n=1: communication_balance(r, 4, 2, n),
    ],
)
def test_by_sequence_is_the_mean_over_the_sequences_alone(loss):
    scores = softmax_scores(logits(60, 8))
    whole = route(scores, top_k=3)
    parts = rearrange(scores, "(b t) e -> b t e", b=4)
    alone = torch.stack([loss(route(part, top_k=3)) for part in parts])
    torch.testing.assert_close(loss(whole, 4), alone.mean())
    assert abs(loss(whole, 4) - loss(whole)) > 1e-3


def test_padding_counts_in_no_loss_and_no_load():
    """Rows of 15, 4 and no tokens, filled up: each counts as if it stood alone."""
    scores = softmax_scores(logits(45, 8))
    routing = route(scores, top_k=3)
    read = torch.arange(15) < torch.tensor([15, 4, 0])[:, None]
    rows = [Routing(*(part[a:b] for part in routing)) for a, b in ((0, 15), (15, 19))]
    for loss in (expert_balance, sequence_balance):
        alone = torch.stack([loss(row, 1) for row in rows]).sum() / 3
        torch.testing.assert_close(loss(routing, 3, read.flatten()), alone)
    counts = torch.cat([row.experts.flatten() for row in rows]).bincount(minlength=8)
    torch.testing.assert_close(weighted_load(routing, read.flatten()), counts / counts.sum())
    assert weighted_load(routing, torch.zeros(45, dtype=torch.bool)).tolist() == 8 * [0.0]


def test_a_token_that_counts_twice_is_two_tokens():
    routing = route(softmax_scores(logits(6, 8)), top_k=3)
    twice = Routing(*(torch.cat([part, part[:2]]) for part in routing))
    times = torch.tensor([2, 2, 1, 1, 1, 1])
    torch.testing.assert_close(weighted_load(routing, times), load(twice))


def test_v3s_loss_does_not_see_the_bias_and_v2s_does():
    scores = sigmoid_scores(logits(64, 8))
    plain = route(scores, top_k=2)
    biased = route(scores, torch.tensor([9.0, 9.0] + 6 * [0.0]), top_k=2)
    assert torch.equal(sequence_balance(plain, 4), sequence_balance(biased, 4))
    assert not torch.equal(expert_balance(plain), expert_balance(biased))


def test_sigmoid_affinities_are_normalised_so_that_their_size_does_not_count():
    scores = sigmoid_scores(logits(64, 8)) * torch.rand(64, 1)
    shares = scores / scores.sum(-1, keepdim=True)
    torch.testing.assert_close(
        sequence_balance(route(scores, top_k=2), 2), sequence_balance(route(shares, top_k=2), 2)
    )


def test_following_the_losses_downhill_evens_the_load():
    for loss in (
        expert_balance,
        lambda r: sequence_balance(r, 4),
        lambda r: device_balance(r, 4),
        lambda r: communication_balance(r, 4, 2),
    ):
        x = (logits(256, 8) + torch.linspace(0, 2, 8)).requires_grad_()
        tilt = torch.zeros(8, requires_grad=True)
        busiest = []
        for _ in range(60):
            routing = route(softmax_scores(x.detach() + tilt), top_k=2, n_groups=4, kept_groups=2)
            busiest.append(load(routing).view(4, 2).sum(-1).max().item())
            (slope,) = torch.autograd.grad(loss(routing), tilt)
            tilt = (tilt - 0.3 * slope).detach().requires_grad_()
        assert busiest[-1] < 0.8 * busiest[0]


def test_counts_carry_no_gradient_affinities_do():
    x = logits(32, 6).requires_grad_()
    routing = route(softmax_scores(x), top_k=2)
    frequency = load(routing) * 6
    by_hand = (frequency * routing.scores.mean(0)).sum()
    wanted = torch.autograd.grad(by_hand, x, retain_graph=True)[0]
    torch.testing.assert_close(torch.autograd.grad(expert_balance(routing), x)[0], wanted)


def test_sizes_that_do_not_split_are_refused():
    routing = route(softmax_scores(logits(10, 6)), top_k=2)
    with pytest.raises(ValueError, match="10 tokens do not split into n_sequences=3"):
        expert_balance(routing, 3)
    with pytest.raises(ValueError, match="6 experts do not split over n_devices=4"):
        device_balance(routing, 4)
