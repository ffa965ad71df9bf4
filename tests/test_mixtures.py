"""Mixtures of equal size: the widths, the texts, the losses that are added."""

import pytest
import torch

from minids import accounting
from minids.model.balance import expert_balance
from minids.model.transformer import Transformer
from minids.study import mixtures as m
from minids.text.domains import DOMAINS
from minids.text.tokenizer import default_tokenizer


def test_every_mixture_is_as_wide_in_all_and_as_wide_for_a_token():
    for arm, cut in m.ARMS.items():
        if isinstance(cut, m.Mixture):
            assert (cut.routed + cut.shared) * cut.width == m.TOTAL, arm
            assert (cut.top_k + cut.shared) * cut.width == m.ACTIVE, arm


def test_parameters_differ_by_the_routers_alone():
    sizes = {arm: accounting.parameters(m.toy(arm)) for arm in m.ARMS}
    experts = {a: p.routed + p.shared for a, p in sizes.items() if not a.startswith("dense")}
    assert len(set(experts.values())) == 1
    assert sizes["dense, total size"].dense == experts["8 of 64"]
    for arm, p in sizes.items():
        assert p.total == sum(w.numel() for w in Transformer(m.toy(arm)).parameters())


def test_the_dense_model_of_the_active_size_works_as_much_as_the_mixtures_without_a_router():
    flops = {arm: accounting.flops_per_token(m.toy(arm), m.LENGTH) for arm in m.ARMS}
    routers = {arm: 6 * accounting.parameters(m.toy(arm)).router for arm in m.ARMS}
    without = {arm: flops[arm] - routers[arm] for arm in m.ARMS if arm != "dense, total size"}
    assert len(set(without.values())) == 1


def test_an_unknown_arm_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="no arm 'top-3'; there are: top-2 of 16"):
        m.toy("top-3")


def test_every_character_has_a_number_and_an_exam_is_new_text():
    texts = m.controlled()
    assert texts.vocab == len(m.letters()) == max(int(x.max()) for x in texts.train.values()) + 1
    for name in DOMAINS:
        assert not torch.equal(texts.train[name][:500], texts.held_out[name][:500])
    batch, labels = texts.exam(3)
    assert batch.tokens.shape == (12, m.LENGTH)
    assert labels.tolist() == [0, 1, 2, 3] * 3


def test_real_text_is_prose_and_code_in_the_tokens_of_the_course():
    texts = m.real(60_000)
    assert list(texts.train) == ["prose", "code"]
    assert texts.vocab == default_tokenizer().vocab
    assert "def " in default_tokenizer().decode(texts.train["code"][:2000].tolist())


def test_the_balance_loss_is_weighed_and_summed_over_layers():
    model, texts = Transformer(m.toy("top-2 of 16")), m.controlled()
    output = model(texts.exam(1)[0].tokens)
    terms = m.balanced(0.01)(model, output, texts.exam(1)[0])
    by_expert = 0.01 * sum(expert_balance(r) for r in output.routings)
    assert terms.keys() == {"expert balance"}
    assert terms["expert balance"].item() == pytest.approx(by_expert.item())
    assert not m.balanced(0.0)(model, output, texts.exam(1)[0])


def test_the_balance_loss_by_sequence_is_the_mean_of_what_rows_cost_alone():
    model, batch = Transformer(m.toy("top-2 of 16")), m.controlled().exam(2)[0]
    loss = m.balanced(0.01, by_sequence=True)
    together = loss(model, model(batch.tokens), batch)["expert balance"]
    alone = [
        m.balanced(0.01)(model, model(row.tokens), row)["expert balance"] for row in batch.pieces(1)
    ]
    torch.testing.assert_close(together, torch.stack(alone).mean())
    assert together > 1.01 * m.balanced(0.01)(model, model(batch.tokens), batch)["expert balance"]


def test_a_dense_model_gets_no_balance_loss():
    model, batch = Transformer(m.toy("dense, active size")), m.controlled().exam(1)[0]
    assert m.balanced(0.01)(model, model(batch.tokens), batch) == {}


def test_marks_are_means_over_domains_of_equal_weight():
    marks = m.examine(Transformer(m.toy("top-1 of 8")), m.controlled(), n=2)
    assert set(marks.by_domain) == set(DOMAINS)
    assert marks.loss == pytest.approx(sum(marks.by_domain.values()) / 4)
    assert [r.experts.shape for r in marks.routings] == [(8 * m.LENGTH, 1)] * 2
