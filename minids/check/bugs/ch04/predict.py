"""Answers to 04.predict, right and wrong: how many users fit beside the weights."""

NUMBERS = {"bytes per token": 70_272, "GB per user": 9.21, "users": 8, "users with MHA": 0}

COMPUTED = {
    "bytes per token": 2.0 * (512 + 64) * 61,
    "GB per user": 2 * 576 * 61 * 2**17 / 1e9,
    "users": 80e9 // (2 * 576 * 61 * 2**17),
    "users with MHA": 80e9 // (2 * 2 * 128 * 128 * 61 * 2**17),
}

RIGHT = [NUMBERS, COMPUTED]

WRONG = [
    ("latent alone", NUMBERS | {"bytes per token": 62_464}, "both are kept"),
    ("numbers, not bytes", NUMBERS | {"bytes per token": 35_136}, "2 bytes each"),
    ("one layer", NUMBERS | {"bytes per token": 1152}, "in every layer"),
    ("128,000 tokens", NUMBERS | {"GB per user": 8.995}, "128 x 1024"),
    ("rounded up", NUMBERS | {"users": 9}, "round down"),
    ("MHA fits one", NUMBERS | {"users with MHA": 1}, "a value for each"),
    ("an answer left out", {"users": 8}, "the keys are"),
]
