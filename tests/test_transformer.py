"""The whole model: shapes, caches, padding, and what it must not see."""

from dataclasses import replace

import pytest
import torch

from minids.model.layers import init_weights
from minids.model.transformer import Transformer, _padding_mask
from minids.presets import preset, shrink

TINY = {
    name: shrink(preset(name), dim=32, n_heads=4, n_layers=3, n_routed=8, vocab=31, context=40)
    for name in ("deepseek-llm-67b", "deepseek-moe-16b", "deepseek-v2", "deepseek-v3")
}


def tiny(name, seed=0):
    model = Transformer(TINY[name]).double()
    init_weights(model, 0.2, torch.Generator().manual_seed(seed))
    return model.eval()


def text(b=3, t=9, seed=1):
    return torch.randint(0, 31, (b, t), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", TINY)
@pytest.mark.parametrize("cut", [1, 4, 8])
def test_a_cached_pass_repeats_the_parallel_one(name, cut):
    model, tokens = tiny(name), text()
    cache = model.new_cache(3, 9)
    parts = [model(tokens[:, :cut], cache).logits]
    parts += [model(tokens[:, i : i + 1], cache).logits for i in range(cut, 9)]
    torch.testing.assert_close(torch.cat(parts, 1), model(tokens).logits, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("name", TINY)
def test_a_draft_of_several_tokens_can_be_checked_in_one_pass_and_taken_back(name):
    model, tokens = tiny(name), text()
    cache = model.new_cache(3, 12)
    model(tokens[:, :5], cache)
    model(text(seed=9)[:, :3], cache)  # a draft that will be rejected
    cache.rewind(5)
    again = model(tokens[:, 5:], cache).logits
    torch.testing.assert_close(again, model(tokens).logits[:, 5:], atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("name", TINY)
def test_a_padded_row_reads_as_it_would_alone(name):
    model, tokens = tiny(name), text()
    lengths = [9, 4, 1]
    padded = torch.zeros(3, 9, dtype=torch.long)
    for row, n in enumerate(lengths):
        padded[row, 9 - n :] = tokens[row, :n]
    cache = model.new_cache(3, 10, pad=torch.tensor([9 - n for n in lengths]))
    together = model(padded, cache).logits
    more = model(tokens[:, :1], cache).logits
    for row, n in enumerate(lengths):
        whole = torch.cat([tokens[row : row + 1, :n], tokens[row : row + 1, :1]], 1)
        alone = model(whole).logits[0]
        got = torch.cat([together[row, 9 - n :], more[row]])
        torch.testing.assert_close(got, alone, atol=1e-5, rtol=1e-5)
    assert torch.isfinite(together).all()


@pytest.mark.parametrize("name", TINY)
def test_the_future_is_invisible_and_the_past_is_not(name):
    model, tokens = tiny(name), text()
    changed = tokens.clone()
    changed[:, 5] = (changed[:, 5] + 1) % 31
    before, after = model(tokens).logits, model(changed).logits
    torch.testing.assert_close(before[:, :5], after[:, :5], atol=1e-12, rtol=1e-12)
    assert (before[:, 5:] - after[:, 5:]).abs().amax(-1).min() > 1e-6


@pytest.mark.parametrize("name", TINY)
def test_a_sequence_gives_the_same_alone_and_in_a_batch(name):
    model, tokens = tiny(name), text()
    torch.testing.assert_close(model(tokens).logits[1:2], model(tokens[1:2]).logits)


@pytest.mark.parametrize("name", TINY)
def test_cached_bytes_are_the_formula(name):
    model = tiny(name)
    cache = model.new_cache(2, 11)
    model(text(b=2, t=7), cache)
    assert cache.nbytes == 2 * 7 * model.c.attention.cached_width * model.c.n_layers * 8


def test_last_asks_for_fewer_logits_and_changes_none():
    model, tokens = tiny("deepseek-v3"), text()
    torch.testing.assert_close(model(tokens, last=2).logits, model(tokens).logits[:, -2:])


def test_no_tokens_and_no_logits_are_refused():
    model, tokens = tiny("deepseek-v3"), text()
    for asked in (lambda: model(tokens, last=0), lambda: model(tokens[:, :0])):
        with pytest.raises(ValueError, match="give one or more of each"):
            asked()


def test_one_routing_comes_back_for_each_layer_with_experts():
    model = tiny("deepseek-v3")
    routings = model(text()).routings
    assert len(routings) == model.c.n_moe == 2
    assert routings[0].experts.shape == (27, model.c.moe.top_k)
    assert tiny("deepseek-llm-67b")(text()).routings == ()


def test_a_tied_model_has_one_table():
    c = replace(TINY["deepseek-llm-67b"], tied=True)
    model = Transformer(c)
    assert model.head.weight is model.embed.weight
    untied = sum(p.numel() for p in Transformer(replace(c, tied=False)).parameters())
    assert untied - sum(p.numel() for p in model.parameters()) == c.vocab * c.dim


def test_weights_depend_on_the_seed_alone():
    c = TINY["deepseek-v3"]
    one, same, other = (Transformer(c, seed=s).state_dict() for s in (3, 3, 4))
    assert all(torch.equal(one[k], same[k]) for k in one)
    assert not torch.equal(one["embed.weight"], other["embed.weight"])


def test_a_text_longer_than_the_context_is_refused_with_the_position():
    with pytest.raises(ValueError, match="position 40 lies outside the context of 40"):
        tiny("deepseek-v3")(torch.zeros(1, 41, dtype=torch.long))


def test_padding_of_the_wrong_shape_is_refused():
    with pytest.raises(ValueError, match="padding per row"):
        tiny("deepseek-v3").new_cache(2, 5, pad=torch.zeros(3, dtype=torch.long))


def test_an_untrained_model_knows_nothing():
    model = Transformer(preset("toy-llama"))
    tokens = torch.randint(0, 1024, (4, 64), generator=torch.Generator().manual_seed(0))
    loss = torch.nn.functional.cross_entropy(
        model(tokens).logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten()
    )
    assert abs(loss.item() - torch.tensor(1024.0).log().item()) < 0.1


def test_padding_sees_itself_and_no_real_query_sees_padding():
    cache = tiny("deepseek-v3").new_cache(2, 5, pad=torch.tensor([0, 3]))
    mask = _padding_mask(cache, 0, 5)[:, 0]
    assert mask.any(-1).all()  # else a softmax would be 0/0
    assert torch.equal(mask[1, :3, :3], torch.eye(3, dtype=torch.bool))
    assert not mask[1, 3:, :3].any()
