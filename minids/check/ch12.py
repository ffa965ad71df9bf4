"""Checks of chapter 12: rejection sampling, two divergences, a lesson, and what lessons cost."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from minids.check import Claim, checker, close, shaped
from minids.check.answers import explains, number_entries, numbers_for
from minids.check.sizes import draw

Attempt = Callable[..., Any]
Logits = tuple[Tensor, Tensor, Tensor]  # of the student, of the teacher, and the mask


@checker(
    "12.keep",
    hints=(
        "A rule decides which answers are read by the student. First the rule, then the count.",
        "for each question: the right answers in order, each text once, the first `most` of them.",
        "kept = list(dict.fromkeys(a for a in answers if right(question, a)))[:most]",
    ),
)
def _(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    n = draw(g, 20, 59)

    def right(question: str, answer: str) -> bool:
        return answer.split()[-1] == question

    said = {
        str(n): [f"{n} is {n + 1}", *(f"{x} {n}" for x in "eebefcad")],
        str(n + 1): [f"a {n}", "none"],
        str(n + 2): [f"x {n + 2}"],
        str(n + 3): [],
    }
    groups = list(said.items())
    found = attempt(groups, right, 2)
    yield Claim(
        "a list of (question, answer) pairs comes back",
        isinstance(found, list)
        and len(found) > 0
        and all(isinstance(pair, tuple) and len(pair) == 2 for pair in found),
        "append (question, answer) to one flat list, and return it.",
    )
    yield Claim(
        "every pair that is kept is right",
        all(right(question, answer) for question, answer in found),
        "ask right(question, answer) about each answer, and keep it if that is True.",
    )
    yield Claim(
        "a question that was never answered rightly is left out",
        {question for question, _ in found} == {str(n), str(n + 2)},
        "no right answer, no pair; and a question with one right answer stays.",
    )
    yield Claim(
        "an answer that was given twice is kept once",
        len(set(found)) == len(found),
        "the same text twice teaches nothing new: each different answer once; then cut to `most`.",
    )
    yield Claim(
        "the earliest right answer is among them",
        (str(n), f"e {n}") in found,
        "keep the first ones, in the order in which they were written.",
    )
    yield Claim(
        "wrong answers do not use up places",
        (str(n), f"e {n}") in attempt(groups, right, 1),
        "take the right ones first, and only then the first `most` of them.",
    )
    yield Claim(
        "at most `most` answers to a question, the first ones",
        [a for q, a in found if q == str(n)] == [f"e {n}", f"b {n}"],
        "each different right answer, in order, until there are `most` of them.",
    )
    yield Claim(
        "what was said again later is not new, and changes no order",
        attempt(groups[:1], right, 9) == [(str(n), f"{x} {n}") for x in "ebfcad"],
        "compare with everything that is kept of this question, not with the neighbour alone; and "
        "keep the order: no set, no sorting.",
    )
    both = [("1+3", ["4", "four"]), ("2+2", ["4"])]
    yield Claim(
        "the same text may answer two questions",
        attempt(both, lambda question, answer: True, 2)
        == [("1+3", "4"), ("1+3", "four"), ("2+2", "4")],
        "every question has answers of its own: forget, with each, what was seen before.",
    )
    yield Claim(
        "another limit",
        len(attempt(groups, right, 3)) == 4 and len(attempt(groups, right, 1)) == 2,
        "`most` limits the answers to one question, not all of them.",
    )
    yield Claim(
        "no questions, no pairs; nothing right, no pairs",
        attempt([], right, 4) == [] and attempt(groups[1:2], right, 4) == [],
        "an empty list is a fine answer.",
    )


def _logits(g: torch.Generator, b: int, t: int, v: int) -> Logits:
    student, teacher = (2 * torch.randn(b, t, v, generator=g) for _ in range(2))
    lengths = torch.randint(1, t + 1, (b, 1), generator=g)
    lengths[0] = t - 1 if t > 1 else 1
    lengths[1:2] = 1  # unlike the first row
    return student, teacher, torch.arange(t) < lengths


def _divergence(p: Tensor, q: Tensor, mask: Tensor) -> Tensor:
    """KL(p || q) of logits, mean over the places that count."""
    total = torch.zeros((), dtype=torch.float64)
    for row, column in mask.nonzero().tolist():
        a, b = (torch.softmax(x[row, column].double(), -1) for x in (p, q))
        total = total + sum(a[i] * torch.log(a[i] / b[i]) for i in range(len(a)))
    return total / mask.sum()


def _clean(attempt: Attempt, *args: Any, **how: Any) -> tuple[Any, bool]:
    """The loss when padding is NaN, and whether it and its gradient are numbers."""
    student, teacher, mask = args
    dirty = [x.masked_fill(~mask[..., None], torch.nan) for x in (student, teacher)]
    x = dirty[0].clone().requires_grad_()
    loss = attempt(x, dirty[1], mask, **how, may_be_nan=True)
    if not isinstance(loss, Tensor) or loss.grad_fn is None:
        return loss, False
    loss.backward()
    fine = x.grad is not None and bool(x.grad[mask].isfinite().all())
    return loss, fine and bool(torch.isfinite(loss))


def _pulls(attempt: Attempt, student: Tensor, teacher: Tensor, mask: Tensor) -> tuple[Any, Any]:
    """Gradients of the loss for student and teacher; None where there is none."""
    s, t = student.clone().requires_grad_(), teacher.clone().requires_grad_()
    loss = attempt(s, t, mask)
    if loss.grad_fn is None:
        return None, None
    loss.backward()
    return s.grad, t.grad


SURE, FAR = torch.tensor([[[300.0, 0.0]]]), torch.tensor([[[0.0, 80.0]]])
"""Logits of one place. The divergence of the first from the second is 80 nats."""


def _of_either(
    attempt: Attempt,
    given: Logits,
    found: tuple[Tensor, Any],
    one: Logits,
    right: Tensor,
    *,
    sure: tuple[Tensor, Tensor],
) -> Iterator[Claim]:
    """Claims on both divergences: the teacher is not taught, padding not read, one token works.

    `found` is the loss of `given` and its gradient for the teacher, `right` the loss of `one`;
    `sure` is SURE and FAR, as student and teacher.
    """
    loss, back = found
    yield Claim(
        "no gradient reaches the teacher",
        back is None or not back.any(),
        "the teacher is not taught: teacher.detach().",
    )
    dirty, fine = _clean(attempt, *given)
    yield Claim(
        "what stands in the padding never matters, not even NaN",
        fine and close(dirty, loss),
        "NaN * 0 is NaN: pick with each[mask], or each.where(mask, 0).",
    )
    yield Claim(
        "one row of one token works",
        close(attempt(*one), right),
        "no squeeze: sum over the last axis alone.",
    )
    yield Claim(
        "logits in the hundreds work too: 300 against 80",
        close(attempt(*sure, torch.tensor([[True]]), may_be_nan=True), 80.0),
        "softmax rounds a tiny probability to 0, and the log of 0 is -inf: log_softmax stays "
        "finite.",
    )


@checker(
    "12.soft",
    hints=(
        "The teacher's probabilities weigh; the difference of the log-probabilities is weighed.",
        "logits (b, t, v): log_softmax over v, sum over v gives (b, t), mean where mask is True.",
        "each = (log_t.exp() * (log_t - log_s)).sum(-1)",
    ),
)
def _(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    given = student, teacher, mask = _logits(g, 3, 5, 7)
    loss = attempt(*given)
    yield shaped(loss, (), like=student)
    same = attempt(student, student, mask)
    yield Claim(
        "a student that is its teacher has loss 0",
        abs(float(same.detach())) < 1e-5,
        "compare both at the same place: no shift between the two; and subtract the teacher's own "
        "entropy, so that 0 is the best.",
    )
    yield Claim(
        "anything else is worse",
        float(loss.detach()) > 0.01,
        "a distance is above 0 for unlike distributions: log of teacher over student, weighed and "
        "not turned round.",
    )
    yield Claim(
        "it is KL(teacher || student), averaged over the places that count",
        close(loss, _divergence(teacher, student, mask)),
        "weigh with the TEACHER's probabilities, log of teacher over student; sum over the "
        "vocabulary; divide by the number of True in the mask, not by all places.",
    )
    pull, back = _pulls(attempt, *given)
    wanted = (student.softmax(-1) - teacher.softmax(-1)) / mask.sum()
    yield Claim(
        "its gradient is student minus teacher, in probabilities, where the mask counts",
        pull is not None and close(pull, wanted.where(mask[..., None], 0.0), rtol=1e-3),
        "no detach and no argmax on the student.",
    )
    one = _logits(g, 1, 1, 4)
    right = _divergence(one[1], one[0], one[2])
    yield from _of_either(attempt, given, (loss, back), one, right, sure=(FAR, SURE))
    shifted = attempt(student + 5, teacher - 3, mask)
    yield Claim(
        "adding a constant to all logits of a place changes nothing",
        close(shifted, loss, rtol=1e-3),
        "logits are no probabilities: log_softmax over the last axis.",
    )


@checker(
    "12.reverse",
    hints=(
        "The student is asked at its own tokens; its own probabilities weigh.",
        "as in 12.soft, with the two changing places: log_s.exp() * (log_s - log_t).",
        "each = (log_s.exp() * (log_s - log_t.detach())).sum(-1)",
    ),
)
def _(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    given = student, teacher, mask = _logits(g, 3, 5, 7)
    loss = attempt(*given)
    yield shaped(loss, (), like=student)
    yield Claim(
        "a student that is its teacher has loss 0",
        abs(float(attempt(student, student, mask).detach())) < 1e-5,
        "log of student minus log of teacher, at the same place.",
    )
    away = attempt(student, -student, mask)
    yield Claim(
        "anything else is worse",
        float(away.detach()) > 0.01 and float(loss.detach()) > 0.01,
        "the sign: student's log minus the teacher's.",
    )
    yield Claim(
        "it is KL(student || teacher), averaged over the places that count",
        close(loss, _divergence(student, teacher, mask)),
        "weigh with the STUDENT's probabilities over the whole vocabulary; divide by the number "
        "of True in the mask.",
    )
    pull, back = _pulls(attempt, *given)
    log_s, log_t = student.log_softmax(-1), teacher.log_softmax(-1)
    each = (log_s.exp() * (log_s - log_t)).sum(-1, keepdim=True)
    wanted = log_s.exp() * (log_s - log_t - each) / mask.sum()
    yield Claim(
        "the gradient flows through the weights as well as through the logs",
        pull is not None and close(pull, wanted.where(mask[..., None], 0.0), rtol=1e-3),
        "the student's probabilities must carry a gradient, too: detach the teacher alone.",
    )
    one = _logits(g, 1, 1, 4)
    right = _divergence(*one)
    yield from _of_either(attempt, given, (loss, back), one, right, sure=(SURE, FAR))


_PREDICT = ("covering mean", "covering width", "seeking mean", "seeking width")


@checker(
    "12.predict",
    takes=dict,
    hints=(
        "The best covering hill has mean and deviation of the whole teacher; the best seeking one "
        "is one of its hills.",
        "mean = 0.75 * -6 + 0.25 * 6; variance = 1.5^2 + the variance of the two means.",
        '"covering width": (1.5**2 + 0.75 * 0.25 * 12**2) ** 0.5',
    ),
)
def _(attempt: dict[str, Any], g: torch.Generator) -> Iterator[Claim]:
    yield numbers_for(attempt, _PREDICT)
    yield Claim(
        "the covering hill stands between the two of the teacher",
        -5.9 < attempt["covering mean"] < 5.9,
        "not on a hill: whoever must expect everything cannot leave one of them out.",
    )
    yield Claim(
        "it stands at the teacher's mean",
        close(float(attempt["covering mean"]), -3.0, rtol=0.02),
        "not in the middle: 0.75 of the teacher is at -6, 0.25 at 6.",
    )
    yield Claim(
        "and is as wide as both hills together",
        close(float(attempt["covering width"]), math.sqrt(29.25), rtol=0.03),
        "a deviation: the root of the variance within a hill plus the variance of their means, "
        "0.75 * 0.25 * 12^2.",
    )
    yield Claim(
        "the seeking hill stands on one of the teacher's",
        math.isclose(abs(attempt["seeking mean"]), 6.0, rel_tol=0.02),
        "where the teacher gives nothing the seeking student must not go: it picks one hill.",
    )
    yield Claim(
        "and on the larger one",
        attempt["seeking mean"] < 0,
        "both would do for a while: where is most of the teacher, at -6 or at 6?",
    )
    yield Claim(
        "and is as wide as that one",
        close(float(attempt["seeking width"]), 1.5, rtol=0.05),
        "the picked hill itself has a deviation of 1.5.",
    )


class _Recorder(nn.Module):
    """A linear model that knows how often it was asked, and whether gradients were on."""

    def __init__(self, n: int, v: int, g: torch.Generator) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n, v, generator=g))
        self.asked: list[bool] = []

    def forward(self, tokens: Tensor) -> Tensor:
        self.asked.append(torch.is_grad_enabled())
        return self.weight[tokens]


def _lopsided(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """A loss that notices when its arguments change places."""
    return ((student - teacher) ** 2 * (1 + teacher.sigmoid())).sum(-1)[mask].mean()


@checker(
    "12.learn",
    hints=(
        "Ask the teacher without gradients, the student with; the loss of both; one step.",
        "for each batch: zero_grad, two passes over the same tokens, loss, backward, step, note.",
        "with torch.no_grad(): wanted = teacher(tokens)",
    ),
)
def _(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
    n, v = 6, 3
    batches = []
    for rows in (2, 3, 1, 2):
        tokens = torch.randint(n, (rows, 4), generator=g)
        batches.append((tokens, torch.arange(4) < torch.tensor([[3], [4], [1]])[:rows]))
    student, teacher = _Recorder(n, v, g), _Recorder(n, v, g)
    first, kept = student.weight.detach().clone(), teacher.weight.detach().clone()

    def expected() -> tuple[Tensor, list[float]]:
        weight, losses = first.clone(), []
        for tokens, mask in batches:
            w = weight.clone().requires_grad_()
            loss = _lopsided(w[tokens], kept[tokens], mask)
            loss.backward()
            assert w.grad is not None
            losses.append(float(loss.detach()))
            weight = weight - 0.5 * w.grad
        return weight, losses

    weight, losses = expected()
    optimizer = torch.optim.SGD(student.parameters(), lr=0.5)
    found = attempt(student, teacher, batches, _lopsided, optimizer)
    yield Claim(
        "one loss for each batch, as plain numbers",
        isinstance(found, list)
        and len(found) == len(batches)
        and all(isinstance(x, float) for x in found),
        "losses.append(loss.item()), and return the list.",
    )
    yield Claim(
        "the first loss is that before any step",
        close(found[0], losses[0]),
        "loss(student's logits, teacher's logits, mask), in this order, noted before the step.",
    )
    yield Claim(
        "the student has moved",
        bool((student.weight != first).any()),
        "backward, then optimizer.step().",
    )
    yield Claim(
        "the teacher has not, and holds no gradient",
        bool((teacher.weight == kept).all()) and teacher.weight.grad is None,
        "ask the teacher under torch.no_grad().",
    )
    yield Claim(
        "the teacher was asked without gradients",
        len(teacher.asked) == len(batches) and not any(teacher.asked),
        "with torch.no_grad() around the teacher's pass: it saves its memory; once a batch.",
    )
    yield Claim(
        "after all batches the student is where plain descent takes it",
        close(student.weight, weight, rtol=1e-3)
        and close(torch.tensor(found), torch.tensor(losses), rtol=1e-3),
        "gradients add up: optimizer.zero_grad() for every batch, before backward.",
    )
    yield Claim(
        "no batches, no losses",
        attempt(student, teacher, [], _lopsided, optimizer) == [],
        "an empty list is a fine answer.",
    )


@checker(
    "12.explain",
    takes=dict,
    hints=(
        "To keep one right answer the teacher writes 1 / 0.4 of them, on average.",
        "raw: 5 to write and 3 to learn. Verified: 5 / 0.4 to write and 3 to learn.",
        '"times": (5 / 0.4 + 3) / (5 + 3)',
    ),
)
def _(attempt: dict[str, Any], g: torch.Generator) -> Iterator[Claim]:
    yield number_entries(attempt, "written", "times")
    written, times = float(attempt["written"]), float(attempt["times"])
    yield Claim(
        "more answers are written than kept",
        written > 8e5,
        "800,000 are what is left of all that were written, and some were thrown away.",
    )
    yield Claim(
        "how many answers the teacher writes",
        close(written, 2e6, rtol=1e-6),
        "0.4 of all that are written are right, and these are 800,000: divide.",
    )
    yield Claim(
        "it is dearer than raw answers",
        times > 1.01,
        "raw answers are 800,000 as well, right or wrong: nothing is written for nothing there.",
    )
    yield Claim(
        "but not by as much as is written more",
        times < 2.49,
        "thrown away answers are written and not learnt from: only one of the two costs grows.",
    )
    yield Claim(
        "how many times the cost of raw",
        close(times, 1.9375, rtol=5e-3),
        "for each answer that is kept: 5 / 0.4 + 3, against 5 + 3.",
    )
    yield from explains(
        attempt,
        (1_200_000, 1.2),
        says="it says how many answers were thrown away",
        hint="how many answers were written for nothing? Say what was paid for them, and what was "
        "not.",
    )
