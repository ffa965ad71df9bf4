"""Answers to 04.predict, right and wrong: how many users fit beside the weights."""

NUMBERS = {"bytes per token": 69_120, "GB per user": 1.132, "users": 70, "users with MHA": 1}

COMPUTED = {
    "bytes per token": 2.0 * (512 + 64) * 60,
    "GB per user": 2 * 576 * 60 * 2**14 / 1e9,
    "users": 80e9 // (2 * 576 * 60 * 2**14),
    "users with MHA": 80e9 // (2 * 2 * 128 * 128 * 60 * 2**14),
}

RIGHT = [NUMBERS, COMPUTED]

WRONG = [
    ("latent alone", NUMBERS | {"bytes per token": 61_440}, "both are kept"),
    ("numbers, not bytes", NUMBERS | {"bytes per token": 34_560}, "2 bytes each"),
    ("in kB", NUMBERS | {"bytes per token": 69.12}, "not in kB"),
    ("one layer", NUMBERS | {"bytes per token": 1152}, "in every layer"),
    ("16,000 tokens", NUMBERS | {"GB per user": 1.106}, "16 x 1024"),
    ("two digits", NUMBERS | {"GB per user": 1.1}, "three digits"),
    ("rounded up", NUMBERS | {"users": 71}, "round down"),
    ("MHA keeps keys alone", NUMBERS | {"users with MHA": 2}, "a value for each"),
    ("an answer left out", {"users": 70}, "the keys are"),
]
