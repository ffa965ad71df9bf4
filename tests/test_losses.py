"""Losses: numbers one can do on paper, a second way to each, and what must not matter."""

import math

import pytest
import torch
from torch.testing import assert_close

from minids.train.losses import (
    bits_per_byte,
    forward_kl,
    next_token,
    next_token_by_row,
    next_token_written_out,
    reverse_kl,
)


def random_batch(seed=0, b=3, t=5, v=11):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(b, t, v, generator=generator)
    targets = torch.randint(v, (b, t), generator=generator)
    mask = torch.rand(b, t, generator=generator) < 0.6
    return logits, targets, mask


def logits_of(*probabilities):
    return torch.tensor(probabilities).log()[None, None]


@pytest.mark.parametrize("vocab", [2, 1024, 102_400])
def test_a_uniform_guess_costs_the_logarithm_of_the_vocabulary(vocab):
    loss = next_token(torch.zeros(1, 2, vocab), torch.tensor([[0, vocab - 1]]))
    assert_close(loss, torch.tensor(math.log(vocab)))


def test_two_logits_by_hand():
    logits = torch.tensor([[[0.0, 1.0]]])
    e = math.e
    assert next_token(logits, torch.tensor([[1]])).item() == pytest.approx(-math.log(e / (1 + e)))
    assert next_token(logits, torch.tensor([[0]])).item() == pytest.approx(-math.log(1 / (1 + e)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_loss_is_its_formula_and_so_is_its_gradient(dtype):
    logits, targets, mask = random_batch()
    logits = logits.to(dtype)
    ours, formula = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    a, b = next_token(ours, targets, mask), next_token_written_out(formula, targets, mask)
    a.backward(), b.backward()
    assert_close(a, b)
    assert_close(ours.grad, formula.grad)


def test_the_gradient_is_probability_minus_one_at_the_target():
    logits, targets, _ = random_batch()
    logits.requires_grad_()
    next_token(logits, targets).backward()
    expected = logits.detach().softmax(-1) - torch.nn.functional.one_hot(targets, 11)
    assert_close(logits.grad, expected / targets.numel())


def test_raising_all_logits_of_a_token_changes_nothing():
    logits, targets, mask = random_batch()
    assert_close(next_token(logits + 7, targets, mask), next_token(logits, targets, mask))


def test_what_the_mask_leaves_out_does_not_matter():
    logits, targets, mask = random_batch()
    spoiled = logits.where(mask[..., None], 50.0), targets.where(mask, 3)
    assert_close(next_token(*spoiled, mask), next_token(logits, targets, mask))


def test_each_token_weighs_the_same_whichever_row_it_stands_in():
    logits, targets, _ = random_batch()
    mask = torch.zeros(3, 5, dtype=torch.bool)
    mask[0, :5] = mask[1, 0] = True
    each = next_token_by_row(logits, targets, mask)
    assert_close(next_token(logits, targets, mask), (5 * each[0] + each[1]) / 6)
    assert (next_token(logits, targets, mask) - each[:2].mean()).abs() > 1e-2


def test_a_row_in_which_nothing_counts_has_no_loss():
    logits, targets, _ = random_batch()
    mask = torch.tensor([[True] * 5, [False] * 5, [True] * 5])
    each = next_token_by_row(logits, targets, mask)
    assert each.isnan().tolist() == [False, True, False]
    assert_close(each[0], next_token(logits[:1], targets[:1]))


def test_the_parts_of_a_batch_add_up_to_its_mean():
    logits, targets, mask = random_batch(b=4)
    count = int(mask.sum())
    parts = [
        next_token(logits[rows], targets[rows], mask[rows], count=count)
        for rows in (slice(0, 1), slice(1, 4))
    ]
    assert_close(sum(parts), next_token(logits, targets, mask))


def test_a_part_in_which_nothing_counts_adds_nothing():
    logits, targets, mask = random_batch()
    logits.requires_grad_()
    loss = next_token(logits, targets, torch.zeros_like(mask), count=7)
    loss.backward()
    assert loss == 0 and not logits.grad.any()


def test_a_batch_in_which_nothing_counts_is_refused():
    logits, targets, mask = random_batch()
    with pytest.raises(ValueError, match="counts no token"):
        next_token(logits, targets, torch.zeros_like(mask))
    with pytest.raises(ValueError, match="counts no token"):
        forward_kl(logits, logits, torch.zeros_like(mask))


def test_bf16_logits_are_summed_in_float32():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 512, 4096, generator=generator).bfloat16()
    targets = torch.randint(4096, (1, 512), generator=generator)
    loss = next_token(logits, targets)
    assert loss.dtype == torch.float32
    assert_close(loss, next_token(logits.double().float(), targets), rtol=1e-6, atol=0)


def test_guessing_bytes_costs_eight_bits():
    assert bits_per_byte(math.log(256), 1.0) == pytest.approx(8)
    assert bits_per_byte(math.log(1024), 0.4) == pytest.approx(4)  # 10 bits for 2.5 bytes


def test_divergences_by_hand():
    p, q = logits_of(0.5, 0.5), logits_of(0.25, 0.75)
    p_from_q = 0.5 * math.log(2) + 0.5 * math.log(2 / 3)
    q_from_p = 0.25 * math.log(1 / 2) + 0.75 * math.log(3 / 2)
    assert forward_kl(student=q, teacher=p).item() == pytest.approx(p_from_q)
    assert reverse_kl(student=q, teacher=p).item() == pytest.approx(q_from_p)


@pytest.mark.parametrize("kl", [forward_kl, reverse_kl])
def test_what_is_never_said_costs_nothing(kl):
    never, even = torch.tensor([[[0.0, -torch.inf, 0.0]]]), torch.zeros(1, 1, 3)
    student, teacher = (even, never) if kl is forward_kl else (never, even)
    student.requires_grad_()
    loss = kl(student, teacher)
    assert loss.item() == pytest.approx(math.log(1.5))
    loss.backward()
    assert student.grad.isfinite().all()


@pytest.mark.parametrize("kl", [forward_kl, reverse_kl])
def test_a_divergence_is_zero_for_equals_and_positive_for_others(kl):
    student, _, mask = random_batch(0)
    teacher, _, _ = random_batch(1)
    assert_close(kl(student, student + 5, mask), torch.tensor(0.0), atol=1e-6, rtol=0)
    assert kl(student, teacher, mask) > 0.1


@pytest.mark.parametrize("kl", [forward_kl, reverse_kl])
def test_only_the_student_learns_and_only_where_the_mask_is(kl):
    student, _, mask = random_batch(0)
    teacher, _, _ = random_batch(1)
    student.requires_grad_(), teacher.requires_grad_()
    kl(student, teacher, mask).backward()
    assert teacher.grad is None
    assert ((student.grad.abs().sum(-1) > 0) == mask).all()


def test_forward_kl_pulls_the_student_to_the_teachers_probabilities():
    student, _, mask = random_batch(0)
    teacher, _, _ = random_batch(1)
    student.requires_grad_()
    forward_kl(student, teacher, mask).backward()
    pull = (student.detach().softmax(-1) - teacher.softmax(-1)).where(mask[..., None], 0)
    assert_close(student.grad, pull / mask.sum())


def test_a_hot_temperature_compares_logits_and_keeps_the_size_of_gradients():
    student, _, _ = random_batch(0)
    teacher, _, _ = random_batch(1)
    student.requires_grad_()
    forward_kl(student, teacher, temperature=1e3).backward()
    centred = [z - z.mean(-1, keepdim=True) for z in (student.detach(), teacher)]
    expected = (centred[0] - centred[1]) / student.shape[-1] / 15  # 15 tokens; arXiv 1503.02531
    assert_close(student.grad, expected, rtol=0.02, atol=1e-4)


def test_forward_covers_two_modes_and_reverse_picks_one():
    teacher = logits_of(0.495, 0.495, 0.01)
    broad, narrow = logits_of(0.3, 0.3, 0.4), logits_of(0.989, 0.001, 0.01)
    assert forward_kl(broad, teacher) < forward_kl(narrow, teacher)
    assert reverse_kl(broad, teacher) > reverse_kl(narrow, teacher)


@pytest.mark.parametrize("padding", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("kl", [forward_kl, reverse_kl])
def test_padding_that_is_no_number_reaches_neither_value_nor_gradient(kl, padding):
    mask = random_batch(0)[2]
    plain, broken = [], []
    for found, fill in ((plain, 0.0), (broken, padding)):
        student, teacher = (
            random_batch(seed)[0].masked_fill(~mask[..., None], fill) for seed in (0, 1)
        )
        student.requires_grad_()
        value = kl(student, teacher, mask)
        value.backward()
        found += [value.detach(), student.grad]
    assert all(torch.equal(a, b) for a, b in zip(plain, broken, strict=True))


def test_a_temperature_of_zero_is_refused():
    with pytest.raises(ValueError, match="must be positive"):
        reverse_kl(torch.zeros(1, 1, 2), torch.zeros(1, 1, 2), temperature=0.0)


@pytest.mark.parametrize("kl", [forward_kl, reverse_kl])
def test_a_mask_that_counts_all_changes_nothing_at_any_temperature(kl):
    student, _, mask = random_batch(0)
    teacher, _, _ = random_batch(1)
    for temperature in (0.5, 1.0, 3.0):
        masked = kl(student, teacher, torch.ones_like(mask), temperature=temperature)
        assert_close(masked, kl(student, teacher, temperature=temperature))


@pytest.mark.parametrize("kl", [forward_kl, reverse_kl])
def test_divergences_of_bf16_logits_are_taken_in_float32(kl):
    student, teacher = (random_batch(seed, v=997)[0].bfloat16() for seed in (0, 1))
    found = kl(student, teacher)
    assert found.dtype == torch.float32
    assert_close(found, kl(student.float(), teacher.float()), rtol=1e-6, atol=0)
