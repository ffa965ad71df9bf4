"""Rewards by rule: is the answer right, is the form kept, is the thinking in one language?

R1-Zero was trained with the first two (DeepSeek-R1, 2.2.2), equally weighted (Nature 645, 633-638,
Methods), and R1 adds the third (2.3.2). Rules cannot be talked round as a learned judge can. What a
model writes is read character by character and never run as code; every string gets a score, and
none raises.

The form is strict: one pair of think tags, one pair of answer tags, nothing else. A text outside
the form earns no reward for accuracy either, so that no number found anywhere in it can count.
"""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from minids.text.arithmetic import Problem
from minids.text.expressions import work_out
from minids.text.spoken import LANGUAGES

Rule = Callable[[Problem, str], float]
"""From a problem and a response to a reward, 0 to 1."""

_FORM = re.compile(
    r"\s*<think>(?P<think>[^<>]*)</think>\s*<answer>(?P<answer>[^<>]*)</answer>\s*(<\|end\|>)?",
    re.ASCII,
)
_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,17}", re.ASCII)
_WORD = re.compile(r"[a-zA-Z]+|[\u4e00-\u9fff]|[^\W\d_]", re.UNICODE)


class Parts(NamedTuple):
    """What stands between the tags of a response that keeps the form."""

    think: str
    answer: str


def read(response: str) -> Parts | None:
    """Return thoughts and answer, or None if the response does not keep the form."""
    match = _FORM.fullmatch(response)
    return Parts(match["think"], match["answer"]) if match else None


def form(_problem: Problem, response: str) -> float:
    """Return 1 if the response is <think>…</think><answer>…</answer> and nothing else, else 0.

    White space between the parts, and the token that ends a response, may be there. The content
    of a pair of tags may be empty: nobody is asked to think.
    """
    return float(read(response) is not None)


def accuracy(problem: Problem, response: str) -> float:
    """Return 1 if the answer is right and the response keeps the form, else 0.

    Numbers are ordinary digits without leading zeros. For countdown any expression is right that
    makes the target from all the numbers, each used once.
    """
    parts = read(response)
    return float(parts is not None and is_right(problem, parts.answer))


def is_right(problem: Problem, answer: str) -> bool:
    """Return whether a text is a right answer to a problem; white space around it is ignored."""
    answer = answer.strip()
    target, countdown, numbers = problem.question.partition("=")
    if countdown:
        worked = work_out(answer)
        wanted = sorted(map(int, numbers.split(",")))
        return (
            worked is not None and worked.value == int(target) and sorted(worked.numbers) == wanted
        )
    return _NUMBER.fullmatch(answer) is not None and answer == problem.answer


def worked(_problem: Problem, response: str) -> float:
    """Return 1 if something stands between the think tags, else 0: to watch, not to reward."""
    parts = read(response)
    return float(parts is not None and bool(parts.think.strip()))


def consistency(think: str, language: str) -> float:
    """Return the share of the words that are in `language`, 0 to 1; 0 where there are none.

    A word is a run of English letters, a Chinese character, or a letter of any other script; signs
    and digits are neutral.
    """
    if language not in LANGUAGES:
        raise ValueError(f"{language!r} is no language here; there are: {', '.join(LANGUAGES)}")
    words = _WORD.findall(think)
    if not words:
        return 0.0
    if language == "english":
        return sum(word.isascii() for word in words) / len(words)
    return sum("\u4e00" <= word <= "\u9fff" for word in words) / len(words)


def speaks(language: str) -> Rule:
    """Return R1's language reward: the share of words of the thoughts that are in `language`."""
    consistency("", language)

    def rule(_problem: Problem, response: str) -> float:
        parts = read(response)
        return 0.0 if parts is None else consistency(parts.think, language)

    return rule


class Weighed(NamedTuple):
    """A rule and what it counts; at weight 0 it is only measured."""

    rule: Rule
    weight: float


Rewards = Mapping[str, Weighed]
"""Rules by name. The reward of a response is the weighted sum."""

R1_ZERO: Rewards = {
    "accuracy": Weighed(accuracy, 1.0),
    "form": Weighed(form, 1.0),
    "worked": Weighed(worked, 0.0),
}
"""R1-Zero's two rewards, equally weighted, and an eye on how often working is shown."""


def overlong(length: int, longest: int, soft: int) -> float:
    """Return DAPO's soft punishment of a response of `length` tokens: 0 down to -1.

    0 up to `longest - soft`, then a straight line to -1 at `longest` (arXiv 2503.14476, eq. 13).
    """
    if not 0 < soft <= longest:
        raise ValueError(f"soft={soft} tokens must lie between 1 and longest={longest}")
    return min(0.0, max(-1.0, (longest - soft - length) / soft))
