"""12.keep: samples worth learning from."""

from collections.abc import Iterator

import torch

from minids.check import Attempt, Claim, checker
from minids.check.sizes import draw


@checker(
    "12.keep",
    hints=(
        "A rule decides which answers are read by the student. First the rule, then the count.",
        "for each question: the right answers in order, each text once, the first `most` of them.",
        "kept = list(dict.fromkeys(a for a in answers if right(question, a)))[:most]",
    ),
)
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    n = draw(g, 20, 59)

    def right(question: str, answer: str) -> bool:
        return answer.split()[-1] == question

    said = {
        str(n): [f"{n} is {n + 1}", *(f"{x} {n}" for x in ("ee", "ee", *"bfc", "ee", *"ad"))],
        str(n + 1): [f"a {n}", "none"],
        str(n + 2): [f"x {n + 2}"],
        str(n + 3): [],
    }
    groups = list(said.items())
    found = attempt(groups, right, 2)
    yield Claim(
        "a list of (question, answer) pairs comes back",
        isinstance(found, list)
        and len(found) > 0
        and all(isinstance(pair, tuple) and len(pair) == 2 for pair in found)
        and all(isinstance(text, str) for pair in found for text in pair)
        and all(pair[0] in said for pair in found),
        "append the tuple (question, answer), in this order, to one flat list, and return it."
        if found
        else "there are right answers, and none is in your list: right(question, answer), in this "
        "order.",
    )
    yield Claim(
        "every pair that is kept is right",
        all(right(question, answer) for question, answer in found),
        "ask right(question, answer) about each answer, and keep it if that is True.",
    )
    yield Claim(
        "a question that was never answered rightly is left out",
        {question for question, _ in found} == {str(n), str(n + 2)},
        "no right answer, no pair; and a question with one right answer stays.",
    )
    yield Claim(
        "an answer that was given twice is kept once",
        len(set(found)) == len(found),
        "the same text twice teaches nothing new: each different answer once; then cut to `most`.",
    )
    yield Claim(
        "the earliest right answer is among them",
        (str(n), f"ee {n}") in found,
        "keep the first ones, in the order in which they were written.",
    )
    yield Claim(
        "wrong answers do not use up places",
        (str(n), f"ee {n}") in attempt(groups, right, 1),
        "take the right ones first, and only then the first `most` of them.",
    )
    yield Claim(
        "at most `most` answers to a question, the first ones",
        [a for q, a in found if q == str(n)] == [f"ee {n}", f"b {n}"],
        "each different right answer, in order, until there are `most` of them.",
    )
    yield Claim(
        "what was said again later is not new, and changes no order",
        attempt(groups[:1], right, 9) == [(str(n), f"{x} {n}") for x in ("ee", *"bfcad")],
        "compare with everything that is kept of this question, not with a neighbour alone; and "
        "keep the order: no set, no sorting.",
    )
    alike = ["Ja", "ja", "ja "]
    yield Claim(
        "texts are the same if they are so letter by letter",
        attempt([("?", alike)], lambda question, answer: True, 9) == [("?", x) for x in alike],
        "each different text is kept: no lower() and no strip(), in what you compare or return.",
    )
    both = [("1+3", ["4", "four"]), ("2+2", ["4"])]
    yield Claim(
        "the same text may answer two questions",
        attempt(both, lambda question, answer: True, 2)
        == [("1+3", "4"), ("1+3", "four"), ("2+2", "4")],
        "every question has answers of its own: forget, with each, what was seen before.",
    )
    yield Claim(
        "another limit",
        len(attempt(groups, right, 3)) == 4 and len(attempt(groups, right, 1)) == 2,
        "`most` limits the answers to one question, not all of them.",
    )
    yield Claim(
        "`most` may be 0: no pairs",
        attempt(groups, right, 0) == [],
        "ask whether there is room before you keep an answer, not after it.",
    )
    yield Claim(
        "no questions, no pairs; nothing right, no pairs",
        attempt([], right, 4) == [] and attempt(groups[1:2], right, 4) == [],
        "an empty list is a fine answer.",
    )
