"""The figures of chapter 09 show what was simulated, and can be drawn for every slider."""

import pytest

from minids.cli.stops import cost
from minids.study import viz_cost, viz_pipeline
from minids.systems import schedules
from minids.systems.pipeline import Times, simulate

UNIT = Times(forward=1, backward=2, weights=1)


def lines():
    return {
        "1F1B": simulate(schedules.one_f_one_b(4, 8), UNIT),
        "DualPipe": simulate(schedules.dualpipe(4, 8), UNIT),
    }


def test_every_figure_has_a_title_and_axes_with_words():
    figures = [
        viz_pipeline.bubbles([8, 16], {"1F1B": [30.0, 20.0], "DualPipe": [None, 10.0]}),
        viz_pipeline.memory({"GPipe": [8, 8], "ZB1P": [4, 4]}),
        viz_cost.journeys({"a": (1.0, 2.0), "b": (2.0, 2.0)}),
        viz_cost.parts({"measured": {"forward": 1.0, "bubble": 2.0}, "ours": {"forward": 1.0}}),
        viz_cost.hours({"as it was": 100.0, "dense": 1600.0}),
    ]
    for figure in figures:
        assert all(a.get_title() and a.get_xlabel() and a.get_ylabel() for a in figure.axes)


def test_a_gantt_chart_has_a_panel_for_each_schedule_and_says_its_bubble():
    panels = viz_pipeline.gantt(lines()).axes
    titles = [axes.get_title(loc="left") for axes in panels]
    assert titles == ["1F1B: ends at 33, bubble 9 (27 %)", "DualPipe: ends at 26, bubble 2 (8 %)"]
    assert panels[-1].get_xlabel() and all(axes.get_ylabel() for axes in panels)


def test_a_gantt_chart_draws_as_much_work_as_was_done():
    timeline = lines()["DualPipe"]
    axes = viz_pipeline.gantt({"DualPipe": timeline}).axes[0]
    area = 0.0
    for boxes in axes.collections:
        for path in boxes.get_paths():
            x, y = path.vertices[:, 0], path.vertices[:, 1]
            area += (x.max() - x.min()) * (y.max() - y.min())
    assert area == pytest.approx(0.86 * float(sum(timeline.busy)))


def test_a_chunk_says_its_work_where_its_box_is_wide_enough():
    axes = viz_pipeline.gantt(lines()).axes
    assert {"F0", "B7"} <= {text.get_text() for text in axes[0].texts}
    long = simulate(schedules.zb1p(8, 20), UNIT)
    said = [text.get_text() for text in viz_pipeline.gantt({"ZB1P": long}).axes[0].texts]
    assert len(said) == len(long.ran) and set(said) == {"F", "I", "W"}


def test_the_other_way_is_hatched_and_only_there_where_it_exists():
    for name, timeline in lines().items():
        figure = viz_pipeline.gantt({name: timeline})
        hatched = [boxes for boxes in figure.axes[0].collections if boxes.get_hatch()]
        assert bool(hatched) == (name == "DualPipe")
        words = [text.get_text() for text in figure.legends[0].get_texts()]
        assert ("other way" in words) == (name == "DualPipe")


def test_every_schedule_has_its_own_mark_colour_and_line():
    for looks in zip(*viz_pipeline.STYLES.values(), strict=True):
        assert len(set(looks)) == len(viz_pipeline.STYLES)


def test_bars_of_hours_carry_their_ratio_to_the_first():
    axes = viz_cost.hours({"as it was": 2664.0, "dense": 43_000.0}).axes[0]
    words = [text.get_text() for text in axes.texts]
    assert words == [" 2,664K, x 1.00", " 43,000K, x 16.14"]
    axes.figure.draw_without_rendering()
    assert "20,000" in [label.get_text() for label in axes.get_xticklabels()]


def test_the_stop_of_the_tour_prints_the_bill_and_draws_three_schedules(tmp_path, capsys):
    (path,) = cost.visit(tmp_path)
    said = capsys.readouterr().out
    assert "5.576" in said and "39 % of what the cards" in said
    assert [line.split()[0] for line in said.splitlines()[-3:]] == ["1F1B", "ZB1P", "DualPipe"]
    assert path.read_bytes()[:4] == b"\x89PNG"


def test_a_row_of_many_parts_is_drawn_whole():
    axes = viz_cost.parts({"measured": {f"part {i}": 1.0 for i in range(8)}}).axes[0]
    assert len(axes.patches) == 8
    assert axes.texts[-1].get_text().strip() == "8.0"
