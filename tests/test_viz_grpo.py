"""The figures of chapter 10 draw what the losses compute."""

import pytest

from minids.rl.variants import DAPO, GRPO, dr_grpo
from minids.study import viz_grpo


def test_the_push_on_a_token_is_its_advantage_over_its_length_for_grpo():
    advantages, pushes = viz_grpo.token_weights([1, 0, 0, 1], [2, 4, 8, 8], GRPO)
    assert advantages == pytest.approx([1, -1, -1, 1], rel=1e-3)
    assert pushes == pytest.approx([0.5, -0.25, -0.125, 0.125], rel=1e-3)


def test_dr_grpo_and_dapo_push_long_and_short_answers_alike():
    rewards, lengths = [1, 0, 0, 1], [2, 4, 8, 8]
    _, pushes = viz_grpo.token_weights(rewards, lengths, dr_grpo(10))
    assert pushes == pytest.approx([0.05, -0.05, -0.05, 0.05], rel=1e-4)
    _, pushes = viz_grpo.token_weights(rewards, lengths, DAPO)
    assert pushes == pytest.approx([4 / 22, -4 / 22, -4 / 22, 4 / 22], rel=1e-3)


def test_every_figure_has_words_on_its_axes_and_an_opaque_ground():
    parts = ("accuracy", "worked", "length", "kl", "entropy", "clipped", "flat_groups")
    steps = [dict.fromkeys(parts, 0.1 * i) for i in range(3)]
    exams = [dict.fromkeys(("pass_at_1", "greedy", "majority", "pass_at_k", "worked"), 0.5)]
    figures = [
        viz_grpo.group([1, 0], [3, 5]),
        viz_grpo.clipping(),
        viz_grpo.practice(steps),
        viz_grpo.before_and_after(exams, exams),
    ]
    for figure in figures:
        assert figure.get_facecolor()[3] == 1
        assert any(axes.get_title() for axes in figure.axes)
        assert all(axes.get_ylabel() for axes in figure.axes)
        assert figure.axes[-1].get_xlabel()


def test_the_point_says_whether_it_has_a_gradient():
    def words(ratio):
        axes = viz_grpo.clipping(ratio=ratio).axes
        return [a.get_legend().get_texts()[-1].get_text() for a in axes]

    assert words(1.5) == ["no gradient", "gradient"]
    assert words(0.5) == ["gradient", "no gradient"]
    assert words(1.1) == ["gradient", "gradient"]


def test_nothing_to_draw_is_refused():
    with pytest.raises(ValueError, match="no steps"):
        viz_grpo.practice([])
    with pytest.raises(ValueError, match="pair them up"):
        viz_grpo.token_weights([1.0], [1, 2], GRPO)
    with pytest.raises(ValueError, match="at least one token"):
        viz_grpo.token_weights([1.0], [0], GRPO)


def test_a_variant_looks_alike_alone_and_among_others():
    def look(variants):
        bars = viz_grpo.group([1, 0], [3, 1], variants).axes[1].containers[-1]
        return bars[0].get_facecolor(), bars[0].get_hatch()

    assert look(None) == look([DAPO]) != look([GRPO])


def test_a_group_without_a_right_answer_has_the_scale_of_one_with():
    top = viz_grpo.group([0, 0], [8, 1]).axes[0]
    assert top.get_ylim() == viz_grpo.group([1, 0], [8, 1]).axes[0].get_ylim()
    assert [text.get_text() for text in top.texts] == ["8 tokens", "1 token"]
