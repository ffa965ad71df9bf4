"""Answers to 07.measure, right and wrong: how often a draft is kept."""


def shares(rounds):
    longest = max(drafts for drafts, _ in rounds)
    found = []
    for i in range(longest):
        turns = [kept > i for drafts, kept in rounds if drafts > i and kept >= i]
        found.append(sum(turns) / len(turns) if turns else 0.0)
    return found


def shares_by_counting(rounds):
    n = max(drafts for drafts, _ in rounds)
    tested, kept_at = [0] * n, [0] * n
    for drafts, kept in rounds:
        for i in range(min(kept + 1, drafts)):
            tested[i] += 1
            kept_at[i] += i < kept
    return [k / max(1, t) for k, t in zip(kept_at, tested, strict=True)]


def shares_of_all_rounds(rounds):
    n = max(drafts for drafts, _ in rounds)
    return [sum(kept > i for _, kept in rounds) / len(rounds) for i in range(n)]


def shares_up_to_the_last_kept(rounds):
    return shares(rounds)[: max(kept for _, kept in rounds)]


def shares_of_long_rounds(rounds):
    n = max(drafts for drafts, _ in rounds)
    full = [(d, kept) for d, kept in rounds if d == n]
    return shares(full)


def one_share(rounds):
    total = sum(kept for _, kept in rounds) / sum(drafts for drafts, _ in rounds)
    return [total] * max(drafts for drafts, _ in rounds)


def mean_kept(rounds):
    return sum(kept for _, kept in rounds) / len(rounds)


def shares_rejected(rounds):
    return [1 - share for share in shares(rounds)]


def shares_of_short_rounds_too(rounds):
    longest = max(drafts for drafts, _ in rounds)
    found = []
    for i in range(longest):
        turns = [kept > i for _, kept in rounds if kept >= i]
        found.append(sum(turns) / len(turns) if turns else 0.0)
    return found


RIGHT = [shares, shares_by_counting]


def shares_of_rounds_without_drafts(rounds):
    found = shares(rounds)
    return [sum(kept > 0 for _, kept in rounds) / len(rounds), *found[1:]]


WRONG = [
    (
        "rounds without drafts counted",
        shares_of_rounds_without_drafts,
        "Nor does a round without drafts",
    ),
    ("of all rounds", shares_of_all_rounds, "whose turn came"),
    ("long rounds alone", shares_of_long_rounds, "every round has a first draft"),
    ("one share for all positions", one_share, "for each position by itself"),
    ("a mean", mean_kept, "a list"),
    ("no further than the last kept", shares_up_to_the_last_kept, "round has DRAFTS"),
    ("rejected", shares_rejected, "kept, not rejected"),
    ("short rounds tested too far", shares_of_short_rounds_too, "nobody guessed"),
]
