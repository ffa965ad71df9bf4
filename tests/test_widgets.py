"""Figures, sliders and what a lesson prints."""

import base64
import struct
from typing import Any

import pytest
from matplotlib.figure import Figure

from minids.study import widgets
from minids.study.cards import Question, quiz, trap
from minids.study.lesson import claim, figure, predict, reveal, show_source


@pytest.fixture
def shown(monkeypatch: Any) -> list[Any]:
    """What was displayed: (data, metadata) of each call."""
    seen: list[Any] = []
    monkeypatch.setattr(
        "IPython.display.display",
        lambda data, raw=False, metadata=None: seen.append((data, metadata)),
    )
    return seen


def draw(power: int = 2, scale: float = 1.0, kind: str = "line") -> Figure:
    if power == 4 and kind == "dots":
        raise ValueError("no dots for the fourth power")
    fig = Figure(figsize=(2, 1.5))
    fig.subplots().plot([scale * x**power for x in range(9)], "-" if kind == "line" else "o")
    return fig


# --- explore


def test_moving_a_slider_draws_another_picture() -> None:
    box = widgets.panel(draw, power=(1, 4), scale=(0.5, 2.0), kind=["line", "dots"])
    power, scale, kind, image, _ = box.children
    assert (power.value, scale.value, kind.value) == (2, 1.0, "line")
    before = image.value
    assert before == widgets.png(draw())
    power.value = 3
    assert image.value == widgets.png(draw(power=3)) != before
    kind.value = "dots"
    assert image.value == widgets.png(draw(power=3, kind="dots"))


def test_settings_that_exclude_each_other_keep_the_picture_and_say_why() -> None:
    box = widgets.panel(draw, alt="A curve", power=(1, 4), kind=["line", "dots"])
    power, kind, image, message = box.children
    kind.value = "dots"
    before = image.value
    power.value = 4
    assert image.value == before
    assert message.value == "<p role='alert'>no dots for the fourth power</p>"
    power.value = 3
    assert image.value != before
    assert message.value == "<p>A curve</p>"


def test_the_stored_text_of_a_widget_is_stable(shown: list[Any]) -> None:
    widgets.explore(draw, power=(1, 4))
    data, _ = shown[0]
    assert data["text/plain"] == (
        "[interactive figure: power. Run this cell to move the controls.]"
    )
    assert len(data["application/vnd.jupyter.widget-view+json"]["model_id"]) == 32


def test_controls_follow_what_is_given() -> None:
    def every(
        whole: int = 3, real: float = 1.5, word: str = "b", named: int = 2, switch: bool = True
    ) -> Figure:
        return draw()

    box = widgets.panel(
        every,
        whole=(1, 9, 2),
        real=(0.0, 3.0),
        word=["a", "b"],
        named={"one": 1, "two": 2},
        switch=False,
    )
    kinds = [type(w).__name__ for w in box.children]
    assert kinds[:5] == ["IntSlider", "FloatSlider", "Dropdown", "SelectionSlider", "Checkbox"]
    values = [w.value for w in box.children[:5]]
    assert values == [3, 1.5, "b", 2, True]


