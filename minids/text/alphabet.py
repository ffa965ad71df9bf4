"""A vocabulary of 80 whole words, for models that are to do arithmetic fast.

The tokenizer of the course (tokenizer.py) has 1,024 tokens, of which arithmetic uses eighty. A
small model that samples pays for all of them: with 0.3 million parameters, drawing from 1,024
tokens took twice the time of drawing from 80. So the chapters on reinforcement learning read and
write with this alphabet: digits, signs, numbers as English words and as Chinese characters, and
the special tokens of the course. Every text it writes can be read by the other tokenizer, too.

Left out: any other word. What cannot be spelled is refused.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Protocol, runtime_checkable

from minids.text.tokenizer import SPECIAL

ENGLISH_NUMBERS = (
    *"zero one two three four five six seven eight nine ten eleven twelve thirteen".split(),
    *"fourteen fifteen sixteen seventeen eighteen nineteen".split(),
)
ENGLISH_TENS = tuple("twenty thirty forty fifty sixty seventy eighty ninety".split())
ENGLISH = (*ENGLISH_NUMBERS, *ENGLISH_TENS, *"hundred thousand plus minus times over is".split())
CHINESE = tuple("零一二三四五六七八九十百千加减乘除得，")
DIGITS = tuple("0123456789")
SIGNS = tuple("+-*/()=,")

_PIECES = re.compile("|".join(map(re.escape, SPECIAL)) + "|[a-z]+|[^ ]", re.DOTALL)


@runtime_checkable
class Codec(Protocol):
    """What a loop needs of a vocabulary, whether it is this one or the tokenizer of the course."""

    vocab: int

    def encode(self, text: str, *, special: bool = False) -> list[int]: ...
    def decode(self, ids: Iterable[int]) -> str: ...
    def id(self, special: str) -> int: ...


class Alphabet:
    """Turns text into tokens and back, one token a word, a sign or a Chinese character.

    Spaces stand between English words and are no tokens. Only `encode` with `special=True`
    reads special tokens from text, as in `Tokenizer`.
    """

    def __init__(self, words: Sequence[str] = (*DIGITS, *SIGNS, *ENGLISH, *CHINESE)) -> None:
        self.tokens = (*SPECIAL, *words)
        self.vocab = len(self.tokens)
        self._ids = {token: i for i, token in enumerate(self.tokens)}
        self._english = [token in ENGLISH for token in self.tokens]
        if len(self._ids) < self.vocab:
            raise ValueError("every word of an alphabet may occur once")

    def __repr__(self) -> str:
        return f"Alphabet(vocab={self.vocab})"

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        """Return the tokens of a text; ValueError names the first word that has no token."""
        ids = []
        for word in _PIECES.findall(text):
            if word not in self._ids or (word in SPECIAL and not special):
                raise ValueError(
                    f"{word!r} in {text[:60]!r} is not in this alphabet, which has digits, "
                    f"{''.join(SIGNS)}, numbers in words, and special tokens with special=True"
                )
            ids.append(self._ids[word])
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of these tokens, with a space between two English words."""
        pieces: list[str] = []
        after_english = False
        for i in ids:
            if not 0 <= i < self.vocab:
                raise ValueError(f"token {i} is not in a vocabulary of {self.vocab}")
            english = self._english[i]
            if english and after_english:
                pieces.append(" ")
            pieces.append(self.tokens[i])
            after_english = english
        return "".join(pieces)

    def id(self, special: str) -> int:
        """Return the number of a special token."""
        if special not in SPECIAL:
            raise ValueError(f"no special token {special!r}; there are: {', '.join(SPECIAL)}")
        return self._ids[special]


def alphabet() -> Alphabet:
    """Return the alphabet of the chapters on reinforcement learning: 80 tokens."""
    return Alphabet()
