"""Reaching far: what is learned on short rows, and what scores and grids say of it."""

import pytest
import torch
from einops import rearrange

from minids.model.attention import attend_written_out
from minids.model.rope import Rotary, rotate_halves
from minids.model.transformer import Output, Transformer
from minids.study import needle, reach, recall
from minids.study.stretch import stretch

WEIGHTS = {0: recall.build(32, 0).state_dict()}
SETTINGS = {"seed": 0, "weights": WEIGHTS, "factor": 2.0, "length": 32, "rows": 3, "beta": 4.0}


@pytest.fixture(scope="module")
def lesson():
    return recall.learn(seed=0, steps=100, length=32, rows=32)


def test_recall_is_learned_on_short_rows(lesson):
    assert lesson.recall[0] > 3 and sum(lesson.recall[-5:]) / 5 < 0.5
    model = recall.build(32, 0, lesson.weights)
    found = reach.accuracy(model, 32, rows=24)
    assert sum(found) / len(found) > 0.8
    untrained = reach.accuracy(recall.build(32, 0), 32, rows=24)
    assert sum(untrained) / len(untrained) < 0.5


def test_without_the_token_shift_the_same_training_does_not_find(lesson):
    weights = dict(lesson.weights) | {"embed.before": torch.zeros(64, 64)}
    found = reach.accuracy(recall.build(32, 0, weights), 32, rows=24)
    assert sum(found) / len(found) < 0.5


def test_the_question_pays_attention_to_what_it_finds(lesson):
    model = recall.build(32, 0, lesson.weights)
    assert reach.weight_on_needle(model, 32) > 0.5
    assert reach.weight_on_needle(recall.build(32, 0), 32) < 0.3
    longer = [stretch(model, "PI", 8, temperature=t) for t in (False, True)]
    assert reach.weight_on_needle(longer[0], 256) < reach.weight_on_needle(longer[1], 256)


def test_the_weight_is_that_of_the_attention_written_out():
    model = recall.build(32, 0)
    model.layers = model.layers[:1]
    hay = needle.haystacks(4, 32, 0.5, seed=0)
    block, at = model.layers[0], round(0.5 * 29) + 1
    parts = block.attention.qkv(block.attention_norm(model.embed(hay.tokens))).chunk(3, -1)
    q, k, _ = (rearrange(p, "b t (h d) -> b h t d", d=32) for p in parts)
    q, k = (rotate_halves(p, Rotary(model.cos, model.sin)) for p in (q, k))
    one_hot = torch.zeros(4, 2, 32, 1)
    one_hot[:, :, at] = 1
    paid = attend_written_out(q, k, one_hot, block.attention.scale)[:, :, -1, 0]
    expected = paid.mean(0).max().item()
    assert reach.weight_on_needle(model, 32, rows=4) == pytest.approx(expected, rel=1e-4)


def test_lessons_are_the_same_in_processes_and_one_after_another():
    settings = {"steps": 2, "length": 32, "rows": 2, "progress": False}
    here = recall.learn_all([3, 4], workers=0, **settings)
    there = recall.learn_all([3, 4], workers=2, **settings)
    assert [*here] == [*there] == [3, 4]
    for seed in here:
        assert here[seed].losses == pytest.approx(there[seed].losses, rel=1e-5)
    assert here[3].losses != here[4].losses


def test_scores_are_means_of_their_details():
    found = reach.score(method="YaRN", temperature=True, **SETTINGS)
    depths = [found[f"depth {d}"] for d in reach.DEPTHS]
    assert found["needle"] == pytest.approx(sum(depths) / 5)
    assert found["far"] == pytest.approx(sum(depths[:3]) / 3)
    assert found["near"] == pytest.approx(sum(found[f"bin {i}"] for i in range(4, 8)) / 4)
    assert 0 < found["weight"] < 1


def test_tuning_changes_the_score_and_leaves_the_lesson_alone():
    before = {name: w.clone() for name, w in WEIGHTS[0].items()}
    untouched = reach.score(method="PI", **SETTINGS)
    tuned = reach.score(method="PI", tuning=12, **SETTINGS)
    assert tuned["near"] != untouched["near"]
    assert all(torch.equal(w, before[name]) for name, w in WEIGHTS[0].items())


def test_tuning_brings_the_loss_down_in_place():
    model = stretch(recall.build(32, 0), "PI", 2)
    steps = recall.tune(model, 64, seed=0, steps=20)
    assert steps[-1].loss + steps[-1].parts["recall"] < steps[0].loss + steps[0].parts["recall"]


def test_a_grid_goes_beyond_the_length_that_it_was_stretched_for():
    found = reach.grid(method="YaRN", lengths=(32, 100), depths=(0.0, 1.0), **SETTINGS)
    assert [*found] == ["32 at 0", "32 at 1", "100 at 0", "100 at 1"]
    assert all(0 <= x <= 1 for x in found.values())


class KnowsTheRule(Transformer):
    """Expects what follows from the token three places back, and no keys or values."""

    def forward(self, tokens, cache=None, *, last=None):
        n, faithful = needle.N_FILLER, needle.FAITHFUL
        p = torch.full((*tokens.shape, needle.VOCAB), 1e-9)
        p[..., :n] = (1 - faithful) / n
        follows = needle.RULE[tokens.roll(needle.BACK - 1, 1).clamp(max=n - 1)]
        p.scatter_add_(-1, follows[..., None], torch.full((*tokens.shape, 1), faithful))
        return Output(p.log(), p, ())


def test_who_knows_the_rule_has_its_floor_as_loss_everywhere():
    model = KnowsTheRule(recall.build(512, 0).c)
    losses = reach.local_loss(model, 512, rows=64, bins=4)
    assert losses == pytest.approx([needle.floor()] * 4, rel=0.05)


def test_long_rows_in_parts_give_the_loss_of_the_whole():
    model = stretch(recall.build(32, 0), "PI", 400)
    losses = reach.local_loss(model, 12_000, rows=2, bins=2)  # one row at a time
    batch = needle.lessons(2, 12_000, 0)(10**6)
    mask = needle.predictable(batch.tokens, batch.targets)
    with torch.no_grad():
        logits = model(batch.tokens).logits
    each = -logits.log_softmax(-1).gather(-1, batch.targets[..., None])[..., 0]
    halves = (slice(0, 6000), slice(6000, 12_000))
    assert losses == pytest.approx([float(each[:, h][mask[:, h]].mean()) for h in halves], rel=1e-3)
