"""What an answer costs, and what the lessons of a student cost: counted, in FLOPs and bytes.

Equal training is not equal cost. What verification throws away was written by the teacher all the
same; soft and on-policy lessons are read by the teacher as well; reinforcement writes, learns, and
asks a reference.

Left out: the teacher's own training, which is there already, and everything but matrix products
(see accounting.flops_per_token).
"""

from typing import NamedTuple

from minids.accounting import Mode, cache_bytes, flops_per_token
from minids.config import ModelConfig


class Answer(NamedTuple):
    """One answer by one model."""

    tokens: int  # written
    flops: float  # of reading the question and writing the answer
    cache: float  # bytes, when the last token is written


class Bill(NamedTuple):
    """FLOPs of teaching a student, by what they are for."""

    teacher_writes: float = 0.0
    teacher_reads: float = 0.0
    student_writes: float = 0.0
    student_learns: float = 0.0

    @property
    def total(self) -> float:
        """FLOPs of everything."""
        return sum(self)

    def plus(self, other: "Bill") -> "Bill":
        """Return both bills as one."""
        return Bill(*(a + b for a, b in zip(self, other, strict=True)))


def answer(config: ModelConfig, *, prompt: int, length: int, bits: float = 16) -> Answer:
    """Return what it costs to read a prompt and to write `length` tokens, one after another.

    The first token comes out of reading the prompt; the last one is never read, so
    prompt + length - 1 tokens are. Each attends to itself and to all before it.
    """
    if prompt < 1 or length < 1:
        raise ValueError(f"prompt={prompt} and length={length} are 1 token or more")
    read = _passes(config, 1, prompt, "prefill")
    written = _passes(config, prompt + 1, prompt + length - 1, "decode")
    return Answer(length, read + written, (prompt + length - 1) * cache_bytes(config, bits))


def bill(
    arm: str,
    teacher: ModelConfig,
    student: ModelConfig,
    *,
    answers: float,
    written: float,
    prompt: int,
    length: int,
) -> Bill:
    """Return the bill of "raw", "verified", "soft", "on-policy" or "RL".

    `answers` of `length` tokens are learnt from; to have so many that are right, the teacher had
    to write `written`. Reinforcement learns as GRPO does, beside a reference of the student's
    size.
    """
    if arm not in ("raw", "verified", "soft", "on-policy", "RL"):
        raise ValueError(f"there is no bill of {arm!r}")
    last = prompt + length - 1
    learn = answers * _passes(student, 1, last, "train")
    writes = answers * answer(student, prompt=prompt, length=length).flops
    reads = answers * _passes(teacher, 1, last, "prefill")
    sample = answer(teacher, prompt=prompt, length=length).flops
    if arm == "RL":
        beside = answers * _passes(student, 1, last, "prefill")
        return Bill(student_writes=writes, student_learns=learn + beside)
    if arm == "on-policy":
        return Bill(teacher_reads=reads, student_writes=writes, student_learns=learn)
    n = written if arm == "verified" else answers
    return Bill(
        teacher_writes=n * sample,
        teacher_reads=reads if arm == "soft" else 0.0,
        student_learns=learn,
    )


def _passes(config: ModelConfig, first: int, last: int, mode: Mode) -> float:
    """FLOPs of tokens number `first` to `last`: a straight line in the number, so summed as one."""
    n = last - first + 1
    if n < 1:
        return 0.0
    ends = flops_per_token(config, first, mode) + flops_per_token(config, last, mode)
    return n * ends / 2
