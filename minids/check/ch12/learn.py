"""12.learn: a lesson that is built, and two that are measured."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from minids.check import Attempt, Claim, checker, close


def _seen(weight: Tensor, tokens: Tensor) -> Tensor:
    """Logits that depend on a token and, as a transformer's do, on all of its row."""
    return weight[tokens] + 0.5 * weight[tokens].mean(1, keepdim=True)


class _Recorder(nn.Module):
    """A model that knows how often it was asked, and whether gradients were on."""

    def __init__(self, n: int, v: int, g: torch.Generator) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n, v, generator=g))
        self.asked: list[bool] = []

    def forward(self, tokens: Tensor) -> Tensor:
        self.asked.append(torch.is_grad_enabled())
        return _seen(self.weight, tokens)


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
def claims(attempt: Attempt, g: torch.Generator) -> Iterator[Claim]:
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
            loss = _lopsided(_seen(w, tokens), _seen(kept, tokens), mask)
            loss.backward()
            assert w.grad is not None
            losses.append(float(loss.detach()))
            weight = weight - 0.5 * w.grad
        return weight, losses

    weight, losses = expected()
    optimizer = torch.optim.SGD(student.parameters(), lr=0.5)
    steps: list[int] = []
    optimizer.register_step_post_hook(lambda *_: steps.append(1))
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
        "loss(student's logits, teacher's logits, mask), in this order, noted before the step. "
        "Both read the tokens as they are: the mask is for the loss.",
    )
    yield Claim(
        "the student has moved",
        bool((student.weight != first).any()),
        "backward, then optimizer.step(), with no zero_grad between.",
    )
    yield Claim(
        "each batch makes one step of the optimizer that was given",
        len(steps) == len(batches),
        "optimizer.step() inside the loop, once a batch, and not once at its end."
        if steps
        else "the student moves, but not by the optimizer that was given: make none of your own.",
    )
    yield Claim(
        "the teacher has not moved, and holds no gradient",
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
        "gradients add up: optimizer.zero_grad() for every batch, before backward. And the step "
        "takes them as they are: no clipping. Both models read the tokens as they are, too.",
    )
    some = attempt(student, lambda tokens: kept[tokens], batches[:1], _lopsided, optimizer)
    yield Claim(
        "a teacher may be any function of tokens",
        isinstance(some, list) and len(some) == 1,
        "teacher(tokens) is all that is known of it.",
    )
    yield Claim(
        "no batches, no losses",
        attempt(student, teacher, [], _lopsided, optimizer) == [],
        "an empty list is a fine answer.",
    )
