"""Answers to 12.keep, right and wrong: samples worth learning from."""

from itertools import groupby


def keep(groups, right, most):
    pairs = []
    for question, answers in groups:
        good = [answer for answer in answers if right(question, answer)]
        pairs += [(question, answer) for answer in list(dict.fromkeys(good))[:most]]
    return pairs


def keep_in_a_loop(groups, right, most):
    pairs, seen = [], {}
    for question, answers in groups:
        for answer in answers:
            mine = seen.setdefault(question, [])
            if len(mine) < most and answer not in mine and right(question, answer):
                mine.append(answer)
                pairs.append((question, answer))
    return pairs


def keep_all(groups, right, most):
    return [(q, a) for q, answers in groups for a in list(dict.fromkeys(answers))[:most]]


def keep_wrong(groups, right, most):
    return keep(groups, lambda q, a: not right(q, a), most)


def keep_first_then_judge(groups, right, most):
    return [(q, a) for q, answers in groups for a in answers[:most] if right(q, a)]


def keep_twice(groups, right, most):
    pairs = []
    for question, answers in groups:
        good = [answer for answer in answers if right(question, answer)]
        pairs += [(question, answer) for answer in good[:most]]
    return pairs


def keep_most_of_all(groups, right, most):
    return keep(groups, right, 10**6)[:most]


def keep_with_one_memory(groups, right, most):
    """What was kept for one question is not kept for another."""
    pairs, seen = [], set()
    for question, answers in groups:
        good = [a for a in dict.fromkeys(answers) if right(question, a) and a not in seen]
        seen |= set(good[:most])
        pairs += [(question, answer) for answer in good[:most]]
    return pairs


def keep_unlike_neighbours(groups, right, most):
    pairs = []
    for question, answers in groups:
        good = [answer for answer, _ in groupby(a for a in answers if right(question, a))]
        pairs += [(question, answer) for answer in good[:most]]
    return pairs


def keep_unlike_two_before(groups, right, most):
    pairs = []
    for question, answers in groups:
        kept = []
        for answer in answers:
            if len(kept) < most and answer not in kept[-2:] and right(question, answer):
                kept.append(answer)
        pairs += [(question, answer) for answer in kept]
    return pairs


def keep_in_small_letters(groups, right, most):
    pairs = []
    for question, answers in groups:
        first = {}
        for answer in filter(lambda a: right(question, a), answers):
            first.setdefault(answer.lower().strip(), answer)
        pairs += [(question, answer) for answer in list(first.values())[:most]]
    return pairs


def keep_and_then_count(groups, right, most):
    pairs = []
    for question, answers in groups:
        kept = []
        for answer in answers:
            if answer not in kept and right(question, answer):
                kept.append(answer)
            if len(kept) == most:
                break
        pairs += [(question, answer) for answer in kept]
    return pairs


def keep_sorted(groups, right, most):
    pairs = []
    for question, answers in groups:
        good = sorted({answer for answer in answers if right(question, answer)})
        pairs += [(question, answer) for answer in good[:most]]
    return pairs


def keep_the_shortest(groups, right, most):
    ordered = [(question, sorted(answers, key=len)) for question, answers in groups]
    return keep(ordered, right, most)


def keep_something_for_everybody(groups, right, most):
    pairs = []
    for question, answers in groups:
        good = list(dict.fromkeys(a for a in answers if right(question, a)))
        pairs += [(question, answer) for answer in (good or answers)[:most]]
    return pairs


def keep_the_last(groups, right, most):
    pairs = []
    for question, answers in groups:
        good = list(dict.fromkeys(a for a in answers if right(question, a)))
        pairs += [(question, answer) for answer in good[-most:]]
    return pairs


def keep_containing(groups, right, most):
    return keep(groups, lambda q, a: q in a, most)


def keep_nothing(groups, right, most):
    return []


def keep_asking_the_wrong_way_round(groups, right, most):
    return keep(groups, lambda question, answer: right(answer, question), most)


def keep_lists_of_answers(groups, right, most):
    return [(q, [a for _, a in keep([(q, said)], right, most)]) for q, said in groups]


RIGHT = [keep, keep_in_a_loop]

WRONG = [
    ("arguments of right swapped", keep_asking_the_wrong_way_round, "in this order"),
    ("a list of answers", keep_lists_of_answers, "one flat list"),
    ("keeps everything", keep_all, "ask right"),
    ("keeps the wrong ones", keep_wrong, "ask right"),
    ("the limit before the rule", keep_first_then_judge, "right ones first"),
    ("the same answer twice", keep_twice, "each different answer once"),
    ("one limit for all questions", keep_most_of_all, "never answered"),
    ("a wrong one where none is right", keep_something_for_everybody, "ask right"),
    ("one memory for all questions", keep_with_one_memory, "of its own"),
    ("neighbours alone", keep_unlike_neighbours, "not with a neighbour alone"),
    ("the last two alone", keep_unlike_two_before, "not with a neighbour alone"),
    ("small letters", keep_in_small_letters, "no lower()"),
    ("counts too late", keep_and_then_count, "before you keep"),
    ("sorted", keep_sorted, "in the order in which they were written"),
    ("the shortest", keep_the_shortest, "in the order in which they were written"),
    ("the last ones", keep_the_last, "in the order in which they were written"),
    ("the right number anywhere", keep_containing, "ask right"),
    ("nothing", keep_nothing, "pairs"),
]
