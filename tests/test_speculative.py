"""Writing with drafts: the same text, the same distribution, fewer passes, uneven rows."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from minids.decode import draft, speculative
from minids.decode.accept import accept, accept_greedy
from minids.decode.draft import Pick
from minids.decode.rows import Rows, put, window
from minids.decode.sample import generate
from minids.decode.speculative import rounds, speculate
from minids.model.layers import init_weights
from minids.model.mtp import MTP
from minids.model.transformer import Transformer
from minids.presets import preset, shrink
from minids.study import draws

KINDS = ("deepseek-llm-67b", "deepseek-v3")
RAGGED = [[1], [2, 3, 4, 5], [7, 8], [3, 3, 3]]


def tiny(name="deepseek-v3", depth=3, seed=1, **changes):
    small = shrink(preset(name), dim=32, n_heads=4, n_layers=3, n_routed=8, vocab=23, context=64)
    model = MTP(Transformer(replace(small, mtp_depth=depth, **changes)))
    init_weights(model, 0.3, torch.Generator().manual_seed(seed))
    return model.double().eval()


def shallow(model):
    """The first layer of a model with its head: it agrees now and then."""
    small = Transformer(replace(model.c, n_layers=1)).double()
    small.load_state_dict({k: v for k, v in model.state_dict().items() if k in small.state_dict()})
    return small.eval()


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def plain(model, prompts, n, **options):
    return generate(model, prompts, n, temperature=0, **options).answers()


# --- greedy: the same text


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("prompts", [[[1]], [[1, 2, 3, 4]], [[1, 2], [4, 5]], RAGGED])
@pytest.mark.parametrize("n_new", [1, 2, 3, 10])
def test_greedy_text_with_drafts_is_plain_greedy_text(name, prompts, n_new):
    model = tiny(name)
    main, small = model.main, shallow(model.main)
    want = plain(main, prompts, n_new)
    drafters = [(None, 1), (model, 1), (model, 2), (model, 3), (small, 1), (small, 4), (main, 3)]
    for drafter, n in drafters:
        got = speculate(main, drafter, prompts, n_new, n_drafts=n, temperature=0)
        assert got.answers == want


@pytest.mark.parametrize("seed", range(8))
def test_it_is_the_same_text_for_every_seed(seed):
    model = tiny("deepseek-llm-67b", 2, seed=seed)
    small = shallow(model.main)
    prompts = torch.randint(23, (3, 4), generator=seeded(seed)).tolist()
    want = plain(model.main, prompts, 20)
    for drafter in (model, small):
        assert (
            speculate(model.main, drafter, prompts, 20, n_drafts=2, temperature=0).answers == want
        )


def test_a_row_ends_at_its_stop_token_and_the_others_go_on():
    model = tiny()
    small = shallow(model.main)
    free = plain(model.main, RAGGED, 12)
    for stop in sorted({row[3] for row in free}):
        want = plain(model.main, RAGGED, 12, stop=stop)
        for drafter, n in ((None, 1), (model, 3), (small, 3), (model.main, 3)):
            got = speculate(
                model.main, drafter, RAGGED, 12, n_drafts=n, temperature=0, stop=stop
            ).answers
            assert got == want
            assert all(stop not in row[:-1] for row in got)


def test_the_whole_context_can_be_written():
    model = tiny("deepseek-llm-67b")
    want = plain(model.main, [[1, 2], [3]], 62)
    got = speculate(model.main, model, [[1, 2], [3]], 62, n_drafts=3, temperature=0)
    assert got.answers == want


def test_a_row_in_a_batch_is_written_as_it_would_be_alone():
    model = tiny()
    together = speculate(model.main, model, RAGGED, 12, n_drafts=2, temperature=0).answers
    for prompt, row in zip(RAGGED, together, strict=True):
        assert speculate(model.main, model, [prompt], 12, n_drafts=2, temperature=0).answers == [
            row
        ]


def test_uneven_rows_that_do_not_move_to_their_slots_would_be_noticed(monkeypatch):
    model = tiny()
    want = plain(model.main, RAGGED, 16)

    def keep_in_place(self, counts):
        self.lengths = [n + count for n, count in zip(self.lengths, counts, strict=True)]
        for layer in self.layers:
            layer.rewind(max(self.lengths))

    monkeypatch.setattr(Rows, "keep", keep_in_place)
    got = speculate(model.main, shallow(model.main), RAGGED, 16, n_drafts=3, temperature=0)
    assert got.answers != want


# --- passes and statistics


def test_a_drafter_that_knows_saves_passes_and_one_that_does_not_costs_none():
    model = tiny("deepseek-llm-67b", 1)
    best = speculate(model.main, model.main, [[1, 2]], 21, n_drafts=4, temperature=0)
    assert best.passes == 1 + 4
    assert best.tested == best.accepted == [4, 4, 4, 4]
    assert best.acceptance == [1.0] * 4
    worst = speculate(model.main, model, [[1, 2]], 21, temperature=0)
    assert worst.passes <= 21
    assert speculate(model.main, None, [[1, 2]], 21, temperature=0).passes == 21


@pytest.mark.parametrize("prompts", [[[5]], RAGGED])
def test_tokens_are_what_the_statistics_add_up_to(prompts):
    model = tiny("deepseek-llm-67b")
    small = shallow(model.main)
    log = list(rounds(model.main, small, prompts, 18, n_drafts=3))
    brought = sum(len(new) for one in log for new in one.new)
    assert brought == 18 * len(prompts)
    for one in log:
        for count in one.accepted:
            assert 0 <= count <= one.drafts <= 3
    got = speculate(model.main, small, prompts, 18, n_drafts=3, temperature=0)
    assert got.passes == len(log)
    assert got.tested[0] == sum(len(one.accepted) for one in log if one.drafts)
    assert all(later <= kept for later, kept in zip(got.tested[1:], got.accepted, strict=False))
    assert got.accepted[0] > 0


def test_the_model_is_called_once_a_round(monkeypatch):
    model = tiny("deepseek-llm-67b", 1)
    calls: list[int] = []
    real = speculative.read

    def counted(one: Transformer, tokens: Tensor, rows: Rows) -> Tensor:
        calls.append(tokens.shape[1])
        return real(one, tokens, rows)

    monkeypatch.setattr(speculative, "read", counted)
    got = speculate(model.main, model, [[1, 2, 3]], 10, temperature=0)
    assert len(calls) == got.passes
    assert calls[0] == 3 and set(calls[1:]) <= {1, 2}


# --- sampled: the same distribution


def test_the_rule_adds_up_to_p_case_by_case():
    """Every draft, every coin: what comes out has the distribution p, computed without chance."""
    g = seeded(3)
    p, q = (torch.rand(2, 1, 6, generator=g) + 0.02).softmax(-1), torch.rand(1, 6, generator=g)
    p, q = p[:, 0], q / q.sum()
    out = torch.zeros(6)
    for x in range(6):
        chance = min(1.0, float(p[0, x] / q[0, x]))
        out[x] += q[0, x] * chance
        rest = (p[0] - q[0]).clamp(min=0)
        out += q[0, x] * (1 - chance) * rest / rest.sum()
    torch.testing.assert_close(out, p[0])
    n = 40_000
    pick = Pick(generator=g)
    drafts = pick.draw(q.expand(n, 6))[:, None]
    kept, following = accept(p[None].expand(n, 2, 6), q[None].expand(n, 1, 6), drafts, pick)
    first = torch.where(kept == 1, drafts[:, 0], following)
    assert draws.chi_square(torch.bincount(first, minlength=6), p[0]).p > 0.001
    assert draws.chi_square(torch.bincount(following[kept == 1], minlength=6), p[1]).p > 0.001
    assert abs(float(kept.float().mean()) - float(torch.minimum(p[0], q[0]).sum())) < 0.01


def test_a_draft_that_the_model_would_never_write_is_never_kept():
    p = torch.tensor([[[0.0, 0.6, 0.4], [0.2, 0.3, 0.5]]]).expand(500, 2, 3)
    q = torch.tensor([[[0.9, 0.1, 0.0]]]).expand(500, 1, 3)
    kept, following = accept(p, q, torch.zeros(500, 1, dtype=torch.long), Pick(generator=seeded()))
    assert not kept.any() and set(following.tolist()) == {1, 2}


def test_drafts_from_p_itself_are_always_kept():
    p = torch.rand(100, 4, 7, generator=seeded()).softmax(-1)
    drafts = torch.randint(7, (100, 3), generator=seeded(1))
    kept, _ = accept(p, p[:, :3], drafts, Pick(generator=seeded(2)))
    assert (kept == 3).all()


@pytest.mark.parametrize("how", [{}, {"temperature": 0.6}, {"top_k": 3}, {"top_p": 0.7},
                                 {"temperature": 1.4, "top_k": 4, "top_p": 0.9}])  # fmt: skip
@pytest.mark.parametrize("drafter", ["modules", "model"])
def test_ten_thousand_draws_follow_the_exact_distribution(how, drafter):
    model = draws.tiny()
    helper = model if drafter == "modules" else draws.smaller(model.c)
    pick = Pick(**how, generator=seeded(5))
    chances = draws.chances(model.main, [1, 2], 4, pick)
    found = draws.counts(model.main, helper, [1, 2], 4, pick, n_drafts=2)
    assert draws.chi_square(found, chances).p > 0.001


def test_ten_thousand_draws_agree_with_plain_sampling():
    model = draws.tiny(seed=4)
    spec, ours = (
        draws.counts(model.main, drafter, [3], 3, Pick(generator=seeded(6 + i)), n_drafts=2)
        for i, drafter in enumerate((model, None))
    )
    r = generate(model.main, [[3]] * 10_000, 3, generator=seeded(9))
    cell = (r.tokens[:, 1:] * torch.tensor([25, 5, 1])).sum(-1)
    by_generate = torch.bincount(cell, minlength=125)
    for found in (spec, ours):  # two samples: the chances are estimated from both together
        chances = (found + by_generate) / 20_000
        both = (
            draws.chi_square(found, chances).statistic
            + draws.chi_square(by_generate, chances).statistic
        )
        freedom = draws.chi_square(found, chances).freedom
        assert torch.special.gammaincc(torch.tensor(freedom / 2), torch.tensor(both / 2)) > 0.001


def test_replacing_a_rejected_draft_by_a_fresh_draw_would_be_noticed(monkeypatch):
    def fresh(p, q, drafts, pick):
        kept, _ = accept(p, q, drafts, pick)
        return kept, pick.draw(p[torch.arange(len(p)), kept])

    monkeypatch.setattr(speculative, "accept", fresh)
    model = draws.tiny()
    pick = Pick(generator=seeded(5))
    found = draws.counts(model.main, model, [1, 2], 4, pick, n_drafts=2)
    assert draws.chi_square(found, draws.chances(model.main, [1, 2], 4, pick)).p < 1e-6


def test_the_seed_decides():
    model = tiny()

    def written(seed):
        return speculate(model.main, model, RAGGED, 9, n_drafts=2, generator=seeded(seed)).answers

    assert written(1) == written(1) != written(2)


def test_top_k_of_one_is_greedy():
    model = tiny()
    got = speculate(model.main, model, RAGGED, 12, n_drafts=2, top_k=1, generator=seeded())
    assert got.answers == plain(model.main, RAGGED, 12)


# --- the pieces


@given(st.lists(st.integers(0, 2), min_size=0, max_size=5), st.data())
@settings(max_examples=80, deadline=None)
def test_greedy_acceptance_stops_at_the_first_difference(drafts, data):
    n = len(drafts)
    best = data.draw(st.lists(st.integers(0, 2), min_size=n + 1, max_size=n + 1))
    kept, following = accept_greedy(torch.tensor([best]), torch.tensor([drafts], dtype=torch.long))
    want = 0
    while want < n and drafts[want] == best[want]:
        want += 1
    assert kept.tolist() == [want] and following.tolist() == [best[want]]


def test_windows_and_writes_follow_each_row():
    store = torch.arange(24).view(2, 12)
    assert window(store, [1, 5], 3).tolist() == [[1, 2, 3], [17, 18, 19]]
    assert window(store, [2, 2], 2).data_ptr() == store[:, 2:].data_ptr()
    put(store, [0, 10], torch.tensor([[-1, -2], [-3, -4]]))
    assert store[0, :2].tolist() == [-1, -2] and store[1, 10:].tolist() == [-3, -4]


@pytest.mark.parametrize("name", KINDS)
def test_uneven_rows_read_what_they_would_read_alone(name):
    main = tiny(name).main
    tokens = torch.randint(23, (3, 9), generator=seeded())
    rows = Rows(main.new_cache(3, 32).layers, 3, main.cos, main.sin)
    draft.read(main, tokens[:, :5], rows)
    rows.keep([5, 2, 0])
    assert rows.lengths == [5, 2, 0] and not rows.even
    new = torch.stack([tokens[0, 5:8], tokens[1, 2:5], tokens[2, 0:3]])
    hidden = draft.read(main, new, rows)
    whole = main(tokens).hidden
    for row, start in enumerate((5, 2, 0)):
        torch.testing.assert_close(hidden[row], whole[row, start : start + 3], atol=1e-10, rtol=0)
    rows.keep([1, 3, 2])
    assert rows.lengths == [6, 5, 2]
    last = torch.stack([tokens[0, 6:8], tokens[1, 5:7], tokens[2, 2:4]])
    again = draft.read(main, last, rows)
    for row, start in enumerate((6, 5, 2)):
        torch.testing.assert_close(again[row], whole[row, start : start + 2], atol=1e-10, rtol=0)
    rows.rewind([1, 1, 1])
    assert rows.even and rows.layers[0].length == 1
    for wrong in ([2, 1, 1], [1, -1, 1]):
        with pytest.raises(ValueError, match="cannot rewind to .*: the rows hold"):
            rows.rewind(wrong)


def test_probabilities_are_cut_and_sum_to_one():
    logits = torch.tensor([0.1, 0.4, 0.2, 0.3]).log().expand(2, 3, 4)
    p = Pick(top_k=2).probabilities(logits)
    torch.testing.assert_close(p[1, 2], torch.tensor([0, 4 / 7, 0, 3 / 7]))
    sharp = Pick(temperature=0.5).probabilities(logits)[0, 0]
    torch.testing.assert_close(sharp, torch.tensor([1, 16, 4, 9]) / 30)
    nucleus = Pick(top_p=0.65).probabilities(logits)[0, 0]
    torch.testing.assert_close(nucleus, torch.tensor([0, 4 / 7, 0, 3 / 7]))


WRONG: Sequence[tuple[dict, str]] = [
    ({"prompts": []}, "at least one token"),
    ({"prompts": [[1], []]}, "at least one token"),
    ({"max_new": 0}, "max_new=0 behind a prompt of 1"),
    ({"max_new": 64}, "more than the context of 64"),
    ({"temperature": -1.0}, "temperature=-1.0"),
    ({"top_k": 0}, "top_k=0"),
    ({"top_p": 0.0}, "top_p=0.0"),
    ({"n_drafts": 0}, "n_drafts=0"),
    ({"n_drafts": 4}, "there are 3 modules"),
    ({"drafter": tiny(seed=2)}, "belong to another model"),
    ({"drafter": Transformer(replace(tiny().c, vocab=7))}, "knows 7 tokens and the model 23"),
]


@pytest.mark.parametrize("wrong, says", WRONG)
def test_what_cannot_be_written_is_refused_by_name(wrong, says):
    model = tiny()
    options = {"drafter": model, "prompts": [[1]], "max_new": 3, "temperature": 0.0} | wrong
    with pytest.raises(ValueError, match=says):
        speculate(model.main, **options)


def test_a_drafter_whose_context_is_too_short_is_refused():
    model = tiny().main
    short = Transformer(replace(model.c, context=16)).double()
    with pytest.raises(ValueError, match="the drafter has a context of 16, and 18 tokens"):
        speculate(model, short, [[1, 2, 3, 4]], 14, n_drafts=1)


def test_places_behind_the_context_turn_like_its_last_one():
    main = tiny("deepseek-llm-67b").main  # a row ahead gets drafts for places it cannot keep
    rows = Rows(main.new_cache(2, 80).layers, 2, main.cos, main.sin)
    rows.lengths = [63, 1]
    turn, _ = rows.view(3)
    assert torch.equal(turn.cos[0, 0], main.cos[[63, 63, 63]])
    assert torch.equal(turn.cos[1, 0], main.cos[1:4])


def test_no_more_is_drafted_than_is_left_to_write():
    main = tiny("deepseek-llm-67b").main
    log = list(rounds(main, main, [[1, 2]], 3, n_drafts=4))
    assert [(one.drafts, len(one.new[0])) for one in log] == [(0, 1), (1, 2)]
    assert speculate(main, main, [[1, 2]], 1, n_drafts=2).acceptance == [0, 0]  # none was tested


def test_every_pass_brings_one_token_and_every_accepted_draft_one_more():
    main = tiny("deepseek-llm-67b").main
    got = speculate(main, shallow(main), [[5]], 18, n_drafts=3, temperature=0)
    assert got.passes + sum(got.accepted) == 18
    assert 0 < sum(got.accepted) < sum(got.tested)


def test_a_draft_refused_where_nothing_is_left_gives_its_place_to_a_token_of_p():
    p = torch.tensor([[[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]]).expand(200, 2, 3)
    q = torch.tensor([[[0.5, 0.5, 0.0]]]).expand(200, 1, 3) * 1e9  # never kept, and above p
    kept, following = accept(p, q, torch.zeros(200, 1, dtype=torch.long), Pick(generator=seeded()))
    assert not kept.any() and set(following.tolist()) == {0, 1}


def test_modules_draft_from_facts_alone_however_often_they_guessed_wrong(monkeypatch):
    model, seen = tiny("deepseek-llm-67b", 3), []
    real = draft.ModuleDraft.propose

    def recorded(self, text, n, pick):
        found = real(self, text, n, pick)
        known = text.tokens[0, : text.known[0]].tolist()
        seen.append((known, text.drafted(n)[0].tolist()))
        return found

    monkeypatch.setattr(draft.ModuleDraft, "propose", recorded)
    speculate(model.main, model, [[1, 2]], 17, n_drafts=3, temperature=0)
    so_far = list(seen)
    assert len(so_far) > 5
    for known, guesses in so_far:  # a drafter that has not guessed before says the same
        seen.clear()
        n = len(guesses) + 2
        speculate(model.main, model, [known[:-1]], n, n_drafts=3, temperature=0)
        assert seen[0] == (known, guesses)


def test_modules_guess_in_turn_what_they_say_ahead_of_the_whole_text(monkeypatch):
    model, seen = tiny(), []
    real = draft.ModuleDraft.propose

    def recorded(self, text, n, pick):
        found = real(self, text, n, pick)
        seen.append((text.known[0], text.tokens[0, : text.known[0] + n].clone(), n))
        return found

    monkeypatch.setattr(draft.ModuleDraft, "propose", recorded)
    speculate(model.main, model, [[1, 2, 3]], 12, n_drafts=3, temperature=0)
    assert max(n for _, _, n in seen) == 3
    for known, text, n in seen:
        tokens, targets = text[None, :-1], text[None, 1:]
        ahead = model.ahead(model.main(tokens).hidden, targets)
        said = [int(output.logits[0, known - 2].argmax()) for output in ahead[:n]]
        assert said == text[known:].tolist()


def test_a_model_that_drafts_reads_no_more_than_what_is_new(monkeypatch):
    main, read = tiny("deepseek-llm-67b").main, []
    real = draft.read

    def counted(model, tokens, rows):
        read.append(tokens.shape[1])
        return real(model, tokens, rows)

    monkeypatch.setattr(draft, "read", counted)
    speculate(main, shallow(main), [[1, 2, 3]], 20, n_drafts=2, temperature=0)
    assert read[0] == 4 and max(read[1:]) == 2  # the last guess that was kept, and what followed
