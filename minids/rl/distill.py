"""Distillation: a small model learns from a large one, in four ways.

             what the student reads     what it is told at each token           function
    raw      teacher's answers          the token that the teacher wrote        sft.tuned
    verified the right ones of them     the same                                sft.tuned
    soft     teacher's answers          the teacher's whole distribution        soft
    on-policy its own answers           the teacher's whole distribution        on_policy

R1's dense students are of the second kind: 800 thousand chosen samples, no logits, no reinforcement
(DeepSeek-R1, 2.4). Samples pass from any vocabulary to any other; distributions do not, and the
last two kinds need a student that has its teacher's. Soft is arXiv 1503.02531, with KL(teacher ||
student); on-policy is arXiv 2306.13649, with KL(student || teacher).

    for step in soft(student, teacher, collected.raw, batch=32, lr=2e-3, seed=0):
        ...

Left out: mixtures of the kinds, students with experts, resuming.

axes: b rows, t tokens read, k of them that are followed by a token of the answer, v vocabulary
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from minids.decode.sample import generate
from minids.model.products import Products, products
from minids.model.transformer import Transformer
from minids.rl.rollouts import aligned
from minids.rl.sft import PAD, updates
from minids.rl.traces import Trace
from minids.text.alphabet import Codec
from minids.text.arithmetic import Problem
from minids.text.batches import paired
from minids.text.chance import chance
from minids.text.lessons import asked
from minids.train.loop import Diverged, Step
from minids.train.losses import forward_kl, reverse_kl
from minids.train.update import adamw, uninterrupted

WARMUP, CLIP = 10, 1.0
"""As in train.loop.fit, so that the four kinds differ in what is learnt alone."""

Divergence = Callable[
    [Float[Tensor, "b k v"], Float[Tensor, "b k v"], Bool[Tensor, "b k"]], Float[Tensor, ""]
]
"""From the logits of student and teacher, and which places count, to nats per token."""


def soft(
    student: Transformer,
    teacher: Transformer,
    traces: Sequence[Trace],
    *,
    batch: int,
    lr: float,
    seed: int,
    schedule: Callable[[int], float] | None = None,
    kind: Products = "plain",
) -> Iterator[Step]:
    """Return a generator that trains `student` in place, on the teacher's distributions.

    It reads the batches that `sft.tuned` makes of the traces with the same seed: every trace once,
    and some twice where the last batch would not be full. It makes KL(teacher || student) small at
    the tokens of the responses. `Step.loss` is that divergence, `Step.parts["learnt"]` the number
    of those tokens.
    """
    _same_vocabulary(student, teacher)
    if not traces:
        raise ValueError("there are no traces to learn from: let the teacher write some")
    prompts, responses = zip(*(trace.pair for trace in traces), strict=True)
    batches = paired(prompts, responses, batch=min(batch, len(traces)), pad=PAD, seed=seed)
    optimizer = adamw(student, lr=lr)

    def take(i: int) -> Step:
        began, b = time.perf_counter(), batches(i).to(student.embed.weight.device)
        rate = lr * min((i + 1) / WARMUP, schedule(i) if schedule else 1.0)
        loss, norm = _update(student, teacher, optimizer, b.tokens, b.mask, forward_kl, rate, kind)
        return _told(i, loss, norm, rate, b.tokens, b.mask, began)

    return (take(i) for i in range(updates(len(traces), epochs=1, batch=batch)))


def on_policy(
    student: Transformer,
    teacher: Transformer,
    ask: Callable[[int], Problem],
    codec: Codec,
    *,
    tokens: int,
    batch: int,
    max_new: int,
    lr: float,
    seed: int,
    schedule: Callable[[float], float] | None = None,
    kind: Products = "plain",
) -> Iterator[Step]:
    """Return a generator that trains `student` in place, on answers of its own.

    Step i asks the questions i b to (i + 1) b - 1, lets the student answer, and makes
    KL(student || teacher) small at every token that the student wrote. It ends with the step in
    which `tokens` such tokens are reached. The rate is `lr * schedule(share of them so far)`,
    less during the first ten steps. No gradient flows through the choice of the tokens, as in
    arXiv 2306.13649, section 3. `Step.loss` and `parts` are as in `soft`.
    """
    _same_vocabulary(student, teacher)
    if tokens < 1 or batch < 1:
        raise ValueError(f"tokens={tokens} and batch={batch} must be 1 or more")
    optimizer, device = adamw(student, lr=lr), student.embed.weight.device

    def take(i: int, share: float) -> Step:
        began = time.perf_counter()
        generator = chance("on policy", seed, i, device=device)
        questions = [ask(number) for number in range(i * batch, (i + 1) * batch)]
        with products(kind, device):
            written = generate(
                student,
                [codec.encode(asked(question), special=True) for question in questions],
                max_new,
                stop=codec.id("<|end|>"),
                pad=codec.id("<|pad|>"),
                generator=generator,
            )
        rows = aligned(written)
        rate = lr * min((i + 1) / WARMUP, schedule(share) if schedule else 1.0)
        read = rows.tokens[:, :-1]
        loss, norm = _update(student, teacher, optimizer, read, rows.mask, reverse_kl, rate, kind)
        return _told(i, loss, norm, rate, read, rows.mask, began)

    def until_spent() -> Iterator[Step]:
        spent, i = 0.0, 0
        while spent < tokens:
            step = take(i, spent / tokens)
            spent, i = spent + step.parts["learnt"], i + 1
            yield step

    return until_spent()


def _update(
    student: Transformer,
    teacher: Transformer,
    optimizer: torch.optim.Optimizer,
    read: Int[Tensor, "b t"],
    mask: Bool[Tensor, "b k"],
    divergence: Divergence,
    rate: float,
    kind: Products,
) -> tuple[float, float]:
    """One step of the optimizer; the divergence before it, and the norm of its gradient."""
    with products(kind, read.device):
        with torch.no_grad():
            wanted = teacher(read, last=mask.shape[1]).logits
        loss = divergence(student(read, last=mask.shape[1]).logits, wanted, mask)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    norm = nn.utils.clip_grad_norm_(student.parameters(), CLIP)
    if not math.isfinite(float(loss.detach()) + float(norm)):
        optimizer.zero_grad(set_to_none=True)
        raise Diverged(
            f"the divergence is {float(loss.detach())} and the norm of its gradient {float(norm)}: "
            "the weights are those of the step before. Try a lower `lr`"
        )
    with uninterrupted():
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
    return float(loss.detach()), float(norm)


def _told(
    i: int, loss: float, norm: float, rate: float, read: Tensor, mask: Tensor, began: float
) -> Step:
    learnt = {"learnt": float(mask.sum()), "length": float(mask.sum(-1).float().mean())}
    return Step(i, loss, learnt, norm, rate, read.numel(), time.perf_counter() - began)


def _same_vocabulary(student: Transformer, teacher: Transformer) -> None:
    if student.c.vocab != teacher.c.vocab:
        raise ValueError(
            f"the student has {student.c.vocab} tokens and the teacher {teacher.c.vocab}: their "
            "distributions cannot be compared. Learn from the teacher's text with sft.tuned"
        )
