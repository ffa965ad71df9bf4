"""What drafting costs and what it brings: seconds measured, and a model of them in two numbers.

A round reads the drafts and one known token, and costs `c` plain steps. It brings one token and
every draft that is kept. So drafting is tokens per round over c times as fast.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

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

    The arms take turns, and of every prompt the shortest time counts: other work can only make it
    longer.
    """
    total = dict.fromkeys(arms, 0.0)
    for prompt in prompts:
        best = dict.fromkeys(arms, float("inf"))
        for _ in range(repeats):
            for name, (drafter, n) in arms.items():
                run = rounds(model, drafter, [prompt], max_new, n_drafts=n)
                best[name] = min(best[name], _behind_the_prompt(run)[0])
        for name, seconds in best.items():
            total[name] += seconds
    return {name: s / len(prompts) / (max_new - 1) for name, s in total.items()}


def cost_of_a_round(
    n_layers: int, n_drafts: int = 1, *, repeats: int = 5, device: str = "cpu"
) -> float:
    """Return how many plain steps a round of a toy of this depth costs: measured, not trained.

    What the weights are changes the drafts and not the time of a round.
    """
    mtp = MTP(Transformer(toy(n_layers, n_drafts))).to(device)
    prompt = [list(range(1, PROMPT + 1))]

    def plain() -> float:
        return _per_round(rounds(mtp.main, None, prompt, LENGTH - PROMPT))

    def drafting() -> float:
        return _per_round(rounds(mtp.main, mtp, prompt, LENGTH - PROMPT, n_drafts=n_drafts))

    both: list[Callable[[], float]] = [plain, drafting]
    seconds = [[action() for action in both] for _ in range(repeats)]
    step, one_round = (min(column) for column in zip(*seconds, strict=True))
    return one_round / step


def _per_round(run: Iterator[Round]) -> float:
    seconds, n = _behind_the_prompt(run)
    return seconds / n


def _behind_the_prompt(run: Iterator[Round]) -> tuple[float, int]:
    """Seconds and number of rounds once the prompts have been read."""
    next(run)
    began = time.perf_counter()
    n = sum(1 for _ in run)
    return time.perf_counter() - began, n


def share_of_a_module(c: ModelConfig) -> float:
    """Return what a module weighs beside the model, head counted in both, by activated parameters.

    Where reading weights is what takes time and further tokens are free, a round with one draft
    costs 1 + this share. DeepSeek-V3: 0.044.
    """
    a_layer = replace(c, n_layers=1, n_dense=0)
    module = accounting.activated(a_layer) + 2 * c.dim * c.dim + 2 * c.dim
    return module / accounting.activated(c)
