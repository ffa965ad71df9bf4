"""What lessons and answers cost: counted twice, and in proportion to what is thrown away."""

from dataclasses import replace

import pytest

from minids import accounting
from minids.presets import preset
from minids.study.distill_cost import Bill, answer, bill
from minids.study.distill_plan import Plan

TEACHER, STUDENT = Plan().recipe.config, Plan().student
HOW = {"answers": 10, "written": 40, "prompt": 7, "length": 20}


def made(arm: str, **changes: float) -> Bill:
    return bill(arm, TEACHER, STUDENT, **HOW | changes)


def test_an_answer_is_the_sum_of_its_tokens():
    reads = sum(accounting.flops_per_token(STUDENT, i, "prefill") for i in range(1, 8))
    writes = sum(accounting.flops_per_token(STUDENT, i, "decode") for i in range(8, 27))
    cost = answer(STUDENT, prompt=7, length=20)
    assert cost.flops == pytest.approx(reads + writes)
    assert cost.cache == 26 * accounting.cache_bytes(STUDENT)
    assert cost.tokens == 20


def test_a_latent_model_is_summed_as_well():
    r1 = preset("deepseek-r1")
    reads = sum(accounting.flops_per_token(r1, i, "prefill") for i in (1, 2))
    writes = sum(accounting.flops_per_token(r1, i, "decode") for i in (3, 4))
    assert answer(r1, prompt=2, length=3).flops == pytest.approx(reads + writes)


def test_one_token_after_one_token_is_one_pass():
    cost = answer(STUDENT, prompt=1, length=1)
    assert cost.flops == accounting.flops_per_token(STUDENT, 1, "prefill")


def test_verified_costs_more_by_what_was_thrown_away_alone():
    raw, verified = made("raw"), made("verified")
    assert verified.teacher_writes == pytest.approx(4 * raw.teacher_writes)
    assert verified._replace(teacher_writes=raw.teacher_writes) == raw
    assert made("verified", written=10) == raw


def test_soft_adds_what_the_teacher_reads_and_on_policy_lets_the_student_write():
    raw, soft, own = made("raw"), made("soft"), made("on-policy")
    assert soft._replace(teacher_reads=0.0) == raw and soft.teacher_reads > 0
    assert own.teacher_writes == 0 and own.teacher_reads == soft.teacher_reads
    assert own.student_writes == pytest.approx(10 * answer(STUDENT, prompt=7, length=20).flops)
    assert {b.student_learns for b in (raw, soft, own)} == {raw.student_learns}


def test_practice_alone_has_no_teacher_and_a_reference_beside_it():
    alone = made("RL")
    assert alone.teacher_writes == alone.teacher_reads == 0
    assert alone.student_learns == pytest.approx(made("raw").student_learns * 4 / 3)
    assert alone.total == alone.student_writes + alone.student_learns


def test_bills_add_up_and_grow_with_the_answers():
    both = made("raw").plus(made("RL"))
    assert both.total == pytest.approx(made("raw").total + made("RL").total)
    assert made("RL", answers=30).total == pytest.approx(3 * made("RL").total)


def test_a_larger_teacher_makes_its_own_part_dearer_alone():
    large = replace(TEACHER, dim=128, hidden=384)
    ours, theirs = made("raw"), bill("raw", large, STUDENT, **HOW)
    assert theirs.teacher_writes > ours.teacher_writes
    assert theirs.student_learns == ours.student_learns


def test_practice_is_planned_for_about_the_work_of_verified_lessons():
    plan = Plan()
    n = plan.tokens / 20
    lessons = made("verified", answers=n, written=n / 0.6)
    drawn = plan.practice * plan.settings.prompts * plan.settings.group
    assert made("RL", answers=drawn, length=8).total == pytest.approx(lessons.total, rel=0.15)


def test_what_cannot_be_counted_is_refused():
    with pytest.raises(ValueError, match="1 token"):
        answer(STUDENT, prompt=0, length=3)
    with pytest.raises(ValueError, match="no bill"):
        made("osmosis")
