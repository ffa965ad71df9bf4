"""01.bpe_merge: merges replayed in the order of learning."""

from collections.abc import Iterator, Mapping

import torch

from minids.check import Attempt, Claim, checker
from minids.check.answers import is_whole
from minids.check.sizes import draw

_BYTES = {bytes([byte]): byte for byte in range(256)}


def _ranks(*merges: bytes) -> dict[bytes, int]:
    return _BYTES | {token: 256 + i for i, token in enumerate(merges)}


def _replayed(piece: bytes, ranks: Mapping[bytes, int]) -> list[int]:
    """The tokens of a piece, rank by rank: each merge is made everywhere before the next one."""
    tokens = [piece[i : i + 1] for i in range(len(piece))]
    while True:
        known = [a + b for a, b in zip(tokens, tokens[1:], strict=False) if a + b in ranks]
        if not known:
            return [ranks[token] for token in tokens]
        lowest, at = min(known, key=lambda token: ranks[token]), 0
        while at < len(tokens) - 1:
            if tokens[at] + tokens[at + 1] == lowest:
                tokens[at : at + 2] = [lowest]
            at += 1


def _drawn_ranks(g: torch.Generator) -> dict[bytes, int]:
    """A vocabulary of merges over three letters, each made of two earlier tokens."""
    tokens = [b"a", b"b", b"c"]
    while len(tokens) < 15:
        left, right = (tokens[draw(g, 0, len(tokens) - 1)] for _ in range(2))
        if left + right not in tokens and len(left + right) < 6:
            tokens.append(left + right)
    return _ranks(*tokens[3:])


@checker(
    "01.bpe_merge",
    hints=(
        "Training made the merges in an order. Encoding makes them again, in that order: of all "
        "neighbours that form a token, the token with the lowest rank is made first.",
        "A list of bytes objects, one a byte. In a loop: all joined neighbours that are in ranks; "
        "stop if there are none; else join the pair of lowest rank. At the end look up the ranks.",
        "best = min(known, key=lambda i: ranks[tokens[i] + tokens[i + 1]])",
    ),
)
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    piece = bytes(draw(g, 97, 122) for _ in range(7))
    out = attempt(piece, dict(_BYTES))
    yield Claim(
        "the result is a list of whole numbers",
        isinstance(out, list) and all(map(is_whole, out)),
        "return the ranks of the tokens, in a list, not the tokens themselves.",
    )
    yield Claim(
        "with no merges every byte is its own token",
        out == list(piece),
        "start from single bytes: piece[i : i + 1]; the rank of a byte is its value.",
    )
    yield Claim(
        "two neighbours that form a token become that token",
        attempt(b"xaby", _ranks(b"ab")) == [120, 256, 121],
        "join neighbours, and look the joined bytes up in ranks.",
    )
    yield Claim(
        "the last two form a token, too, and also if there are no others",
        attempt(b"xyab", _ranks(b"ab")) == [120, 121, 256]
        and attempt(b"ab", _ranks(b"ab")) == [256],
        "n tokens have n - 1 pairs of neighbours, and two tokens have one.",
    )
    yield Claim(
        "of two equal pairs the left one goes first",
        attempt(b"aaa", _ranks(b"aa")) == [256, 97],
        "aaa is aa and then a.",
    )
    yield Claim(
        "a long token is made of its parts, or not at all",
        attempt(b"abcd", _ranks(b"abc", b"cd")) == [97, 98, 257]
        and attempt(b"abc", _ranks(b"abc")) == [97, 98, 99],
        "taking the longest token that fits is another method: no two neighbours make abc here.",
    )
    three = "好".encode()
    letters = [chr(byte).encode() for byte in three]  # what UTF-8 makes of letters 229, 165, 189
    yield Claim(
        "好 is three bytes, as long as nothing joins two of them",
        attempt(three + b"a", _ranks(three, *letters)) == [*three, 97],
        "start from bytes, not from letters: 好 is one letter and three bytes, and no chr or "
        "encode makes single bytes of them again.",
    )
    yield Claim(
        "merging goes on until no neighbours form a token",
        attempt(b"ababab", _ranks(b"ab", b"abab")) == [257, 256],
        "after a merge there are new neighbours: look again, in a loop.",
    )
    yield Claim(
        "the token of lowest rank is made first, wherever it stands",
        attempt(b"abc", _ranks(b"bc", b"ab")) == [97, 256]
        and attempt(b"abc", _ranks(b"ab", b"bc")) == [256, 99]
        and attempt(b"abcd", _ranks(b"cd", b"ab", b"bcd")) == [257, 256]
        and attempt(b"abxabc", _ranks(b"ab", b"bc")) == [256, 120, 256, 99],
        "the order is that of the ranks, not that of the text, nor of the lengths.",
    )
    yield Claim(
        "the ranks count, in whatever order the dictionary is written",
        attempt(b"abc", {b"ab": 257, b"bc": 256} | _BYTES) == [97, 256],
        "a dictionary may list tokens in any order: compare the numbers, ranks[token].",
    )
    yield Claim(
        "a merge may make a token of lower rank possible",
        attempt(b"abc", _ranks(b"abc", b"bc")) == [256],
        "after each merge look at all ranks again, not only at those that come later.",
    )
    ranks = _drawn_ranks(g)
    pieces = [bytes(97 + draw(g, 0, 2) for _ in range(n)) for n in (1, 2, 3, 8, 13, 21, 40)]
    yield Claim(
        "the same as merge by merge, for long and short pieces and many merges",
        all(attempt(piece, ranks) == _replayed(piece, ranks) for piece in pieces),
        "print the tokens after each merge for a short piece, and compare with your own hand.",
    )
    yield Claim(
        "nothing gives nothing",
        attempt(b"", ranks) == [],
        "an empty piece has no tokens.",
    )
