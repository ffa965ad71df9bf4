"""The toys of chapter 02 differ in their key heads and in nothing that would excuse a loss."""

import pytest
import torch

from minids import accounting
from minids.model.transformer import Transformer
from minids.presets import DATA
from minids.study import sharing
from minids.study.results import Results


def test_every_way_to_share_has_the_same_size_and_the_same_work():
    toys = [sharing.toy(n) for n in (8, 4, 2, 1)]
    assert len({accounting.parameters(c).total for c in toys}) == 1
    assert len({sum(p.numel() for p in Transformer(c).parameters()) for c in toys}) == 1
    assert len({accounting.flops_per_token(c, 64) for c in toys}) == 1
    caches = [accounting.cache_bytes(c) for c in toys]
    assert [caches[0] / x for x in caches] == [1, 2, 4, 8]


def test_a_run_is_a_function_of_its_seed():
    def run(seed: int) -> float:
        return sharing.held_out_loss(seed=seed, n_kv_heads=1, steps=1, n_windows=2, batch=2)

    assert run(0) == run(0) != run(1)


def test_training_lowers_the_loss():
    losses = [
        sharing.held_out_loss(seed=0, n_kv_heads=2, steps=n, n_windows=8, batch=4) for n in (1, 15)
    ]
    assert losses[1] < losses[0] - 0.3


def test_no_page_is_both_read_and_tested_on():
    read, tested = sharing._prose()
    text = read.short().numpy().tobytes()
    rows = [row.short().numpy().tobytes() for row in sharing.held_out_batch(20).tokens]
    assert not any(row in text for row in rows)
    assert read[100:164].short().numpy().tobytes() in text
    assert len(tested) > 20 * 64


@pytest.mark.parametrize("batch", [1, 3])
def test_batches_have_the_length_of_the_toy(batch):
    assert sharing.train_batches(0, batch)(0).tokens.shape == torch.Size([batch, sharing.LENGTH])


def test_the_stored_seeds_are_those_of_the_toy():
    stored = Results.load(DATA / "results" / "sharing.json")
    assert stored.seeds == tuple(range(12))
    assert stored.arms == ["MHA (8)", "GQA (4)", "GQA (2)", "MQA (1)"]
    assert all(3 < loss < 5 for arm in stored.arms for loss in stored.of(arm))
