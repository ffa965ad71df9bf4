"""What a chapter says to its reader: predictions, verdicts, figures with words, printed source.

Everything prints the same on every machine where its arguments are the same, so that nbval
compares it. Cards with more than a line to them (quiz, trap) are in cards.py.
"""

import ast
import inspect
import json
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import EllipsisType
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from minids.study.widgets import png


class Prediction(NamedTuple):
    """A guess made before the run. `own` is False while the reader has not written one."""

    question: str
    guess: float | str
    unit: str
    own: bool

    def _ipython_display_(self) -> None:
        """Show nothing: `predict` has already printed it."""


class Verdict(int):
    """True or False, and silent as the last line of a cell."""

    def _ipython_display_(self) -> None:
        """Show nothing: `claim` has already printed it."""


def predict(
    question: str,
    guess: float | str | EllipsisType = ...,
    *,
    default: float | str,
    unit: str = "",
    options: Sequence[str] = (),
) -> Prediction:
    """Keep the reader's guess, to be set beside the truth by `reveal`.

    While `guess` is the blank `...`, `default` stands in for it, so that a chapter also runs
    untouched. With `options`, the guess has to be one of them.
    """
    own = guess is not ...
    value = default if isinstance(guess, EllipsisType) else guess
    if options and value not in options:
        raise ValueError(f"{value!r} is not among the answers {list(options)}")
    print(f"Predict: {question}")
    if options:
        print(f"  answers: {' | '.join(options)}")
    print(
        f"  {'your guess' if own else 'no guess yet; this stands in for it'}: {_say(value, unit)}"
    )
    return Prediction(question, value, unit, own)


def reveal(prediction: Prediction, truth: float | str | Mapping[str, Any]) -> None:
    """Print the truth beside the guess: right or wrong, or how many times too high or low.

    Where the truth is one of several answers in words, `truth` may say of each whether it holds:
    {"fallen": x < 0, "risen": x > 0, "as before": x == 0}. Exactly one has to (ValueError).
    """
    guess, unit = prediction.guess, prediction.unit
    if isinstance(truth, Mapping):
        holding = [answer for answer, holds in truth.items() if holds]
        if len(holding) != 1:
            raise ValueError(f"of the answers {list(truth)} one has to hold, and not {holding}")
        truth = holding[0]
    print(f"{prediction.question}\n  it is {_say(truth, unit)}")
    who = "you said" if prediction.own else "the stand-in said"
    print(f"  {who} {_say(guess, unit)}: {_error(guess, truth)}")
    if prediction.own:
        _remember(prediction, truth)


def claim(text: str, holds: Any, detail: str = "") -> Verdict:
    """Print a verdict that nbval compares, and return it. Details have to be rounded numbers."""
    verdict = Verdict(bool(holds))
    print(f"{'holds' if verdict else 'DOES NOT HOLD'}: {text}" + (f" ({detail})" if detail else ""))
    return verdict


def figure(fig: Figure, alt: str, *, dpi: int = 80) -> None:
    """Display a figure as an opaque PNG, with its description as alt text and caption.

    The description says what there is to see ("loss falls from 6 to 2; MLA lies below GQA"), and
    holds no numbers that change from machine to machine.
    """
    from IPython.display import display
    from matplotlib import pyplot

    if len(alt.split()) < 4:
        raise ValueError(f"alt={alt!r}: say in a sentence what there is to see")
    data = {"image/png": png(fig, dpi), "text/plain": f"[figure: {alt}]"}
    display(data, raw=True, metadata={"image/png": {"alt": alt}})
    pyplot.close(fig)
    caption = {"text/markdown": f"*Figure: {alt}*", "text/plain": f"Figure: {alt}"}
    display(caption, raw=True)


def show_source(*things: Any, docstring: bool = False) -> None:
    """Print the source that runs, of functions, classes or modules, without their docstrings."""
    for thing in things:
        source = textwrap.dedent(inspect.getsource(thing)).rstrip()
        print(source if docstring else _without_docstring(source))


def _without_docstring(source: str) -> str:
    """The source without the docstring of its first definition (or of the module)."""
    tree = ast.parse(source)
    inner: Any = tree.body[0] if len(tree.body) == 1 and hasattr(tree.body[0], "body") else tree
    if ast.get_docstring(inner) is None or len(inner.body) == 1:
        return source
    lines, doc = source.split("\n"), inner.body[0]
    after = doc.end_lineno
    while after < len(lines) and not lines[after].strip():
        after += 1
    return "\n".join(lines[: doc.lineno - 1] + lines[after:])


def _say(value: float | str, unit: str) -> str:
    if isinstance(value, str):
        return value
    number = f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"
    return f"{number} {unit}".strip()


def _error(guess: float | str, truth: float | str) -> str:
    if isinstance(guess, str) or isinstance(truth, str):
        return "right" if guess == truth else "not so"
    if guess == truth:
        return "right"
    if guess * truth <= 0:
        return f"off by {abs(guess - truth):,.4g}"
    ratio = guess / truth
    if abs(ratio - 1) < 0.05:
        return "within 5 %"
    return f"{max(ratio, 1 / ratio):.3g} times too {'high' if abs(ratio) > 1 else 'low'}"


def _remember(prediction: Prediction, truth: float | str) -> None:
    """Keep guess and truth beside the progress file; where that cannot be written, do not."""
    file = Path(".minids") / "predictions.json"
    try:
        file.parent.mkdir(exist_ok=True)
        known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        known[prediction.question] = {"guess": prediction.guess, "truth": truth}
        file.write_text(json.dumps(known, indent=1), encoding="utf-8")
    except (OSError, ValueError, TypeError):
        return
