"""Answers to 10.reward, right and wrong: a reward given by rule."""

import re


def reward(text, answer):
    found = re.fullmatch(r"<think>[^<>]*</think><answer>([^<>]*)</answer>", text)
    return float(found is not None and found[1] == answer)


def reward_by_hand(text, answer):
    if not (text.startswith("<think>") and text.endswith("</answer>")):
        return 0.0
    parts = text[len("<think>") : -len("</answer>")].split("</think><answer>")
    if len(parts) != 2 or any(sign in part for part in parts for sign in "<>"):
        return 0.0
    return float(parts[1] == answer)


def reward_by_partition(text, answer):
    thoughts, middle, rest = text.partition("</think><answer>")
    inside, end, after = rest.partition("</answer>")
    opened = thoughts.startswith("<think>")
    thoughts = thoughts.removeprefix("<think>")
    plain = not set("<>") & set(thoughts + inside)
    return 1 if opened and middle and end and not after and plain and inside == answer else 0


def reward_by_its_signs(text, answer):
    parts = re.split(r"([<>])", text)
    tags = ["<", "think", ">", "<", "/think", ">", "<", "answer", ">", "<", "/answer", ">"]
    words = [part for part in parts if part]
    thought = len(words) > 3 and words[3] != "<"
    form = tags[:3] + words[3 : 3 + thought] + tags[3:9] + ([answer] if answer else []) + tags[9:]
    return float(words == form and not set("<>") & set(answer))


def reward_anywhere(text, answer):
    return float(answer in text)


def reward_by_search(text, answer):
    found = re.search(r"<answer>([^<>]*)</answer>", text)
    return float(found is not None and found[1] == answer)


def reward_last_answer(text, answer):
    found = re.findall(r"<answer>(.*?)</answer>", text)
    return float(bool(found) and found[-1] == answer)


def reward_of_any_answer(text, answer):
    found = re.fullmatch(r"<think>[^<>]*</think><answer>(.*)</answer>", text, re.DOTALL)
    return float(found is not None and found[1] == answer)


def reward_of_answers_without_a_tag(text, answer):
    found = re.fullmatch(r"<think>[^<>]*</think><answer>([^<]*)</answer>", text)
    return float(found is not None and found[1] == answer)


def reward_contains(text, answer):
    found = re.fullmatch(r"<think>[^<>]*</think><answer>([^<>]*)</answer>", text)
    return float(found is not None and answer in found[1])


def reward_greedy_dots(text, answer):
    found = re.fullmatch(r"<think>.*</think><answer>(.*)</answer>", text, re.DOTALL)
    return float(found is not None and found[1].split(">")[-1] == answer)


def reward_with_int(text, answer):
    found = re.fullmatch(r"<think>[^<>]*</think><answer>([^<>]*)</answer>", text)
    return float(found is not None and int(found[1]) == int(answer))


def reward_one_line(text, answer):
    found = re.fullmatch(r"<think>((?![<>]).)*</think><answer>([^<>]*)</answer>", text)
    return float(found is not None and found[2] == answer)


def reward_form_only(text, answer):
    return float(re.fullmatch(r"<think>[^<>]*</think><answer>([^<>]*)</answer>", text) is not None)


_PLAIN = r"<think>[^<>]*</think><answer>([^<>]*)</answer>"


def _reward(pattern=_PLAIN, match=re.fullmatch, same=str.__eq__, flags=0, before=str):
    """One mistake by argument; `before`: what is done to the text first."""

    def wrong(text, answer):
        found = match(pattern, before(text), flags)
        return float(found is not None and same(found[1], answer))

    return wrong


def _same_number(one, other):
    return one.isascii() and one.isdecimal() and int(one) == int(other)


def reward_by_a_pattern_of_the_answer(text, answer):
    form = f"<think>[^<>]*</think><answer>{answer}</answer>"
    return float(re.fullmatch(form, text) is not None)


def reward_with_any_dot(text, answer):
    form = f"<think>[^<>]*</think><answer>{re.escape(answer)}</answer>".replace(r"\.", ".")
    return float(re.fullmatch(form, text) is not None)


def reward_int_of_the_answer(text, answer):
    found = re.fullmatch(_PLAIN, text)
    return float(found is not None and found[1] == str(int(answer)))


def reward_counting_opening_tags(text, answer):
    ends = text.startswith("<think>") and text.endswith(f"</think><answer>{answer}</answer>")
    return float(ends and text.count("<think>") == text.count("<answer>") == 1)


_WITH_OTHER_TAGS = _PLAIN.replace("[^<>]", r"(?:(?!</?think>|</?answer>)[\s\S])")


def reward_of_letters_and_spaces(text, answer):
    found = re.fullmatch(r"<think>[\w\s]*</think><answer>([^<>]*)</answer>", text)
    return float(found is not None and found[1] == answer)


RIGHT = [reward, reward_by_hand, reward_by_partition, reward_by_its_signs]

WRONG = [
    ("anywhere in the text", reward_anywhere, "between the answer tags alone"),
    ("search", reward_by_search, "fullmatch"),
    ("the last answer counts", reward_last_answer, "fullmatch"),
    ("contains the answer", reward_contains, "`in` finds"),
    ("a dot for the answer", reward_of_any_answer, "[^<>]* there, too"),
    ("answers without a < alone", reward_of_answers_without_a_tag, "[^<>]* there, too"),
    ("dots", reward_greedy_dots, "forbid < and >"),
    ("int()", reward_with_int, "compare the texts"),
    ("letters and spaces alone", reward_of_letters_and_spaces, "a list of letters"),
    ("one line of thoughts", reward_one_line, "line break"),
    ("the form is enough", reward_form_only, "compare what stands"),
    ("the same number", _reward(same=_same_number), "no int()"),
    ("the answer stripped", _reward(same=lambda a, b: a.strip() == b), "no strip()"),
    ("$ for the end", _reward(f"^{_PLAIN}$", re.match), "fullmatch on the text as it is"),
    ("the text stripped", _reward(before=str.strip), "strip() let one through"),
    ("space between the tags", _reward(_PLAIN.replace("><", r">\s*<")), "white space before"),
    ("a pattern made of the answer", reward_by_a_pattern_of_the_answer, "made of the answer"),
    ("a dot is any letter", reward_with_any_dot, "a dot stands for any letter"),
    ("digits alone", _reward(_PLAIN.replace("([^<>]*)", "([0-9]*)")), "not only digits"),
    ("int() of the answer", reward_int_of_the_answer, "invalid literal for int"),
    ("any case", _reward(same=lambda a, b: a.lower() == b.lower()), "lower() makes"),
    ("other tags inside", _reward(_WITH_OTHER_TAGS), "forbid < and >"),
    ("opening tags counted", reward_counting_opening_tags, "forbid < and >"),
    ("capital tags", _reward(flags=re.I), "no re.I"),
]
