"""Answers to 00.predict, right and wrong: what one change to V3 moves."""

from typing import Any

SIGNS: dict[str, Any] = {
    "twice the layers": {"total", "active", "cache"},
    "twice the routed experts": {"total"},
    "twice the experts per token": {"active"},
    "half the kv_rank": {"cache"},
    "twice the query heads": {"active"},
    "a second MTP module": set(),
}

RIGHT: list[Any] = [SIGNS, {change: sorted(words) for change, words in SIGNS.items()}]

WRONG: list[tuple[str, Any, str]] = [
    ("layers keep no cache", SIGNS | {"twice the layers": {"total", "active"}}, "of its own"),
    (
        "experts there are experts met",
        SIGNS | {"twice the routed experts": {"total", "active"}},
        "still meets top_k",
    ),
    (
        "more experts met means more there",
        SIGNS | {"twice the experts per token": {"total", "active"}},
        "are there already",
    ),
    (
        "the latent weighs much",
        SIGNS | {"half the kv_rank": {"cache", "total"}},
        "is what the cache keeps",
    ),
    (
        "heads fill the latent cache",
        SIGNS | {"twice the query heads": {"active", "cache"}},
        "does not know the heads",
    ),
    ("MTP counts", SIGNS | {"a second MTP module": {"total"}}, "by convention"),
    ("a change left out", {"twice the layers": {"total"}}, "every change has an answer"),
    (
        "a word that is none of the three",
        SIGNS | {"twice the layers": {"everything"}},
        "every word is total",
    ),
]
