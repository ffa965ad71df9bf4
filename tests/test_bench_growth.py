"""How cost grows: slopes of made-up seconds, plans that hold all but one thing, a figure."""

import pytest

from minids import accounting
from minids.study import growth as g
from minids.study.viz_growth import growth as drawn


def made_up(slope, name="batch", factor=0.01, rounds=3):
    sizes = [1, 2, 8, 64]
    seconds = [factor * size**slope for size in sizes]
    return g.Curve(name, "all else", sizes, sizes, [7.0 * s for s in sizes], rounds * [seconds])


@pytest.mark.parametrize("slope", [-1.0, 0.0, 0.5, 2.0])
def test_an_exact_power_law_gives_its_exponent_and_factor(slope):
    found = g.power_law([3, 5, 20], [0.2 * size**slope for size in (3, 5, 20)])
    assert found == pytest.approx((slope, 0.2))


def test_a_slope_does_not_know_the_unit():
    sizes, seconds = [1, 3, 10], [0.2, 0.5, 1.1]
    slope = g.power_law(sizes, seconds)[0]
    assert g.power_law([7 * s for s in sizes], [1e3 * s for s in seconds])[0] == pytest.approx(
        slope
    )


def test_two_points_are_joined():
    assert g.power_law([1, 4], [1.0, 2.0])[0] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("sizes", "values"), [([1], [1.0]), ([2, 2], [1.0, 2.0]), ([1, 2], [0, 1])]
)
def test_no_slope_without_two_sizes_and_positive_numbers(sizes, values):
    with pytest.raises(ValueError, match="two sizes and positive numbers"):
        g.power_law(sizes, values)


def test_the_last_slope_is_that_of_the_two_largest_sizes():
    bent = made_up(0.0)._replace(seconds=[[5.0, 5.0, 1.0, 8.0]])
    assert bent.last == pytest.approx(1)


def test_one_bad_round_does_not_move_the_slope_but_shows_in_the_spread():
    calm = made_up(1.0, rounds=5)
    busy = calm._replace(seconds=[*calm.seconds[:3], [1.0, 0.02, 0.08, 0.64], [1, 1, 1, 1]])
    assert calm.slope == pytest.approx(1) == busy.slope
    assert calm.spread == pytest.approx(0, abs=1e-12) and busy.spread > 0.1


def test_a_row_holds_the_slope_and_the_counted_one():
    [row] = g.rows([made_up(0.7)])
    assert row.name == "seconds over batch, 1 to 64"
    assert (row.ours, row.peer) == pytest.approx((0.7, 1.0))
    assert (row.unit, row.ratio, row.limit) == ("slope", None, None)


def test_every_plan_changes_one_thing():
    for name, (_, sizes) in g.PLANS.items():
        first, last = g.step(name, sizes[0]), g.step(name, sizes[-1])
        if name == "batch":
            assert (first.config, first.length) == (last.config, last.length)
            assert (first.rows, last.rows) == (1, 64)
        else:
            assert first.rows * first.length == last.rows * last.length
    assert g.step("context", 1024)[1:] == (4, 1024)
    assert g.step("context", 64).config == g.step("context", 1024).config
    assert (
        g.step("experts", 64).config.moe.n_routed == 16 * g.step("experts", 4).config.moe.n_routed
    )
    assert g.step("width", 512).config.attention.head_dim == 32


def test_the_sizes_are_those_that_were_promised():
    ends = {name: (sizes[0], sizes[-1]) for name, (_, sizes) in g.PLANS.items()}
    assert ends == {
        "batch": (1, 64), "context": (64, 1024), "experts": (4, 64), "width": (64, 512),
    }  # fmt: skip


def test_an_unknown_plan_is_refused_by_name():
    with pytest.raises(ValueError, match="there are: batch, context, experts, width"):
        g.step("depth", 2)


def test_counted_slopes_are_what_theory_says():
    def counted(name):
        sizes = g.PLANS[name][1]
        return g.power_law(sizes, [g.flops(g.step(name, size)) for size in sizes])[0]

    assert counted("batch") == pytest.approx(1)
    assert 0 < counted("experts") < 0.05  # the router alone grows
    assert 0.05 < counted("context") < 0.5  # attention, beside products that do not care
    assert 1.5 < counted("width") < 2  # matrices by the square, the head by the width


def test_a_token_sees_half_of_its_row():
    s = g.step("context", 256)
    assert g.flops(s) == 4096 * accounting.flops_per_token(s.config, 128)


def test_a_tiny_run_measures_every_plan():
    plans = {
        name: (held, sizes[:2]) for name, (held, sizes) in g.PLANS.items() if name != "context"
    }
    plans["context"] = ("4096 tokens a step", (512, 1024))
    found = g.curves(2, plans)
    assert [c.name for c in found] == list(plans)
    for c in found:
        assert len(c.seconds) == 2 and all(len(one) == 2 for one in c.seconds)
        assert min(map(min, c.seconds)) > 0
    assert len(g.rows(found)) == 4


def test_the_figure_has_a_panel_for_each_curve_with_titled_axes_and_its_slope():
    names = ("batch", "context", "experts", "width")
    panels = drawn([made_up(0.2 * i, name) for i, name in enumerate(names, 1)]).axes
    assert len(panels) == 4
    for i, (axes, name) in enumerate(zip(panels, names, strict=True), 1):
        slope = f"{0.2 * i:.2f}"
        said = f"{name.title()}: slope {slope} (at the end {slope}), counted 1.00"
        assert axes.get_title() == said
        assert axes.get_xlabel() and axes.get_ylabel() == "tokens per second"


def test_lines_differ_by_dash_and_colour_and_points_are_the_measured_speed():
    [axes] = drawn([made_up(0.5, factor=0.01)]).axes
    counted, measured, points = axes.lines
    assert counted.get_linestyle() != measured.get_linestyle()
    assert counted.get_color() != measured.get_color()
    speed = [100 * size**0.5 for size in (1, 2, 8, 64)]
    assert list(points.get_ydata()) == pytest.approx(speed)
    assert list(measured.get_ydata()) == pytest.approx(speed)  # an exact law lies on its line
    assert max(counted.get_ydata()) == pytest.approx(min(counted.get_ydata()))  # slope 1: level
