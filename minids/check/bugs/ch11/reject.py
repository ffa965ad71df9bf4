"""Answers to 11.reject, right and wrong: which samples may be imitated."""

import re

from minids.check.bugs.ch11.language import language, language_by_counting, language_of_the_majority
from minids.rl.rewards import consistency as share_of_words

_FORM = re.compile(r"<think>([^<>]*)</think><answer>([^<>]*)</answer>")


def reject(response, answer, wanted):
    found = _FORM.fullmatch(response)
    if found is None:
        return "out of form"
    if found[2] != answer:
        return "wrong answer"
    if not found[1].strip():
        return "no working"
    return "mixed languages" if share_of_words(found[1], wanted) < 1 else None


def reject_from_a_list(response, answer, wanted):
    found = _FORM.fullmatch(response)
    think, said = found.groups() if found else ("", "")
    faults = [
        (found is None, "out of form"),
        (said != answer, "wrong answer"),
        (think.strip() == "", "no working"),
        (language(think, wanted) != 1, "mixed languages"),
    ]
    return next((name for holds, name in faults if holds), None)


def reject_by_cutting(response, answer, wanted):
    tags = ["<think>", "</think><answer>", "</answer>"]
    parts = re.split("|".join(map(re.escape, tags)), response)
    whole = len(parts) == 4 and "".join(
        x + y for x, y in zip(parts, [*tags, ""], strict=True)
    ) == response  # fmt: skip
    if not whole or parts[0] or parts[3] or set("<>") & set(parts[1] + parts[2]):
        return "out of form"
    if parts[2] != answer:
        return "wrong answer"
    if parts[1].isspace() or not parts[1]:
        return "no working"
    if language_by_counting(parts[1], wanted) < 1:
        return "mixed languages"
    return None


def reject_with_any_answer(response, answer, wanted, inside="(.*)"):
    found = re.fullmatch(rf"<think>([^<>]*)</think><answer>{inside}</answer>", response)
    if found is None or found[2] == answer:
        return reject(response, answer, wanted)
    return "wrong answer"


def reject_without_an_answer(response, answer, wanted):
    said = reject(response, answer, wanted)
    return "out of form" if response.endswith("<answer></answer>") else said


def reject_by_answer_alone(response, answer, wanted):
    """Keeps whatever ends in the right answer: what it keeps is right, and half of it is mixed."""
    found = re.search(r"<answer>([^<>]*)</answer>$", response)
    return None if found and found[1] == answer else "wrong answer"


def reject_containing(response, answer, wanted):
    found = _FORM.fullmatch(response)
    if found and answer in found[2]:
        return reject(response, found[2], wanted)
    return reject(response, answer, wanted)


def reject_nothing(response, answer, wanted):
    return None


def reject_everything(response, answer, wanted):
    return "wrong answer"


def reject_majority(response, answer, wanted):
    fault = reject(response, answer, wanted)
    found = _FORM.fullmatch(response)
    mostly = found is not None and share_of_words(found[1], wanted) > 0.5
    return None if fault == "mixed languages" and mostly else fault


def reject_silent_kept(response, answer, wanted):
    fault = reject(response, answer, wanted)
    return None if fault == "no working" else fault


def reject_pure_in_any(response, answer, wanted):
    fault = reject(response, answer, wanted)
    found = _FORM.fullmatch(response)
    pure = found is not None and language_of_the_majority(found[1], wanted) == 1
    return None if fault == "mixed languages" and pure else fault


def reject_language_first(response, answer, wanted):
    found = _FORM.fullmatch(response)
    if found and found[1].strip() and share_of_words(found[1], wanted) < 1:
        return "mixed languages"
    return reject(response, answer, wanted)


def _reject_by(
    pattern=_FORM.pattern,
    same=str.__eq__,
    working_first=False,
    match=re.fullmatch,
    flags=0,
    empty=lambda think: not think.strip(),
):
    """One mistake by argument."""

    def wrong(response, answer, wanted):
        found = match(pattern, response, flags)
        if found is None:
            return "out of form"
        if working_first and not found[1].strip():
            return "no working"
        if not same(found[2], answer):
            return "wrong answer"
        if empty(found[1]):
            return "no working"
        return "mixed languages" if share_of_words(found[1], wanted) < 1 else None

    return wrong


def _without_a_word(think):
    return share_of_words(think, "english") == share_of_words(think, "chinese") == 0


def reject_answer_before_form(response, answer, wanted):
    if f"<answer>{answer}</answer>" not in response:
        return "wrong answer"
    return reject(response, answer, wanted)


def reject_nearly_in_the_language(response, answer, wanted):
    found = _FORM.fullmatch(response)
    pure = found is not None and share_of_words(found[1], wanted) >= 0.98
    fault = reject(response, answer, wanted)
    return None if fault == "mixed languages" and pure else fault


RIGHT = [reject, reject_from_a_list, reject_by_cutting]

WRONG = [
    ("the answer alone", reject_by_answer_alone, "'out of form' comes first"),
    ("a dot for the answer", reject_with_any_answer, "[^<>]* there, too"),
    ("no answer out of form", reject_without_an_answer, "Nothing at all is an answer"),
    ("contains the answer", reject_containing, "== and not in"),
    ("keeps everything", reject_nothing, "'wrong answer'"),
    ("keeps nothing", reject_everything, "no fault: return None"),
    ("mostly in the language", reject_majority, "not below"),
    ("nearly in the language", reject_nearly_in_the_language, "below 1, not below"),
    ("answer before form", reject_answer_before_form, "the form is asked first"),
    ("silence kept", reject_silent_kept, "nothing to imitate"),
    ("pure in any language", reject_pure_in_any, "pure is not enough"),
    ("language before answer", reject_language_first, "in the order"),
    ("working before answer", _reject_by(working_first=True), "in the order"),
    (
        "a dot for everything",
        _reject_by("(?s)<think>(.*)</think><answer>(.*)</answer>"),
        "tags included",
    ),
    (
        "one line of thoughts",
        _reject_by(_FORM.pattern.replace("^<>", r"^<>\n")),
        "does not match a line break",
    ),
    (
        "spaces alone are white",
        _reject_by(empty=lambda t: not t.replace(" ", "")),
        "tabs are white",
    ),
    (
        "a pattern made of the answer",
        _reject_by(same=lambda a, b: re.fullmatch(b, a) is not None),
        "a dot stands for any letter",
    ),
    ("the answer stripped", _reject_by(same=lambda a, b: a.strip() == b), "takes spaces away"),
    ("capital tags", _reject_by(flags=re.I), "no re.I"),
    ("$ for the end", _reject_by(f"{_FORM.pattern}$", match=re.match), "fullmatch does not"),
    ("figures are no thoughts", _reject_by(empty=_without_a_word), "only white space"),
    ("the same number", _reject_by(same=lambda a, b: int(a) == int(b)), "compare the texts"),
]
