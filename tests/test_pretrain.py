"""A small run is a function of its seed, learns, and can be spoiled on purpose."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from minids.model.layers import RMSNorm
from minids.model.transformer import Transformer
from minids.study.pretrain import (
    Text,
    exchange,
    held_out_loss,
    learning_rate,
    pretrain,
    stretches,
    tokenized,
    toy,
)
from minids.text.corpus import Corpus
from minids.text.domains import domain
from minids.text.tokenizer import default_tokenizer
from minids.train.schedule import constant

CORPUS = Corpus(domain("stories", seed=0, n_chars=30_000), domain("stories", seed=1, n_chars=6_000))
TEXT = tokenized(CORPUS, default_tokenizer())
CONFIG = toy(16, vocab=TEXT.vocab)


def test_a_toy_has_the_structure_of_the_7b_and_the_width_asked_for():
    for dim in (8, 12, 16, 32, 48, 128):
        c = toy(dim, vocab=100)
        assert c.dim == dim == c.attention.n_heads * c.attention.head_dim
        assert c.attention.n_kv_heads == c.attention.n_heads
        assert abs(c.hidden / dim - 8 / 3) < 0.5
        Transformer(c)(torch.zeros(1, c.context, dtype=torch.long))
    with pytest.raises(ValueError, match="does not split into 2 heads of an even width"):
        toy(14, vocab=100)


def test_the_rule_for_initial_weights_meets_the_reports_at_the_width_of_v3():
    assert toy(7168, vocab=100).init_std == pytest.approx(0.006, rel=0.02)
    assert learning_rate(32) == 2 * learning_rate(64)


def test_a_run_is_a_function_of_its_seed():
    runs = [pretrain(CONFIG, TEXT, seed=seed, steps=4) for seed in (0, 0, 1)]
    assert runs[0].losses == runs[1].losses and runs[0].bits == runs[1].bits
    assert runs[0].losses != runs[2].losses


def test_a_run_learns_and_its_first_loss_is_that_of_guessing():
    run = pretrain(CONFIG, TEXT, seed=0, steps=40)
    assert run.losses[0] == pytest.approx(math.log(TEXT.vocab) + 0.5**2 / 2, rel=0.01)
    assert run.nats < run.losses[0] - 1
    assert run.nats == held_out_loss(run.model, TEXT)


def test_bits_per_byte_do_not_depend_on_how_the_text_was_cut():
    n = 1000
    fine = Text(torch.zeros(5), torch.zeros(n), n, 256)._replace(train=torch.zeros(5).int())
    coarse = fine._replace(held_out=torch.zeros(n // 4).int())
    assert fine.bits_per_byte(math.log(256)) == pytest.approx(8.0)
    assert coarse.bits_per_byte(4 * math.log(256)) == pytest.approx(8.0)


def test_schedule_and_peak_reach_the_loop():
    same = pretrain(CONFIG, TEXT, seed=0, steps=6, schedule=lambda n: constant(n, warmup=0))
    other = pretrain(CONFIG, TEXT, seed=0, steps=6, peak=3.0)
    assert same.losses != other.losses and same.losses[0] == other.losses[0]
    still = pretrain(CONFIG, TEXT, seed=0, steps=6, peak=0.0)
    assert still.nats == pytest.approx(held_out_loss(Transformer(CONFIG, seed=0), TEXT))


def test_change_and_rewrite_spoil_model_and_batches_held_out_ones_too():
    copies = pretrain(
        CONFIG, TEXT, seed=0, steps=60, rewrite=lambda batch: batch._replace(targets=batch.tokens)
    )
    assert copies.nats < 0.7 * pretrain(CONFIG, TEXT, seed=0, steps=60).nats

    def silence(model: Transformer) -> None:
        model.layers = nn.ModuleList()

    assert len(pretrain(CONFIG, TEXT, seed=0, steps=1, change=silence).model.layers) == 0


def test_exchange_reaches_every_part_of_a_kind_and_no_other():
    model = Transformer(replace(CONFIG, n_layers=3))
    n = exchange(model, RMSNorm, lambda norm: nn.LayerNorm(len(norm.weight), bias=False))
    assert n == 2 * 3 + 1
    assert not any(isinstance(part, RMSNorm) for part in model.modules())
    assert sum(isinstance(part, nn.LayerNorm) for part in model.modules()) == n
    assert exchange(model, RMSNorm, lambda norm: norm) == 0


def test_stretches_are_means_that_add_up_to_the_run():
    losses = [float(i) for i in range(10)]
    found = stretches(losses, points=4)
    assert list(found) == ["step 2", "step 5", "step 8", "step 10"]
    assert found["step 2"] == 0.5 and found["step 10"] == 8.5
    assert list(stretches([1.0, 2.0], points=8)) == ["step 1", "step 2"]
