"""Chapter 07's runs, figures and tests of chance: what they are given, they say."""

import math

import pytest
import torch

from minids import accounting
from minids.decode.draft import Pick
from minids.model.mtp import MTP
from minids.model.transformer import Transformer
from minids.presets import preset
from minids.study import draws, mtp_lab, mtp_speed, viz_mtp
from minids.study.results import Results


def small_run(**changes):
    return mtp_lab.trained(**({"seed": 0, "n_layers": 1, "steps": 2, "batch": 5} | changes))


# --- the runs


def fresh(depth=1):
    return MTP(Transformer(mtp_lab.toy(1, depth), seed=0), seed=1000).eval()


def test_a_run_without_modules_trains_the_model_and_leaves_the_modules_alone():
    trained, alone, new = small_run().model, small_run(modules=False).model, fresh()
    assert torch.equal(alone.depths[0].merge.weight, new.depths[0].merge.weight)
    assert not torch.equal(trained.depths[0].merge.weight, new.depths[0].merge.weight)
    for model in (trained, alone):
        assert not torch.equal(model.main.head.weight, new.main.head.weight)


def test_two_steps_leave_a_model_about_as_surprised_as_a_guess():
    run = small_run(depth=2)
    for loss in (run.nats, *run.ahead):
        assert loss == pytest.approx(math.log(1024), abs=0.8)


def test_a_change_is_made_before_the_model_learns():
    def silence(model):
        torch.nn.init.zeros_(model.depths[0].merge.weight)

    changed = small_run(steps=1, change=silence).model.depths[0].merge.weight
    assert changed.abs().max() < 0.02 < fresh().depths[0].merge.weight.abs().max()


def test_runs_come_back_by_their_number_in_this_process_as_well():
    tasks = [{"seed": s, "n_layers": 1, "steps": 1, "batch": 5} for s in (0, 1)]
    found = dict(mtp_lab.trained_all(tasks, workers=0))
    assert found[1].nats == small_run(seed=1, steps=1).nats != found[0].nats


def test_texts_are_five_and_prompts_are_held_out():
    assert set(mtp_lab.texts(held_out=True)) == set(mtp_lab.TEXTS)
    rows = mtp_lab.prompts("stories", 3)
    assert [len(row) for row in rows] == [mtp_lab.PROMPT] * 3


def test_what_is_drafted_fills_the_window_and_no_more():
    got = mtp_lab.drafted(fresh(), "code", n=2)
    assert [len(a) for a in got.answers] == [mtp_lab.LENGTH - mtp_lab.PROMPT] * 2


# --- what it costs and brings


def test_tokens_of_a_round_and_speed_are_the_formula():
    assert mtp_speed.tokens_per_round([]) == 1
    assert mtp_speed.tokens_per_round([0.9]) == 1.9
    assert mtp_speed.tokens_per_round([0.8, 0.5, 1.0]) == pytest.approx(1 + 0.8 + 0.4 + 0.4)
    assert mtp_speed.speed_up([0.9], 1.9) == 1


def test_a_module_adds_4_percent_to_v3_and_the_report_s_speed_follows():
    share = mtp_speed.share_of_a_module(preset("deepseek-v3"))
    assert share == pytest.approx(0.0441, abs=1e-4)
    assert 1.75 < mtp_speed.speed_up([0.85], 1 + share) < 1.8 < mtp_speed.speed_up([0.9], 1 + share)


def test_a_dense_module_weighs_a_layer_and_its_projection():
    c = mtp_lab.toy(1)
    p = accounting.parameters(c)
    share = round(mtp_speed.share_of_a_module(c) * accounting.activated(c))
    assert share == p.mtp + p.embedding  # three norms: two of the module, the last one's counts too


def test_a_round_costs_more_than_a_step_and_less_for_a_deeper_model():
    shallow, deep = (mtp_speed.cost_of_a_round(n, repeats=3) for n in (1, 8))
    assert shallow > 1.3 and deep < shallow


def test_all_arms_are_timed_on_the_same_prompts():
    model = fresh()
    arms = {"plain": (None, 1), "modules": (model, 1)}
    found = mtp_speed.seconds_per_token(model.main, arms, [[1, 2, 3]], max_new=5, repeats=1)
    assert set(found) == set(arms) and all(x > 0 for x in found.values())


# --- chance


def test_chances_of_all_texts_sum_to_one_and_are_those_of_the_model():
    model = draws.tiny()
    for pick in (Pick(), Pick(temperature=0.5, top_k=3), Pick(top_p=0.8)):
        p = draws.chances(model.main, [1, 2], 3, pick)
        assert len(p) == 125 and float(p.sum()) == pytest.approx(1, abs=1e-5)
    p = draws.chances(model.main, [1, 2], 1, Pick())
    logits = model.main(torch.tensor([[1, 2]])).logits[0, -1]
    torch.testing.assert_close(p, logits.softmax(-1).double(), atol=1e-6, rtol=0)


def test_the_chi_square_of_a_coin_is_the_number_on_paper():
    t = draws.chi_square(torch.tensor([60, 40]), torch.tensor([0.5, 0.5]))
    assert t.statistic == pytest.approx(4.0) and t.freedom == 1
    assert t.p == pytest.approx(0.0455, abs=1e-4)


def test_honest_counts_pass_and_loaded_ones_do_not():
    chance = torch.tensor([0.5, 0.25, 0.125, 0.125])
    g = torch.Generator().manual_seed(0)
    rolled = torch.multinomial(chance, 10_000, replacement=True, generator=g)
    honest = torch.bincount(rolled, minlength=4)
    assert draws.chi_square(honest, chance).p > 0.01
    assert draws.chi_square(honest, chance.flip(0)).p < 1e-9


