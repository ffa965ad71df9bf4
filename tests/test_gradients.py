"""From a batch to gradients: however it is cut, whatever counts, whatever is added."""

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from minids.config import GQAConfig, ModelConfig, MoEConfig
from minids.model.balance import sequence_balance
from minids.model.transformer import Transformer
from minids.text.batches import Batch
from minids.train.gradients import add_gradients
from minids.train.losses import next_token

DENSE = ModelConfig(
    name="tiny",
    vocab=23,
    dim=16,
    n_layers=2,
    hidden=24,
    attention=GQAConfig(n_heads=4, n_kv_heads=2, head_dim=4),
    context=16,
    init_std=0.2,
)
EXPERTS = replace(
    DENSE,
    moe=MoEConfig(
        n_routed=6, n_shared=1, top_k=2, hidden=8, scores="sigmoid", normalise=True, biased=True
    ),
    n_dense=1,
)


def some_batch(seed=0, rows=5, length=9):
    """A batch whose rows count very different numbers of tokens, one of them none."""
    generator = torch.Generator().manual_seed(seed)
    text = torch.randint(23, (rows, length + 1), generator=generator)
    mask = torch.arange(length) < torch.tensor([1, length, 0, 3, 7])[:rows, None]
    return Batch(text[:, :-1], text[:, 1:], mask)


def gradients_of(config, batch, **options):
    model = Transformer(config, seed=0).double()
    found = add_gradients(model, batch, **options)
    return found, torch.cat([p.grad.flatten() for p in model.parameters()])


@pytest.mark.parametrize("config", [DENSE, EXPERTS], ids=["dense", "experts"])
@pytest.mark.parametrize("parts", [2, 3, 5])
def test_the_gradient_does_not_depend_on_the_number_of_parts(config, parts):
    whole, expected = gradients_of(config, some_batch(), balance=0.1)
    cut, gradient = gradients_of(config, some_batch(), balance=0.1, accumulate=parts)
    assert_close(gradient, expected)
    assert_close(cut.terms, whole.terms)
    assert_close(cut.loads, whole.loads)
    assert not any(term.requires_grad for term in cut.terms.values())  # parts would stay in memory


def test_averaging_the_parts_means_would_be_another_gradient():
    batch = some_batch()
    rows = [torch.tensor([0, 3]), torch.tensor([1, 2, 4])]
    means = [gradients_of(DENSE, Batch(*(part[r] for part in batch)))[1] for r in rows]
    assert (sum(means) / 2 - gradients_of(DENSE, batch)[1]).abs().max() > 1e-3


def test_the_gradient_is_that_of_the_plain_loss():
    batch, model = some_batch(), Transformer(DENSE, seed=0).double()
    loss = next_token(model(batch.tokens).logits, batch.targets, batch.mask)
    loss.backward()
    expected = torch.cat([p.grad.flatten() for p in model.parameters()])
    found, gradient = gradients_of(DENSE, batch, accumulate=2)
    assert_close(gradient, expected)
    assert_close(found.terms["loss"], loss.detach())


def test_gradients_are_added_to_those_that_are_there():
    batch, model = some_batch(), Transformer(DENSE, seed=0).double()
    add_gradients(model, batch)
    once = model.head.weight.grad.clone()
    add_gradients(model, batch)
    assert_close(model.head.weight.grad, 2 * once)


def test_what_does_not_count_has_no_influence():
    batch = some_batch()
    other = batch._replace(targets=batch.targets.where(batch.mask, 0))
    assert_close(gradients_of(DENSE, batch)[1], gradients_of(DENSE, other)[1])


def test_the_balance_loss_is_that_of_every_layer_weighed():
    config = replace(EXPERTS, n_dense=0)
    batch, model = some_batch(), Transformer(config, seed=0).double()
    routings = model(batch.tokens).routings
    assert len(routings) == 2
    read = batch.read.flatten()
    expected = 0.1 * sum(sequence_balance(r, 5, read) for r in routings)
    found, with_balance = gradients_of(config, batch, balance=0.1)
    assert_close(found.terms["balance"], expected.detach())
    assert (with_balance - gradients_of(config, batch)[1]).abs().max() > 1e-5


