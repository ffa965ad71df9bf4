"""The probes are 0 for a right model, and each is moved by the mistake it asks about."""

import pytest
import torch
from torch import nn

from minids.check.bugs import ch01 as bugs
from minids.model.attention import Attention
from minids.model.layers import RMSNorm
from minids.model.transformer import Transformer
from minids.presets import preset
from minids.study.pretrain import exchange, toy
from minids.study.probes import Probes, probe

CONFIG = toy(16, vocab=50)


def asked(change=lambda model: None, seed: int = 0, rows: int = 3) -> Probes:
    model = Transformer(CONFIG, seed=seed)
    change(model)
    g = torch.Generator().manual_seed(seed)
    return probe(model, torch.randint(50, (rows, 20), generator=g))


@pytest.mark.parametrize("seed", range(3))
def test_a_right_model_answers_no(seed: int):
    found = asked(seed=seed)
    assert found.future < 1e-5 and found.place < 1e-5 and found.neighbours < 1e-5
    assert found.repeats < 0.5


def test_a_right_model_with_latent_attention_and_experts_answers_no():
    model = Transformer(preset("toy-v3"))
    found = probe(model, torch.arange(40).view(2, 20))
    assert max(found.future, found.place, found.neighbours) < 1e-4


@pytest.mark.parametrize("seed", range(3))
def test_each_mistake_moves_its_own_probe(seed: int):
    def open_mask(model):
        model.layers[1].attention = bugs.SeesTheFuture(model.layers[1].attention)

    future = asked(open_mask, seed)
    assert future.future > 1e-3 and max(future.place, future.neighbours) < 1e-5
    place = asked(lambda m: exchange(m, Attention, bugs.TurnsValues), seed)
    assert place.place > 1e-3 and max(place.future, place.neighbours) < 1e-5
    neighbours = asked(lambda m: exchange(m, RMSNorm, bugs.NormOverBatch), seed)
    assert neighbours.neighbours > 1e-3 and neighbours.place < 1e-5


class SeesTheNext(nn.Module):
    """Attention whose mask is open by one token too many."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x, rotary, cache=None, mask=None):
        t = x.shape[1]
        ahead = torch.ones(len(x), 1, t, t, dtype=torch.bool).tril(1)
        return self.inner(x, rotary, cache, ahead)


def test_a_mask_that_is_off_by_one_is_found():
    def open_by_one(model):
        model.layers[-1].attention = SeesTheNext(model.layers[-1].attention)

    assert asked(open_by_one).future > 1e-3


def test_who_expects_the_last_token_again_is_found():
    def copy(model):
        model.layers = torch.nn.ModuleList()
        model.head.weight = model.embed.weight

    assert asked(copy).repeats > 0.9


def test_the_model_is_left_as_it_was():
    model = Transformer(CONFIG)
    before = {name: value.clone() for name, value in model.named_buffers()}
    probe(model, torch.arange(20).view(2, 10))
    assert all(torch.equal(before[name], value) for name, value in model.named_buffers())


def test_too_little_text_is_refused():
    model = Transformer(CONFIG)
    with pytest.raises(ValueError, match="two rows or more"):
        probe(model, torch.zeros(1, 8, dtype=torch.long))
    with pytest.raises(ValueError, match="2 to 32 tokens"):
        probe(model, torch.zeros(2, 33, dtype=torch.long))
