"""Answers to 09.explain, right and wrong: which of the published figures is too good."""

explained = {
    "claimed": 6 * 671e9 * 14.8e12 / (2664e3 * 3600 * 989.5e12),
    "activated": 6 * 37e9 * 14.8e12 / (2664e3 * 3600 * 989.5e12),
    "because": "A token meets 37 billion of the 671 billion parameters, so only those work for it.",
}


def _explained_times(factor):
    both = {name: factor * explained[name] for name in ("claimed", "activated")}
    return explained | both


explained_rounded = {
    "claimed": 6.28,
    "activated": 0.346,
    "because": "671B lie in memory, but a token is multiplied with the 37B that its router picks.",
}

RIGHT = [explained, explained_rounded]

WRONG = [
    ("two for six", _explained_times(1 / 3), "backward takes twice"),
    ("hours for seconds", _explained_times(3600), "3600"),
    ("in percent", _explained_times(100), "0.5 is 50 percent"),
    ("FP8's peak", _explained_times(1 / 2), "peak is twice that"),
    ("the whole bill", _explained_times(2664 / 2788), "2664e3"),
    ("the tokens of V2", _explained_times(8.1 / 14.8), "14.8e12 tokens"),
    ("the same twice", explained | {"activated": explained["claimed"]}, "37e9"),
    (
        "no numbers",
        explained | {"because": "Most experts sleep while a token passes by."},
        "name both numbers",
    ),
    ("a word", explained | {"because": "671 37 sparsity"}, "sentence"),
]
