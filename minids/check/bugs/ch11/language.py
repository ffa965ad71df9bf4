"""Answers to 11.language, right and wrong: the share of words in the question's language."""

import re


def language(text, wanted):
    words = re.findall(r"[a-zA-Z]+|[\u4e00-\u9fff]", text)
    if not words:
        return 0.0
    return sum(word.isascii() == (wanted == "english") for word in words) / len(words)


def language_by_counting(text, wanted):
    english = len(re.findall(r"[a-zA-Z]+", text))
    chinese = sum("\u4e00" <= letter <= "\u9fff" for letter in text)
    counts = {"english": english, "chinese": chinese}
    return counts[wanted] / max(1, english + chinese)


def language_letter_by_letter(text, wanted):
    n, inside, before = {"english": 0, "chinese": 0}, 0, False
    for letter in text:
        latin = letter.isascii() and letter.isalpha()
        n["english"] += latin and not before
        n["chinese"] += ord(letter) in range(0x4E00, 0xA000)
        before = latin
    inside = n[wanted]
    return inside / (sum(n.values()) or 1)


def language_of_letters(text, wanted):
    letters = re.findall(r"[a-zA-Z]|[\u4e00-\u9fff]", text)
    return sum(x.isascii() == (wanted == "english") for x in letters) / max(1, len(letters))


def language_by_split(text, wanted):
    pieces = re.findall(r"[a-zA-Z]+|[\u4e00-\u9fff]+", text)
    return sum(x.isascii() == (wanted == "english") for x in pieces) / max(1, len(pieces))


def language_of_the_majority(text, wanted):
    share = language(text, "english")
    return max(share, 1 - share) if text else 0.0


def language_upside_down(text, wanted):
    return 1 - language(text, wanted)


def language_all_or_nothing(text, wanted):
    return float(language(text, wanted) == 1)


def language_with_figures(text, wanted):
    words = re.findall(r"[a-zA-Z0-9]+|[\u4e00-\u9fff]", text)
    return sum(x.isascii() == (wanted == "english") for x in words) / max(1, len(words))


def _language_by(pattern, kept=list):
    """Other words: a pattern of one's own, or only some of what is found."""

    def wrong(text, wanted):
        words = kept(re.findall(pattern + r"|[\u4e00-\u9fff]", text))
        return sum(x.isascii() == (wanted == "english") for x in words) / max(1, len(words))

    return wrong


def language_of_silence(text, wanted):
    return language(text, wanted) if re.search(r"[a-zA-Z\u4e00-\u9fff]", text) else 1.0


def language_of_ten_characters(text, wanted):
    chinese = sum(letter in "零一二三四五六七八九" for letter in text)
    english = len(re.findall("[a-zA-Z]+", text))
    return (english if wanted == "english" else chinese) / max(1, english + chinese)


def language_always_english(text, wanted):
    return language(text, "english")


def language_nothing(text, wanted):
    return 0.0


def language_with_chinese_signs(text, wanted):
    words = re.findall(r"[a-zA-Z]+|[\u3000-\u9fff]", text)
    return sum(w.isascii() == (wanted == "english") for w in words) / max(1, len(words))


def language_of_all_other_letters(text, wanted):
    words = re.findall(r"[a-zA-Z]+|[^\W\d_]", text)
    right = sum(word.isascii() == (wanted == "english") for word in words)
    return right / len(words) if words else 0.0


RIGHT = [language, language_by_counting, language_letter_by_letter]

WRONG = [
    ("Chinese full stops", language_with_chinese_signs, "signs and commas"),
    ("all other letters are Chinese", language_of_all_other_letters, "need not be Chinese"),
    ("letters instead of words", language_of_letters, "not of letters"),
    ("runs of Chinese as one word", language_by_split, "split() is too coarse"),
    ("the larger share", language_of_the_majority, "which language was asked for"),
    ("upside down", language_upside_down, "the share is 1 for English"),
    ("all or nothing", language_all_or_nothing, "not all or nothing"),
    ("figures are English", language_with_figures, "figures, signs and commas"),
    ("silence is consistent", language_of_silence, "thinks nothing"),
    ("small letters alone", _language_by("[a-z]+"), "capital letters are letters"),
    ("two letters at least", _language_by("[a-zA-Z]{2,}"), "one letter alone is a word"),
    ("signs among the letters", _language_by("[A-z]+"), "figures, signs and commas"),
    ("ten characters", language_of_ten_characters, "a list of ten figures"),
    ("words with hyphens", _language_by("[a-zA-Z][a-zA-Z'-]*"), "ends a word"),
    ("words with figures", _language_by("[a-zA-Z][a-zA-Z0-9]*"), "ends a word"),
    ("different words", _language_by("[a-zA-Z]+", set), "each time that it is said"),
    ("always English", language_always_english, "for English and for Chinese"),
    ("all zero", language_nothing, "the share is 1"),
]
