"""Process supervision: each step of a working has its reward, and not the answer alone.

    47+38   <think>seven plus eight is fifteen,|four plus three plus one is nine|</think>…85…|
                          right: 1             |            wrong: 0            |   right: 1

DeepSeekMath (section 4.1.3) asks a reward model about each step. For arithmetic a rule will do: a
column is right if it is this column of this problem, in the words in which it is taught. A true
sentence that is no column of the problem earns nothing, and a column said again neither: else a
policy would learn to talk. Where most steps are wrong, the sum still prefers few of them: each lies
below the mean, and every token before it bears it.

Left out: columns in words of one's own; a working of another way to the target of countdown.

axes: n rollouts, s steps, k learnt columns
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from minids.rl.advantages import process_advantages
from minids.rl.rewards import Rule, accuracy, read
from minids.rl.rollouts import Scored
from minids.text.alphabet import Codec
from minids.text.arithmetic import LEVELS, Problem
from minids.text.spoken import LANGUAGES, say
from minids.text.working import work

_STEP = re.compile("[^,，]*[,，]|[^,，]+")


class Judged(NamedTuple):
    """What one step of a response is worth, and where it ends."""

    reward: float  # 0 to 1
    end: int  # characters of the response, from its beginning to the last of this step


StepsOf = Callable[[Problem, str], Sequence[Judged]]
"""From a problem and a response to its steps in order, the answer last."""


def columns(problem: Problem, response: str, answer: Rule = accuracy) -> list[Judged]:
    """Return the steps of a response: each column of its working, then its answer.

    What stands between two commas is a step, and step i is right if it is column i of the problem,
    in English or Chinese, or operation i of an expression. The last step is worth what `answer`
    gives the response, and ends where that does. It is the only one outside the form, and for
    countdown, which has many right workings. Every text gets a score. ValueError for a problem
    that is not from arithmetic.py.
    """
    if problem.level not in LEVELS:
        raise ValueError(f"no columns for {problem.level!r}; there are: {', '.join(LEVELS)}")
    last = Judged(answer(problem, response), len(response))
    parts = read(response)
    if parts is None or "=" in problem.question:
        return [last]
    said = [step for step in _STEP.finditer(parts.think) if step[0].strip()]
    right = [{say(step, language) for language in LANGUAGES} for step in work(problem).steps]
    right += [set()] * len(said)  # beyond the last column nothing is right
    begin = response.index("<think>") + len("<think>")
    judged = [
        Judged(float(step[0].rstrip(",，").strip() in column), begin + step.end())
        for step, column in zip(said, right, strict=False)
    ]
    return [*judged, last]


def last_tokens(ends: Sequence[int], tokens: Sequence[int], codec: Codec) -> list[int]:
    """Return for each place in the text of `tokens` which token ends there or is the first beyond.

    Places are counted in characters, tokens from 0. Where a step ends inside a token, the whole
    token belongs to it, and so do the bytes of a character that several tokens make up.
    """
    text = codec.decode(tokens)

    def token(end: int) -> int:
        if end >= len(text):
            return len(tokens) - 1
        written = range(len(tokens))
        return bisect_left(written, True, key=lambda i: _has(text[:end], tokens[: i + 1], codec))

    return [token(end) for end in ends]


def _has(beginning: str, tokens: Sequence[int], codec: Codec) -> bool:
    return codec.decode(tokens).startswith(beginning)


def supervised(scored: Scored, steps_of: StepsOf, codec: Codec, group: int) -> Float[Tensor, "n k"]:
    """Return the advantage of each learnt token: normalised rewards of the steps still to end."""
    mask, targets = scored.learnt.mask.cpu(), scored.learnt.targets.cpu()
    pairs = zip(scored.problems, scored.responses, strict=True)
    steps = [steps_of(problem, response) for problem, response in pairs]
    rewards = torch.zeros(len(steps), max(1, *map(len, steps)), dtype=torch.float32)
    ends = torch.full(rewards.shape, -1)
    for row, judged in enumerate(steps):
        written = mask[row].nonzero()[:, 0]
        last = last_tokens([step.end for step in judged], targets[row, written].tolist(), codec)
        rewards[row, : len(judged)] = torch.tensor([step.reward for step in judged])
        ends[row, : len(judged)] = written[last]
    advantages = process_advantages(rewards, ends, mask, group)
    return advantages.to(scored.learnt.tokens.device)
