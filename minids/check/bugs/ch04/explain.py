"""Answers to 04.explain, right and wrong: why nobody merges the two matrices."""

REASON = "Merging stores 786,432 numbers instead of 262,144, as if the rank were not 128."

EXPLAINED = {"two factors": 262_144, "merged": 786_432, "because": REASON}

EXPLAINED_AGAIN = {
    "two factors": 128 * (1536 + 512),
    "merged": 1536 * 512,
    "because": "The head is 128 wide, so 262144 numbers say all that 786432 numbers of the product "
    "would say.",
}

EXPLAINED_IN_K = EXPLAINED | {
    "because": "Two factors hold 256K numbers, and the product 768K that are made of no more."
}

EXPLAINED_IN_MILLIONS = EXPLAINED | {
    "because": "The product has 0.79 million numbers, thrice the 0.26 million that it is made of."
}

RIGHT = [EXPLAINED, EXPLAINED_AGAIN, EXPLAINED_IN_K, EXPLAINED_IN_MILLIONS]

WRONG = [
    ("the model's width, not the latent's", EXPLAINED | {"two factors": 983_040}, "query"),
    ("factors multiplied", EXPLAINED | {"two factors": 128 * 1536 * 128 * 512}, "add them"),
    ("all heads", EXPLAINED | {"two factors": 128 * 262_144}, "about one head"),
    ("merged of a head's width", EXPLAINED | {"merged": 128 * 128}, "more numbers than"),
    ("merged as large as the factors", EXPLAINED | {"merged": 262_144}, "more numbers than"),
    ("the width of the head kept", EXPLAINED | {"merged": 1536 * 128 * 512}, "between them"),
    (
        "no numbers",
        EXPLAINED | {"because": "Merging throws the low rank of both factors away."},
        "both numbers",
    ),
    (
        "products, not numbers",
        EXPLAINED
        | {"because": "Two factors hold 128 x 1536 + 128 x 512 numbers, merged 1536 x 512."},
        "write both numbers out",
    ),
    ("an entry left out", {"two factors": 262_144}, "three entries"),
]
