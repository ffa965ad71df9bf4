"""Answers to 02.explain, right and wrong: why sharing makes a step faster."""

from minids.check.ch02.explain import RATIOS

WHY = {name: value for name, (value, _) in RATIOS.items()}

_WHERE = "so it is faster where the time goes into"

WHY |= {_WHERE: "reading"}

RIGHT = [WHY, WHY | {"operations on the cache": 1, "bytes of cache read": 0.125}]

WRONG = [
    ("text", WHY | {"parameters": "0.87"}, "write a plain number"),
    ("sharing saves operations", WHY | {"operations on the cache": 1 / 8}, "of the 64 query"),
    ("sharing saves no bytes", WHY | {"bytes of cache read": 1.0}, "8 key heads are read"),
    ("upside down", WHY | {"operations per byte": 1 / 8}, "serves 8 queries"),
    ("parameters shrink like the cache", WHY | {"parameters": 1 / 8}, "beside the feed"),
    ("parameters stay", WHY | {"parameters": 1.0}, "matrices of keys and values shrink"),
    ("faster by computing less", WHY | {_WHERE: "computing"}, "the bytes are not"),
    ("an answer left out", {"parameters": 1.0}, "every question has an answer"),
]
