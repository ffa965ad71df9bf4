"""Haystacks: filler follows its rule, needles lie where they should, nothing answers by itself."""

import pytest
import torch

from minids.model.transformer import Transformer
from minids.study import needle
from minids.study.recall import toy


def filler(rows=50, length=301, seed=0):
    return needle.filler(rows, length, torch.Generator().manual_seed(seed))


def test_filler_follows_its_rule_as_often_as_said():
    tokens = filler()
    follows = needle.RULE[tokens[:, : -needle.BACK]] == tokens[:, needle.BACK :]
    by_chance = (1 - needle.FAITHFUL) / needle.N_FILLER
    assert follows.float().mean() == pytest.approx(needle.FAITHFUL + by_chance, abs=0.01)


def test_filler_uses_all_its_tokens_evenly():
    shares = torch.bincount(filler().flatten(), minlength=needle.N_FILLER) / filler().numel()
    assert shares.shape == (needle.N_FILLER,)
    assert shares.min() > 0.5 / needle.N_FILLER and shares.max() < 2 / needle.N_FILLER


def test_a_token_says_nothing_of_the_one_just_before():
    tokens = filler(200)
    pairs = tokens[:, :-1] * needle.N_FILLER + tokens[:, 1:]
    joint = torch.bincount(pairs.flatten(), minlength=needle.N_FILLER**2) / pairs.numel()
    assert joint.max() < 3 / needle.N_FILLER**2


def test_no_model_can_beat_the_floor_on_filler():
    tokens = filler(200)
    p = torch.full((needle.N_FILLER, needle.N_FILLER), (1 - needle.FAITHFUL) / needle.N_FILLER)
    p[torch.arange(needle.N_FILLER), needle.RULE] += needle.FAITHFUL
    surprise = -p.log()[tokens[:, : -needle.BACK], tokens[:, needle.BACK :]]
    assert surprise.mean() == pytest.approx(needle.floor(), abs=0.02)


@pytest.mark.parametrize("length", [13, 14, 64, 257])
@pytest.mark.parametrize("depth", [0.0, 0.3, 0.5, 1.0])
def test_a_haystack_holds_its_needle_at_its_depth_and_asks_for_it(length, depth):
    hay = needle.haystacks(20, length, depth, seed=1)
    at = round(depth * (length - 3))
    assert hay.tokens.shape == (20, length)
    assert torch.equal(hay.tokens[:, at], hay.tokens[:, -1])
    assert torch.equal(hay.tokens[:, at + 1], hay.answers)
    assert (hay.answers >= needle.N_FILLER + needle.N_KEYS).all()


@pytest.mark.parametrize("depth", [0.5, 0.25])  # the needle at 18, and at 9: between two slots
def test_distractors_have_other_keys_and_other_values(depth):
    tokens, answers = needle.haystacks(50, 40, depth, seed=0, distractors=4)
    is_key = (tokens >= needle.N_FILLER) & (tokens < needle.N_FILLER + needle.N_KEYS)
    is_value = tokens >= needle.N_FILLER + needle.N_KEYS
    assert (is_key.sum(1) == 6).all() and (is_value.sum(1) == 5).all()
    assert ((tokens == tokens[:, -1:]).sum(1) == 2).all()
    assert ((tokens == answers[:, None]).sum(1) == 1).all()


def test_a_row_too_short_or_a_depth_outside_is_refused():
    with pytest.raises(ValueError, match="at least 13 tokens"):
        needle.haystacks(1, 12, 0.5, seed=0)
    with pytest.raises(ValueError, match="must lie in"):
        needle.haystacks(1, 64, 1.5, seed=0)
    with pytest.raises(ValueError, match="a pair takes two tokens"):
        needle.lessons(2, 16, 0)


def test_lessons_repeat_by_seed_and_number_and_shift_their_targets():
    batch = needle.lessons(4, 64, seed=3)
    assert torch.equal(batch(5).tokens, needle.lessons(4, 64, seed=3)(5).tokens)
    assert not torch.equal(batch(5).tokens, batch(6).tokens)
    assert not torch.equal(batch(5).tokens, needle.lessons(4, 64, seed=4)(5).tokens)
    assert torch.equal(batch(0).tokens[:, 1:], batch(0).targets[:, :-1])


def test_a_key_that_comes_again_keeps_its_value():
    tokens, targets, _ = needle.lessons(16, 64, seed=0)(0)
    known = needle.recalls(tokens)
    assert known.any()
    for row, place in known.nonzero().tolist():
        seen = {
            int(k): int(v) for k, v in zip(tokens[row, :place], targets[row, :place], strict=True)
        }
        assert seen[int(tokens[row, place])] == int(targets[row, place])


def test_a_key_is_no_recall_the_first_time():
    keys = torch.tensor([[needle.N_FILLER, 50, needle.N_FILLER + 1, 51, needle.N_FILLER, 50, 3]])
    assert needle.recalls(keys).tolist() == [[False] * 4 + [True, False, False]]


def test_only_filler_that_follows_from_filler_is_predictable():
    row = torch.tensor([[0, 1, 2, 30, 50, 5, 6, 7]])
    assert needle.predictable(row[:, :-1], row[:, 1:]).tolist() == [
        [False, False, False, False, True, False, False]
    ]


def test_the_token_shift_adds_the_token_before_and_nothing_else():
    model = needle.with_token_shift(Transformer(toy(32), seed=0), 0)
    tokens = torch.tensor([[3, 4, 5], [9, 4, 5]])
    x, plain = model.embed(tokens), model.embed.weight[tokens]
    torch.testing.assert_close(x[:, 0], plain[:, 0])
    torch.testing.assert_close(x[:, 1], plain[:, 1] + plain[:, 0] @ model.embed.before.T)
    torch.testing.assert_close(x[0, 2], x[1, 2])
    assert (x[0, 1] - x[1, 1]).abs().max() > 0.1


def test_the_shifted_model_does_not_see_the_future():
    model = needle.with_token_shift(Transformer(toy(32), seed=0), 0)
    tokens = filler(2, 20)
    changed = tokens.clone()
    changed[:, 12:] = 1
    a, b = model(tokens).logits, model(changed).logits
    torch.testing.assert_close(a[:, :12], b[:, :12])
    assert (a[:, 12:] - b[:, 12:]).abs().max() > 1e-3


def test_accuracy_counts_right_answers_by_depth():
    def knows(tokens):
        """Looks the key up, as long as it stands in the second half."""
        half = tokens.shape[1] // 2
        said = torch.zeros(len(tokens), needle.VOCAB)
        for i, row in enumerate(tokens.tolist()):
            if row[-1] in row[half:-1]:
                said[i, row[half + row[half:-1].index(row[-1]) + 1]] = 1
        return said

    found = needle.accuracy_by_depth(knows, 40, [0.0, 0.9], rows=9, seed=0, at_once=80)
    assert found == [0.0, 1.0]


def test_a_depth_is_the_same_with_and_without_a_point():
    whole, point = (needle.haystacks(4, 40, depth, seed=0).tokens for depth in (1, 1.0))
    assert torch.equal(whole, point)
