"""One hill for two, by a grid and by properties; and the figures of chapter 12."""

import pytest
import torch

from minids.study import modes, viz_distill
from minids.study.distill_cost import Bill
from minids.train.losses import forward_kl, reverse_kl


@pytest.mark.parametrize("left", [0.3, 0.5, 0.8])
def test_the_covering_hill_has_the_moments_of_its_teacher(left):
    teacher = modes.two_hills(8.0, 1.5, left)
    mean, width = modes.moments(teacher)
    assert mean == pytest.approx(4 * (1 - 2 * left), abs=0.01)
    assert width == pytest.approx((1.5**2 + left * (1 - left) * 64) ** 0.5, abs=0.02)
    found = modes.covering(teacher)
    assert found.mean == pytest.approx(mean, abs=0.26)
    assert found.width == pytest.approx(width, abs=0.11)


@pytest.mark.parametrize("left, at", [(0.3, 5.0), (0.8, -5.0)])
def test_the_seeking_hill_stands_on_the_larger_hill(left, at):
    found = modes.seeking(modes.two_hills(10.0, 1.5, left))
    assert found.mean == pytest.approx(at, abs=0.01)
    assert found.width == pytest.approx(1.5, abs=0.11)


def test_one_hill_is_copied_by_both():
    teacher = modes.two_hills(0.0, 2.0, 0.5)
    for found in (modes.covering(teacher), modes.seeking(teacher)):
        assert found.divergence < 1e-3
        assert (found.mean, found.width) == pytest.approx((0, 2), abs=0.06)


def test_the_divergences_are_those_of_the_losses():
    teacher = modes.two_hills()
    for found, loss in (
        (modes.covering(teacher), forward_kl),
        (modes.seeking(teacher), reverse_kl),
    ):
        student = found.student.log()[None, None].clamp(min=-80)
        assert float(loss(student, teacher[None, None])) == pytest.approx(
            found.divergence, abs=1e-3
        )


def test_no_hill_of_the_grid_is_nearer():
    teacher = modes.two_hills(9.0, 1.2, 0.4)
    best = modes.covering(teacher).divergence
    means, widths = torch.tensor([0.0, -3.0, 1.0]), torch.tensor([4.0, 2.0, 5.0])
    for student in modes.hill(means, widths):
        assert float((teacher.exp() * (teacher - student)).sum()) >= best - 1e-6


def test_a_share_of_nothing_is_refused():
    for left in (0.0, 1.0):
        with pytest.raises(ValueError, match="share"):
            modes.two_hills(left=left)
    with pytest.raises(ValueError, match="share"):
        viz_distill.thrown_away(right=0.0)


def test_every_figure_has_words_on_its_axes_and_an_opaque_ground():
    bill = Bill(1e9, 2e9, 3e9, 4e9)
    figures = [
        viz_distill.hills(),
        viz_distill.ladder({"raw": ([0.5, 0.6], [0.7, 0.8]), "RL": ([0.1], [0.1])}),
        viz_distill.bills({"raw": bill, "soft": bill}),
        viz_distill.thrown_away(),
        viz_distill.answers(),
    ]
    for figure in figures:
        assert figure.get_facecolor()[3] == 1
        assert all(a.get_title() and a.get_xlabel() and a.get_ylabel() for a in figure.axes)


def test_bars_are_means_and_dots_are_seeds():
    axes = viz_distill.ladder({"raw": ([0.4, 0.6], [0.8, 1.0])}).axes[0]
    assert [round(bar.get_width(), 3) for bar in axes.patches] == [0.5, 0.9]
    assert [list(line.get_xdata()) for line in axes.lines] == [[0.4, 0.6], [0.8, 1.0]]


def test_the_parts_of_a_bill_stand_end_to_end():
    axes = viz_distill.bills({"raw": Bill(1e9, 0.0, 2e9, 3e9)}).axes[0]
    assert [bar.get_x() for bar in axes.patches] == [0, 1, 1, 3]


def test_nothing_to_draw_is_refused():
    for draw in (viz_distill.ladder, viz_distill.bills):
        with pytest.raises(ValueError, match="to draw"):
            draw({})


def test_the_stop_of_the_tour_draws_what_is_stored_and_trains_nothing(tmp_path, capsys):
    from minids.cli.stops import distill

    (path,) = distill.visit(tmp_path)
    said = capsys.readouterr().out
    assert path.read_bytes().startswith(b"\x89PNG")
    assert "verified, then RL" in said and "Qwen-1.5B" in said
    assert "671.0" in said


@pytest.mark.parametrize("right", [0.05, 0.5, 1.0])
@pytest.mark.parametrize("size", [0.5, 20.0])
def test_the_point_of_the_price_is_inside_for_every_setting_of_the_sliders(right, size):
    axes = viz_distill.thrown_away(right, size).axes[0]
    (point,) = axes.lines[-1].get_ydata()
    assert point < axes.get_ylim()[1]
