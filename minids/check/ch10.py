"""Checks of chapter 10: rewards by rule, advantages by group, the clipped loss, what teaches."""

import math
from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any

import torch

from minids.check import Claim, checker, close, raises, shaped
from minids.check.answers import answers_for, explains, is_number
from minids.check.sizes import draw

Attempt = Callable[..., Any]


@checker(
    "10.advantage",
    hints=(
        "How much better is each answer than the other answers to the same question, measured in "
        "the spread of that group?",
        "rewards (p, g): mean and deviation over the last axis, kept as (p, 1).",
        "return (r - r.mean(-1, keepdim=True)) / (r.std(-1, correction=0, keepdim=True) + eps)",
    ),
)
def _(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    rewards = torch.randn(4, 7, generator=g) + 3
    a = attempt(rewards)
    yield shaped(a, (4, 7), like=rewards)
    yield Claim(
        "a bonus for everybody changes nothing",
        bool(((attempt(rewards + 10) - a).abs() < 1e-2).all()),
        "subtract the mean: what counts is how much better an answer is than the others.",
    )
    first, *others = attempt(torch.tensor([[1.0, 0.0, 0.0, 0.0]]))[0].tolist()
    yield Claim(
        "one right answer of four is above its group, the wrong ones below",
        first > 0 and all(x < 0 for x in others),
        "a group is a row: compare an answer with the other answers to the same question.",
    )
    yield Claim(
        "in every group the advantages sum to zero",
        bool((a.sum(-1).abs() < 1e-3).all()),
        "subtract the mean of the group: over the last axis, not over the whole batch.",
    )
    doubled = attempt(2 * rewards)
    yield Claim(
        "twice the rewards give the same advantages",
        bool(((doubled - a).abs() < 1e-2 * a.abs().max()).all()),
        "dividing by the deviation takes the scale out: not the variance, and the mean alone is "
        "Dr. GRPO.",
    )
    two = torch.cat([rewards[:1], 10 * rewards[1:2]])
    yield Claim(
        "the rewards of another group change nothing",
        close(attempt(two)[:1], attempt(rewards[:1])),
        "mean AND deviation are those of the group alone: over the last axis, keepdim=True.",
    )
    few, many = attempt(torch.tensor([[1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0]]))
    yield Claim(
        "one right answer of four or two: the squares of the advantages have the same mean",
        close(many.square().mean(), few.square().mean(), rtol=2e-3),
        "the deviation is the root of the mean square of what is left without the mean: not the "
        "range, and not the mean distance.",
    )
    yield Claim(
        "one right answer of four gets 1.73",
        close(first, math.sqrt(3), rtol=2e-3),
        "divide by the deviation of the group that divides by g, not g - 1: correction=0.",
    )
    hard = torch.zeros(1, 16)
    hard[0, 0] = 1
    yield Claim(
        "the factor at one right answer of sixteen is 4.13, as published",
        close(attempt(hard)[0, 0], 4.131 * 15 / 16, rtol=2e-3),
        "the deviation, not the variance: the root of q (1 - q).",
    )
    flat = attempt(torch.full((2, 5), 0.25))
    yield Claim(
        "equal rewards give zeros",
        bool((flat.abs() < 1e-6).all()),
        "zero over zero: add a small eps to the deviation.",
    )
    one = attempt(torch.tensor([[2.0], [-1.0]]))
    yield Claim(
        "a group of one gives zero",
        bool((one.abs() < 1e-6).all()),
        "the deviation of one number is 0 with correction=0, and not defined without.",
    )


def _clipped(
    logp: torch.Tensor,
    old: torch.Tensor,
    advantages: torch.Tensor,
    mask: torch.Tensor,
    eps: float,
) -> torch.Tensor:
    """The loss of 10.loss, token by token."""
    loss = torch.zeros(())
    for row, a in enumerate(advantages):
        places = mask[row].nonzero()[:, 0].tolist()
        for place in places:
            r = (logp[row, place] - old[row, place]).exp()
            gain = torch.minimum(a * r, a * r.clamp(1 - eps, 1 + eps))
            loss = loss - gain / len(places) / len(advantages)
    return loss


@checker(
    "10.loss",
    hints=(
        "The ratio weighs each token's advantage; the smaller of the plain and the clipped gain "
        "counts; only written tokens count; every rollout counts the same.",
        "all are (n, t) but advantages (n,): gain = A[:, None] * ratio, bounded = A[:, None] * "
        "ratio clamped, then mean over the tokens of a rollout, then over rollouts.",
        "gain = torch.minimum(a * r, a * r.clamp(1 - eps, 1 + eps)).where(mask, 0)",
    ),
)
def _(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    n, t = 3, 6
    old = -torch.rand(n, t, generator=g) - 0.2
    mask = torch.arange(t)[None] < torch.tensor([6, 2, 4])[:, None]
    advantages = torch.tensor([1.5, -2.0, 0.7])

    def grad(shift: torch.Tensor, adv: torch.Tensor = advantages) -> torch.Tensor:
        logp = (old + shift).requires_grad_()
        attempt(logp, old, adv, mask, 0.2).backward()
        assert logp.grad is not None
        return logp.grad

    loss = attempt(old + 0.0, old, advantages, mask, 0.2)
    yield shaped(loss, (), like=old)
    yield Claim(
        "on the first update the loss is minus the mean advantage",
        close(loss, -advantages.mean(), rtol=1e-4),
        "every ratio is 1 there. The loss is MINUS the objective, averaged over the tokens of each "
        "rollout and then over rollouts; padding does not count.",
    )
    lengths = mask.sum(-1, keepdim=True)
    expected = -(advantages[:, None] / lengths / n).expand(n, t).where(mask, 0.0)
    yield Claim(
        "its gradient is that of REINFORCE: minus A over length over n for each token",
        close(grad(torch.zeros(n, t)), expected),
        "every token of a rollout shares its weight: divide by its own length, not by all tokens. "
        "The ratio must carry the gradient: exp(logp - logp_old).",
    )
    up, down = grad(torch.full((n, t), 0.4)), grad(torch.full((n, t), -0.4))
    yield Claim(
        "a ratio above 1.2 has no gradient where the advantage is positive",
        bool((up[0] == 0).all() and (up[2] == 0).all()),
        "clamp the ratio and take the minimum of both gains.",
    )
    yield Claim(
        "and keeps it where the advantage is negative",
        bool((up[1][mask[1]] > 0).all()),
        "the minimum of the two gains, after multiplying by the advantage: a clamp alone removes "
        "too much.",
    )
    yield Claim(
        "a ratio below 0.8 has none where the advantage is negative",
        bool((down[1] == 0).all() and (down[0][mask[0]] < 0).all()),
        "the clip works on both sides: 1 - eps and 1 + eps.",
    )
    eps = 0.3 + 0.1 * float(torch.rand((), generator=g))
    shift = (0.6 + 0.3 * torch.rand(n, t, generator=g)) * torch.tensor([1.0, -1.0] * (t // 2))
    found = []
    for f in (attempt, _clipped):
        now = (old + shift).requires_grad_()
        value = f(now, old, advantages, mask, eps)
        value.backward()
        found.append((value, now.grad))
    (got, pull), (want, its) = found
    yield Claim(
        "with another eps and ratios far from 1 loss and gradient are those of the formula",
        close(got, want) and close(pull, its, rtol=1e-3),
        "the ratio is exp(logp - logp_old), token by token; the bounds are 1 - eps and 1 + eps; "
        "eps is an argument.",
    )
    dirty = torch.where(mask, old, torch.full_like(old, torch.nan))
    logp = dirty.clone().requires_grad_()
    out = attempt(logp, dirty, advantages, mask, 0.2, may_be_nan=True)
    out.backward()
    gradient = logp.grad
    clean = bool(torch.isfinite(out)) and gradient is not None and bool(gradient.isfinite().all())
    yield Claim(
        "what stands in the padding never matters, not even NaN",
        clean and close(out, loss),
        "x * mask keeps a NaN: use the difference of log-probabilities where(mask, 0).",
    )
    single = attempt(old[:1, :1], old[:1, :1], torch.tensor([2.0]), mask[:1, :1], 0.2)
    yield Claim(
        "one rollout of one token works", close(single, -2.0), "mean over both axes, no squeeze."
    )


def earns(reward: Any, n: int) -> bool:
    """Whether a reward is a number, and that one."""
    return isinstance(reward, int | float | torch.Tensor) and bool(reward == n)


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
def _(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    n = draw(g, 100, 999)
    right = _GOOD.format("so it is", n)
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
    shapeless = [
        str(n), f"<answer>{n}</answer>", f"<think></think>{n}", right + "!", "Well: " + right,
        f"<think></think><answer>{n + 1}</answer><answer>{n}</answer>",
        f"<think></think><answer>{n}</answer><answer>{n + 1}</answer>",
        f"<answer>{n}</answer><think></think>", f"<think></think><answer>{n}",
        f"<think><answer>{n}</answer></think><answer>{n}</answer>",
    ]  # fmt: skip
    for text in shapeless:
        yield Claim(
            f"out of the form: {text.replace(str(n + 1), 'M').replace(str(n), 'N')} earns 0",
            earns(attempt(text, str(n)), 0),
            "use fullmatch, so that nothing may stand before, between or after, and forbid < and > "
            "inside the tags, so that no tag comes twice.",
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


@checker(
    "10.pass",
    hints=(
        "Of all ways to pick k of the samples, how many hold no right one?",
        "wrong = n - c; the share of picks without a right one is C(wrong, k) / C(n, k).",
        "return 1 - math.comb(n - c, k) / math.comb(n, k)",
    ),
)
def _(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    n = 2 * draw(g, 3, 4) + 1  # odd, so that as many right as wrong cannot be
    c = draw(g, 2, n - 3)
    yield Claim(
        "no right sample: 0, nothing but right samples: 1",
        abs(attempt(n, 0, 2)) < 1e-9 and abs(attempt(n, n, 2) - 1) < 1e-9,
        "you count the picks that hold no right one: the chance that is asked is what is left.",
    )
    yield Claim(
        "pass@1 is the share of right samples",
        close(attempt(n, c, 1), c / n),
        "with k = 1 it is c / n: one right sample of many does not make every pick right.",
    )
    yield Claim(
        "a second try helps",
        attempt(n, c, 2) > attempt(n, c, 1) + 1e-9,
        "a right one among the k is enough: they need not all be right.",
    )
    yield Claim(
        "but with two right samples it does not double the chance",
        attempt(n, 2, 2) < 2 * attempt(n, 2, 1) - 1e-9,
        "both picks may be right, and a sum of chances counts that case twice.",
    )
    for k in (2, 3):
        picks = list(combinations(range(n), k))
        share = sum(min(pick) < c for pick in picks) / len(picks)
        yield Claim(
            f"k = {k}: as counted over all picks",
            close(attempt(n, c, k), share, rtol=1e-6),
            "without putting back: a sample that was picked cannot be picked again, so chances "
            "change from pick to pick.",
        )
    yield Claim(
        "with k = n one right sample is enough: 1",
        abs(attempt(n, 1, n) - 1) < 1e-9,
        "subtract from 1 the chance that ALL k picks are wrong.",
    )
    yield Claim(
        "more tries never hurt",
        all(attempt(n, c, k) <= attempt(n, c, k + 1) + 1e-12 for k in range(1, n)),
        "when fewer than k samples are wrong, every pick holds a right one: 1, not more.",
    )
    yield Claim(
        "more tries than samples are refused with a ValueError",
        raises(attempt, ValueError, n, c, n + 1),
        "raise ValueError when k > n: nothing can be said about it.",
    )


SILENT = {
    "silent at 0.5": (2 * 0.5**8, "all eight right is silent as well as all eight wrong."),
    "silent at 0.01": (0.99**8 + 0.01**8, "all eight are wrong with a chance of 0.99 to the 8."),
    "silent at 0.99": (0.99**8 + 0.01**8, "what is nearly always right teaches no more than that."),
}
"""The share of groups of eight in which all rewards are equal, and why."""


@checker(
    "10.predict",
    takes=dict,
    hints=(
        "A group is silent if all of its answers are right, or all are wrong.",
        "silent = p ** 8 + (1 - p) ** 8; the group that is needed: the first g with "
        "p ** g + (1 - p) ** g at most one half.",
        "math.ceil(math.log(0.5) / math.log(0.99))",
    ),
)
def _(attempt: dict[str, Any], g: torch.Generator) -> Iterator[Claim]:
    yield answers_for(attempt, (*SILENT, "answers needed at 0.01", "because"))
    for name, (share, why) in SILENT.items():
        said = attempt[name]
        yield Claim(f"{name}: the answer is a number", is_number(said), f"you wrote {said!r}.")
        yield Claim(f"{name}: within one percent", close(float(said), share, rtol=0.01), why)
    yield Claim(
        "the smallest group of which half is not silent",
        attempt["answers needed at 0.01"] == 69,
        "how often must 0.99 be multiplied with itself until at most one half is left?",
    )
    why = (
        "which share of groups teaches nothing at 0.01, and what has a base to be able to do? "
        "Write the share in figures, as 0.5 or 50 %."
    )
    yield from explains(attempt, (0.99**8, 100 * 0.99**8), hint=why)


@checker(
    "10.measure",
    hints=(
        "Count per question first, then average over questions.",
        "x (p, n): c = x.sum(-1) right answers of n; pass_at(n, c, k) for each question.",
        "silent = sum(c in (0, n) for c in after.sum(-1).tolist()) / len(after)",
    ),
)
def _(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    p, n, k = draw(g, 5, 6), 6, 3
    before = (torch.rand(p, n, generator=g) < 0.4).float()
    before[0], before[1], before[2, 0] = 0, torch.tensor([1.0, 0, 0, 0, 0, 0]), 1
    after = before.clone()
    after[0, : draw(g, 1, 2)], after[1], after[2] = 1, 1, 0
    after[3], before[3] = 1, torch.tensor([1.0, 0, 1, 0, 1, 0])
    found = attempt(before, after, k)
    names = ("pass@1", "pass@k", "silent")
    yield Claim(
        "a dictionary with three numbers",
        isinstance(found, dict)
        and set(found) == set(names)
        and all(map(is_number, found.values())),
        "the keys are pass@1, pass@k and silent; .item() makes a number of a tensor.",
    )
    nothing = attempt(before, before, k)
    yield Claim(
        "without practice nothing is gained",
        max(abs(nothing["pass@1"]), abs(nothing["pass@k"])) < 1e-6,
        "both are differences: after minus before.",
    )
    all_wrong, all_right = torch.zeros(2, n), torch.ones(2, n)
    best = attempt(all_wrong, all_right, k)
    yield Claim(
        "from nothing to everything both gain 1",
        abs(best["pass@1"] - 1) < 1e-6 and abs(best["pass@k"] - 1) < 1e-6,
        "after minus before, as shares of 0 to 1.",
    )
    single = attempt(before, after, 1)
    yield Claim(
        "with one try pass@k is pass@1",
        abs(single["pass@k"] - single["pass@1"]) < 1e-5,
        "k of its n answers are picked: a question with one right answer is not always lucky.",
    )
    half = torch.stack([torch.ones(n), torch.zeros(n)])
    sure = attempt(torch.zeros(2, n), half, k)
    yield Claim(
        "one question of two that became sure makes half of them right, at k tries as at one",
        abs(sure["pass@k"] - 0.5) < 1e-5,
        "question by question: answers to one cannot help another. Then the mean over questions.",
    )
    yield Claim(
        "pass@1 is the gain of the mean reward",
        abs(found["pass@1"] - float(after.mean() - before.mean())) < 1e-5,
        "the mean over all answers, after minus before.",
    )
    gain = _at_least_one(after, k) - _at_least_one(before, k)
    yield Claim(
        "pass@k is counted question by question",
        abs(found["pass@k"] - gain) < 1e-5,
        "for each question the chance that k of ITS n answers hold a right one, without putting "
        "back; then the mean over questions.",
    )
    quiet = sum(len(set(row)) == 1 for row in after.tolist()) / p
    yield Claim(
        "silent is the share of questions that teach nothing any more",
        abs(found["silent"] - quiet) < 1e-6,
        "of the answers AFTER practice: all right, or all wrong. Both give advantages of zero.",
    )


def _at_least_one(rewards: torch.Tensor, k: int) -> float:
    """The mean over questions of the share of picks of k answers that hold a right one."""
    picks = list(combinations(range(rewards.shape[1]), k))
    return float(torch.stack([rewards[:, pick].amax(-1) for pick in picks]).mean())
