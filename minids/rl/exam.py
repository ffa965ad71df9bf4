"""How good is a policy? Sampled and greedy accuracy, majority vote, and right once in k tries.

Sampled accuracy (pass@1) rises when a model only grows surer of what it mostly does. Greedy
accuracy does not, and pass@k falls when variety is lost: together they tell sharpening from
learning. DeepSeekMath (section 5.2.2) found the majority vote up and pass@k not, and read it as
sharpening.
"""

from collections import Counter
from collections.abc import Sequence
from math import comb
from typing import NamedTuple

import torch

from minids.decode.sample import generate
from minids.model.products import Products, products
from minids.model.transformer import Transformer
from minids.rl.rewards import accuracy, is_right, read, worked
from minids.text.alphabet import Codec
from minids.text.arithmetic import Problem
from minids.text.lessons import asked

TEST_SEED = 10_000
"""Seeds of test questions start here; they are held out whatever the seed."""


class Exam(NamedTuple):
    """The results: shares from 0 to 1, but for `length`."""

    pass_at_1: float  # of the sampled answers, how many are right
    greedy: float  # of the likeliest answers
    majority: float  # of the answers that most samples of a problem give
    pass_at_k: float  # of the problems, how many have a right sample
    worked: float  # of the sampled answers, how many show working
    length: float  # tokens of a sampled answer, its end included
    k: int  # samples for each problem

    def numbers(self) -> dict[str, float]:
        """Return the results by name, without `k`."""
        return {name: float(value) for name, value in self._asdict().items() if name != "k"}


def exam(
    model: Transformer,
    problems: Sequence[Problem],
    codec: Codec,
    *,
    samples: int = 16,
    max_new: int = 40,
    seed: int = 0,
    kind: Products = "plain",
) -> Exam:
    """Return the results on some problems, the samples drawn at temperature 1."""
    generator = torch.Generator(model.embed.weight.device).manual_seed(seed)
    prompts = [codec.encode(asked(problem), special=True) for problem in problems]

    def answers(each: int, temperature: float) -> list[list[int]]:
        with products(kind, model.embed.weight.device):
            return generate(
                model,
                prompts,
                max_new,
                each=each,
                temperature=temperature,
                stop=codec.id("<|end|>"),
                pad=codec.id("<|pad|>"),
                generator=generator,
            ).answers()

    likeliest = [codec.decode(answer) for answer in answers(1, 0.0)]
    drawn = answers(samples, 1.0)
    texts = [codec.decode(answer) for answer in drawn]
    groups = [texts[i : i + samples] for i in range(0, len(texts), samples)]
    right = [sum(accuracy(p, t) for t in g) for p, g in zip(problems, groups, strict=True)]
    n = len(problems)
    return Exam(
        pass_at_1=sum(right) / len(texts),
        greedy=sum(accuracy(p, t) for p, t in zip(problems, likeliest, strict=True)) / n,
        majority=sum(majority(p, g) for p, g in zip(problems, groups, strict=True)) / n,
        pass_at_k=sum(r > 0 for r in right) / n,
        worked=sum(worked(problems[0], t) for t in texts) / len(texts),
        length=sum(map(len, drawn)) / len(drawn),
        k=samples,
    )


def majority(problem: Problem, responses: Sequence[str]) -> bool:
    """Return whether the answer that most responses give is right; the earliest of equals counts.

    Responses that do not keep the form have no vote.
    """
    votes = Counter(parts.answer.strip() for r in responses if (parts := read(r)) is not None)
    return bool(votes) and is_right(problem, votes.most_common(1)[0][0])


def pass_at(k: int, right: int, samples: int) -> float:
    """Return the chance that one of k samples is right, from `right` of `samples` that were.

    The unbiased estimate of arXiv 2107.03374: 1 - C(wrong, k) / C(samples, k).
    """
    if not 0 <= right <= samples or not 1 <= k <= samples:
        raise ValueError(f"of {samples} samples, {right} right: ask for k from 1 to {samples}")
    return 1 - comb(samples - right, k) / comb(samples, k)
