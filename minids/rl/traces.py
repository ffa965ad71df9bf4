"""What a teacher wrote: its answers to many questions, and which of them a rule found right.

A teacher writes several answers to a question, and only the right ones are kept: so DeepSeek made
the lessons of R1's third stage and of its students (DeepSeek-R1, 2.3.3 and 2.4). Equal budgets are
counted here in tokens of responses that a student learns from; what was written to get them is
counted beside it, because what verification throws away was paid for as well.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from minids.decode.sample import generate
from minids.model.products import Products, products
from minids.model.transformer import Transformer
from minids.rl.rewards import accuracy
from minids.text.alphabet import Codec
from minids.text.arithmetic import Problem
from minids.text.chance import chance
from minids.text.lessons import asked


class Trace(NamedTuple):
    """One answer of a teacher, as tokens; the end is one of them."""

    problem: Problem
    prompt: list[int]
    response: list[int]
    right: bool  # by rule: the form is kept, and the answer is right

    @property
    def pair(self) -> tuple[list[int], list[int]]:
        """Prompt and response, as `sft.tuned` takes them."""
        return self.prompt, self.response


class Collected(NamedTuple):
    """Two sets of traces of the same size in tokens, and what it took to get them."""

    raw: list[Trace]  # as they came
    verified: list[Trace]  # right ones alone
    written: int  # tokens of all responses written
    answers: int  # how many responses that were
    right: int  # how many of them were right

    @property
    def thrown_away(self) -> float:
        """Share of the teacher's answers that verification refused, 0 to 1."""
        return 1 - self.right / self.answers


def traces(
    teacher: Transformer,
    ask: Callable[[int], Problem],
    codec: Codec,
    *,
    max_new: int,
    seed: int,
    at_once: int = 512,
    kind: Products = "plain",
) -> Iterator[Trace]:
    """Return the teacher's answers to question 0, 1, 2 and so on, without end; one to each.

    They are written `at_once` at a time, and do not depend on the teacher's later fate.
    """
    if at_once < 1:
        raise ValueError(f"at_once={at_once}: write at least one answer at a time")
    device = teacher.embed.weight.device
    first = 0
    while True:
        problems = [ask(i) for i in range(first, first + at_once)]
        prompts = [codec.encode(asked(problem), special=True) for problem in problems]
        with products(kind, device):
            written = generate(
                teacher,
                prompts,
                max_new,
                stop=codec.id("<|end|>"),
                pad=codec.id("<|pad|>"),
                generator=chance("traces", seed, first, device=device),
            )
        for problem, prompt, response in zip(problems, prompts, written.answers(), strict=True):
            right = accuracy(problem, codec.decode(response)) == 1.0
            yield Trace(problem, prompt, response, right)
        first += at_once


def verified(written: Iterable[Trace]) -> Iterator[Trace]:
    """Return the right ones, in order: rejection sampling with a rule as its judge."""
    return (trace for trace in written if trace.right)


def collect(written: Iterable[Trace], tokens: int, *, most: int = 20) -> Collected:
    """Return raw and verified traces of at least `tokens` tokens of responses each.

    Each set ends with the trace that reaches the budget. Raw are the first; verified are the
    right ones among all that had to be written. ValueError if `most` times the budget was
    written, or `written` ended, before enough were right.
    """
    if tokens < 1:
        raise ValueError(f"tokens={tokens}: a budget is 1 or more")
    raw: list[Trace] = []
    kept: list[Trace] = []
    n_raw = n_kept = n_written = answers = right = 0
    for trace in written:
        size = len(trace.response)
        n_written, answers, right = n_written + size, answers + 1, right + trace.right
        if n_raw < tokens:
            raw.append(trace)
            n_raw += size
        if trace.right:
            kept.append(trace)
            n_kept += size
        if min(n_raw, n_kept) >= tokens:
            return Collected(raw, kept, n_written, answers, right)
        if n_written > most * tokens:
            break
    raise ValueError(
        f"of {answers} answers {right} were right, which is {n_kept} tokens where {tokens} are "
        "wanted: take a better teacher, easier questions, or a smaller budget"
    )