@pytest.mark.parametrize(
    ("controls", "words"),
    [
        ({"depth": (1, 2)}, "draw takes power, scale, kind, and the controls are depth"),
        ({}, "give one control for each argument"),
        ({"power": (4, 1)}, "write \\(low, high\\)"),
        ({"power": (3, 9)}, "the default 2 lies outside 3 … 9"),
        ({"kind": ["a", "b"]}, "the default 'line' is not among the choices"),
    ],
)
def test_wrong_controls_are_refused_in_words(controls: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        widgets.explore(draw, **controls)


# --- figure


def pixels(png: bytes) -> tuple[int, int, int]:
    """Width, height and colour type (6 and 4 carry transparency)."""
    width, height, _depth, colour = struct.unpack(">IIBB", png[16:26])
    return width, height, colour


def test_a_figure_is_an_opaque_picture_with_words(shown: list[Any]) -> None:
    figure(draw(), alt="A curve that rises faster and faster")
    (data, metadata), (caption, _) = shown
    assert metadata["image/png"]["alt"] == "A curve that rises faster and faster"
    assert caption["text/markdown"] == "*Figure: A curve that rises faster and faster*"
    assert data["image/png"][:4] == b"\x89PNG"


def test_the_same_figure_gives_the_same_bytes() -> None:
    assert widgets.png(draw()) == widgets.png(draw())
    assert b"Software" not in widgets.png(draw())


def test_a_figure_without_words_is_refused() -> None:
    with pytest.raises(ValueError, match="say in a sentence"):
        figure(draw(), alt="plot")


# --- predict, reveal, claim


def test_a_blank_prediction_uses_its_stand_in_and_says_so(capsys: Any) -> None:
    guess = predict("How many bytes?", ..., default=1_000_000, unit="bytes")
    assert not guess.own
    reveal(guess, 70_272)
    out = capsys.readouterr().out
    assert "no guess yet; this stands in for it: 1,000,000 bytes" in out
    assert "it is 70,272 bytes\n  the stand-in said 1,000,000 bytes: 14.2 times too high" in out


def test_a_guess_is_kept_and_judged(tmp_path: Any, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    reveal(predict("How many bytes?", 70_000, default=1, unit="bytes"), 70_272)
    assert "you said 70,000 bytes: within 5 %" in capsys.readouterr().out
    assert "70000" in (tmp_path / ".minids" / "predictions.json").read_text()


@pytest.mark.parametrize(
    ("guess", "truth", "verdict"),
    [(2, 2, "right"), (1.0, 4.0, "4 times too low"), (-1.0, 2.0, "off by 3"), ("a", "b", "not so")],
)
def test_errors_are_said_in_words(
    guess: Any, truth: Any, verdict: str, capsys: Any, tmp_path: Any, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    reveal(predict("?", guess, default=0), truth)
    assert verdict in capsys.readouterr().out


def test_of_answers_in_words_the_one_that_holds_is_revealed(
    tmp_path: Any, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    guess = predict("Where does it go?", "rises", default="falls")
    reveal(guess, {"rises": 1 > 0, "falls": 1 < 0})
    assert "it is rises\n  you said rises: right" in capsys.readouterr().out
    assert '"truth": "rises"' in (tmp_path / ".minids" / "predictions.json").read_text()
    for neither_or_both in (False, True):
        with pytest.raises(ValueError, match="one has to hold"):
            reveal(guess, {"rises": neither_or_both, "falls": neither_or_both})


def test_an_answer_outside_the_options_is_refused() -> None:
    with pytest.raises(ValueError, match="'up' is not among the answers"):
        predict("Where does it go?", "up", default="rises", options=("rises", "falls"))


def test_claims_print_a_verdict_and_show_nothing_else(capsys: Any) -> None:
    assert claim("two is even", 2 % 2 == 0)
    assert not claim("one is even", False, "1 mod 2 = 1")
    assert capsys.readouterr().out == (
        "holds: two is even\nDOES NOT HOLD: one is even (1 mod 2 = 1)\n"
    )
    assert claim("x", True)._ipython_display_() is None


# --- source


def documented(x: int) -> int:
    """A sentence.

    And another.
    """
    y = x + 1  # one more
    return y


class Documented:
    """A class."""

    width = 3


def test_the_source_that_runs_is_printed_without_its_docstring(capsys: Any) -> None:
    show_source(documented, Documented)
    assert capsys.readouterr().out == (
        "def documented(x: int) -> int:\n    y = x + 1  # one more\n    return y\n"
        "class Documented:\n    width = 3\n"
    )
    show_source(documented, docstring=True)
    assert "And another." in capsys.readouterr().out


# --- cards


def questions(**changed: Any) -> list[Question]:
    one = Question("Why?", "because", "it is", {"so": "no", "why not": "neither"}, True)
    return [one._replace(asks=f"Why {n}?", **changed) for n in range(5)]


def test_a_quiz_gives_a_reason_for_every_option(shown: list[Any]) -> None:
    quiz(questions())
    data, _ = shown[0]
    assert data["text/html"].count("<details>") == 15
    assert data["text/plain"].count("right: it is") == 5
    assert "<script" not in data["text/html"]


def test_right_answers_stand_at_different_places() -> None:
    asked = [questions()[0]._replace(asks=f"q{n}") for n in range(20)]
    places = {[right for _, right, _ in q.options()].index(True) for q in asked}
    assert places == {0, 1, 2}


def test_a_key_that_no_cell_backs_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing backs the answer 'because'"):
        quiz(questions(backed=False))
    with pytest.raises(ValueError, match="each with its reason"):
        quiz(questions(wrong={"so": "", "why not": "neither"}))
    with pytest.raises(ValueError, match="five questions, got 4"):
        quiz(questions()[:4])


def test_a_trap_is_settled_and_its_words_are_safe(shown: list[Any]) -> None:
    trap("a < b always", False, "take a = b & see")
    data, _ = shown[0]
    assert "a &lt; b always" in data["text/html"]
    assert "A trap: it does not hold." in data["text/plain"]


def test_a_picture_decodes_to_what_matplotlib_drew() -> None:
    width, height, _ = pixels(base64.b64decode(base64.b64encode(widgets.png(draw(), dpi=100))))
    assert 100 < width < 220
    assert 80 < height < 170
