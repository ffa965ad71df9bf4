"""Loss by position: bins are means over the targets that count, and only theirs."""

import math

import pytest
import torch

from minids.study.positions import edges, loss_by_position, surprise
from minids.text.batches import Batch
from minids.train.losses import next_token


def batch(b=3, t=10, v=7, seed=0):
    g = torch.Generator().manual_seed(seed)
    logits = torch.randn(b, t, v, generator=g)
    targets = torch.randint(v, (b, t), generator=g)
    mask = torch.rand(b, t, generator=g) < 0.6
    mask[0] = True
    return logits, Batch(torch.zeros_like(targets), targets, mask)


def test_a_single_bin_is_the_loss_of_training():
    logits, rows = batch()
    found = loss_by_position(lambda _: logits, [rows], bins=1)
    assert found == [pytest.approx(float(next_token(logits, rows.targets, rows.mask)))]


def test_bins_hold_their_own_positions():
    logits, rows = batch()
    found = loss_by_position(lambda _: logits, [rows], bins=4)
    each = surprise(logits, rows.targets)
    for i, (start, end) in enumerate([(0, 2), (2, 5), (5, 7), (7, 10)]):
        part, counts = each[:, start:end], rows.mask[:, start:end]
        assert found[i] == pytest.approx(float(part[counts].mean()))


def test_batches_weigh_by_their_targets_that_count():
    (one, a), (two, b) = batch(seed=0), batch(b=2, seed=1)
    by_size = {3: one, 2: two}
    found = loss_by_position(lambda x: by_size[len(x)], [a, b], bins=2)
    whole = Batch(*(torch.cat(pair) for pair in zip(a, b, strict=True)))
    together = loss_by_position(lambda _: torch.cat([one, two]), [whole], bins=2)
    assert found == pytest.approx(together)


def test_a_uniform_guess_costs_the_logarithm_of_the_vocabulary_everywhere():
    _, rows = batch()
    found = loss_by_position(lambda x: torch.zeros(*x.shape, 7), [rows], bins=5)
    assert found == pytest.approx(5 * [math.log(7)])


def test_bf16_logits_are_summed_in_fp32():
    assert (
        surprise(torch.zeros(1, 2, 5).bfloat16(), torch.zeros(1, 2).long()).dtype is torch.float32
    )


def test_edges_cut_evenly_and_refuse_empty_bins():
    assert edges(10, 4) == [0, 2, 5, 7, 10]
    with pytest.raises(ValueError, match="between 1 and length=3"):
        edges(3, 4)


def test_nothing_to_count_is_refused():
    logits, rows = batch()
    with pytest.raises(ValueError, match="no batch with a target"):
        loss_by_position(lambda _: logits, [], bins=2)
    nothing = rows._replace(mask=torch.zeros_like(rows.mask))
    with pytest.raises(ValueError, match="no batch with a target"):
        loss_by_position(lambda _: logits, [nothing], bins=2)
