"""The figures of chapter 01 say what they were given, with titles, axes and two encodings."""

import pytest

from minids.study import viz_llama, viz_scaling
from minids.study.isoflop import valley
from minids.study.results import Band
from minids.study.widgets import png
from minids.text.tokenizer import default_tokenizer

ROWS = {
    1e10: {4e4: 3.0, 8e4: 2.8, 1.6e5: 2.9, 3e5: 3.1},
    1e11: {8e4: 2.7, 1.6e5: 2.5, 3e5: 2.6, 6e5: 2.8},
}
VALLEYS = {c: valley(list(row), list(row.values())) for c, row in ROWS.items()}
USED = {"7B": (8.46e22, 4.2e-4, 9.4e6), "67B": (9.95e23, 3.2e-4, 1.9e7)}


def figures():
    kinds = {"prose": 2.5, "code": 2.0, "Chinese": 1.0}
    return {
        "bytes": viz_llama.bytes_per_token({"ours": kinds, "shipped": kinds}),
        "training": viz_llama.training(
            [6.9, 5.0, 4.0, 3.5, 3.2],
            tokens_per_step=1024,
            bits_per_nat=0.6,
            uniform=4.2,
            held_out=2.1,
            programs={"gzip": 2.5, "bz2": 2.4, "xz": 2.3},
        ),
        "next": viz_llama.next_token(
            ["a", "b", "c"], [0.2, 0.5, 0.3], [0.0, 0.6, 0.4], title="after “x”"
        ),
        "noise": viz_llama.noise({"one": [2.7, 2.8], "two": [2.9, 3.0]}, Band(2.75, 0.05, 2, 2, 2)),
        "schedules": viz_llama.schedules(
            {"steps": [1.0, 1.0, 0.3], "cosine": [1.0, 0.5, 0.1]}, {"one": {1: 0.1, 2: 0.0}}
        ),
        "budgets": viz_scaling.budgets(ROWS, VALLEYS, 0.4),
        "recipe": viz_scaling.recipe(1e20, USED, (1e17, 2e19)),
    }


@pytest.mark.parametrize("name", list(figures()))
def test_every_figure_has_titles_and_axes_with_words_and_can_be_drawn(name: str):
    figure = figures()[name]
    for axes in figure.axes:
        assert axes.get_title() and axes.get_xlabel() and axes.get_ylabel()
    assert len(png(figure)) > 5_000


def test_bars_of_vocabularies_differ_in_colour_and_hatching_and_carry_values():
    axes = figures()["bytes"].axes[0]
    assert len({(bars[0].get_facecolor()) for bars in axes.containers}) == 2
    assert len({bars[0].get_hatch() for bars in axes.containers}) == 2
    assert {text.get_text() for text in axes.texts} == {"2.5", "2.0", "1.0"}


def test_the_training_curve_ends_at_the_last_loss_in_bits():
    axes = figures()["training"].axes[0]
    x, y = axes.lines[0].get_data()
    assert y[-1] == pytest.approx(3.2 * 0.6) and x[-1] == pytest.approx(4.5 * 1024)
    labels = [line.get_label() for line in axes.lines]
    assert "gzip, held-out text" in labels


def test_the_likeliest_token_stands_first_and_cut_tokens_say_so():
    axes = figures()["next"].axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["b", "c", "a"]
    assert [text.get_text() for text in axes.texts] == [" 0.60", " 0.40", " cut"]


def test_the_band_stands_where_the_seeds_put_it():
    axes = figures()["noise"].axes[0]
    band = axes.patches[0].get_extents().transformed(axes.transData.inverted())
    assert (band.x0, band.x1) == pytest.approx((2.75 - 4.30265 * 0.05, 2.75 + 4.30265 * 0.05))
    marks = [line.get_marker() for line in axes.lines]
    shapes = {str(points.get_paths()[0].vertices.tolist()) for points in axes.collections}
    assert len(shapes) == 2 and len(marks) == 2


def test_stars_stand_at_the_bottoms_and_the_line_has_the_slope():
    left, right = figures()["budgets"].axes
    stars = [line for line in right.lines if line.get_marker() == "*"]
    assert [star.get_xydata()[0].tolist() for star in stars] == [
        [c, pytest.approx(v.scale)] for c, v in VALLEYS.items()
    ]
    assert {line.get_label() for line in right.lines if "exponent" in str(line.get_label())} == {
        "ours: exponent 0.40",
        "DeepSeek's: exponent 0.52",
    }
    assert len({str(line.get_linestyle()) for line in left.lines if len(line.get_xdata()) > 1}) == 2


def test_the_advice_is_written_beside_the_star():
    rate, batch = figures()["recipe"].axes
    assert [text.get_text() for text in rate.texts] == ["0.000986"]
    assert [text.get_text() for text in batch.texts] == ["1.02M"]


def test_tokens_are_shown_as_one_line_that_any_font_has():
    tokenizer = default_tokenizer()
    shown = viz_llama.readable(tokenizer.pieces(range(tokenizer.vocab)))
    assert len(shown) == tokenizer.vocab
    assert all(word.replace("·", "").isascii() and "\n" not in word and word for word in shown)
    assert viz_llama.readable([b" the", b"\n  ", b"\xe4", b"$"]) == [
        "·the", r"\n··", "<e4>", r"\$",
    ]  # fmt: skip


@pytest.mark.parametrize("budget", [1e17, 1e25])
def test_the_advice_stays_inside_its_panel_at_both_ends_of_the_slider(budget):
    figure = viz_scaling.recipe(budget, USED, (1e17, 2e19))
    png(figure)
    for axes in figure.axes:
        words, panel = axes.texts[0].get_window_extent(), axes.get_window_extent()
        assert panel.x0 < words.x0 and words.x1 < panel.x1
        assert panel.y0 < words.y0 and words.y1 < panel.y1


def test_the_star_of_the_recipe_is_in_its_legend():
    said = [text.get_text() for text in figures()["recipe"].axes[0].get_legend().get_texts()]
    assert "the chosen budget" in said


def test_the_legend_of_the_next_token_stands_beside_the_bars():
    figure = viz_llama.next_token(["a"] * 12, [1 / 12] * 12, [1 / 12] * 12, title="all alike")
    png(figure)
    (axes,) = figure.axes
    assert axes.get_legend().get_window_extent().x0 > axes.get_window_extent().x1


def test_every_arm_of_many_is_drawn():
    arms = {f"arm {i}": [2.0 + i, 2.1 + i] for i in range(7)}
    axes = viz_llama.noise(arms, Band(2.05, 0.05, 2, 2, 2)).axes[0]
    assert len(axes.lines) == len(axes.get_yticks()) == 7
