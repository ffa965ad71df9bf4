"""What drafting costs and what it brings: seconds measured, and a model of them in two numbers.

A round reads the drafts and one known token, and costs `c` plain steps. It brings one token and
every draft that is kept. So drafting is tokens per round over c times as fast.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice, pairwise
from statistics import median

from minids import accounting
from minids.config import ModelConfig
from minids.decode.speculative import Drafter, Round, rounds
from minids.model.mtp import MTP
from minids.model.transformer import Transformer
from minids.study.mtp_lab import LENGTH, PROMPT, toy

Arm = tuple[Drafter | None, int]
"""Who drafts, and how many tokens a round; (None, 1) writes plainly."""


def tokens_per_round(acceptance: Sequence[float]) -> float:
    """Return 1 + a_1 + a_1 a_2 + …: shares kept at each position, given those before it."""
    total, chance = 1.0, 1.0
    for a in acceptance:
        chance *= a
        total += chance
    return total


def speed_up(acceptance: Sequence[float], cost: float) -> float:
    """Return how many times as fast drafting is, if a round costs `cost` plain steps."""
    return tokens_per_round(acceptance) / cost


def seconds_per_token(
    model: Transformer,
    arms: Mapping[str, Arm],
    prompts: Sequence[Sequence[int]],
    *,
    max_new: int = LENGTH - PROMPT,
    repeats: int = 3,
) -> dict[str, float]:
    """Return the seconds of a greedy token at batch 1, prompts not counted, for each arm.

    The arms take turns, and the shortest time of every round counts: see `_shortest`.
    """
    total = dict.fromkeys(arms, 0.0)
    for prompt in prompts:
        seconds: dict[str, list[list[float]]] = {name: [] for name in arms}
        for _ in range(repeats):
            for name, (drafter, n) in arms.items():
                run = rounds(model, drafter, [prompt], max_new, n_drafts=n)
                seconds[name].append(_behind_the_prompt(run))
        for name, of_rounds in seconds.items():
            total[name] += sum(_shortest(of_rounds))
    return {name: s / len(prompts) / (max_new - 1) for name, s in total.items()}


def cost_of_a_round(
    n_layers: int, n_drafts: int = 1, *, repeats: int = 5, device: str = "cpu"
) -> float:
    """Return how many plain steps a round of a toy of this depth costs: measured, not trained.

    What the weights are changes the drafts and not the time of a round. Plain steps and rounds take
    turns, a few at a time: where other work slows the machine, it slows both. The median counts.
    """
    mtp = MTP(Transformer(toy(n_layers, n_drafts))).to(device)
    prompt, room = [list(range(1, PROMPT + 1))], LENGTH - PROMPT
    ratios: list[float] = []
    for _ in range(repeats):
        plain = _blocks(rounds(mtp.main, None, prompt, room))
        drafting = _blocks(rounds(mtp.main, mtp, prompt, room, n_drafts=n_drafts))
        ratios += [d / p for p, d in zip(plain, drafting, strict=False)]
    return median(ratios)


def _blocks(run: Iterator[Round], size: int = 8) -> Iterator[float]:
    """Yield the seconds of every `size` rounds once the prompts have been read; a rest is left."""
    next(run)
    while True:
        began = time.perf_counter()
        if sum(1 for _ in islice(run, size)) < size:
            return
        yield time.perf_counter() - began


def _behind_the_prompt(run: Iterator[Round]) -> list[float]:
    """Seconds of every round once the prompts have been read."""
    next(run)
    ends = [time.perf_counter(), *(time.perf_counter() for _ in run)]
    return [end - began for began, end in pairwise(ends)]


def _shortest(runs: Sequence[Sequence[float]]) -> list[float]:
    """The shortest time of every round among equal runs: other work can only make it longer."""
    return [min(times) for times in zip(*runs, strict=True)]


def share_of_a_module(c: ModelConfig) -> float:
    """Return what a module weighs beside the model, head counted in both, by activated parameters.

    Where reading weights is what takes time and further tokens are free, a round with one draft
    costs 1 + this share. DeepSeek-V3: 0.044.
    """
    a_layer = replace(c, n_layers=1, n_dense=0)
    module = accounting.activated(a_layer) + 2 * c.dim * c.dim + 2 * c.dim
    return module / accounting.activated(c)
