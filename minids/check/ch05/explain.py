"""05.explain: why interpolated positions are lost at once."""

from collections.abc import Iterator
from typing import Any

import torch

from minids.check import Claim, checker, close
from minids.check.answers import entries, explains, is_number, pair


@checker(
    "05.explain",
    takes=dict,
    hints=(
        "The fastest pair turns by one radian a token. Position interpolation divides every pace.",
        "angle = distance * pace; the pace of pair 0 is theta ** 0 = 1, after PI it is 1 / factor.",
        '"as trained": 3 * 1, "after PI": 3 * 1 / 8',
    ),
)
def claims(attempt: dict[str, Any], g: torch.Generator) -> Iterator[Claim]:
    yield entries(attempt, "as trained", "after PI", "between")
    yield Claim(
        "both angles are numbers",
        is_number(attempt["as trained"]) and is_number(attempt["after PI"]),
        "write plain numbers, such as 0.5.",
    )
    trained, after = float(attempt["as trained"]), float(attempt["after PI"])
    yield Claim(
        "as trained: the angle of the whole distance",
        not close(trained, 1.0, rtol=1e-3),
        "that is the angle of one token, and the rule looks three tokens back.",
    )
    yield Claim(
        "as trained: the angle of three tokens, in radians",
        close(trained, 3.0, rtol=1e-3),
        "pair 0 turns by theta ** 0 = 1 radian a token, whatever theta is. Radians, not turns.",
    )
    yield Claim(
        "after PI: the same distance turns less",
        after < trained,
        "position interpolation divides every pace, also that of the fastest pair.",
    )
    yield Claim(
        "after PI: the angle of the same three tokens",
        close(after, 0.375, rtol=5e-3),
        "the factor is 8, and the distance is the same three tokens; write three digits.",
    )
    yield Claim(
        "between: the two distances that training showed",
        pair(attempt["between"]) in ((0, 1), (1, 0)),
        "the fastest pair turned one radian a token: how many tokens would that angle be? Training "
        "showed whole tokens; write the two next to it as a pair, in the manner of (2, 3).",
    )
    why = "say that number, and what training showed and did not show."
    yield from explains(attempt, (0.375,), hint=why)
