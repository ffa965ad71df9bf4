"""What a base model has read before any reinforcement: questions with answers, good and bad.

A text has the form of R1-Zero's template (DeepSeek-R1, table 1) without its words of instruction:
a question, working between think tags, the result between answer tags. Some answers come without
working, their think tags empty.

    <|user|>47+38<|assistant|><think>seven plus eight is …</think><answer>85</answer><|end|>
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from minids.text.alphabet import Codec
from minids.text.arithmetic import Problem, problems
from minids.text.batches import Batch, padded
from minids.text.spoken import LANGUAGES, Language
from minids.text.working import Mistakes, guess, work


@dataclass(frozen=True, kw_only=True)
class Lessons:
    """What the texts are like.

    level      kind of problem, see arithmetic.LEVELS
    worked     share of answers that show their working
    chinese    share of the workings that are in Chinese
    mistakes   how often they go wrong
    """

    level: str = "add-2"
    worked: float = 0.35
    chinese: float = 0.0
    mistakes: Mistakes = field(default_factory=Mistakes)

    def __post_init__(self) -> None:
        for name in ("worked", "chinese"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}={getattr(self, name)} is a share: give 0 to 1")


def asked(problem: Problem) -> str:
    """Return the question as the model reads it; what follows is the model's."""
    return f"<|user|>{problem.question}<|assistant|>"


def told(think: str, answer: str) -> str:
    """Return a whole response: thoughts (perhaps none), answer, end."""
    return f"<think>{think}</think><answer>{answer}</answer><|end|>"


def lesson(about: Lessons, *, seed: int) -> Callable[[int], tuple[str, str]]:
    """Return the function from i to text i: a question of training and its response."""
    drawn = problems(about.level, seed=seed)

    def number(i: int) -> tuple[str, str]:
        problem, rng = drawn(i), random.Random(f"lesson/{seed}/{i}")
        if rng.random() >= about.worked:
            return asked(problem), told("", guess(problem, about.mistakes, rng))
        language: Language = LANGUAGES[rng.random() < about.chinese]
        working = work(problem, about.mistakes, rng)
        return asked(problem), told(working.aloud(language), working.answer)

    return number


def taught(
    about: Lessons, codec: Codec, *, batch: int, seed: int, repeat: int | None = None
) -> Callable[[int], Batch]:
    """Return the function from i to batch i, in which the responses alone count.

    There are `repeat` different texts, read again and again, or endlessly many if it is None.
    """
    text, pad = lesson(about, seed=seed), codec.id("<|pad|>")

    def batch_number(i: int) -> Batch:
        numbers = [n % repeat if repeat else n for n in range(i * batch, (i + 1) * batch)]
        pairs = [text(n) for n in numbers]
        questions, responses = (
            [codec.encode(part, special=True) for part in side] for side in zip(*pairs, strict=True)
        )
        return padded(questions, responses, pad=pad)

    return batch_number
