"""Answers to 01.bpe_merge, right and wrong: merges replayed in the order of learning."""

import numpy as np


def _joined(tokens, ranks):
    """Tokens merged in the order of the ranks."""
    while True:
        known = [i for i in range(len(tokens) - 1) if tokens[i] + tokens[i + 1] in ranks]
        if not known:
            return [ranks[token] for token in tokens]
        best = min(known, key=lambda i: ranks[tokens[i] + tokens[i + 1]])
        tokens[best : best + 2] = [tokens[best] + tokens[best + 1]]


def merge(piece, ranks):
    return _joined([piece[i : i + 1] for i in range(len(piece))], ranks)


def merge_in_numpy(piece, ranks):
    return list(np.array(merge(piece, ranks), dtype=np.int64))


def merge_by_rank(piece, ranks, tokens=None):
    tokens = [bytes([byte]) for byte in piece] if tokens is None else tokens
    for token in sorted(ranks, key=ranks.get):
        for i in range(len(tokens) - 1):
            if tokens[i] + tokens[i + 1] == token:
                return merge_by_rank(piece, ranks, [*tokens[:i], token, *tokens[i + 2 :]])
    return [ranks[token] for token in tokens]


def merge_each_rank_once(piece, ranks):
    tokens = [bytes([byte]) for byte in piece]
    for token in sorted(ranks, key=ranks.get):
        i = 0
        while i < len(tokens) - 1:
            if tokens[i] + tokens[i + 1] == token:
                tokens[i : i + 2] = [token]
            i += 1
    return [ranks[token] for token in tokens]


def merge_each_rank_once_a_round(piece, ranks):
    tokens, before = [bytes([byte]) for byte in piece], 0
    while len(tokens) != before:
        before = len(tokens)
        for token in sorted(ranks, key=ranks.get):
            pairs = [a + b for a, b in zip(tokens, tokens[1:], strict=False)]
            if token in pairs:
                at = pairs.index(token)
                tokens[at : at + 2] = [token]
    return [ranks[token] for token in tokens]


def _merged(piece, ranks, choose, once=False):
    tokens = [piece[i : i + 1] for i in range(len(piece))]
    while True:
        known = [i for i in range(len(tokens) - 1) if tokens[i] + tokens[i + 1] in ranks]
        if not known:
            return tokens
        best = choose(known, lambda i: ranks[tokens[i] + tokens[i + 1]])
        tokens[best : best + 2] = [tokens[best] + tokens[best + 1]]
        if once:
            return tokens


def merge_from_the_left(piece, ranks):
    return [ranks[token] for token in _merged(piece, ranks, lambda known, rank: known[0])]


def merge_newest_first(piece, ranks):
    return [
        ranks[token] for token in _merged(piece, ranks, lambda known, rank: max(known, key=rank))
    ]


def merge_longest_first(piece, ranks):
    names = {rank: token for token, rank in ranks.items()}

    def longest(known, rank):
        return max(known, key=lambda i: (len(names[rank(i)]), -rank(i)))

    return [ranks[token] for token in _merged(piece, ranks, longest)]


def merge_once(piece, ranks):
    chosen = _merged(piece, ranks, lambda known, rank: min(known, key=rank), once=True)
    return [ranks[token] for token in chosen]


def merge_from_the_right(piece, ranks):
    def last(known, rank):
        return min(known, key=lambda i: (rank(i), -i))

    return [ranks[token] for token in _merged(piece, ranks, last)]


def merge_to_bytes(piece, ranks):
    return _merged(piece, ranks, lambda known, rank: min(known, key=rank))


def longest_first(piece, ranks):
    out = []
    while piece:
        longest = max((piece[:n] for n in range(1, len(piece) + 1) if piece[:n] in ranks), key=len)
        out.append(ranks[longest])
        piece = piece[len(longest) :]
    return out


def merge_unless_known(piece, ranks):
    return [ranks[piece]] if piece in ranks else merge(piece, ranks)


def bytes_alone(piece, ranks):
    return list(piece)


def merge_never_empty(piece, ranks):
    return merge(piece, ranks) or [0]


def merge_of_letters(piece, ranks):
    return _joined([letter.encode() for letter in piece.decode()], ranks)


def merge_of_chr(piece, ranks):
    return _joined([chr(byte).encode() for byte in piece], ranks)


def merge_as_listed(piece, ranks, tokens=None):
    tokens = [bytes([byte]) for byte in piece] if tokens is None else tokens
    for token in ranks:
        for i in range(len(tokens) - 1):
            if tokens[i] + tokens[i + 1] == token:
                return merge_as_listed(piece, ranks, [*tokens[:i], token, *tokens[i + 2 :]])
    return [ranks[token] for token in tokens]


def merge_that_uses_the_ranks_up(piece, ranks):
    tokens, numbers = [piece[i : i + 1] for i in range(len(piece))], dict(ranks)
    while ranks:
        token, at = min(ranks, key=ranks.get), 0
        del ranks[token]
        while at < len(tokens) - 1:
            if tokens[at] + tokens[at + 1] == token:
                tokens[at : at + 2] = [token]
            at += 1
    return [numbers[token] for token in tokens]


def merge_without_the_last_pair(piece, ranks):
    last = piece[-1:]
    return merge(piece[:-1], ranks) + [ranks[last]] if last else []


def merge_of_three_or_more(piece, ranks):
    return merge(piece, ranks) if len(piece) > 2 else list(piece)


RIGHT = [merge, merge_by_rank, merge_in_numpy]

WRONG = [
    ("tokens instead of ranks", merge_to_bytes, "return the ranks"),
    ("no merges", bytes_alone, "join neighbours"),
    ("one merge", merge_once, "look again, in a loop"),
    ("each rank once", merge_each_rank_once, "look at all ranks again"),
    ("each rank once a round", merge_each_rank_once_a_round, "the order is that of the ranks"),
    ("from the left", merge_from_the_left, "not that of the text"),
    ("newest first", merge_newest_first, "not that of the text"),
    ("longest token first, then rank", merge_longest_first, "nor of the lengths"),
    ("longest match", longest_first, "taking the longest token"),
    ("a piece that is a token as it is", merge_unless_known, "no two neighbours make abc"),
    ("the last pair left out", merge_without_the_last_pair, "n - 1 pairs"),
    ("two tokens left as they are", merge_of_three_or_more, "two tokens have one"),
    ("from the right", merge_from_the_right, "the left one goes first"),
    ("letters for bytes", merge_of_letters, "start from bytes"),
    ("chr of every byte", merge_of_chr, "start from bytes"),
    ("the order of the dictionary", merge_as_listed, "may list tokens in any order"),
    ("ranks used up", merge_that_uses_the_ranks_up, "changes what it was given"),
    ("a token for nothing", merge_never_empty, "has no tokens"),
]
