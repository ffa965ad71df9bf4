"""Chapter 12's arms: who learns from what, with equal budgets, and never from an exam."""

from dataclasses import replace

import pytest
import torch

from minids import accounting
from minids.rl.traces import Collected
from minids.rl.zero import questions
from minids.study import distill_arms, distill_lab
from minids.study.distill_arms import ARMS, LADDER, Cast
from minids.study.distill_plan import Plan, tiny
from minids.study.results import Results
from minids.text.arithmetic import is_held_out

PLAN = tiny()


@pytest.fixture(scope="module")
def who() -> Cast:
    return distill_arms.cast(PLAN, seed=0)


def weights(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_the_student_is_dense_smaller_and_shares_its_key_heads():
    teacher, student = Plan().recipe.config, Plan().student
    assert student.moe is None
    assert student.attention.n_kv_heads < student.attention.n_heads
    ratio = accounting.parameters(student).total / accounting.parameters(teacher).total
    assert 0.5 < ratio < 0.6
    assert student.vocab == teacher.vocab


def test_no_lesson_asks_what_an_exam_asks():
    ask = distill_arms.ask(Plan(), 0)
    assert not any(is_held_out(ask(i)) for i in range(300))
    assert all(is_held_out(problem) for problem in questions(Plan().recipe, 50, seed=0))


def test_every_arm_begins_with_the_same_student_and_changes_nobody(who):
    before = weights(who.student), weights(who.teacher)
    ends = {arm: weights(distill_arms.run(arm, PLAN, who, seed=0)) for arm in ARMS}
    assert torch.equal(before[0], weights(who.student))
    assert torch.equal(before[1], weights(who.teacher))
    assert torch.equal(ends["student"], before[0]) and torch.equal(ends["teacher"], before[1])
    for arm in LADDER:  # practice may find nothing to reward, and then moves nothing
        assert not torch.equal(ends[arm], before[0]), arm
    assert len({tuple(ends[arm][:50].tolist()) for arm in ("raw", "soft", "on-policy")}) == 3


def test_the_beginner_is_the_student_and_practises_as_its_arm_does(who):
    student, practised = distill_arms.beginner(PLAN, seed=0)
    assert torch.equal(weights(student), weights(who.student))
    assert practised == distill_arms.test(distill_arms.run("RL", PLAN, who, seed=0), PLAN, seed=0)


def test_raw_and_verified_differ_in_what_is_read_alone(who):
    read = who.collected
    raw, verified = read.raw, read.raw[::-1]
    other = who._replace(collected=read._replace(verified=verified))
    one = weights(distill_arms.run("raw", PLAN, other, seed=0))
    two = weights(distill_arms.run("verified", PLAN, other, seed=0))
    assert not torch.equal(one, two)
    same = who._replace(collected=read._replace(verified=raw))
    assert torch.equal(one, weights(distill_arms.run("verified", PLAN, same, seed=0)))


def test_the_four_kinds_learn_from_the_same_number_of_tokens(who):
    spent = {}
    for arm in ("soft", "on-policy"):
        model = distill_arms.student(PLAN, seed=0)
        steps = list(distill_arms.learning(arm, model, PLAN, who, seed=0))
        spent[arm] = sum(s.parts["learnt"] for s in steps)
    for chosen in (who.collected.raw, who.collected.verified):
        assert PLAN.tokens <= sum(len(t.response) for t in chosen) < PLAN.tokens + 40
    assert PLAN.tokens <= spent["on-policy"] < PLAN.tokens + PLAN.batch * 40
    # the last batch of one pass may be filled up with answers that were read
    assert PLAN.tokens <= spent["soft"] < PLAN.tokens + PLAN.batch * 40


def test_three_times_the_practice_is_three_times_as_many_steps(who, monkeypatch):
    asked = []
    practising = distill_arms.practising

    def watched(model, plan, steps, **how):
        asked.append(steps)
        return practising(model, plan, 1, **how)

    monkeypatch.setattr(distill_arms, "practising", watched)
    for arm in ("RL", "RL x 3", "raw, then RL", "raw"):
        distill_arms.run(arm, replace(PLAN, practice=2), who, seed=0)
    assert asked == [2, 6, 2]


def test_an_unknown_arm_is_refused_with_those_there_are(who):
    with pytest.raises(ValueError, match="on-policy"):
        distill_arms.run("hard", PLAN, who, seed=0)


def test_a_judged_teacher_of_a_few_steps_has_nothing_to_give():
    model = distill_arms.student(PLAN, seed=0)
    with pytest.raises(ValueError, match="better teacher"):
        distill_arms.collected(replace(PLAN, judged=True, tokens=60), model, seed=0)


def test_a_seed_gives_the_numbers_of_every_arm_and_they_can_be_sorted_by_arm():
    small = replace(PLAN, tokens=100, problems=2)
    flat = distill_lab.everything(0, small)
    values = {"ladder": {name: (value, value) for name, value in flat.items()}}
    results = distill_lab.by_arm(Results(seeds=(0, 1), values=values, machine="m"))
    assert results.arms[0] == "raw" and set(results.arms) == set(ARMS)
    assert results.of("soft", "greedy") == (flat["soft: greedy"],) * 2
    assert results.of("verified", "thrown away") == (flat["thrown away"],) * 2
    assert results.of("raw", "thrown away") == (0.0, 0.0)


def test_the_stored_seeds_show_what_the_chapter_says():
    stored = distill_lab.stored()
    assert len(stored.seeds) >= 3 and set(stored.arms) == set(ARMS)
    alone = max(*stored.of("RL"), *stored.of("RL x 3"))
    assert min(min(stored.of(arm)) for arm in LADDER) > 1.5 * alone
    pairs = zip(stored.of("verified"), stored.of("raw"), strict=True)
    assert all(v > r + 0.1 for v, r in pairs)
    assert all(0 < share < 1 for share in stored.of("verified", "thrown away"))


def test_collected_counts_what_was_thrown_away():
    assert Collected([], [], 100, 8, 2).thrown_away == 0.75
