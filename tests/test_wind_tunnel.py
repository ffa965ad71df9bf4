"""The wind tunnel: its world, what the layer learns in it, and that each way to balance works."""

from functools import partial

import pytest
import torch
from matplotlib.figure import Figure

from minids.check.bugs.ch06 import leaking_router
from minids.model.balance import load, max_violation
from minids.study import viz_balance, viz_dispatch
from minids.study import wind_tunnel as wt
from minids.study.served import specialisation
from minids.systems.dispatch import destinations


def drawn(seed: int = 0, n: int = 500):
    return wt.tokens(wt.world(seed), n, torch.Generator().manual_seed(1))


def test_clusters_are_as_frequent_as_their_rank_says():
    share = wt.world(0).share
    assert float(share.sum()) == pytest.approx(1)
    torch.testing.assert_close(share[0] / share, torch.arange(1.0, 9))
    seen = torch.bincount(drawn(n=20_000)[2], minlength=8) / (20_000 * wt.LENGTH)
    torch.testing.assert_close(seen, share, atol=0.01, rtol=0)


def test_a_text_stays_in_its_cluster_and_near_its_centre():
    x, _, cluster = drawn()
    assert bool((cluster.view(-1, wt.LENGTH) == cluster[:: wt.LENGTH, None]).all())
    away = (x - wt.world(0).centres[cluster]).std()
    assert float(away) == pytest.approx(0.5, rel=0.05)


def test_what_should_come_out_is_the_map_of_the_cluster():
    x, y, cluster = drawn(n=5)
    for i in (0, 9, 39):
        torch.testing.assert_close(y[i], wt.world(0).maps[cluster[i]] @ x[i])


def test_a_layer_is_a_function_of_its_seed_and_leaves_the_random_state_alone():
    before = torch.random.get_rng_state()
    one, two, other = (wt.layer(seed).router.weight for seed in (0, 0, 1))
    assert torch.equal(one, two) and not torch.equal(one, other)
    assert torch.equal(before, torch.random.get_rng_state())


def test_speeds_hold_for_three_quarters_and_one():
    assert [wt.speed_at((0.1, 0.01), i, 4) for i in range(4)] == [0.1, 0.1, 0.1, 0.01]
    assert wt.speed_at(0.3, 3, 4) == 0.3


def test_a_bias_moves_by_its_speed_and_nothing_else_moves_it():
    moments = list(wt.train(wt.layer(0), 0, steps=3, speed=0.5))
    gap = moments[1].load.mean() - moments[1].load
    torch.testing.assert_close(moments[1].bias - moments[0].bias, 0.5 * gap.sign())
    for moment in wt.train(wt.layer(0), 0, steps=3, loss=0.1):
        assert not moment.bias.any()


def test_training_lowers_the_error():
    untrained = wt.layer(0)
    trained = wt.layer(0)
    list(wt.train(trained, 0, steps=60))
    assert wt.examine(trained, 0, 64).error < 0.5 * wt.examine(untrained, 0, 64).error


@pytest.mark.parametrize("seed", [20, 21])
def test_in_a_short_run_the_bias_evens_and_the_scope_of_a_loss_decides(seed):
    found = {
        name: wt.run(seed=seed, steps=120, **way)
        for name, way in {
            "none": {},
            "bias": {"speed": (0.02, 0.004)},
            "text": {"by_sequence": 0.1},
        }.items()
    }
    assert found["bias"]["max_vio"] < 0.5 * found["none"]["max_vio"]
    assert found["text"]["specialisation"] < 0.6 * found["bias"]["specialisation"]
    assert found["text"]["error"] > 1.2 * found["bias"]["error"]


def test_a_leaking_router_is_another_layer_once_the_bias_moved():
    right, leaks = wt.layer(0), wt.layer(0, partial(leaking_router, top_k=2))
    x = torch.randn(1, 64, wt.WIDTH, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(right(x)[0], leaks(x)[0])
        for layer in (right, leaks):
            layer.router.bias.copy_(torch.linspace(-0.2, 0.2, 8))
        (a, seen), (b, seen_too) = right(x), leaks(x)
    assert torch.equal(seen.experts, seen_too.experts)  # the load cannot tell
    assert float(max_violation(load(seen))) == float(max_violation(load(seen_too)))
    assert float((a - b).abs().max()) > 0.01


def test_a_layer_that_returns_nothing_has_error_1():
    silent = wt.layer(0)
    silent.experts.down.data.zero_()
    assert wt.examine(silent, 0, 64).error == pytest.approx(1)


def test_the_unevenness_of_a_run_is_that_of_its_last_sixth():
    *_, last_but_one, last = (moment.load for moment in wt.train(wt.layer(0), 0, steps=12))
    found = wt.run(seed=0, steps=12)["max_vio"]
    assert found == pytest.approx(float(max_violation((last_but_one + last) / 2)))


def test_the_exam_counts_two_choices_of_each_token():
    exam = wt.examine(wt.layer(0), 0, 10)
    assert float(exam.counts.sum()) == 10 * wt.LENGTH * 2
    assert 0 <= specialisation(exam.counts) <= 1


# --- figures


def words(figure: Figure) -> list[str]:
    return [axes.get_title() + axes.get_xlabel() + axes.get_ylabel() for axes in figure.axes]


def test_a_moment_shows_the_load_the_bias_and_the_time():
    history = list(wt.train(wt.layer(0), 0, steps=6, speed=0.1))
    figure = viz_balance.moment(history, 4, window=2)
    assert all(words(figure))
    left, middle, right = figure.axes
    loads = torch.stack([m.load for m in history])[2:4].mean(0) * wt.EXPERTS
    assert [bar.get_height() for bar in left.patches] == pytest.approx(loads.tolist())
    assert [b.get_height() for b in middle.patches] == pytest.approx(history[3].bias.tolist())
    assert 4 in [line.get_xdata()[0] for line in right.lines]
    with pytest.raises(ValueError, match="step=7 lies outside"):
        viz_balance.moment(history, 7)


def test_a_map_has_a_square_for_each_cluster_and_expert():
    figure = viz_balance.clusters_by_expert(
        {"a": torch.eye(3), "b": torch.ones(3, 3)}, {"a": "pure", "b": "mixed"}
    )
    assert [len(axes.patches) for axes in figure.axes] == [9, 9]
    assert "mixed" in figure.axes[1].get_xlabel()
    assert all(words(figure))


def test_visits_and_loads_are_drawn_as_they_are():
    visited = torch.tensor([[1, 1, 0], [1, 0, 0], [1, 1, 0], [0, 1, 1]]).bool()
    share = destinations(visited)
    figure = viz_dispatch.visits({"V0": {"free": share, "limited": share}}, ["nodes"])
    heights = [bar.get_height() for bar in figure.axes[0].patches]
    assert heights == pytest.approx([0, 25, 75, 0] * 2)
    assert all(words(figure))
    busy = viz_dispatch.device_loads({"in order": torch.tensor([1.0, 3.0]), "x": torch.ones(2)})
    assert list(busy.axes[0].lines[0].get_ydata()) == [1.5, 0.5]
    assert "1.50" in [text.get_text() for text in busy.axes[0].texts]
    assert all(words(busy))
