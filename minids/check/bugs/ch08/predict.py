"""Answers to 08.predict, right and wrong: what eight bits save."""

NUMBERS = {
    "bytes to one expert": 8064,
    "dispatch saves": 0.4375,
    "both ways save": 0.219,
    "weights, GB": 756.6,
}

COMPUTED = {
    "bytes to one expert": 7168 + 224 * 4,
    "dispatch saves": 1 - 8064 / 14336,
    "both ways save": 1 - (8064 + 14336) / 28672,
    "weights, GB": 669.07 * (1 + 4 / 32) + 2 * 1.96,
}

RIGHT = [NUMBERS, COMPUTED]

WRONG = [
    ("scales forgotten", NUMBERS | {"bytes to one expert": 7168}, "224 scales"),
    ("bf16", NUMBERS | {"bytes to one expert": 14_336}, "a byte for each"),
    ("half", NUMBERS | {"dispatch saves": 0.5}, "less than half"),
    ("per cent", NUMBERS | {"dispatch saves": 43.75}, "not 50"),
    ("both ways FP8", NUMBERS | {"both ways save": 0.4375}, "only one of two ways"),
    ("all in FP8", NUMBERS | {"weights, GB": 671.03 * 1.125}, "stay in bf16"),
    ("weights without scales", NUMBERS | {"weights, GB": 672.99}, "4 bytes for each"),
    ("V3's own blocks", NUMBERS | {"weights, GB": 673.15}, "32 of the first"),
    ("an answer left out", {"weights, GB": 756.6}, "the keys are"),
]
