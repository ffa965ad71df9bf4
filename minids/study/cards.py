"""Cards that a reader opens: a quiz with a reason for every option, and "trap or not?".

Plain HTML (details, summary), so that they open without a kernel and without JavaScript. The
same words stand in the plain-text form, for terminals and for nbval to compare.
"""

import html
import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple


class Unbacked(ValueError):
    """The key to a quiz says something that the chapter did not find."""


class Question(NamedTuple):
    """One question of a quiz.

    wrong: each wrong answer with the reason why it is wrong. backed: a truth computed by a cell
    of the chapter, which makes the right answer right.
    """

    asks: str
    right: str
    because: str
    wrong: dict[str, str]
    backed: Any

    def options(self) -> list[tuple[str, bool, str]]:
        """(answer, whether it is right, reason), the right one at a place the words decide."""
        found = [(answer, False, reason) for answer, reason in self.wrong.items()]
        place = zlib.crc32(self.asks.encode()) % (len(found) + 1)
        return [*found[:place], (self.right, True, self.because), *found[place:]]


def quiz(questions: Sequence[Question]) -> None:
    """Display five questions. A key that no cell backs, or a missing reason, is refused."""
    if len(questions) != 5:
        raise ValueError(f"a quiz has five questions, got {len(questions)}")
    for q in questions:
        if not bool(q.backed):
            raise Unbacked(f"nothing backs the answer {q.right!r} to {q.asks!r}")
        if len(q.wrong) < 2 or not all([q.because, *q.wrong.values()]):
            raise ValueError(f"{q.asks!r} needs two wrong answers or more, each with its reason")
    _display(_quiz_html(questions), _quiz_text(questions))


def trap(says: str, holds: Any, because: str) -> None:
    """Display a claim that courses repeat, and whether a cell of this chapter bears it out."""
    answer = "it holds" if bool(holds) else "a trap: it does not hold"
    page = (
        f"<p><strong>Trap or not?</strong> {_safe(says)}</p>"
        f"<details><summary>Answer</summary><p><strong>{answer.capitalize()}.</strong> "
        f"{_safe(because)}</p></details>"
    )
    _display(page, f"Trap or not? {says}\n  {answer.capitalize()}. {because}")


def _quiz_html(questions: Sequence[Question]) -> str:
    parts = []
    for number, q in enumerate(questions, 1):
        parts.append(f"<p><strong>{number}. {_safe(q.asks)}</strong></p>")
        for letter, (answer, is_right, reason) in zip("ABCDEF", q.options(), strict=False):
            verdict = "Right." if is_right else "No."
            parts.append(
                f"<details><summary>{letter}. {_safe(answer)}</summary>"
                f"<p><strong>{verdict}</strong> {_safe(reason)}</p></details>"
            )
    return "\n".join(parts)


def _quiz_text(questions: Sequence[Question]) -> str:
    lines = []
    for number, q in enumerate(questions, 1):
        lines.append(f"{number}. {q.asks}")
        for letter, (answer, is_right, reason) in zip("ABCDEF", q.options(), strict=False):
            lines.append(f"   {letter}. {answer} -- {'right' if is_right else 'no'}: {reason}")
    return "\n".join(lines)


def _safe(words: str) -> str:
    return html.escape(words, quote=False)


def _display(page: str, text: str) -> None:
    from IPython.display import display

    display({"text/html": page, "text/plain": text}, raw=True)
