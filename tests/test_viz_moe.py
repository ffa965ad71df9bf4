"""Figures of chapter 03: they say what they show, and refuse what makes no sense."""

import pytest
import torch

from minids.study import viz_moe
from minids.study.results import Results
from minids.study.widgets import png

RESULTS = Results(
    seeds=(0, 1),
    values={"top-2 of 16": {"loss": (1.0, 1.1)}, "dense, active size": {"loss": (1.2, 1.3)}},
    machine="here",
)


def words(figure):
    found = [text.get_text() for axes in figure.axes for text in axes.texts]
    return found + [axes.get_title() for axes in figure.axes]


def test_a_cut_says_in_how_many_ways_a_token_can_choose():
    said = " ".join(words(viz_moe.cut(m=4, shared=0)))
    assert "2 of 16: 120 ways" in said
    assert "8 of 64: 4,426,165,368 ways" in said
    assert "1 shared + 7 of 63" in " ".join(words(viz_moe.cut(m=4, shared=1)))


def test_a_cut_draws_every_piece():
    assert len(viz_moe.cut(m=2, shared=1).axes[0].patches) == 16 + 32


def test_more_shared_than_a_token_meets_are_refused():
    with pytest.raises(ValueError, match="share fewer"):
        viz_moe.cut(m=1, shared=2)


def test_losses_show_every_mean_and_the_band():
    said = words(viz_moe.losses(RESULTS))
    assert {"noise band", "1.050", "1.250"} <= set(said)


def test_a_heat_map_of_few_experts_carries_its_numbers_and_one_of_many_does_not():
    few = viz_moe.heat(torch.rand(4, 16), torch.rand(4, 16), list("abcd"))
    many = viz_moe.heat(torch.rand(4, 63), torch.rand(4, 63), list("abcd"))
    assert len(few.axes[0].texts) == 64
    assert not many.axes[0].texts
    assert [t.get_text() for t in few.axes[0].get_yticklabels()] == list("abcd")


def test_the_cells_of_a_heat_map_are_wide_enough_for_their_numbers():
    figure = viz_moe.heat(torch.rand(4, 16), torch.rand(4, 16), list("abcd"))
    png(figure)
    for axes in figure.axes[:2]:
        words = max(text.get_window_extent().width for text in axes.texts)
        assert 2 * words < axes.get_window_extent().width / 16


def test_experts_are_sorted_by_the_domain_they_serve_most():
    table = torch.tensor([[0.0, 3.0], [2.0, 0.0]])
    shown = viz_moe.heat(table, table, ["a", "b"]).axes[0].images[0].get_array()
    assert shown.tolist() == [[3.0, 0.0], [0.0, 2.0]]


@pytest.mark.parametrize(
    "figure",
    [
        viz_moe.growth({"a": {0: (0.1, 0.2), 5: (0.3, 0.4)}}, 0.01),
        viz_moe.missed({"off": (0.05, 0.06), "fewer": (0.001, -0.0)}, "what is missed"),
        viz_moe.evened({"none": [0.25] * 4, "expert loss": [0.25] * 4}, 2),
    ],
)
def test_every_axis_has_a_name_and_the_figure_can_be_written(figure):
    assert all(axes.get_xlabel() for axes in figure.axes)
    assert png(figure)[:4] == b"\x89PNG"
