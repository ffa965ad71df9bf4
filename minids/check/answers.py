"""The form of an answer: numbers, a pair, a sentence, or a dictionary with an entry a question.

Whether it is the right answer is for the chapter's own claims to say.
"""

import math
import numbers
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from minids.check.claims import Claim


def is_number(x: Any) -> bool:
    """Whether `x` is an int or a float, numpy's too; True and False are no numbers."""
    return isinstance(x, numbers.Real) and not isinstance(x, bool)


def is_whole(x: Any) -> bool:
    """Whether `x` is an int, numpy's too; True and False are no numbers, and 2.0 is no int."""
    return isinstance(x, numbers.Integral) and not isinstance(x, bool)


def pair(out: Any) -> tuple[Any, Any]:
    """The two parts of an answer; anything else becomes two answers that no claim accepts."""
    if isinstance(out, tuple | list) and len(out) == 2:
        return out[0], out[1]
    return out, out


def numbers_for(
    answer: dict[str, Any], questions: Collection[str], *, write: str = "write numbers."
) -> Claim:
    """The claim that `answer` has a number for each of `questions`; it may have other entries.

    The hint names the first entry that is no number, and all questions where one is missing.
    """
    wrong = [name for name in questions if not is_number(answer.get(name))]
    found = f"the keys are {', '.join(map(repr, questions))}"
    if wrong and wrong[0] in answer:
        found = f"{wrong[0]!r} is {answer[wrong[0]]!r}"
    return Claim("every question has a number", not wrong, f"{found}; {write}")


def answers_for(
    answer: dict[str, Any],
    questions: Collection[str],
    *,
    says: str = "every question has an answer",
    also: str = "",
) -> Claim:
    """The claim that `answer` has an entry for each of `questions`; it may have others.

    `also` goes on with the sentence of the hint, which names the first that is missing.
    """
    missing = [name for name in questions if name not in answer]
    hint = f"the dictionary has no {missing[0]!r}{also}." if missing else ""
    return Claim(says, not missing, hint)


def what_moves(
    answer: dict[str, Any],
    expected: Mapping[str, tuple[frozenset[str], str]],
    *,
    words: Sequence[str],
    by: str = "",
) -> Iterator[Claim]:
    """Claims that `answer` says of each change which of `words` move, as in `expected`.

    expected: change -> (what moves, why); `by`: how much counts as moving, " by more than 5 %".
    """
    also = "; set() says that nothing moves"
    yield answers_for(answer, expected, says="every change has an answer", also=also)
    known = f"{', '.join(words[:-1])} or {words[-1]}"
    for change, (moves, why) in expected.items():
        said = answer[change]
        several = isinstance(said, set | frozenset | list | tuple)
        named = set(said) if several else {said} if isinstance(said, str) else {repr(said)}
        yield Claim(
            f"{change}: every word is {known}",
            named <= set(words),
            f"you wrote {sorted(map(str, named))}; nothing moves is written set().",
        )
        yield Claim(f"{change}: you named what moves{by}", named == moves, why)


def entries(answer: dict[str, Any], *names: str) -> Claim:
    """The claim that `answer` has the entries `names` and "because", and nothing else."""
    wanted = (*names, "because")
    form = ", ".join(f'"{name}": …' for name in names)
    return Claim(
        f"{'three' if len(wanted) == 3 else 'four'} entries: {', '.join(wanted)}",
        set(answer) == set(wanted),
        f'write {{{form}, "because": "…"}}.',
    )


def number_entries(answer: dict[str, Any], *names: str) -> Claim:
    """The claim of `entries`, and that each of `names` is answered by a number."""
    there = entries(answer, *names)
    no_number = [name for name in names if there.holds and not is_number(answer[name])]
    if no_number:
        hint = f"you wrote {answer[no_number[0]]!r}: write a plain number, such as 0.5."
        return Claim(f"the entry {no_number[0]!r} is a number", False, hint)
    return there


_NUMBER = r"(?:\d[\d,_]*(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?"
_NAMES = {"k": 1e3, "thousand": 1e3, "million": 1e6, "billion": 1e9}


def numbers_in(words: str) -> list[float]:
    """The numbers that a sentence holds, however they are written.

    0.52, .52, 7,25, 3/8, 7.86e5, 786K, 0.786 million; 1,200,000, 1_200_000, 1 200 000, 1.200.000
    and 1'200'000. What can be read in two ways, as "8 256", is read in both.
    """
    found = [x.rstrip(",") for x in re.findall(_NUMBER, words)]
    grouped = re.findall(r"(?<![\d.])\d{1,3}(?:[ \u00a0\u202f.'’]\d{3})+(?!\d)", words)
    commas = [x.replace(",", ".") for x in found if re.fullmatch(r"0,\d+|\d+,\d{1,2}", x)]
    fractions = re.findall(rf"({_NUMBER})\s*/\s*({_NUMBER})", words)
    named = re.findall(rf"({_NUMBER})\s*({'|'.join(_NAMES)})\b", words, re.IGNORECASE)
    plain = [_value(x) for x in (*found, *commas)]
    plain += [float(re.sub(r"[\s.'’]", "", x)) for x in grouped]
    plain += [a / b for a, b in ((_value(a), _value(b)) for a, b in fractions) if b]
    return plain + [_value(x) * _NAMES[name.lower()] for x, name in named]


def _value(number: str) -> float:
    return float(re.sub(r"[,_]", "", number))


def sentence(answer: dict[str, Any]) -> Claim:
    """The claim that the entry "because" is a sentence."""
    return Claim(
        "the explanation is a sentence",
        len(_reason(answer).split()) >= 8,
        "numbers alone explain nothing: write a sentence of eight words or more.",
    )


def explains(
    answer: dict[str, Any],
    *numbers: tuple[float, ...],
    says: str = "the explanation says its number",
    hint: str,
) -> Iterator[Claim]:
    """Claims that the entry "because" is a sentence, and that it holds `numbers`.

    Each of `numbers` is a tuple of ways to write one, as in (0.7, 70); half a percent is near
    enough. `says` names them, and comes with `hint`.
    """
    yield sentence(answer)
    found = numbers_in(_reason(answer))
    there = [any(math.isclose(x, y, rel_tol=5e-3) for x in found for y in ways) for ways in numbers]
    yield Claim(says, all(there), hint)


def _reason(answer: dict[str, Any]) -> str:
    return answer["because"] if isinstance(answer["because"], str) else ""
