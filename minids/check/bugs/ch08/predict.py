"""Answers to 08.predict, right and wrong: what eight bits save."""

NUMBERS = {
    "bytes to one expert": 7392,
    "dispatch saves": 0.484,
    "both ways save": 0.242,
    "weights, GB": 673.15,
}

COMPUTED = {
    "bytes to one expert": 7168 + 56 * 4,
    "dispatch saves": 1 - 7392 / 14336,
    "both ways save": 1 - (7392 + 14336) / 28672,
    "weights, GB": 669.07 * (1 + 4 / 128**2) + 2 * 1.96,
}

RIGHT = [NUMBERS, COMPUTED]

WRONG = [
    ("scales forgotten", NUMBERS | {"bytes to one expert": 7168}, "56 scales"),
    ("bf16", NUMBERS | {"bytes to one expert": 14_336}, "a byte for each"),
    ("half", NUMBERS | {"dispatch saves": 0.5}, "less than half"),
    ("per cent", NUMBERS | {"dispatch saves": 48.4}, "not 40"),
    ("both ways FP8", NUMBERS | {"both ways save": 0.484}, "only one of two ways"),
    ("all in FP8", NUMBERS | {"weights, GB": 671.03}, "stay in bf16"),
    ("weights without scales", NUMBERS | {"weights, GB": 672.99}, "4 bytes for each"),
    ("an answer left out", {"weights, GB": 673.15}, "the keys are"),
]
