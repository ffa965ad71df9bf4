"""11.reject: which samples may be imitated."""

from collections.abc import Iterator
from typing import Any

import torch

from minids.check import Attempt, Claim, checker
from minids.check.ch11.common import spoken
from minids.check.sizes import draw

FORM = "<think>{}</think><answer>{}</answer>"


@checker(
    "11.reject",
    hints=(
        "What is kept will be imitated. So keep what is right and can be read, and say of the rest "
        "which of the four faults comes first.",
        "form first (one pattern for the whole text), then the answer, then whether there are "
        "thoughts, then their language; None at the end.",
        'if consistency(think, language) < 1: return "mixed languages"',
    ),
)
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    n = draw(g, 0, 8)
    clean = spoken(g, "eee")

    def said(response: str, language: str = "english") -> Any:
        return attempt(response, str(n), language, may_be_none=True)

    yield Claim(
        "a right and readable response is kept",
        said(FORM.format(clean, n)) is None,
        "no fault: return None.",
    )
    yield Claim(
        "so is a Chinese one, where Chinese is asked for",
        said(FORM.format(spoken(g, "ccc"), n), "chinese") is None,
        "the language is an argument. And the tags are English words: give consistency the "
        "thoughts alone.",
    )
    yield Claim(
        "a wrong answer is dropped",
        said(FORM.format(clean, n + 1)) == "wrong answer"
        and said(FORM.format(clean, "")) == "wrong answer",
        "compare what stands between the answer tags with the right answer: 'wrong answer'. "
        "Nothing at all is an answer in form, and a wrong one.",
    )
    yield Claim(
        "an answer that only contains the right one is wrong",
        said(FORM.format(clean, f"1{n}")) == "wrong answer",
        "the whole text between the tags has to be the answer: == and not in.",
    )
    yield Claim(
        "a zero in front makes another answer",
        said(FORM.format(clean, f"0{n}")) == "wrong answer",
        "compare the texts: int() takes 07 for 7.",
    )
    yield Claim(
        "7x5 is not 7.5, and a space behind makes another answer",
        attempt(FORM.format(clean, "7x5"), "7.5", "english", may_be_none=True) == "wrong answer"
        and said(FORM.format(clean, f"{n} ")) == "wrong answer",
        "letter by letter: in a pattern made of the answer a dot stands for any letter, and "
        "strip() takes spaces away. Compare with ==.",
    )
    broken = f"<answer>{clean}</think><answer>{n}</answer>"
    yield Claim(
        "what is out of form is dropped, although the answer is right",
        said(broken) == "out of form" and said(FORM.format(clean, n) + "!") == "out of form",
        "match the whole response: 'out of form' comes first.",
    )
    yield Claim(
        "so is white space outside the tags, and tags in capital letters",
        said(FORM.format(clean, n) + "\n") == "out of form"
        and said(" " + FORM.format(clean, n)) == "out of form"
        and said(FORM.format(clean, n).replace("think", "THINK")) == "out of form",
        "nothing else means no line break either: `$` lets one through, fullmatch does not. And no "
        "re.I: <THINK> is not <think>.",
    )
    yield Claim(
        "so is what has tags among its thoughts, or a < or a > alone",
        all(
            said(FORM.format(f"{x}{clean}", n)) == "out of form"
            for x in ("<answer>1</answer>", "1<2 ", "2>1 ")
        ),
        "a dot stands for anything, tags included: write [^<>]*.",
    )
    yield Claim(
        "thoughts of several lines are kept",
        said(FORM.format(f"{clean}\n{clean}", n)) is None,
        "a dot does not match a line break: write [^<>]*.",
    )
    yield Claim(
        "a right answer without thoughts is dropped",
        all(said(FORM.format(x, n)) == "no working" for x in ("", " ", "\n\t")),
        "there is nothing to imitate: 'no working'; white space is no thought, and line breaks and "
        "tabs are white space: ask whether think.strip() is empty.",
    )
    yield Claim(
        "a response that thinks one Chinese character is kept",
        said(FORM.format(spoken(g, "c"), n), "chinese") is None,
        "'no working' is said where nothing is thought, and not where little is.",
    )
    yield Claim(
        "one word in the other language is enough to be dropped",
        said(FORM.format(spoken(g, 299 * "e" + "c"), n)) == "mixed languages",
        "every word has to be in the language of the question: consistency below 1, not below "
        "one half or 0.9.",
    )
    yield Claim(
        "thoughts wholly in the other language are dropped too",
        said(FORM.format(spoken(g, "ccc"), n)) == "mixed languages",
        "the language asked for is an argument: pure is not enough.",
    )
    yield Claim(
        "figures and signs are thoughts, without a word of the language asked for",
        said(FORM.format(f"{n}+0={n}", n)) == "mixed languages",
        "only white space is 'no working'. Where no word stands consistency is 0, below 1: 'mixed "
        "languages'.",
    )
    yield Claim(
        "of two faults the first is told: out of form before all others",
        all(
            said(FORM.format(think, said_n) + "!") == "out of form"
            for think, said_n in ((clean, n + 1), ("", n), (spoken(g, "ec"), n))
        ),
        "the form is asked first: whoever looks for the answer or the thoughts before finds "
        "another fault.",
    )
    yield Claim(
        "what has tags in its answer, or a < or a > alone, is out of form",
        all(
            said(FORM.format(clean, x)) == "out of form"
            for x in (f"{n}</answer><answer>{n}", "7<8", "8>7")
        ),
        "between the answer tags no < or > may stand either: [^<>]* there, too.",
    )
    yield Claim(
        "of two faults the first is told: a wrong answer before no working and mixed languages",
        said(FORM.format(spoken(g, "ec"), n + 1)) == "wrong answer"
        and said(FORM.format("", n + 1)) == "wrong answer",
        "ask in the order form, answer, working, language.",
    )
