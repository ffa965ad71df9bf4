"""`python -m minids.check.bugs > docs/mistakes.md`: every planted mistake, and what catches it."""

from collections.abc import Iterable
from itertools import groupby

from minids.check.bugs import Row, table

HEAD = """# Every planted mistake, and what catches it

Wrong answers that learners give, each with the claim that refuses it and the hint that comes with
it. The tests try all of them: a check that lets one through is a bug. Inputs are drawn anew for
every check; this page was written with seed 0 by `python -m minids.check.bugs > docs/mistakes.md`.
"""


def page(rows: Iterable[Row]) -> str:
    """The table as Markdown, a section for each exercise."""
    parts = [HEAD]
    for exercise, planted in groupby(sorted(rows, key=lambda r: r.exercise), lambda r: r.exercise):
        lines = [
            f"## {exercise}",
            "",
            "| mistake | claim that fails | hint |",
            "| --- | --- | --- |",
        ]
        lines += [f"| {cell(r.mistake)} | {cell(r.claim)} | {cell(r.hint)} |" for r in planted]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def cell(text: str) -> str:
    """One line that Markdown leaves alone inside a table."""
    words = " ".join(text.split())
    for sign in "\\|<*_`$":
        words = words.replace(sign, "\\" + sign)
    return words


if __name__ == "__main__":
    print(page(table()), end="")
