"""GRPO by hand and by property: advantages, loss, variants, rollouts, the loop, the exam."""

import copy
import itertools
import math
from types import SimpleNamespace

import pytest
import torch

from minids.config import GQAConfig, ModelConfig
from minids.decode.sample import generate, token_logp
from minids.model.layers import init_weights
from minids.model.transformer import Transformer
from minids.presets import preset, shrink
from minids.rl import update
from minids.rl.advantages import (
    centred_advantages,
    flat_groups,
    group_advantages,
    over_tokens,
    process_advantages,
)
from minids.rl.exam import exam, majority, pass_at
from minids.rl.grpo import Settings, grpo, optimizer_for
from minids.rl.policy_loss import k3, mean_of_rollouts, mean_of_tokens, policy_loss, sum_over
from minids.rl.rewards import R1_ZERO, Weighed, accuracy
from minids.rl.rollouts import aligned, beginnings, distribution, joined, roll_out
from minids.rl.variants import DAPO, GRPO, Variant, dr_grpo
from minids.rl.zero import Recipe, newborn, practise, questions, read_lessons
from minids.text.alphabet import alphabet
from minids.text.arithmetic import Problem, problems
from minids.text.lessons import asked, lesson, told
from minids.train.loop import Diverged

CODEC = alphabet()
ASK = problems("add-1", seed=0)


