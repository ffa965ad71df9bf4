"""Numbers and steps of a calculation in words, English or Chinese: 47 is "forty seven", 四十七."""

from typing import Literal, NamedTuple

from minids.text.alphabet import CHINESE, ENGLISH_NUMBERS, ENGLISH_TENS

Language = Literal["english", "chinese"]
LANGUAGES: tuple[Language, ...] = ("english", "chinese")

_SIGNS = {
    "english": {"+": "plus", "-": "minus", "*": "times", "/": "over", "=": "is"},
    "chinese": {"+": "加", "-": "减", "*": "乘", "/": "除", "=": "得"},
}


class Step(NamedTuple):
    """What is said in one step: numbers and signs in turn, and what comes out."""

    parts: tuple[int | str, ...]  # (4, "+", 3, "+", 1)
    value: int


def say(step: Step, language: Language) -> str:
    """Return one step in words: "four plus three plus one is eight"."""
    signs, parts = _SIGNS[language], step.parts
    if language == "chinese" and "/" in parts:
        parts = parts[::-1]  # 四除八, "four divides eight", is 8 / 4
    words = [signs[p] if isinstance(p, str) else number(p, language) for p in parts]
    return ("" if language == "chinese" else " ").join(
        [*words, signs["="], number(step.value, language)]
    )


def number(n: int, language: Language) -> str:
    """Return a whole number from 0 to 9999 in words."""
    if not 0 <= n <= 9999:
        raise ValueError(f"numbers from 0 to 9999 have words here, got {n}")
    return _chinese(n) if language == "chinese" else _english(n)


def _english(n: int) -> str:
    if n < 20:
        return ENGLISH_NUMBERS[n]
    for size, name in ((1000, "thousand"), (100, "hundred")):
        if n >= size:
            rest = f" {_english(n % size)}" if n % size else ""
            return f"{_english(n // size)} {name}{rest}"
    return ENGLISH_TENS[n // 10 - 2] + (f" {ENGLISH_NUMBERS[n % 10]}" if n % 10 else "")


def _chinese(n: int) -> str:
    """As one says it: 15 is 十五, 105 is 一百零五."""
    if n < 10:
        return CHINESE[n]
    if n < 20:
        return "十" + (CHINESE[n % 10] if n % 10 else "")
    size, name = next((s, c) for s, c in ((1000, "千"), (100, "百"), (10, "十")) if n >= s)
    rest = n % size
    gap = "零" if 0 < rest < size // 10 else ""
    tail = (f"一{_chinese(rest)}" if 10 <= rest < 20 else _chinese(rest)) if rest else ""
    return f"{CHINESE[n // size]}{name}{gap}{tail}"
