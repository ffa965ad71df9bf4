"""Sampling: the right distribution, the right log-probabilities, ragged prompts, clear errors."""

import math

import pytest
import torch

from minids.decode.sample import Share, choose, draw, generate, shares, token_logp, truncate
from minids.model.cache import Cache
from minids.model.layers import init_weights
from minids.model.transformer import Transformer
from minids.presets import preset, shrink


def tiny(name="deepseek-v3", seed=0):
    c = shrink(preset(name), dim=32, n_heads=4, n_layers=2, n_routed=8, vocab=23, context=48)
    model = Transformer(c)
    init_weights(model, 0.3, torch.Generator().manual_seed(seed))
    return model.eval()


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_samples_follow_the_softmax():
    logits = torch.tensor([0.0, 1.0, 2.0]).log_softmax(-1)
    tokens, _ = choose(logits.expand(30_000, 3), generator=seeded())
    share = torch.bincount(tokens, minlength=3) / 30_000
    torch.testing.assert_close(share, logits.exp(), atol=0.012, rtol=0)


def test_the_first_token_is_drawn_whose_running_sum_reaches_the_share():
    weights = torch.tensor([[0.0, 2.0, 0.0, 6.0, 0.0]])  # a quarter and three quarters
    share = torch.tensor([1e-12, 0.25, 0.2501, 1.0], dtype=torch.float64)
    assert draw(weights.expand(4, 5), share).tolist() == [1, 1, 3, 3]


def test_shares_fall_everywhere_and_are_never_zero(monkeypatch):
    found = shares(100_000, "cpu", seeded())
    assert found.dtype == torch.float64 and bool(((found > 0) & (found <= 1)).all())
    for x in (0.1, 0.5, 0.9):
        assert abs(float((found <= x).float().mean()) - x) < 0.006
    monkeypatch.setattr(torch, "rand", lambda n, **_: torch.zeros(n))
    assert shares(2, "cpu").tolist() == [1.0, 1.0]


def test_a_rare_token_has_its_chance_and_no_number_has_some_token():
    # in fp32 the sum of 1 and 1e-9 would be 1, and the second token never drawn
    assert draw(torch.tensor([[1.0, 1e-9]]), torch.ones(1).double()).tolist() == [1]
    assert draw(torch.full((1, 3), torch.nan), torch.ones(1).double()).tolist() == [2]


def test_temperature_divides_the_logits():
    # two tokens 1 apart: at temperature 1/2 the odds are e^2
    tokens, logp = choose(torch.tensor([[0.0, 1.0]]).expand(20_000, 2), 0.5, generator=seeded())
    assert abs(tokens.float().mean().item() - 1 / (1 + math.exp(-2))) < 0.01
    assert abs(logp[tokens == 1][0].item() + math.log1p(math.exp(-2))) < 1e-6


def test_temperature_zero_is_greedy():
    tokens, logp = choose(torch.tensor([[0.0, 3.0, 1.0]]), 0)
    assert tokens.item() == 1
    assert logp.item() == pytest.approx(3 - math.log(1 + math.e**3 + math.e), abs=1e-6)


def test_top_k_keeps_the_k_likeliest():
    kept = truncate(torch.tensor([[0.1, 0.4, 0.2, 0.3]]).log(), top_k=2)
    assert torch.isfinite(kept).tolist() == [[False, True, False, True]]


def test_of_equals_top_k_keeps_the_first_as_greedy_writing_does():
    logits = torch.tensor([[1.0, 3.0, 3.0, 3.0]]).expand(64, 4)
    assert torch.isfinite(truncate(logits[:1], top_k=2)).tolist() == [[False, True, True, False]]
    assert choose(logits, 1.0, top_k=1)[0].unique().tolist() == [1]


@pytest.mark.parametrize("p, kept", [(0.35, 1), (0.41, 2), (0.71, 3), (0.95, 4), (1.0, 4)])
def test_the_nucleus_is_the_smallest_set_that_reaches_p(p, kept):
    cut = truncate(torch.tensor([[0.1, 0.4, 0.2, 0.3]]).log(), top_p=p)
    assert torch.isfinite(cut).sum().item() == kept
    assert torch.isfinite(cut[0, 1])


@pytest.mark.parametrize("name", ["deepseek-llm-67b", "deepseek-v3"])
def test_greedy_writing_repeats_the_argmax_of_a_full_pass(name):
    model = tiny(name)
    prompts = [[1, 2, 3], [4, 5, 6]]
    written = generate(model, prompts, 8, temperature=0).tokens
    logits = model(written).logits
    assert torch.equal(logits[:, 2:-1].argmax(-1), written[:, 3:])


@pytest.mark.parametrize("name", ["deepseek-llm-67b", "deepseek-v3"])
def test_ragged_prompts_continue_as_they_would_alone(name):
    model = tiny(name)
    prompts = [[1, 2, 3, 4, 5], [6], [7, 8, 9]]
    together = generate(model, prompts, 6, temperature=0).answers()
    assert together == [generate(model, [p], 6, temperature=0).answers()[0] for p in prompts]


@pytest.mark.parametrize("temperature", [0.7, 1.0])
def test_log_probabilities_of_sampling_and_of_a_full_pass_agree(temperature):
    model = tiny()
    r = generate(model, [[1, 2], [3, 4]], 9, temperature=temperature, generator=seeded())
    full = token_logp(model(r.tokens[:, :-1]).logits, r.tokens[:, 1:], temperature)
    torch.testing.assert_close(r.logp[:, 1:][r.mask[:, 1:]], full[r.mask[:, 1:]], atol=1e-5, rtol=0)


