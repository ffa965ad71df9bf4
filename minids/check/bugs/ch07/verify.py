"""Answers to 07.verify, right and wrong: drafts compared with what the model itself would write."""

import numpy as np


def verify(best, drafts):
    kept = 0
    while kept < len(drafts) and drafts[kept] == best[kept]:
        kept += 1
    return [*drafts[:kept], best[kept]]


def verify_from_the_model(best, drafts):
    new = [best[0]]
    for choice, draft in zip(best[1:], drafts, strict=True):
        if new[-1] != draft:
            break
        new.append(choice)
    return new


def verify_all_matches(best, drafts):
    new = [d for d, b in zip(drafts, best, strict=False) if d == b]
    return [*new, best[len(new)]]


def verify_no_bonus(best, drafts):
    return verify(best, drafts)[:-1]


def verify_last_choice(best, drafts):
    return [*verify(best, drafts)[:-1], best[-1]]


def verify_believes(best, drafts):
    return [*drafts, best[-1]]


def verify_keeps_the_wrong_one(best, drafts):
    kept = len(verify(best, drafts)) - 1
    return [*drafts[: kept + 1], best[kept]]


def verify_counts(best, drafts):
    return len(verify(best, drafts)) - 1


def verify_all_choices(best, drafts):
    return list(best)


def verify_one_late(best, drafts):
    kept = 0
    while kept < len(drafts) and drafts[kept] == best[kept + 1]:
        kept += 1
    return [*drafts[:kept], best[kept]]


def verify_finds_the_place(best, drafts):
    new = []
    for draft in drafts:
        if best[drafts.index(draft)] != draft:
            break
        new.append(draft)
    return [*new, best[len(new)]]


def verify_anywhere_in_best(best, drafts):
    new = []
    for draft in drafts:
        if draft not in best:
            break
        new.append(draft)
    return [*new, best[len(new)]]


def verify_by_a_dictionary(best, drafts):
    wanted, new = dict(zip(drafts, best, strict=False)), []
    for draft in drafts:
        if wanted[draft] != draft:
            break
        new.append(draft)
    return [*new, best[len(new)]]


def verify_place_of_the_first_wrong(best, drafts):
    wrong = [d for d, b in zip(drafts, best, strict=False) if d != b]
    return best[: (drafts.index(wrong[0]) if wrong else len(drafts)) + 1]


def verify_own_choice_if_all_are_right(best, drafts):
    for i, draft in enumerate(drafts):
        if draft != best[i]:
            return drafts[:i]
    return [*drafts, best[-1]]


def verify_all_or_nothing(best, drafts):
    return list(best) if drafts == best[:-1] else [best[0]]


def verify_token_0_is_none(best, drafts):
    new = []
    for choice, draft in zip(best, drafts, strict=False):
        if not draft or choice != draft:
            break
        new.append(draft)
    return [*new, best[len(new)]]


def verify_by_numpy(best, drafts):
    kept = int((np.array(drafts) == np.array(best[:-1])).cumprod().sum())
    return list(np.array(best)[: kept + 1])


RIGHT = [verify, verify_from_the_model, verify_by_numpy]

WRONG = [
    ("matches after a wrong one", verify_all_matches, "stop at the first"),
    ("no token of the model's own", verify_no_bonus, "the model's own choice"),
    ("the last choice always", verify_last_choice, "at that very place"),
    ("every draft believed", verify_believes, "a wrong draft is dropped"),
    ("the wrong draft kept", verify_keeps_the_wrong_one, "a wrong draft is dropped"),
    ("a number", verify_counts, "a list"),
    ("own choice if all are right", verify_own_choice_if_all_are_right, "also where one was wrong"),
    ("all or nothing", verify_all_or_nothing, "not all or nothing"),
    ("all choices", verify_all_choices, "read a draft that is wrong"),
    ("the place looked up", verify_finds_the_place, "place by place"),
    ("anywhere in best", verify_anywhere_in_best, "place by place"),
    ("a dictionary", verify_by_a_dictionary, "place by place"),
    ("the place of the first wrong", verify_place_of_the_first_wrong, "place by place"),
    ("token 0 for none", verify_token_0_is_none, "0 is a token"),
    ("one place late", verify_one_late, "best[i] is the choice in the place of drafts[i]"),
]
