"""Chapter 06's language runs: what is counted, what the ways do, and pictures of it."""

import math

import pytest
import torch

from minids.model.balance import load, max_violation
from minids.model.transformer import Transformer
from minids.study import balancing, viz_balance
from minids.study.compare import compare
from minids.study.results import Results
from minids.study.served import by_label, filled_in_turn, relative_load, specialisation
from minids.text.domains import DOMAINS
from minids.text.labelled import labelled_windows


@pytest.fixture(scope="module")
def results() -> Results:
    """A few steps of a few ways, for what needs a result of the right form."""
    arms = {way: {"way": way, "steps": 2, "batch": 4} for way in balancing.WAYS}
    return compare(balancing.run, arms, seeds=[0, 1], workers=0, progress=False)


# --- who serves whom


def test_choices_are_counted_by_label_and_expert():
    experts = torch.tensor([[0, 2], [2, 1], [0, 2]])
    counts = by_label(experts, torch.tensor([0, 1, 1]), n_labels=3, n_experts=4)
    assert counts.tolist() == [[1, 0, 1, 0], [1, 1, 2, 0], [0, 0, 0, 0]]


def test_specialisation_is_one_if_experts_tell_all_and_zero_if_nothing():
    assert specialisation(torch.eye(4)) == pytest.approx(1)
    assert specialisation(torch.ones(4, 6)) == pytest.approx(0, abs=1e-9)
    assert specialisation(torch.tensor([[3.0, 0.0], [0.0, 1.0]])) == pytest.approx(1)
    with pytest.raises(ValueError, match="same label"):
        specialisation(torch.tensor([[1.0, 2.0], [0.0, 0.0]]))


def test_specialisation_on_paper():
    # Two labels as frequent, expert 0 for both alike, experts 1 and 2 for one each: half is told.
    assert specialisation(torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 1.0]])) == pytest.approx(0.5)


def test_specialisation_knows_no_order_and_grows_with_finer_experts():
    g = torch.Generator().manual_seed(0)
    counts = torch.rand(4, 8, generator=g)
    merged = counts[:, ::2] + counts[:, 1::2]
    assert specialisation(counts[:, torch.randperm(8, generator=g)]) == pytest.approx(
        specialisation(counts), rel=1e-6
    )
    assert specialisation(merged) < specialisation(counts)


def test_relative_load_is_one_when_even_for_rare_labels_too():
    counts = torch.tensor([[10.0, 10.0], [3.0, 1.0]])
    assert relative_load(counts).tolist() == [[1, 1], [1.5, 0.5]]


def test_filling_in_turn_is_even_keeps_shares_and_mixes_neighbours_only():
    share = torch.tensor([4.0, 2.0, 1.0, 1.0])
    plan = filled_in_turn(share, 4)
    torch.testing.assert_close(plan.sum(0), torch.full((4,), 0.25))
    torch.testing.assert_close(plan.sum(1), share / 8)
    assert (plan > 0).tolist() == [[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1]]


# --- the runs


def test_ways_differ_in_one_thing_each():
    changed = [sum(1 for value in way[:3] if value) for way in balancing.WAYS.values()]
    assert changed == [0] + [1] * 8


def test_a_way_that_does_not_exist_is_answered_with_those_that_do():
    with pytest.raises(ValueError, match="no way 'prayer'; there are: none, loss 0.001"):
        balancing.run(seed=0, way="prayer", steps=1)


def test_the_load_of_every_step_and_layer_sums_to_one():
    _, loads = balancing.train(balancing.WAYS["none"], 0, steps=3, batch=4)
    assert loads.shape == (3, balancing.LAYERS, balancing.EXPERTS)
    torch.testing.assert_close(loads.sum(-1), torch.ones(3, balancing.LAYERS))


def test_a_bias_moves_by_its_speeds_and_without_one_it_stays():
    still, _ = balancing.train(balancing.WAYS["loss 0.1"], 0, steps=4, batch=4)
    moved, _ = balancing.train(balancing.Way(speed=0.01, last_speed=0.001), 0, steps=4, batch=4)
    for layer in still.layers:
        assert not layer.ffn.router.bias.any()
    biases = torch.stack([layer.ffn.router.bias for layer in moved.layers])
    assert 0.0289 < float(biases.abs().max()) < 0.0311  # three steps of 0.01 and one of 0.001
    thousandths = biases * 1000
    torch.testing.assert_close(thousandths, thousandths.round(), atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("way", "evens"),
    [(balancing.Way(loss=1.0), "exam"), (balancing.Way(by_sequence=1.0), "in a row")],
)
def test_a_strong_loss_evens_what_its_name_says(way, evens):
    models = [balancing.train(w, 0, steps=20, batch=4)[0] for w in (balancing.WAYS["none"], way)]
    without, with_loss = (balancing.exam(model, n=8)[evens] for model in models)
    assert with_loss < 0.8 * without


