"""00.explain: which 37 billion are meant, with numbers."""

from collections.abc import Iterator
from typing import Any

import torch

from minids.check import Claim, checker, close
from minids.check.answers import answers_for, explains, is_number


@checker(
    "00.explain",
    takes=dict,
    hints=(
        "The three counts differ by a vocabulary table each. How large is one in V3?",
        "A table has vocab times width entries; `active(config, tables)` counts 0, 1 or 2 of them.",
        "active(preset('deepseek-v3'), 1) / 1e9, and the same with 0 and 2",
    ),
)
def claims(attempt: dict[str, Any], g: torch.Generator) -> Iterator[Claim]:
    counts = {"no table": 35.699, "head only": 36.626, "both tables": 37.552}
    yield answers_for(attempt, (*counts, "rounds to 37", "because"))
    for name, billions in counts.items():
        said = attempt[name]
        yield Claim(
            f"{name}: the answer is a number",
            is_number(said),
            f"you wrote {said!r}: write a plain number.",
        )
        yield Claim(
            f"{name}: counted, in billions",
            close(float(said), billions, rtol=2e-3),
            "every table has 129,280 x 7,168 entries, 0.927 billion. Write 36.6 and not 36.6e9.",
        )
    names = ", ".join(map(repr, counts))
    yield Claim(
        "'rounds to 37' is answered by a name",
        isinstance(attempt["rounds to 37"], str) and attempt["rounds to 37"] in counts,
        f"write one of the three names: {names}.",
    )
    yield Claim(
        "you named the count that rounds to 37",
        attempt["rounds to 37"] == "head only",
        "round all three to whole billions: 36, 37 and 38.",
    )
    why = "write a sentence with the count that the report must mean, and say what it counts."
    ways = [x * unit for x in (36.626, 37) for unit in (1, 1e3, 1e9)]
    yield from explains(attempt, tuple(ways), hint=why)
