"""Answers to 05.predict, right and wrong: what moves when one setting of YaRN is changed."""

MOVES = {
    "twice the factor": {"temperature"},
    "twice the trained context": {"low", "high"},
    "beta 16 instead of 32": {"low"},
    "alpha 2 instead of 1": {"high"},
    "base 100,000 instead of 10,000": {"low", "high"},
    "mscale 0.707 instead of 1": {"temperature"},
}

RIGHT = [MOVES, {change: sorted(words) for change, words in MOVES.items()}]

WRONG = [
    (
        "the factor moves the bounds",
        MOVES | {"twice the factor": {"temperature", "high"}},
        "on the trained context alone",
    ),
    (
        "the context moves one bound",
        MOVES | {"twice the trained context": {"high"}},
        "both bounds move",
    ),
    (
        "beta moves both bounds",
        MOVES | {"beta 16 instead of 32": {"low", "high"}},
        "the lower bound",
    ),
    ("alpha is the lower bound", MOVES | {"alpha 2 instead of 1": {"low"}}, "the upper bound"),
    (
        "the base moves nothing",
        MOVES | {"base 100,000 instead of 10,000": set()},
        "slows all pairs but the first",
    ),
    (
        "mscale moves frequencies",
        MOVES | {"mscale 0.707 instead of 1": {"high", "temperature"}},
        "frequencies do not know it",
    ),
    ("a change left out", {"twice the factor": {"temperature"}}, "every change has an answer"),
    (
        "a word that is none of the three",
        MOVES | {"twice the factor": {"all"}},
        "every word is low",
    ),
]
