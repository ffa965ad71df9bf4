"""07.verify: drafts compared with what the model itself would write."""

from collections.abc import Iterator

import torch

from minids.check import Attempt, Claim, checker
from minids.check.answers import is_whole


@checker(
    "07.verify",
    hints=(
        "Compare from the left. The first draft that the model would not have written ends it.",
        "kept = number of drafts equal to best, from the left. The model's own choice best[kept] "
        "comes behind them, always.",
        "return [*drafts[:kept], best[kept]]",
    ),
)
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    a, b, c, d, e = (1 + torch.randperm(90, generator=g)[:5]).tolist()
    cases = {
        "right": ([a, b, c], [a, b]),
        "wrong": ([a, b, c], [d, b]),
        "half": ([a, b, c, d], [a, e, c]),
    }
    out = {name: attempt(*case) for name, case in cases.items()}
    yield Claim(
        "the answer is a list of tokens",
        all(isinstance(x, list) and all(map(is_whole, x)) for x in out.values()),
        "return a list: the tokens that this pass adds to the text.",
    )
    yield Claim(
        "without drafts it is plain writing",
        attempt([a], []) == [a],
        "no drafts: one token comes, the model's own choice. It comes in every pass.",
    )
    yield Claim(
        "if all are right, all are kept, and the model's own choice behind the last comes too",
        out["right"] == [a, b, c],
        "best[i] is the choice in the place of drafts[i]; best has one entry more than drafts.",
    )
    yield Claim(
        "no draft that the model would not have written is in the text",
        d not in out["wrong"] and e not in out["half"],
        "a wrong draft is dropped.",
    )
    yield Claim(
        "nothing behind the first wrong draft counts",
        len(out["wrong"]) <= 1 and len(out["half"]) <= 2,
        "stop at the first wrong draft: later choices have read a draft that is wrong.",
    )
    yield Claim(
        "right drafts before the first wrong one are kept",
        attempt([b, c, d, e], [b, c, a])[:2] == [b, c],
        "not all or nothing: the drafts before the first wrong one are what saves passes.",
    )
    yield Claim(
        "what is dropped is replaced by the model's choice at that very place",
        out["wrong"] == [a]
        and out["half"] == [a, b]
        and attempt([b, c, d, e], [b, c, a]) == [b, c, d],
        "best[kept], where kept drafts were right: the choice at that very place. It comes behind "
        "the drafts that are kept, also where one was wrong.",
    )
    yield Claim(
        "a text may say the same token twice",
        attempt([a, a, b], [a, a]) == [a, a, b]
        and attempt([a, b, c], [a, a]) == [a, b]
        and attempt([a, b, a, c], [a, a, b]) == [a, b],
        "compare place by place: whoever looks a token up by its value finds the other place where "
        "it stands.",
    )
    yield Claim(
        "token 0 is a token like any other",
        attempt([0, 0, a], [0, 0]) == [0, 0, a] and attempt([0], []) == [0],
        "0 is a token, and no sign that a draft is missing: compare it with best, too.",
    )
