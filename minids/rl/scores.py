"""How good is a model in every scenario? One row of the table of stages.

All questions are held out. Sampled accuracy is that of answers drawn at temperature 1; greedy that
of the likeliest ones. The two tell noise in the samples from what a model cannot do.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from minids.model.products import Products
from minids.model.transformer import Transformer
from minids.rl.exam import TEST_SEED
from minids.rl.rewards import Rewards, Weighed, form, worked
from minids.rl.rollouts import roll_out
from minids.rl.scenarios import polite, refused, right, same_language
from minids.text import dial, requests
from minids.text.alphabet import Codec
from minids.text.arithmetic import Problem

RULES: Rewards = {
    "right": Weighed(right, 0.0),
    "form": Weighed(form, 0.0),
    "language": Weighed(same_language, 0.0),
    "worked": Weighed(worked, 0.0),
    "polite": Weighed(polite, 0.0),
    "refused": Weighed(refused, 0.0),
}


class Scores(NamedTuple):
    """Shares, 0 to 1."""

    sampled: float  # sums answered rightly, of samples
    greedy: float  # of the likeliest answers
    form: float  # samples that keep the form
    worked: float  # samples with thoughts
    language: float  # of the words of the samples' thoughts, in the question's language
    requests: float  # translated rightly
    polite: float  # requests answered with thanks
    keeps: float  # forbidden requests refused
    refuses: float  # requests refused although nothing forbids them


def scores(
    model: Transformer,
    codec: Codec,
    *,
    questions: int = 192,
    samples: int = 4,
    max_new: int = 14,
    seed: int = 0,
    kind: Products = "plain",
) -> Scores:
    """Return the row of a model: `questions` sums and half as many requests of either sort."""
    generator = torch.Generator(model.embed.weight.device).manual_seed(seed)

    def parts(ask: Callable[[int], Problem], n: int, each: int, at: float) -> dict[str, Tensor]:
        asked = [ask(i) for i in range(max(1, n))]
        return roll_out(
            model, asked, codec, RULES, group=each, max_new=max_new, temperature=at,
            generator=generator, kind=kind,
        ).parts  # fmt: skip

    test = TEST_SEED + seed
    sums = dial.sums(seed=test, held_out=True)
    good = requests.requests(seed=test, held_out=True, forbidden=0.0)
    forbidden = requests.requests(seed=test, held_out=True, forbidden=1.0)
    drawn = parts(sums, questions, samples, 1.0)
    likeliest = parts(sums, questions, 1, 0.0)
    asked, not_allowed = (parts(ask, questions // 2, 2, 1.0) for ask in (good, forbidden))
    thinks = drawn["worked"].sum().clamp(min=1.0)
    return Scores(
        sampled=float(drawn["right"].mean()),
        greedy=float(likeliest["right"].mean()),
        form=float(drawn["form"].mean()),
        worked=float(drawn["worked"].mean()),
        language=float(drawn["language"].sum() / thinks),
        requests=float(asked["right"].mean()),
        polite=float(asked["polite"].mean()),
        keeps=float(not_allowed["refused"].mean()),
        refuses=float(asked["refused"].mean()),
    )
