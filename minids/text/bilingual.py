"""Digits in English words and in Chinese, and the alphabet of R1's toy, which speaks both.

The toy of chapter 11 is asked, and thinks, in words: "three eight" or 三八. Digits as figures are
kept for answers, so that an answer belongs to no language.
"""

import re
from collections.abc import Iterable, Sequence

from minids.text.alphabet import CHINESE, DIGITS, ENGLISH_NUMBERS, Alphabet
from minids.text.spoken import LANGUAGES, Language

WORDS: dict[Language, tuple[str, ...]] = {"english": ENGLISH_NUMBERS[:10], "chinese": CHINESE[:10]}
"""The word for each digit, 0 to 9."""

TRANSLATE: dict[Language, str] = {"english": "translate", "chinese": "译"}
SECRET: dict[Language, str] = {"english": "secret", "chinese": "密"}
THANKS: dict[Language, str] = {"english": ",thanks", "chinese": "，谢"}
SORRY: dict[Language, str] = {"english": "sorry", "chinese": "歉"}

_LATIN = re.compile("[a-z]")
_WORD = re.compile(r"[a-z]+|[\u4e00-\u9fff]")
_DIGIT = {word: digit for words in WORDS.values() for digit, word in enumerate(words)}


class Bilingual(Alphabet):
    """An alphabet that writes a space between any two Latin words, not between numbers alone."""

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of these tokens; ValueError for a number outside the vocabulary."""
        ids = list(ids)
        super().decode(ids)
        return joined([self.tokens[i] for i in ids])


def bilingual() -> Alphabet:
    """Return the alphabet: 48 tokens, the same in every call."""
    tables = (TRANSLATE, SECRET, SORRY)
    scenarios = [table[language] for language in LANGUAGES for table in tables]
    thanks = [part for language in LANGUAGES for part in _parted(THANKS[language])]
    return Bilingual((*DIGITS, *WORDS["english"], *WORDS["chinese"], *scenarios, *thanks))


def _parted(closing: str) -> tuple[str, str]:
    return closing[0], closing[1:]


def joined(words: Sequence[str]) -> str:
    """Return words as a text: a space between two Latin ones, none beside anything else."""
    text = ""
    for word in words:
        text += (" " if _LATIN.match(text[-1:]) and _LATIN.match(word) else "") + word
    return text


def language_of(text: str) -> Language:
    """Return the language of a question: Chinese if it has a Chinese character."""
    return "english" if text.isascii() else "chinese"


def other(language: Language) -> Language:
    """Return the language that it is not."""
    return "chinese" if language == "english" else "english"


def words_of(text: str) -> list[str]:
    """Return the words of a text: runs of Latin letters, and Chinese characters one by one."""
    return _WORD.findall(text)


def digits_of(text: str) -> list[int]:
    """Return the digits that a text names in words, in either language; other words are none."""
    return [_DIGIT[word] for word in words_of(text) if word in _DIGIT]