def test_what_cannot_happen_and_did_is_no_chance():
    t = draws.chi_square(torch.tensor([99, 1]), torch.tensor([1.0, 0.0]))
    assert t.p == 0
    with pytest.raises(ValueError, match="fewer than two cells"):
        draws.chi_square(torch.tensor([4, 0]), torch.tensor([1.0, 0.0]))


def test_rare_cells_are_pooled():
    chance = torch.tensor([0.9, *[0.001] * 100])
    t = draws.chi_square(torch.tensor([90, *[0] * 90, *[1] * 10]), chance)
    assert t.freedom == 1 and t.p > 0.5


def test_counts_are_of_as_many_texts_as_were_drawn():
    model = draws.tiny()
    helper = draws.smaller(model.c)
    assert isinstance(helper, Transformer) and helper.c.n_layers == 1
    g = torch.Generator().manual_seed(0)
    found = draws.counts(model.main, helper, [1], 2, Pick(generator=g), draws=50)
    assert found.sum() == 50 and len(found) == 25


# --- figures


def test_every_figure_has_a_title_and_axes_with_words():
    results = Results(
        seeds=(0, 1), values={"without": {"x": (2.0, 2.1)}, "with": {"x": (2.0, 2.2)}}, machine=""
    )
    figures = [
        viz_mtp.who_predicts_what(["a", "b", "c", "d"], 2),
        viz_mtp.main_loss(results),
        viz_mtp.acceptance(
            {"code": {"first": 0.9, "second": 0.5}, "prose": {"first": 0.4, "second": 0.6}}
        ),
        viz_mtp.speed(
            {"deep": [(1.8, 1.4)], "shallow": [(1.7, 0.9)]}, {"deep": 1.3, "shallow": 1.9}
        ),
        viz_mtp.cost_model(12, 3, 0.05, {"here": 0.8}),
    ]
    for figure in figures:
        for axes in figure.axes:
            assert axes.get_title() and axes.get_xlabel() and axes.get_ylabel()


def test_the_line_of_the_cost_model_is_the_formula():
    axes = viz_mtp.cost_model(10, 2, 0.0, {}).axes[0]
    one, two = axes.lines[1:3]
    assert list(one.get_ydata())[100] == pytest.approx(2 / 1.1)
    assert list(two.get_ydata())[50] == pytest.approx((1 + 0.5 + 0.25) / 1.2)


def test_marks_of_the_cost_model_are_named_in_its_legend_where_no_line_runs():
    axes = viz_mtp.cost_model(12, 4, 0.25, {"ours": 0.7, "V3": 0.9}).axes[0]
    said = [text.get_text() for text in axes.get_legend().get_texts()]
    assert said[0] == "1 draft: a round costs 1.33 steps" and said[-2:] == ["ours", "V3"]
    assert not axes.texts


def test_module_k_predicts_the_word_k_plus_one_further():
    axes = viz_mtp.who_predicts_what(["a", "b", "c", "d"], 1).axes[0]
    said = [t.get_text() for t in axes.texts if "→" in t.get_text()]
    assert said == ["a\n→ b", "b\n→ c", "c\n→ d", "+ b\n→ c", "+ c\n→ d"]


def test_bars_carry_their_numbers():
    axes = viz_mtp.acceptance({"code": {"first": 0.87}}).axes[0]
    assert [t.get_text() for t in axes.texts] == [".87"] and axes.patches[0].get_height() == 0.87


@pytest.mark.parametrize("bad", [(0, 1, 0), (12, 0, 0), (12, 1, -1)])
def test_drafting_that_cannot_be_is_refused(bad):
    with pytest.raises(ValueError, match="no such drafting"):
        viz_mtp.cost_model(*bad, {})
    with pytest.raises(ValueError, match="leave no place"):
        viz_mtp.who_predicts_what(["a", "b"], 1)


def test_the_stop_of_the_tour_counts_and_draws(tmp_path, capsys, monkeypatch):
    from minids.cli.stops import mtp

    monkeypatch.setenv("MINIDS_SCALE", "smoke")
    (path,) = mtp.visit(tmp_path)
    said = capsys.readouterr().out
    assert "671 B, and a module of 11.6 B" in said and "1.77 to 1.82 times as fast" in said
    assert path.read_bytes().startswith(b"\x89PNG")


def test_of_every_round_the_shortest_time_counts(monkeypatch):
    scripted = iter([[3.0, 1.0], [2.0, 5.0]])
    monkeypatch.setattr(mtp_speed, "_behind_the_prompt", lambda run: next(scripted))
    found = mtp_speed.seconds_per_token(
        fresh().main, {"plain": (None, 1)}, [[1]], max_new=4, repeats=2
    )
    assert found == {"plain": (2 + 1) / 3}


def test_a_machine_that_slows_down_slows_both_and_a_jolt_does_not_count(monkeypatch):
    clock, done = 0.0, []

    def rounds(model, drafter, prompts, max_new, *, n_drafts=1):
        nonlocal clock
        for i in range(25):
            done.append("plain" if drafter is None else "drafting")
            slow = 10.0 if len(done) > 30 else 1.0
            jolt = 500.0 if len(done) == 20 else 0.0
            clock += slow * (1.0 if drafter is None else 1.5) + jolt if i else 99.0
            yield None

    monkeypatch.setattr(mtp_speed, "rounds", rounds)
    monkeypatch.setattr(mtp_speed.time, "perf_counter", lambda: clock)
    assert mtp_speed.cost_of_a_round(1, repeats=1) == 1.5
    assert done[:9] + done[9:18] == ["plain"] * 9 + ["drafting"] * 9  # prompt and a block each