def test_a_run_repeats_and_depends_on_its_seed():
    one, two, other = (
        balancing.run(seed=seed, way="bias 0.01", steps=2, batch=4) for seed in (0, 0, 1)
    )
    assert one == two
    assert one["loss"] != other["loss"]


def test_an_exam_counts_every_choice_and_an_untrained_model_is_lost():
    found = balancing.exam(Transformer(balancing.toy(), seed=0), n=8)
    assert found["loss"] == pytest.approx(math.log(1024), abs=1.0)
    for layer in range(balancing.LAYERS):
        for name in DOMAINS:
            got = sum(found[f"{layer} {name} {e}"] for e in range(balancing.EXPERTS))
            assert got == 8 * balancing.LENGTH * 2
    assert 0 < found["exam"] < found["in a row"]
    assert 0 <= found["specialisation"] <= 1


def test_uneven_in_a_row_is_the_mean_of_rows_that_are_read_alone():
    model = Transformer(balancing.toy(), seed=0)
    rows, _ = labelled_windows(balancing._texts(2000, 40_000), length=balancing.LENGTH, n=2)
    alone = [
        float(max_violation(load(routing)))
        for row in rows.tokens
        for routing in model(row[None]).routings
    ]
    assert balancing.exam(model, n=2)["in a row"] == pytest.approx(sum(alone) / len(alone))


def test_the_exam_asks_other_texts_than_those_of_training(monkeypatch):
    made, texts = [], balancing._texts
    monkeypatch.setattr(balancing, "_texts", lambda seed, n: made.append(seed) or texts(seed, n))
    model, _ = balancing.train(balancing.WAYS["none"], 0, steps=1, batch=4)
    balancing.exam(model, n=1)
    assert len(made) == len(set(made)) == 2


def test_idle_experts_are_counted_over_all_layers():
    model = Transformer(balancing.toy(), seed=0)
    for layer, idle in zip(model.layers, (3, 1), strict=True):
        layer.ffn.router.bias[:idle] = -9.0
    assert balancing.exam(model, n=8)["idle"] == 4


def test_uneven_takes_steps_together_and_layers_apart():
    # Two steps that are lopsided in turn are even together; a lopsided layer is not made good.
    turns = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]])
    assert balancing.uneven(turns) == 0
    layers = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    assert balancing.uneven(layers) == 1


def test_what_a_comparison_holds_can_be_read_back(results):
    loads = balancing.served(results, "loss 0.1", 1, layer=1)
    assert loads.shape == (len(DOMAINS), balancing.EXPERTS)
    torch.testing.assert_close(loads.mean(1), torch.ones(len(DOMAINS)))
    found = [results.of("loss 0.1", f"1 code {e}")[1] for e in range(balancing.EXPERTS)]
    torch.testing.assert_close(loads[1], torch.tensor(found) / (sum(found) / len(found)))
    assert len(balancing.curve(results, "none")) == 2


# --- figures


def test_every_figure_has_titles_and_axes_with_words(results):
    drawn = [
        viz_balance.unevenness(results, 2),
        viz_balance.load_and_speciality(results),
        viz_balance.losses(results),
        viz_balance.experts_by_domain(results, ("by sequence", "bias, two speeds")),
    ]
    for figure in drawn:
        assert all(axes.get_title() for axes in figure.axes)
        assert any(axes.get_xlabel() for axes in figure.axes)
        assert figure.axes[0].get_ylabel()


def test_every_way_has_a_look_of_its_own_in_colour_and_mark():
    looks = [viz_balance._LOOKS[way] for way in balancing.WAYS]
    assert len({colour for colour, _, _ in looks}) == len({m for _, m, _ in looks}) == len(looks)


def test_runs_are_drawn_where_they_ended(results):
    axes = viz_balance.load_and_speciality(results).axes[0]
    drawn = {line.get_label(): line for line in axes.lines}
    for way in balancing.WAYS:
        assert list(drawn[way].get_xdata()) == list(results.of(way, "max_vio"))
        assert list(drawn[way].get_ydata()) == list(results.of(way, "specialisation"))


def test_a_logarithmic_axis_has_numbers_between_its_powers_of_ten(results):
    for figure, name in (
        (viz_balance.unevenness(results, 2), "y"),
        (viz_balance.load_and_speciality(results), "x"),
    ):
        figure.draw_without_rendering()
        labels = getattr(figure.axes[0], f"get_{name}ticklabels")()
        assert {"0.5", "1", "2"} <= {label.get_text() for label in labels}


def test_an_expert_that_serves_more_has_a_larger_square(results):
    figure = viz_balance.experts_by_domain(results, ("none",))
    loads = balancing.served(results, "none", 0, 0)
    areas = sorted(p.get_width() * p.get_height() for p in figure.axes[0].patches)
    part = sorted((loads.flatten() / 6).clamp(max=1).tolist())
    assert areas == pytest.approx([0.96**2 * x for x in part], abs=1e-6)
