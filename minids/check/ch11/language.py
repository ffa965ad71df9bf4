"""11.language: the share of words in the question's language."""

from collections.abc import Iterator

import torch

from minids.check import Attempt, Claim, checker, close
from minids.check.ch11.common import spoken
from minids.check.sizes import draw


@checker(
    "11.language",
    hints=(
        "Count words, not letters: a run of Latin letters is one English word, and every Chinese "
        "character is a word by itself. Figures and signs belong to no language.",
        "find all words with one pattern, decide for each which language it is, return the share "
        "that is in the one asked for, and 0.0 if there are none.",
        r're.findall(r"[a-zA-Z]+|[\u4e00-\u9fff]", text), and word.isascii() tells English',
    ),
)
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    n = draw(g, 3, 6)
    english, chinese = spoken(g, "e" * n), spoken(g, "c" * n)
    yield Claim(
        "thoughts in the language asked for get 1, in either language",
        attempt(english, "english") == 1 and attempt(chinese, "chinese") == 1,
        "every word is in the right language: the share is 1 for English and for Chinese alike.",
    )
    yield Claim(
        "thoughts in the other language get 0",
        attempt(english, "chinese") == 0 and attempt(chinese, "english") == 0,
        "look at the second argument: which language was asked for?",
    )
    mixed = " ".join(3 * [spoken(g, "e")]) + spoken(g, "c")
    yield Claim(
        "three English words and a Chinese one: 0.75 and 0.25",
        close(attempt(mixed, "english"), 0.75) and close(attempt(mixed, "chinese"), 0.25),
        "the share of words, not of letters, and not all or nothing: an English word is several "
        "letters and counts as one, each time that it is said.",
    )
    run = spoken(g, "ecccc")
    yield Claim(
        "one English word and four Chinese characters in a row: 0.2",
        close(attempt(run, "english"), 0.2),
        "Chinese is written without spaces: each character is a word, so split() is too coarse.",
    )
    yield Claim(
        "any Chinese character is a word, not only a figure's: 好, 我 and 加 are",
        attempt("好我加", "chinese") == 1
        and close(attempt("好我加" + spoken(g, "ee"), "chinese"), 0.6),
        "a list of ten figures does not know them: take the whole range from \\u4e00 to \\u9fff.",
    )
    numbers = f"{spoken(g, 'ec')} [12]+{draw(g, 30, 99)}^1=5_6, 7，。"
    yield Claim(
        "figures and signs are neutral",
        close(attempt(numbers, "english"), 0.5) and close(attempt(numbers, "chinese"), 0.5),
        "only letters make words: figures, signs and commas count for no language.",
    )
    yield Claim(
        "thoughts without a word get 0",
        all(attempt(text, lang) == 0 for text in ("", " 1, 2") for lang in ("english", "chinese")),
        "else a model that thinks nothing would earn the reward; take care of 0 over 0.",
    )
    yield Claim(
        "letters of other scripts are no Chinese words",
        attempt("六π", "english") == 0 and attempt("π", "chinese") == 0,
        "whatever is no Latin letter need not be Chinese: take the range from \\u4e00 to \\u9fff.",
    )
    one = spoken(g, "c")
    yield Claim(
        "a single word works, as long or short as it is",
        attempt(one, "chinese") == 1
        and attempt("SIX", "english") == 1
        and attempt("I", "english") == 1,
        "capital letters are letters too, and one letter alone is a word: [a-zA-Z]+.",
    )
    yield Claim(
        "a sign or a figure ends a word: twenty-one好 and x2y好 have two English words of three",
        all(close(attempt(text, "english"), 2 / 3) for text in ("twenty-one好", "x2y好", "it's好")),
        "a word is a run of letters, and figures and signs are none, between two letters either: "
        "[a-zA-Z]+. And do not round.",
    )
