"""Byte-pair encoding: how a vocabulary is learned from text, and what encoding with it means.

Start with the 256 bytes as tokens. Find the pair of neighbours that occurs most often, make it
a new token, replace it everywhere, and repeat: `train_bpe`. A token's number is its rank, the
order in which it was made, and encoding replays the merges, lowest rank first: `merge` does it
slowly, tiktoken does the same fast. Text is first cut into pieces that no token crosses
(`PATTERN`), much as in DeepSeek LLM, section 2.1: new lines, punctuation, words and Chinese apart
from each other, numbers as single digits.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import regex  # type: ignore[import-untyped]

PATTERN = "|".join(
    (
        r"\p{N}|\p{Han}",  # digits one by one (37+45 looks like 12+99), Chinese characters too
        r" ?(?:(?!\p{Han})[\p{L}\p{M}])+",  # a word, with the space before it
        r"\n\s*",  # the end of a line, with the indentation of the next
        r" ?[^\s\p{L}\p{M}\p{N}]+",  # punctuation
        r"\s+(?!\S)|\s",  # other space; the last one is left to the word
    )
)
"""Pieces that no token crosses; every character belongs to exactly one piece."""

Pair = tuple[int, int]


def train_bpe(text: str, vocab: int, *, pattern: str = PATTERN) -> dict[bytes, int]:
    """Return the rank of each token: the 256 bytes, then `vocab - 256` merges in order.

    The most frequent pair goes first; of equally frequent ones, the pair of older tokens. No pair
    that occurs only once is merged: a text too short for `vocab` is refused with ValueError.
    Counts are kept up to date instead of taken again, so a merge costs as much as the words it
    changes: about a second for a megabyte and 1,024 tokens.
    """
    if vocab < 256:
        raise ValueError(f"all 256 bytes are tokens: vocab must be 256 or more, got {vocab}")
    tokens = [bytes([byte]) for byte in range(256)]
    times = Counter(regex.findall(pattern, text))
    words = [(list(word.encode()), n) for word, n in times.items()]
    count: Counter[Pair] = Counter()
    where: defaultdict[Pair, set[int]] = defaultdict(set)
    for i in range(len(words)):
        _count(words, i, count, where)
    heap = [(-n, pair) for pair, n in count.items()]
    heapq.heapify(heap)
    while len(tokens) < vocab:
        pair = _most_frequent(heap, count)
        if pair is None:
            raise ValueError(
                f"{vocab} tokens were asked for, but after {len(tokens)} no pair occurs twice: "
                "give more text or a smaller vocab"
            )
        changed: set[Pair] = set()
        for i in where.pop(pair):
            changed |= _count(words, i, count, where, sign=-1)
            words[i] = (_replaced(words[i][0], pair, len(tokens)), words[i][1])
            changed |= _count(words, i, count, where)
        for other in changed:
            heapq.heappush(heap, (-count[other], other))
        tokens.append(tokens[pair[0]] + tokens[pair[1]])
    return {token: rank for rank, token in enumerate(tokens)}


def _count(
    words: Sequence[tuple[list[int], int]],
    i: int,
    count: Counter[Pair],
    where: defaultdict[Pair, set[int]],
    sign: int = 1,
) -> set[Pair]:
    """Add the pairs of word `i` to the counts (or take them away), and return them."""
    word, times = words[i]
    pairs = list(zip(word, word[1:], strict=False))
    for pair in pairs:
        count[pair] += sign * times
        if sign > 0:
            where[pair].add(i)
    return set(pairs)


def _most_frequent(heap: list[tuple[int, Pair]], count: Mapping[Pair, int]) -> Pair | None:
    """Return the best pair that occurs at least twice. Entries whose count is old are skipped."""
    while heap:
        n, pair = heapq.heappop(heap)
        if -n == count[pair]:
            return pair if -n > 1 else None
    return None


def _replaced(word: list[int], pair: Pair, new: int) -> list[int]:
    """Return the word with each occurrence of the pair, from the left, made one token."""
    out: list[int] = []
    for token in word:
        if out and (out[-1], token) == pair:
            out[-1] = new
        else:
            out.append(token)
    return out


def merge(piece: bytes, ranks: Mapping[bytes, int]) -> list[int]:
    """Return the tokens of one piece, merged by hand: always the neighbours of lowest rank."""
    tokens = [piece[i : i + 1] for i in range(len(piece))]
    while True:
        pairs = [left + right for left, right in zip(tokens, tokens[1:], strict=False)]
        known = [pair for pair in pairs if pair in ranks]
        if not known:
            return [ranks[token] for token in tokens]
        best = min(known, key=lambda pair: ranks[pair])
        at = pairs.index(best)
        tokens[at : at + 2] = [best]
