"""10.reward: a reward given by rule."""

import numbers
from collections.abc import Iterator
from typing import Any

import torch

from minids.check import Attempt, Claim, checker
from minids.check.sizes import draw


def earns(reward: Any, n: int) -> bool:
    """Whether a reward is a number, and that one."""
    return isinstance(reward, numbers.Real | torch.Tensor) and bool(reward == n)


_GOOD = "<think>{}</think><answer>{}</answer>"


@checker(
    "10.reward",
    hints=(
        "First the form as a whole, then the number: a text that only contains the right answer "
        "somewhere earns nothing.",
        "one pattern for the whole text: think tags, answer tags, nothing before, between, after.",
        r're.fullmatch(r"<think>[^<>]*</think><answer>([^<>]*)</answer>", text)',
    ),
)
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    n = draw(g, 100, 999)
    right = _GOOD.format("so it is", n)
    yield Claim(
        "a reward is a number",
        isinstance(attempt(right, str(n)), numbers.Real | torch.Tensor),
        "return 1 or 0, as a number and not as a text.",
    )
    yield Claim(
        "a right answer in the right form earns 1",
        earns(attempt(right, str(n)), 1) and earns(attempt(_GOOD.format("", n), str(n)), 1),
        "nothing has to stand between the think tags; compare the answer as text.",
    )
    yield Claim(
        "a wrong answer earns 0",
        earns(attempt(_GOOD.format("", n + 1), str(n)), 0),
        "compare what stands between the answer tags with the right answer.",
    )
    yield Claim(
        "the right number in the thoughts does not count",
        earns(attempt(_GOOD.format(n, n + 1), str(n)), 0),
        "look between the answer tags alone.",
    )
    yield Claim(
        "a longer number that contains the right one is wrong",
        earns(attempt(_GOOD.format("", f"{n}0"), str(n)), 0)
        and earns(attempt(_GOOD.format("", f"1{n}"), str(n)), 0),
        "the whole answer must be equal: `in` finds 85 in 1850.",
    )
    yield Claim(
        "letter by letter: a zero in front, a .0 or a space behind make another answer",
        all(earns(attempt(_GOOD.format("", x), str(n)), 0) for x in (f"0{n}", f"{n}.0", f"{n} ")),
        "compare the texts as they are: no int(), no float(), no strip().",
    )
    yield Claim(
        "an answer may be any text: -7, 1+1 and yes earn 1 where they are asked for",
        all(earns(attempt(_GOOD.format("", x), x), 1) for x in ("-7", "1+1", "yes")),
        "answers are not only digits: [^<>]* between the tags. And no pattern that is made of the "
        "answer, in which + and . mean something else: compare with ==.",
    )
    yield Claim(
        "letter by letter: 7x5 is not 7.5, and Yes is not yes",
        earns(attempt(_GOOD.format("", "7x5"), "7.5"), 0)
        and earns(attempt(_GOOD.format("", "Yes"), "yes"), 0),
        "compare the texts with ==: in a pattern a dot stands for any letter, and lower() makes "
        "unlike texts equal.",
    )
    shapeless = [
        str(n), f"<answer>{n}</answer>", f"<think></think>{n}", right + "!", "Well: " + right,
        f"<think></think><answer>{n + 1}</answer><answer>{n}</answer>",
        f"<think></think><answer>{n}</answer><answer>{n + 1}</answer>",
        f"<answer>{n}</answer><think></think>", f"<think></think><answer>{n}",
        f"<think><answer>{n}</answer></think><answer>{n}</answer>",
        *(_GOOD.format(x, n) for x in ("a</think>b", "</answer>", "<b>so</b>", "1<2", "2>1")),
    ]  # fmt: skip
    for text in shapeless:
        yield Claim(
            f"out of the form: {text.replace(str(n + 1), 'M').replace(str(n), 'N')} earns 0",
            earns(attempt(text, str(n)), 0),
            "use fullmatch, so that nothing may stand before, between or after, and forbid < and > "
            "inside the tags, so that no tag stands there.",
        )
    yield Claim(
        "out of the form: an answer with a < or a >, even where it is asked for",
        all(earns(attempt(_GOOD.format("", x), x), 0) for x in ("1<2", "2>1")),
        "no < or > may stand between the answer tags either: [^<>]* there, too.",
    )
    yield Claim(
        "white space before, between or behind the tags is out of the form, too",
        all(
            earns(attempt(text, str(n)), 0)
            for text in (right + "\n", " " + right, right.replace("><", ">\n<"))
        ),
        "nothing else means no line break either: `$` and strip() let one through, fullmatch on "
        "the text as it is does not.",
    )
    yield Claim(
        "tags in capital letters are other tags",
        earns(attempt(right.upper(), str(n)), 0),
        "<THINK> is not <think>: no re.I, and no lower().",
    )
    yield Claim(
        "thoughts may have several lines",
        earns(attempt(_GOOD.format("a\nb", n), str(n)), 1),
        "a dot does not match a line break: write [^<>]*.",
    )
    yield Claim(
        "thoughts may be any words, figures and signs",
        earns(attempt(_GOOD.format(f"it's 1+2=3, so: {n}?!", n), str(n)), 1),
        "whatever is no < or > may stand there: [^<>]* and not \\w or a list of letters.",
    )
    yield Claim(
        "strange texts get a score, too",
        all(
            earns(attempt(text, str(n)), 0)
            for text in ("", "<", "\x00", "<think>" * 50, "٨٥", "９" * 9)
        ),
        "return 0 for what does not match, and do not call int() or eval() on it.",
    )
    yield Claim(
        "digits of another script are not the answer",
        attempt(_GOOD.format("", "".join(chr(0xFF10 + int(d)) for d in str(n))), str(n)) == 0,
        "int() reads full-width digits as well: compare the texts.",
    )
