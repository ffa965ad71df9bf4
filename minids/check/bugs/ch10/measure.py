"""Answers to 10.measure, right and wrong: learned, or sharpened."""

import itertools

import torch

from minids.check.bugs.ch10.pass_ import passed


def practised(before, after, k):
    def pass_k(rewards):
        n = rewards.shape[1]
        chances = [passed(n, int(c), k) for c in rewards.sum(-1)]
        return sum(chances) / len(chances)

    equal = (after == after[:, :1]).all(-1)
    return {
        "pass@1": float(after.mean() - before.mean()),
        "pass@k": pass_k(after) - pass_k(before),
        "silent": float(equal.float().mean()),
    }


def practised_by_picks(before, after, k):
    picks = torch.tensor(list(itertools.combinations(range(before.shape[1]), k)))
    gain = (after - before).double().mean().item()
    lucky = [x[:, picks].amax(-1).double().mean().item() for x in (before, after)]
    quiet = [len(set(row)) == 1 for row in after.tolist()]
    return {"pass@1": gain, "pass@k": lucky[1] - lucky[0], "silent": sum(quiet) / len(quiet)}


def _practised(**other):
    """The right answer but for one entry, which `other` computes."""

    def wrong(before, after, k):
        found = practised(before, after, k)
        return found | {
            name.replace("pass_", "pass@"): f(before, after, k) for name, f in other.items()
        }

    return wrong


def _pooled(before, after, k):
    def chance(rewards):
        return 1 - (1 - rewards.mean().item()) ** k

    return chance(after) - chance(before)


def _put_back(before, after, k):
    def chance(rewards):
        return (1 - (1 - rewards.mean(-1)) ** k).mean().item()

    return chance(after) - chance(before)


def _any_at_all(before, after, k):
    return (after.amax(-1) - before.amax(-1)).mean().item()


def _share(questions):
    return questions.double().mean().item()


def practised_backwards(before, after, k):
    return practised(after, before, k) | {"silent": practised(before, after, k)["silent"]}


def practised_afterwards(before, after, k):
    found = practised(before, after, k)
    return found | {"pass@1": after.mean().item()}


def practised_in_tensors(before, after, k):
    return {name: torch.tensor(x) for name, x in practised(before, after, k).items()}


def practised_and_not_silent(before, after, k):
    found = practised(before, after, k)
    return found | {"silent": 1 - found["silent"]}


RIGHT = [practised, practised_by_picks]

WRONG = [
    ("those that still teach", practised_and_not_silent, "teach nothing any more"),
    ("before minus after", practised_backwards, "after minus before"),
    ("no difference", practised_afterwards, "differences"),
    ("all answers in one pot", _practised(pass_k=_pooled), "question by question"),
    ("with putting back", _practised(pass_k=_put_back), "without putting back"),
    ("any right answer at all", _practised(pass_k=_any_at_all), "not always lucky"),
    ("silent before", _practised(silent=lambda b, a, k: practised(a, b, k)["silent"]), "AFTER"),
    (
        "all wrong alone",
        _practised(silent=lambda b, a, k: _share(a.sum(-1) == 0)),
        "all right, or all wrong",
    ),
    (
        "all right alone",
        _practised(silent=lambda b, a, k: _share(a.all(-1))),
        "all right, or all wrong",
    ),
    ("unchanged", _practised(silent=lambda b, a, k: _share((a == b).all(-1))), "AFTER"),
    (
        "newly silent",
        _practised(silent=lambda b, a, k: _share((a.std(1) == 0) & (b.std(1) != 0))),
        "AFTER",
    ),
    ("tensors", practised_in_tensors, "makes a number of a tensor"),
]