def test_a_row_ends_at_its_stop_token_and_is_padded_after_it():
    model = tiny()
    r = generate(model, [[1, 2]] * 64, 20, stop=5, pad=22, generator=seeded())
    for row, mask in zip(r.tokens, r.mask, strict=True):
        answer = row[r.prompt_length :][mask[r.prompt_length :]]
        assert 5 not in answer[:-1]
        if 5 in answer:
            assert answer[-1] == 5
            assert (row[r.prompt_length + len(answer) :] == 22).all()
    assert (r.logp[~r.mask] == 0).all() and (r.logp[r.mask] < 0).all()
    assert any(5 in a for a in r.answers())


@pytest.mark.parametrize("name", ["deepseek-llm-67b", "deepseek-v3"])
def test_a_prompt_read_once_is_continued_as_if_it_came_several_times(name):
    model = tiny(name).double()
    prompts = [[1, 2, 3], [4], [5, 6]]
    once = generate(model, prompts, 9, each=4, stop=5, generator=seeded())
    several = [p for p in prompts for _ in range(4)]
    often = generate(model, several, 9, stop=5, generator=seeded())
    assert torch.equal(once.tokens, often.tokens) and torch.equal(once.mask, often.mask)
    assert torch.equal(once.pad, often.pad)
    torch.testing.assert_close(once.logp, often.logp, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["deepseek-llm-67b", "deepseek-v3"])
def test_rows_that_leave_the_batch_change_nothing_for_the_others(name, monkeypatch):
    model, left = tiny(name).double(), []
    prompts = [[1, 2], [3], [4, 5, 6]] * 20
    to_the_end = generate(model, prompts, 30, generator=seeded())
    often = int(to_the_end.tokens[to_the_end.mask].mode().values)
    take = Cache.take
    monkeypatch.setattr(Cache, "take", lambda c, rows: (left.append(len(rows)), take(c, rows)))
    stopping = generate(model, prompts, 30, stop=often, generator=seeded())
    for whole, cut in zip(to_the_end.answers(), stopping.answers(), strict=True):
        end = whole.index(often) + 1 if often in whole else len(whole)
        assert cut == whole[:end]
    assert left and all(b <= a / 2 for a, b in zip([60, *left], left, strict=False)), left


def test_a_share_of_the_rows_draws_what_it_draws_among_all():
    model = tiny().double()
    prompts = [[1], [2], [3], [4]]
    whole = generate(model, prompts, 20, each=8, stop=5, generator=seeded()).answers()
    parts = [
        generate(model, half, 20, each=8, stop=5, generator=Share(seeded(), first, 32)).answers()
        for half, first in ((prompts[:1], 0), (prompts[1:], 8))
    ]
    assert parts[0] + parts[1] == whole


@pytest.mark.parametrize("name", ["deepseek-llm-67b", "deepseek-v3"])
def test_a_model_writes_the_same_whatever_dtype_is_the_default(name, double_by_default):
    model = tiny(name).float()
    wide = generate(model, [[1, 2], [3]], 9, each=3, stop=5, generator=seeded())
    torch.set_default_dtype(torch.float32)
    usual = generate(model, [[1, 2], [3]], 9, each=3, stop=5, generator=seeded())
    assert wide.logp.dtype == torch.float32
    assert all(torch.equal(*pair) for pair in zip(wide[:3], usual[:3], strict=True))


def test_the_seed_decides():
    model = tiny()

    def written(seed):
        return generate(model, [[1]] * 8, 10, generator=seeded(seed)).tokens

    assert torch.equal(written(1), written(1))
    assert not torch.equal(written(1), written(2))


@pytest.mark.parametrize(
    "wrong, says",
    [
        ({"prompts": []}, "at least one token"),
        ({"prompts": [[1], []]}, "at least one token"),
        ({"max_new": 0}, "max_new=0"),
        ({"each": 0}, "each=0"),
        ({"temperature": -1.0}, "temperature=-1.0"),
        ({"top_k": 0}, "top_k=0"),
        ({"top_p": 0.0}, "top_p=0.0"),
        ({"max_new": 60}, "more than the context of 48"),
    ],
)
def test_what_cannot_be_sampled_is_refused_by_name(wrong, says):
    with pytest.raises(ValueError, match=says):
        generate(tiny(), **({"prompts": [[1]], "max_new": 3} | wrong))


@pytest.mark.parametrize("cut", [{"top_k": 1}, {"top_p": 0.3}])
def test_log_probabilities_are_those_before_the_cut(cut):
    logits = torch.tensor([[0.1, 0.4, 0.2, 0.3]]).log()
    token, logp = choose(logits, **cut, generator=seeded())
    assert token.item() == 1 and logp.exp().item() == pytest.approx(0.4)


def test_the_nucleus_is_taken_of_what_top_k_left():
    # of 0.4 and 0.3 the likelier has 4/7, which reaches 0.5 by itself; of all four it has 0.4
    both = truncate(torch.tensor([[0.1, 0.4, 0.2, 0.3]]).log(), top_k=2, top_p=0.5)
    assert torch.isfinite(both).tolist() == [[False, True, False, False]]
