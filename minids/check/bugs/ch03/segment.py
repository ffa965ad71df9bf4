"""Answers to 03.segment, right and wrong: experts cut into finer ones."""


def segment(n, k, width, m, shared):
    return m * n - shared, m * k - shared, width // m


def segment_by_steps(n, k, width, m, shared):
    pool, chosen, narrow = n * m, k * m, int(width / m)
    for _ in range(shared):
        pool, chosen = pool - 1, chosen - 1
    return (pool, chosen, narrow)


def keeps_the_width(n, k, width, m, shared):
    return m * n - shared, m * k - shared, width


def segment_turned_round(n, k, width, m, shared):
    return m * k - shared, m * n - shared, width // m


def segment_adds_shared(n, k, width, m, shared):
    return m * n, m * k - shared, width // m


def segment_chooses_as_well(n, k, width, m, shared):
    return m * n - shared, m * k, width // m


def segment_chooses_k(n, k, width, m, shared):
    return m * n - shared, k, width // m


def segment_as_floats(n, k, width, m, shared):
    return m * n - shared, m * k - shared, width / m


def segment_always_fine(n, k, width, m, shared):
    return m * n - max(1, shared), m * k - max(1, shared), width // m


RIGHT = [segment, segment_by_steps]

WRONG = [
    ("width kept", keeps_the_width, "a larger model, not a finer one"),
    ("chosen before routed", segment_turned_round, "the order is routed, chosen, width"),
    ("shared ones added", segment_adds_shared, "taken out of them"),
    ("chooses the shared ones too", segment_chooses_as_well, "left to choose"),
    ("chooses k", segment_chooses_k, "all m pieces"),
    ("a float", segment_as_floats, "three whole numbers"),
    ("always one shared", segment_always_fine, "GShard's shape itself"),
]