def tiny(seed=0, std=0.3, dim=16) -> Transformer:
    heads = GQAConfig(n_heads=2, n_kv_heads=1, head_dim=dim // 2)
    c = ModelConfig(
        name="t", vocab=CODEC.vocab, dim=dim, n_layers=2, hidden=24, attention=heads, context=40
    )
    model = Transformer(c)
    init_weights(model, std, torch.Generator().manual_seed(seed))
    return model


def small(**how) -> Settings:
    return Settings(**({"prompts": 3, "group": 4, "max_new": 7, "warmup": 1} | how))


# --- advantages


def test_advantages_by_hand():
    # mean 1/2, population deviation 1/2
    got = group_advantages(torch.tensor([[1.0, 0.0, 0.0, 1.0]]))
    torch.testing.assert_close(got, torch.tensor([[1.0, -1.0, -1.0, 1.0]]), rtol=1e-3, atol=0)
    got = centred_advantages(torch.tensor([[1.0, 0.0, 0.0, 0.0]]))
    torch.testing.assert_close(got, torch.tensor([[0.75, -0.25, -0.25, -0.25]]))


@pytest.mark.parametrize("right, factor", [(8, 2.0), (1, 4.13)])
def test_dividing_by_the_deviation_weighs_hard_questions_more_as_published(right, factor):
    rewards = torch.zeros(1, 16)
    rewards[0, :right] = 1
    ratio = group_advantages(rewards) / centred_advantages(rewards)
    assert ratio.mean().item() == pytest.approx(factor, rel=2e-3)


def test_advantages_of_a_group_sum_to_0_and_have_deviation_1():
    rewards = torch.randn(5, 7, generator=torch.Generator().manual_seed(0))
    a = group_advantages(rewards)
    torch.testing.assert_close(a.sum(-1), torch.zeros(5), atol=1e-5, rtol=0)
    torch.testing.assert_close(a.std(-1, correction=0), torch.ones(5), atol=1e-3, rtol=0)
    moved = group_advantages(3 * rewards + 7)
    torch.testing.assert_close(a, moved, atol=1e-3, rtol=0)


def test_another_group_does_not_matter():
    rewards = torch.tensor([[1.0, 0.0, 0.0], [5.0, 9.0, 2.0]])
    alone = group_advantages(rewards[:1])
    assert torch.equal(group_advantages(rewards)[:1], alone)


@pytest.mark.parametrize("advantages", [group_advantages, centred_advantages])
def test_a_group_of_one_and_equal_rewards_teach_exactly_nothing(advantages):
    assert advantages(torch.tensor([[3.0], [-1.0]])).eq(0).all()
    assert advantages(torch.full((2, 7), 0.1)).eq(0).all()
    assert flat_groups(torch.tensor([[1.0, 1.0], [0.0, 1.0]])).tolist() == [True, False]


def test_process_supervision_by_hand():
    # two rollouts of one question; steps of reward 1, 0 and 0, 1, -: mean 1/2, deviation 1/2
    rewards = torch.tensor([[1.0, 0.0], [1.0, 99.0]])
    ends = torch.tensor([[1, 3], [2, -1]])
    mask = torch.ones(2, 4, dtype=torch.bool)
    mask[1, 3] = False
    got = process_advantages(rewards, ends, mask, group=2)
    # three steps 1, 0, 1: mean 2/3, deviation sqrt(2)/3, so 0.7071, -1.4142, 0.7071
    a, b = 0.70711, -1.41421
    expected = torch.tensor([[a + b, a + b, b, b], [a, a, a, 0.0]])
    torch.testing.assert_close(got, expected, atol=1e-3, rtol=0)


def test_process_supervision_with_one_step_a_rollout_is_outcome_supervision():
    rewards = torch.tensor([0.0, 1.0, 0.0, 0.0])
    mask = torch.ones(4, 3, dtype=torch.bool)
    outcome = over_tokens(group_advantages(rewards.view(1, 4)).flatten(), mask)
    process = process_advantages(rewards[:, None], torch.full((4, 1), 2), mask, group=4)
    torch.testing.assert_close(process, outcome, atol=1e-5, rtol=1e-3)


def test_equal_steps_teach_nothing():
    got = process_advantages(
        torch.full((2, 2), 0.3), torch.tensor([[0, 1], [0, -1]]), torch.ones(2, 3).bool(), group=2
    )
    assert got.eq(0).all()


# --- the loss


def inputs(n=3, t=5, seed=0):
    g = torch.Generator().manual_seed(seed)
    logp = -torch.rand(n, t, generator=g) - 0.1
    mask = torch.ones(n, t, dtype=torch.bool)
    mask[0, 3:] = False
    advantages = over_tokens(torch.tensor([1.0, -2.0, 0.5])[:n], mask)
    return logp.requires_grad_(), logp.detach().clone(), advantages, mask


def test_on_policy_the_gradient_is_that_of_reinforce():
    logp, old, advantages, mask = inputs()
    policy_loss(logp, old, advantages, mask).loss.backward()
    lengths = mask.sum(-1, keepdim=True)
    by_hand = -(advantages / lengths / 3).where(mask, 0.0)
    torch.testing.assert_close(logp.grad, by_hand)

    logp2 = logp.detach().clone().requires_grad_()
    reinforce = -((advantages * logp2).where(mask, 0).sum(-1) / lengths[:, 0]).mean()
    reinforce.backward()
    torch.testing.assert_close(logp.grad, logp2.grad)


def test_padding_never_leaks_not_even_nan():
    logp, old, advantages, mask = inputs()
    clean = policy_loss(logp, old, advantages, mask, logp_ref=old - 0.1, kl_weight=0.3)
    for bad in (math.nan, math.inf, -math.inf):
        dirty = [x.detach().clone() for x in (logp, old, advantages, old - 0.1)]
        for x in dirty:
            x[~mask] = bad
        dirty[0].requires_grad_()
        again = policy_loss(*dirty[:3], mask, logp_ref=dirty[3], kl_weight=0.3)
        assert again.loss == clean.loss and again.kl == clean.kl and again.clipped == clean.clipped
        again.loss.backward()
        assert dirty[0].grad.isfinite().all() and dirty[0].grad[~mask].eq(0).all()


@pytest.mark.parametrize(
    "ratio, advantage, flows",
    [(1.3, 1.0, False), (1.3, -1.0, True), (0.7, 1.0, True), (0.7, -1.0, False),
     (1.1, 1.0, True), (0.9, -1.0, True), (1.3, 0.0, False)],
)  # fmt: skip
def test_the_clip_removes_the_gradient_on_the_side_the_advantage_points_to(ratio, advantage, flows):
    logp = torch.tensor([[math.log(ratio)]], requires_grad=True)
    mask = torch.ones(1, 1, dtype=torch.bool)
    out = policy_loss(logp, torch.zeros(1, 1), torch.tensor([[advantage]]), mask)
    out.loss.backward()
    assert bool(logp.grad.abs().max() > 0) == flows
    if flows:
        assert logp.grad.item() == pytest.approx(-advantage * ratio)
    assert out.clipped.item() == float(not flows and advantage != 0)


@pytest.mark.parametrize("gap", [30.0, 100.0, 5000.0])
def test_a_ratio_beyond_all_numbers_leaves_a_loss(gap):
    """An advantage of 0 times a ratio of inf would be no number, and would end the run."""
    logp = torch.tensor([[-0.1, -0.1]], requires_grad=True)
    old = torch.tensor([[-0.1 - gap, -0.1]])
    out = policy_loss(logp, old, torch.zeros(1, 2), torch.ones(1, 2, dtype=torch.bool))
    out.loss.backward()
    assert out.loss == 0 and logp.grad.eq(0).all()


def test_the_clipped_share_counts_tokens():
    old = torch.zeros(2, 3)
    mask = torch.tensor([[True, True, True], [True, False, False]])
    logp = torch.tensor([[0.5, 0.0, 0.0], [0.0, 9.0, 9.0]])
    out = policy_loss(logp, old, over_tokens(torch.ones(2), mask), mask)
    assert out.clipped.item() == 0.25


def test_the_loss_by_hand():
    # one rollout, one token: ratio 1.1, advantage 2, reference half as likely
    logp, old = torch.tensor([[math.log(0.55)]]), torch.tensor([[math.log(0.5)]])
    ref, mask = torch.tensor([[math.log(0.275)]]), torch.ones(1, 1, dtype=torch.bool)
    out = policy_loss(logp, old, torch.tensor([[2.0]]), mask, logp_ref=ref, kl_weight=0.04)
    kl = 0.5 - math.log(0.5) - 1
    assert out.loss.item() == pytest.approx(-(2 * 1.1 - 0.04 * kl), rel=1e-5)
    assert out.kl.item() == pytest.approx(kl, rel=1e-5)


def test_the_estimate_of_the_kl_is_never_negative_and_right_on_average():
    p = torch.tensor([0.5, 0.3, 0.2])
    q = torch.tensor([0.2, 0.2, 0.6])
    each = k3((q / p).log())
    assert (each >= 0).all() and k3(torch.zeros(1)).item() == 0
    torch.testing.assert_close((p * each).sum(), (p * (p / q).log()).sum())


def test_three_averages_of_one_set_of_tokens_by_hand():
    x = torch.tensor([[1.0, 1.0, 1.0, 1.0], [3.0, 7.0, 7.0, 7.0]])
    mask = torch.tensor([[True, True, True, True], [True, False, False, False]])
    assert mean_of_rollouts(x, mask).item() == 2.0  # (1 + 3) / 2
    assert mean_of_tokens(x, mask).item() == pytest.approx(7 / 5)  # DAPO
    assert sum_over(10)(x, mask).item() == pytest.approx((4 + 3) / 10 / 2)  # Dr. GRPO


def test_a_long_wrong_answer_costs_grpo_less_per_token_and_dr_grpo_as_much():
    mask = torch.tensor([[True] * 8, [True] * 2 + [False] * 6])
    logp = torch.zeros(2, 8, requires_grad=True)
    minus = over_tokens(torch.tensor([-1.0, -1.0]), mask)
    for variant, ratio in ((GRPO, 4.0), (dr_grpo(8), 1.0), (DAPO, 1.0)):
        logp.grad = None
        policy_loss(logp, logp.detach(), minus, mask, average=variant.average).loss.backward()
        assert logp.grad[1, 0].item() / logp.grad[0, 0].item() == pytest.approx(ratio)


def test_the_variants_are_what_their_papers_say():
    assert DAPO.clip == (0.2, 0.28) and DAPO.kl_weight == 0 and DAPO.refill
    assert dr_grpo(9).kl_weight == 0 and dr_grpo(9).clip == GRPO.clip
    rewards = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    assert torch.equal(dr_grpo(9).advantages(rewards), centred_advantages(rewards))
    assert torch.equal(DAPO.advantages(rewards), group_advantages(rewards))
    assert GRPO.kl_weight == 0.001


def test_dapos_higher_clip_lets_rare_tokens_grow_further():
    mask = torch.ones(1, 1, dtype=torch.bool)
    for variant, clipped in ((GRPO, 1.0), (DAPO, 0.0)):
        logp = torch.tensor([[math.log(1.25)]])
        out = policy_loss(logp, torch.zeros(1, 1), torch.ones(1, 1), mask, clip=variant.clip)
        assert out.clipped.item() == clipped


def test_bad_settings_are_refused_by_name():
    mask = torch.tensor([[True], [False]])
    with pytest.raises(ValueError, match=r"rollouts \[1\] hold no written token"):
        mean_of_rollouts(torch.zeros(2, 1), mask)
    with pytest.raises(ValueError, match="budget=0"):
        sum_over(0)
    with pytest.raises(ValueError, match="clip="):
        Variant(name="x", clip=(2.0, 0.1))
    with pytest.raises(ValueError, match="kl_weight=-1"):
        Variant(name="x", kl_weight=-1)
    with pytest.raises(ValueError, match="group=0"):
        Settings(group=0)
    with pytest.raises(ValueError, match="temperature must be positive"):
        Settings(temperature=0.0)
    with pytest.raises(ValueError, match="do not fill"):
        Settings(prompts=1, group=2, minibatches=3)
    with pytest.raises(ValueError, match="start=5"):
        grpo(tiny(), ASK, CODEC, R1_ZERO, steps=3, start=5)


# --- rollouts


def mixed_prompts(n=6) -> list[Problem]:
    levels = ("add-1", "add-2", "expression")
    return [problems(levels[i % 3], seed=1)(i) for i in range(n)]


@pytest.mark.parametrize("temperature", [0.7, 1.0])
def test_log_probabilities_of_sampling_and_of_training_agree(temperature):
    model = tiny()
    scored = roll_out(
        model, mixed_prompts(), CODEC, R1_ZERO, group=3, max_new=9, temperature=temperature,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    learnt = scored.learnt
    now = distribution(model, learnt, temperature).logp
    assert (learnt.logp[learnt.mask] < -0.1).any()
    torch.testing.assert_close(now[learnt.mask], learnt.logp[learnt.mask], atol=1e-5, rtol=0)


def test_a_mixture_of_experts_with_latent_attention_agrees_as_well():
    model = mixture()
    scored = roll_out(model, mixed_prompts(), CODEC, R1_ZERO, group=2, max_new=8)
    now = distribution(model, scored.learnt)
    mask = scored.learnt.mask
    torch.testing.assert_close(now.logp[mask], scored.learnt.logp[mask], atol=1e-5, rtol=0)
    assert len(now.loads) == 1


def test_rows_begin_with_their_prompt_and_hold_what_was_written():
    model, several = tiny(), mixed_prompts()
    scored = roll_out(model, several, CODEC, R1_ZERO, group=2, max_new=9)
    for row, (problem, response) in enumerate(zip(scored.problems, scored.responses, strict=True)):
        tokens, mask = scored.learnt.tokens[row], scored.learnt.mask[row]
        assert CODEC.decode(scored.learnt.targets[row][mask].tolist()) == response
        text = asked(problem) + response
        assert CODEC.decode(tokens.tolist()).startswith(text)
    assert scored.problems[::2] == tuple(several)


def test_rewards_are_fp32_whatever_dtype_is_the_default(double_by_default):
    scored = roll_out(tiny(), mixed_prompts(), CODEC, R1_ZERO, group=2, max_new=3)
    assert {scored.rewards.dtype, *(x.dtype for x in scored.parts.values())} == {torch.float32}


def test_some_rows_lose_the_columns_that_none_of_them_uses():
    model = tiny()
    learnt = roll_out(model, mixed_prompts(), CODEC, R1_ZERO, group=4, max_new=12).learnt
    short = learnt.mask.sum(-1).argsort()[:3]
    fewer = learnt.rows(short)
    assert fewer.mask.sum() == learnt.mask[short].sum()
    now, all_columns = distribution(model, fewer).logp, distribution(model, learnt).logp[short]
    torch.testing.assert_close(now[fewer.mask], all_columns[learnt.mask[short]], atol=1e-5, rtol=0)


def mixture() -> Transformer:
    c = shrink(preset("deepseek-v3"), dim=32, n_heads=4, n_layers=2, n_routed=8, vocab=80)
    model = Transformer(c)
    init_weights(model, 0.2, torch.Generator().manual_seed(0))
    return model


def tokens_read(model: Transformer, action) -> tuple[int, object]:
    """How many tokens a model reads in an action, and what the action returns."""
    counted: list[int] = []
    hook = model.embed.register_forward_hook(lambda _m, args, _y: counted.append(args[0].numel()))
    result = action()
    hook.remove()
    return sum(counted), result


def loads_of_what_is_read(learnt, output) -> tuple[torch.Tensor, ...]:
    """The loads of every layer, without what stands behind the last learnt target of a row."""
    real, n = learnt.read.flatten(), [routing.scores.shape[-1] for routing in output.routings]
    chosen = [routing.experts[real].flatten() for routing in output.routings]
    counts = [each.bincount(minlength=e) for each, e in zip(chosen, n, strict=True)]
    return tuple(each / each.sum() for each in counts)


@pytest.mark.parametrize("build", [lambda: tiny(), mixture], ids=["llama", "latent experts"])
@pytest.mark.parametrize("mixed", [False, True], ids=["equal prompts", "mixed prompts"])
def test_a_prompt_read_once_teaches_what_it_teaches_when_each_row_reads_it(build, mixed):
    model = build()
    ask = mixed_prompts() if mixed else [problems("add-2", seed=1)(i) for i in range(3)]
    chance = torch.Generator().manual_seed(0)
    learnt = roll_out(model, ask, CODEC, R1_ZERO, group=8, max_new=6, generator=chance).learnt
    some = learnt.rows(torch.randperm(len(learnt.tokens), generator=chance)[:20])
    weights = torch.randn(some.targets.shape, generator=chance)

    def gradients(logp):
        every = torch.autograd.grad((logp * weights).sum(), list(model.parameters()))
        return torch.cat([g.flatten() for g in every])

    n, once = tokens_read(model, lambda: distribution(model, some, 0.8))
    whole = model(some.tokens[:, :-1], last=some.targets.shape[1])
    logp = token_logp(whole.logits, some.targets, 0.8)
    torch.testing.assert_close(once.logp, logp)
    taught = gradients(logp)
    largest_gap = (gradients(once.logp) - taught).abs().max()
    assert largest_gap < 1e-5 * taught.abs().max()
    torch.testing.assert_close(once.loads, loads_of_what_is_read(some, whole))
    assert n < 0.9 * some.tokens[:, :-1].numel()


def test_prompts_that_come_once_are_read_in_one_pass():
    model = mixture()
    learnt = roll_out(model, mixed_prompts(), CODEC, R1_ZERO, group=1, max_new=6).learnt
    n, once = tokens_read(model, lambda: distribution(model, learnt))
    assert n == learnt.tokens[:, :-1].numel() and not learnt.read.all()
    whole = model(learnt.tokens[:, :-1])
    torch.testing.assert_close(once.loads, loads_of_what_is_read(learnt, whole))


def test_beginnings_by_hand():
    different, which = beginnings(torch.tensor([[3, 4], [1, 2], [3, 4], [3, 5]]))
    assert different.tolist() == [[3, 4], [1, 2], [3, 5]] and which.tolist() == [0, 1, 0, 2]


def test_entropy_is_that_of_the_whole_distribution():
    model = tiny()
    learnt = roll_out(model, mixed_prompts(3), CODEC, R1_ZERO, group=2, max_new=4).learnt
    got = distribution(model, learnt)
    logits = model(learnt.tokens[:, :-1], last=learnt.targets.shape[1]).logits
    expected = torch.distributions.Categorical(logits=logits).entropy()
    torch.testing.assert_close(got.entropy, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(got.logp, token_logp(logits, learnt.targets))
    assert not got.entropy.requires_grad and got.logp.requires_grad


def test_rewards_are_weighted_sums_and_every_rule_is_kept():
    def loud(problem, response):
        return float(len(response) % 3)

    rules = {"a": Weighed(loud, 2.0), "b": Weighed(accuracy, 0.0)}
    scored = roll_out(tiny(), mixed_prompts(), CODEC, rules, group=2, max_new=5)
    torch.testing.assert_close(scored.rewards, 2 * scored.parts["a"])
    assert scored.parts["a"].tolist() == [len(r) % 3 for r in scored.responses]


def test_joined_rollouts_keep_their_rows():
    model = tiny()
    parts = [
        roll_out(model, mixed_prompts(3)[:k], CODEC, R1_ZERO, group=2, max_new=n)
        for k, n in ((1, 4), (3, 9))
    ]
    both = joined(parts)
    assert both.responses == parts[0].responses + parts[1].responses
    assert both.learnt.mask.sum() == sum(p.learnt.mask.sum() for p in parts)
    assert len(both.rewards) == 8


def test_joined_rollouts_of_longer_and_shorter_prompts_keep_their_probabilities():
    """Targets of all begin behind the shortest prompt: what was sampled is what is predicted."""
    model = tiny()
    short, long = Problem("1+2", "3", "add-1"), Problem("12+34", "46", "add-2")
    parts = [
        roll_out(model, [p], CODEC, R1_ZERO, group=2, max_new=n) for p, n in ((short, 6), (long, 4))
    ]
    firsts = {p.learnt.tokens.shape[1] - p.learnt.targets.shape[1] for p in parts}
    assert len(firsts) == 2
    both = joined(parts).learnt
    now = distribution(model, both).logp
    torch.testing.assert_close(now[both.mask], both.logp[both.mask], atol=1e-5, rtol=1e-4)
    assert both.mask.sum() == sum(p.learnt.mask.sum() for p in parts)


def test_without_padding_nothing_is_moved():
    written = generate(tiny(), [[8, 9], [10, 11]], 5)
    learnt = aligned(written)
    assert torch.equal(learnt.tokens, written.tokens)
    assert torch.equal(learnt.targets, written.tokens[:, 2:])


# --- the loop


def test_a_step_tells_what_the_watcher_and_the_plots_want():
    steps = list(grpo(tiny(), ASK, CODEC, R1_ZERO, steps=2, settings=small()))
    assert [s.i for s in steps] == [0, 1]
    for s in steps:
        assert {"reward", "accuracy", "form", "worked", "length", "entropy", "kl", "clipped",
                "flat_groups"} == set(s.parts)  # fmt: skip
        assert all(map(math.isfinite, [s.loss, s.grad_norm, *s.parts.values()]))
        assert s.tokens > 0 and s.tokens_per_second > 0 and len(s.examples) >= 1
        assert 0 < s.parts["length"] <= 7


def test_a_run_is_a_function_of_its_seed():
    def weights(seed):
        model = tiny()
        list(grpo(model, ASK, CODEC, lengths(), steps=2, settings=small(), seed=seed))
        return torch.cat([p.flatten() for p in model.parameters()])

    assert torch.equal(weights(3), weights(3))
    assert not torch.equal(weights(3), weights(4))


def lengths():
    """A reward that a tiny model can learn: short answers."""
    return {
        "short": Weighed(lambda p, r: float(len(r) < 12), 1.0),
        "accuracy": Weighed(accuracy, 0.0),
    }


def test_a_stopped_run_goes_on_as_if_it_had_not_stopped():
    whole, first = tiny(), tiny()
    list(grpo(whole, ASK, CODEC, lengths(), steps=4, settings=small()))
    reference = copy.deepcopy(first)
    optimizer = optimizer_for(first, small())
    how = {"settings": small(), "reference": reference, "optimizer": optimizer}
    for step in grpo(first, ASK, CODEC, lengths(), steps=4, **how):
        if step.i == 1:
            break
    second = copy.deepcopy(first)
    restored = optimizer_for(second, small())
    restored.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    how = {"settings": small(), "reference": reference, "optimizer": restored}
    list(grpo(second, ASK, CODEC, lengths(), steps=4, start=2, **how))
    for a, b in zip(whole.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


def test_equal_rewards_move_no_weight():
    model = tiny()
    before = [p.clone() for p in model.parameters()]
    same = {"same": Weighed(lambda p, r: 1.0, 1.0)}
    variant = Variant(name="no KL", kl_weight=0.0)
    for step in grpo(model, ASK, CODEC, same, steps=2, settings=small(variant=variant)):
        assert step.parts["flat_groups"] == 1.0 and step.grad_norm == 0
    assert all(map(torch.equal, before, model.parameters()))


def test_a_group_of_one_moves_no_weight():
    model = tiny()
    before = [p.clone() for p in model.parameters()]
    how = small(group=1, prompts=4, variant=Variant(name="no KL", kl_weight=0.0))
    list(grpo(model, ASK, CODEC, lengths(), steps=2, settings=how))
    assert all(map(torch.equal, before, model.parameters()))


@pytest.mark.parametrize("variant", [GRPO, DAPO, dr_grpo(7)], ids=lambda v: v.name)
def test_every_variant_learns_to_answer_shortly(variant):
    model = tiny()
    how = small(prompts=8, group=8, lr=2e-2, variant=variant)
    steps = list(grpo(model, ASK, CODEC, lengths(), steps=25, settings=how))
    first, last = (sum(s.parts["short"] for s in part) / 5 for part in (steps[:5], steps[-5:]))
    assert last > first + 0.2


def test_dapo_replaces_flat_groups_and_the_others_keep_them():
    asked_for = {}
    for variant in (GRPO, DAPO):
        numbers = []

        def ask(i, numbers=numbers):
            numbers.append(i)
            return ASK(i)

        list(grpo(tiny(), ask, CODEC, R1_ZERO, steps=2, settings=small(variant=variant)))
        asked_for[variant.name] = numbers
    assert asked_for["GRPO"] == list(range(6))
    assert asked_for["DAPO"] == list(range(18))  # a random model: every group is flat


def test_dapo_asks_no_more_than_once_where_no_group_is_flat():
    numbers, rewards = [], itertools.count()

    def ask(i):
        numbers.append(i)
        return ASK(i)

    rules = {"another": Weighed(lambda *_: float(next(rewards)), 1.0)}
    list(grpo(tiny(), ask, CODEC, rules, steps=1, settings=small(variant=DAPO)))
    assert numbers == [0, 1, 2]


def test_the_kl_is_that_from_the_reference_and_a_fresh_reference_has_none():
    how = small(minibatches=1)
    step = next(grpo(tiny(), ASK, CODEC, lengths(), steps=1, settings=how))
    assert step.parts["kl"] == pytest.approx(0, abs=1e-5)
    other = tiny(seed=5)
    step = next(grpo(tiny(), ASK, CODEC, lengths(), steps=1, settings=how, reference=other))
    assert step.parts["kl"] > 0.01


def test_the_reference_is_refreshed_when_its_time_has_come():
    model, reference = tiny(), tiny(seed=5)
    how = small(refresh=2, lr=1e-6, minibatches=1)
    kl = [
        s.parts["kl"]
        for s in grpo(model, ASK, CODEC, lengths(), steps=3, settings=how, reference=reference)
    ]
    assert kl[0] > 0.01 and kl[1] > 0.01 and kl[2] < 1e-4


def test_one_update_is_on_policy_and_later_ones_of_the_same_answers_are_not():
    clipped = []
    for epochs in (1, 4):
        how = small(prompts=4, group=8, minibatches=1, epochs=epochs, lr=5e-2)
        rules = {"long": Weighed(lambda p, r: len(r) / 40, 1.0)}
        step = next(grpo(tiny(), ASK, CODEC, rules, steps=1, settings=how))
        clipped.append(step.parts["clipped"])
    assert clipped[0] == 0 and clipped[1] > 0


def test_an_update_that_would_ruin_the_weights_is_not_made():
    model, reference = tiny(), tiny()
    with torch.no_grad():
        reference.head.weight.fill_(math.nan)
    before = [p.clone() for p in model.parameters()]
    with pytest.raises(Diverged, match="weights are those of the update before"):
        list(grpo(model, ASK, CODEC, lengths(), steps=1, settings=small(), reference=reference))
    assert all(map(torch.equal, before, model.parameters()))


# --- the exam


def test_majority_follows_the_most_frequent_answer():
    p = Problem("3+4", "7", "add-1")
    texts = [told("", a) for a in ("7", "8", "8", "7", "7")]
    assert majority(p, texts) and not majority(p, texts[:3])
    assert majority(p, ["nonsense"] * 9 + [told("", " 7 ")])
    assert not majority(p, ["nonsense"])
    assert majority(p, [told("", a) for a in ("8", "7", " 7")])  # two votes for one answer


def test_right_once_in_k_by_hand():
    assert pass_at(1, 4, 16) == pytest.approx(0.25)
    assert pass_at(16, 1, 16) == 1 and pass_at(16, 0, 16) == 0
    assert pass_at(2, 1, 4) == pytest.approx(0.5)  # the right one is in 3 of 6 pairs
    with pytest.raises(ValueError, match="ask for k"):
        pass_at(5, 1, 4)


def test_an_exam_of_a_random_model():
    e = exam(tiny(), [ASK(i) for i in range(4)], CODEC, samples=3, max_new=6)
    assert e.pass_at_1 == e.greedy == e.majority == e.pass_at_k == 0 and e.k == 3
    assert 0 < e.length <= 6
    assert e.numbers() == {name: getattr(e, name) for name in e._fields if name != "k"}


# --- the toy


def test_the_toy_reads_and_practises():
    recipe = Recipe(
        dim=16, hidden=24, reading=3, practice=2,
        settings=Settings(prompts=2, group=2, max_new=20),
    )  # fmt: skip
    model = newborn(recipe, seed=0)
    assert len(list(read_lessons(model, recipe, seed=0))) == 3
    assert [s.i for s in practise(model, recipe, seed=0)] == [0, 1]


def test_the_toys_test_questions_are_in_none_of_its_lessons():
    recipe = Recipe()
    tested = {asked(p) for p in questions(recipe)}
    text, ask = lesson(recipe.lessons, seed=0), problems(recipe.lessons.level, seed=0)
    n = recipe.settings.prompts * recipe.practice
    assert not tested & {text(i)[0] for i in range(1000)}
    assert not tested & {asked(ask(i)) for i in range(n)}
    assert recipe.settings.max_new >= max(
        len(CODEC.encode(text(i)[1], special=True)) for i in range(1000)
    )


def test_equal_steps_teach_nothing_where_their_mean_is_off_in_the_last_digit():
    one = torch.ones(7, 1)
    assert process_advantages(0.1 * one, 0 * one.long(), one.bool(), group=7).eq(0).all()


def test_the_first_update_is_on_policy_at_every_temperature():
    how = small(temperature=0.6, minibatches=1)
    step = next(grpo(tiny(), ASK, CODEC, lengths(), steps=1, settings=how))
    assert step.parts["clipped"] == 0 and step.parts["kl"] == pytest.approx(0, abs=1e-5)


def test_every_step_asks_questions_of_its_own():
    numbers = []

    def ask(i):
        numbers.append(i)
        return ASK(i)

    list(grpo(tiny(), ask, CODEC, R1_ZERO, steps=3, settings=small()))
    assert numbers == list(range(9))


def test_every_step_draws_answers_of_its_own():
    how = small(lr=0.0)  # the policy stays, and so does the question
    one, two = grpo(tiny(), lambda i: ASK(0), CODEC, R1_ZERO, steps=2, settings=how)
    assert one.examples != two.examples


def test_the_rate_of_practice_is_the_lower_of_warm_up_and_schedule():
    steps = grpo(
        tiny(), ASK, CODEC, lengths(), steps=4, settings=small(lr=0.01, warmup=2),
        schedule=lambda i: 0.8 if i < 3 else 0.2,
    )  # fmt: skip
    assert [step.lr for step in steps] == pytest.approx([0.005, 0.008, 0.008, 0.002])


def test_the_reference_holds_no_gradients():
    reference = tiny(seed=5)
    next(grpo(tiny(), ASK, CODEC, lengths(), steps=1, settings=small(), reference=reference))
    assert all(p.grad is None for p in reference.parameters())


def test_the_gradient_of_practice_is_clipped_and_told_as_it_was():
    model, how = tiny(), small(minibatches=1, grad_clip=1e-3)
    step = next(grpo(model, ASK, CODEC, lengths(), steps=1, settings=how))
    left = torch.stack([p.grad.norm() for p in model.parameters()]).norm()
    assert step.grad_norm > 2e-3 and left.item() == pytest.approx(1e-3, rel=1e-3)


def rows_of_updates(monkeypatch, gains, n_prompts, s):
    """Which rollouts each update gets, by the advantages they were given."""
    seen = []

    def told(_model, _reference, _optimizer, _learnt, advantages, *_):
        seen.append(advantages[:, 0].tolist())
        return torch.zeros(5)

    monkeypatch.setattr(update, "_update", told)
    model, several = tiny(), mixed_prompts(n_prompts)
    learnt = roll_out(model, several, CODEC, R1_ZERO, group=4, max_new=5).learnt
    update.learn(
        model, None, optimizer_for(model, s), learnt, gains[:, None].expand(learnt.mask.shape),
        s, 1e-3, torch.Generator().manual_seed(0), "plain",
    )  # fmt: skip
    return seen


def test_minibatches_mix_the_answers_anew_in_every_epoch(monkeypatch):
    gains = torch.arange(1.0, 13.0)
    seen = rows_of_updates(monkeypatch, gains, 3, small(minibatches=2, epochs=2))
    first, second = seen[0] + seen[1], seen[2] + seen[3]
    assert sorted(first) == sorted(second) == gains.tolist()
    assert gains.tolist() != first != second


def test_dapo_learns_from_as_many_groups_as_it_was_to_ask_and_no_more(monkeypatch):
    gains = torch.arange(20.0).div(4, rounding_mode="floor")  # five groups, the first is flat
    (only,) = rows_of_updates(monkeypatch, gains, 5, small(variant=DAPO, minibatches=1))
    assert sorted(only) == [1.0] * 4 + [2.0] * 4 + [3.0] * 4


def test_an_exam_by_hand(monkeypatch):
    several = [Problem("3+4", "7", "add-1"), Problem("2+2", "4", "add-1"),
               Problem("1+1", "2", "add-1")]  # fmt: skip
    likeliest = [told("", answer) for answer in "755"]
    drawn = [told("seven" if i == 2 else "", a) for i, a in enumerate("877955468888")]

    def written(_model, _prompts, _max_new, *, each, temperature, **_):
        assert (each, temperature) in ((1, 0.0), (4, 1.0))
        texts = likeliest if each == 1 else drawn
        return SimpleNamespace(answers=lambda: [CODEC.encode(t, special=True) for t in texts])

    monkeypatch.setattr("minids.rl.exam.generate", written)
    e = exam(tiny(), several, CODEC, samples=4)
    assert e.pass_at_1 == pytest.approx(3 / 12)  # 7 and 7; 4; none
    assert e.greedy == e.majority == pytest.approx(1 / 3)  # 7; 5; 8 are the most frequent
    assert e.pass_at_k == pytest.approx(2 / 3) and e.k == 4
    assert e.worked == pytest.approx(1 / 12)
    assert e.length == pytest.approx(6 + 1 / 12)  # four tags, answer, end; and one "seven"
