"""The figures of chapter 11 draw what was measured, and refuse what was not."""

import pytest

from minids.rl.scores import Scores
from minids.study import viz_r1
from minids.study.results import Results


def results(n=2):
    values = {
        arm: {score: tuple(0.1 * k + 0.01 * i for i in range(n)) for score in Scores._fields}
        for k, arm in enumerate(viz_r1.STAGES)
    }
    return Results(seeds=tuple(range(n)), values=values, machine="here")


def test_every_score_has_words():
    assert set(viz_r1.SCORES) == set(Scores._fields) - {"worked"}


def test_the_drift_is_drawn_among_responses_that_show_working():
    steps = [{"accuracy": 0.1, "language": 0.3, "worked": 0.4}]
    axes = viz_r1.drift({"alone": steps, "rewarded": steps}).axes
    assert axes[1].lines[0].get_ydata()[0] == pytest.approx(0.75)
    assert len(axes[0].lines) == 2


def test_bars_are_means_and_dots_are_seeds():
    axes = viz_r1.stages(results(), ["sampled"]).axes[0]
    heights = [bar.get_height() for bar in axes.patches]
    assert heights == pytest.approx([0.1 * k + 0.005 for k in range(6)])
    assert [len(line.get_ydata()) for line in axes.lines] == [2] * 6
    assert max(axes.get_yticks()) == 1


def test_the_papers_numbers_stand_beside_ours():
    theirs = viz_r1.beside_paper(results(), "greedy", "AIME 2024").axes[1]
    assert list(theirs.lines[0].get_ydata()) == [77.9, 59.0, 74.0, 78.1, 79.8]


def test_advantages_of_the_group_follow_the_weight():
    def bars(weight):
        return [bar.get_height() for bar in viz_r1.group(weight).axes[1].patches]

    assert bars(0.0) == pytest.approx([1, 1, -1, -1], rel=1e-3)
    assert bars(1.0) == pytest.approx([1.342, 0.447, -0.447, -1.342], rel=1e-2)
    assert bars(2.0)[1] == pytest.approx(bars(2.0)[2])


def test_every_figure_has_words_on_its_axes_and_an_opaque_ground():
    steps = [{"accuracy": 0.1, "language": 0.3, "worked": 0.4}] * 3
    for figure in (
        viz_r1.drift({"alone": steps}),
        viz_r1.stages(results(1)),
        viz_r1.stages(results(), list(viz_r1.SCORES)),
        viz_r1.beside_paper(results()),
        viz_r1.dropped({"kept": 5, "wrong answer": 2}),
        viz_r1.group(),
    ):
        assert figure.get_facecolor()[3] == 1
        assert all(a.get_title() and a.get_xlabel() and a.get_ylabel() for a in figure.axes)


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="no steps"):
        viz_r1.drift({})
    with pytest.raises(ValueError, match="no scores"):
        viz_r1.stages(results(), ["speed"])
    with pytest.raises(ValueError, match="AIME"):
        viz_r1.beside_paper(results(), "sampled", "AIME 1924")
    with pytest.raises(ValueError, match="no samples"):
        viz_r1.dropped({})
