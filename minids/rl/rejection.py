"""Rejection sampling: answer each question several times, and keep what is fit to be read.

R1 keeps answers that are right, and drops those that mix languages or cannot be read (DeepSeek-R1,
2.3.3). What is kept becomes supervised data for the base.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import torch

from minids.model.products import Products
from minids.model.transformer import Transformer
from minids.rl.rewards import read
from minids.rl.rollouts import roll_out
from minids.rl.scenarios import right, same_language
from minids.text.alphabet import Codec
from minids.text.arithmetic import Problem


class Sample(NamedTuple):
    """A response that was sampled, and why it was dropped; kept if `reason` is None."""

    problem: Problem
    response: str
    reason: str | None


def fault(problem: Problem, response: str) -> str | None:
    """Return the first reason to drop a response to a sum, or None."""
    parts = read(response)
    if parts is None:
        return "out of form"
    if not right(problem, response):
        return "wrong answer"
    if not parts.think.strip():
        return "no working"
    if same_language(problem, response) < 1:
        return "mixed languages"
    return None


def sample(
    model: Transformer,
    problems: Sequence[Problem],
    codec: Codec,
    *,
    each: int,
    max_new: int,
    seed: int,
    batch: int = 512,
    kind: Products = "plain",
) -> list[Sample]:
    """Return `each` responses to every problem, neighbours belonging together, and their faults."""
    if each < 1 or batch < each:
        raise ValueError(f"each={each} must be 1 or more and at most batch={batch} responses")
    generator = torch.Generator(model.embed.weight.device).manual_seed(seed)
    at_once = batch // each
    found: list[Sample] = []
    for start in range(0, len(problems), at_once):
        scored = roll_out(
            model,
            problems[start : start + at_once],
            codec,
            {},
            group=each,
            max_new=max_new,
            generator=generator,
            kind=kind,
        )
        pairs = zip(scored.problems, scored.responses, strict=True)
        found += [Sample(p, response, fault(p, response)) for p, response in pairs]
    return found


def kept(samples: Sequence[Sample]) -> list[tuple[Problem, str]]:
    """Return questions and responses of the samples without a reason to drop them."""
    return [(s.problem, s.response) for s in samples if s.reason is None]


def reasons(samples: Sequence[Sample]) -> dict[str, int]:
    """Return how many samples were kept, and how many were dropped for each reason."""
    counts = Counter(s.reason or "kept" for s in samples)
    return {"kept": counts.pop("kept", 0)} | dict(counts.most_common())