def test_loads_are_shares_of_what_the_batch_reads_for_its_targets():
    batch, model = some_batch(), Transformer(EXPERTS, seed=0).double()
    rows = [model(row[None, :n]).routings[0].experts
            for row, n in zip(batch.tokens, (1, 9, 0, 3, 7), strict=True) if n]  # fmt: skip
    counts = torch.cat(rows).flatten().bincount(minlength=6)
    found, _ = gradients_of(EXPERTS, batch, accumulate=3)
    assert_close(found.loads, [counts / counts.sum()])


def test_padding_moves_neither_the_loads_nor_the_balance():
    """What stands behind the last target of a row is as good as absent."""
    batch = some_batch()
    pad = ~batch.read
    assert 0.2 < pad.float().mean() < 0.8
    other = batch._replace(tokens=batch.tokens.where(~pad, 5))
    first, second = (gradients_of(EXPERTS, b, balance=0.1) for b in (batch, other))
    assert_close(first[0].loads, second[0].loads)
    assert_close(first[0].terms, second[0].terms)
    assert_close(first[1], second[1])


def test_a_dense_model_has_neither_balance_nor_loads():
    found, _ = gradients_of(DENSE, some_batch(), balance=0.1)
    assert list(found.terms) == ["loss"] and found.loads == []


def test_extra_losses_add_their_gradients_and_get_the_batch():
    def more(model, output, batch):
        assert output.hidden.shape[:2] == batch.tokens.shape
        return {"size": 0.5 * model.head.weight.square().sum()}

    plain, before = gradients_of(DENSE, some_batch())
    found, after = gradients_of(DENSE, some_batch(), extra_losses=more, accumulate=2)
    head = Transformer(DENSE, seed=0).double().head.weight
    assert_close(after[-head.numel() :] - before[-head.numel() :], head.detach().flatten())
    assert_close(found.terms["loss"], plain.terms["loss"])
    assert_close(found.terms["size"], 0.5 * head.detach().square().sum())


@pytest.mark.parametrize("parts", [1, 2, 5])
def test_a_part_in_which_nothing_counts_asks_no_extra_loss_for_a_mean_of_nothing(parts):
    """Row 2 counts nothing; alone it is a part whose mean would be 0 / 0."""

    def again(model, output, batch):
        return {"again": next_token(output.logits, batch.targets, batch.mask)}

    _, plain = gradients_of(DENSE, some_batch())
    found, twice = gradients_of(DENSE, some_batch(), extra_losses=again, accumulate=parts)
    assert_close(found.terms["again"], found.terms["loss"])
    assert_close(twice, 2 * plain)


def test_terms_that_some_parts_alone_have_are_refused():
    def odd(model, output, batch):
        return {"odd": output.logits.mean()} if batch.mask.all() else {}

    with pytest.raises(ValueError, match="extra_losses gave odd for some parts alone"):
        gradients_of(DENSE, some_batch(), extra_losses=odd, accumulate=5)


@pytest.mark.parametrize("parts, batch", [(6, some_batch()), (1, some_batch(rows=5)._replace())])
def test_more_parts_than_rows_or_nothing_that_counts_is_refused(parts, batch):
    if parts == 1:
        batch = batch._replace(mask=torch.zeros_like(batch.mask))
    with pytest.raises(ValueError, match="a batch of 5 rows"):
        gradients_of(DENSE, batch, accumulate=parts)


@pytest.mark.parametrize("name", ["loss", "balance"])
def test_an_extra_loss_cannot_take_the_place_of_another(name):
    def taken(model, output, batch):
        return {name: output.logits.sum()}

    with pytest.raises(ValueError, match=f"extra_losses gave {name}"):
        gradients_of(EXPERTS, some_batch(), balance=0.1, extra_losses=taken)
