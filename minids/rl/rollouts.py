"""Rollouts: many answers to each question, scored, and laid out for learning from them.

axes: p prompts, g rollouts of each, n = p g in that order, t columns (tokens), k learnt columns,
c = t - 1 columns that are read, e routed experts
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from minids.decode.sample import Rollouts, Share, generate
from minids.model.balance import weighted_load
from minids.model.products import Products, products
from minids.model.routing import Routing, how_often
from minids.model.transformer import Transformer
from minids.rl.rewards import Rewards
from minids.text.alphabet import Codec
from minids.text.arithmetic import Problem
from minids.text.batches import up_to_the_last
from minids.text.lessons import asked

WORTH = 0.1
"""Share of the tokens that has to be spared for two passes over few to pay for one over all.

Measured on three toys: a share of 0.26 spares 0.23 of the time, 0.14 spares 0.12."""


class Scored(NamedTuple):
    """The answers to some questions: g neighbours belong to one question."""

    problems: tuple[Problem, ...]  # one for each rollout
    responses: tuple[str, ...]
    rewards: Float[Tensor, " n"]  # weighted sums
    parts: dict[str, Float[Tensor, " n"]]  # each rule alone, unweighted
    learnt: "Learnt"


class Learnt(NamedTuple):
    """Rollouts as a batch to learn from: prompts begin in column 0, padding is on the right."""

    tokens: Int[Tensor, "n t"]
    targets: Int[Tensor, "n k"]  # the last k of the tokens, which are what a pass predicts
    mask: Bool[Tensor, "n k"]  # True where a target was written by the model
    logp: Float[Tensor, "n k"]  # of each target when it was sampled, nats

    @property
    def read(self) -> Bool[Tensor, "n c"]:
        """True on what is read for a learnt target: on padding behind the last one, False."""
        prompt = self.mask.new_ones(len(self.mask), self.tokens.shape[1] - 1 - self.mask.shape[1])
        return torch.cat([prompt, up_to_the_last(self.mask)], dim=1)

    def rows(self, rows: Int[Tensor, " m"]) -> "Learnt":
        """Return some of the rollouts, without the columns that none of them uses."""
        mask = self.mask[rows]
        used = int(mask.any(0).nonzero().max()) + 1 if bool(mask.any()) else 1
        spare = mask.shape[1] - used
        end = self.tokens.shape[1] - spare
        return Learnt(
            self.tokens[rows, :end],
            self.targets[rows, :used],
            mask[:, :used],
            self.logp[rows, :used],
        )


class Distribution(NamedTuple):
    """What a pass over rollouts says about them."""

    logp: Float[Tensor, "n k"]  # of each target, nats
    entropy: Float[Tensor, "n k"]  # of the whole distribution at that place, nats; no gradient
    loads: tuple[Float[Tensor, " e"], ...]  # share of assignments by expert, padding left out


def roll_out(
    model: Transformer,
    problems: Sequence[Problem],
    codec: Codec,
    rewards: Rewards,
    *,
    group: int,
    max_new: int,
    temperature: float = 1.0,
    generator: torch.Generator | Share | None = None,
    kind: Products = "plain",
) -> Scored:
    """Return `group` answers to each problem with their rewards."""
    prompts = [codec.encode(asked(problem), special=True) for problem in problems]
    with products(kind, model.embed.weight.device):
        written = generate(
            model,
            prompts,
            max_new,
            each=group,
            temperature=temperature,
            stop=codec.id("<|end|>"),
            pad=codec.id("<|pad|>"),
            generator=generator,
        )
    each = tuple(problem for problem in problems for _ in range(group))
    responses = tuple(codec.decode(answer) for answer in written.answers())
    parts = {name: [w.rule(*pair) for pair in zip(each, responses, strict=True)]
             for name, w in rewards.items()}  # fmt: skip
    scores = {name: torch.tensor(values, dtype=torch.float32) for name, values in parts.items()}
    total = torch.zeros(len(each), dtype=torch.float32)
    for name, weighed in rewards.items():
        total = total + weighed.weight * scores[name]
    return Scored(each, responses, total, scores, aligned(written))


def aligned(written: Rollouts) -> Learnt:
    """Return what was written with the padding moved from the left of each row to the right.

    Rotary positions count distances alone, so a row that moves keeps its probabilities.
    """
    tokens, mask, logp, pad = written.tokens, written.mask, written.logp, written.pad
    width = tokens.shape[1]
    first = written.prompt_length
    if bool(pad.any()):
        columns = torch.arange(width, device=tokens.device) + pad[:, None]
        inside, columns = columns < width, columns.clamp(max=width - 1)
        tokens, mask, logp = (x.gather(1, columns) for x in (tokens, mask, logp))
        mask = mask & inside
        first -= int(pad.max())
    return Learnt(tokens, tokens[:, first:], mask[:, first:], logp[:, first:])


def distribution(model: Transformer, learnt: Learnt, temperature: float = 1.0) -> Distribution:
    """Return log-probabilities and entropy at every target; a prompt of many rows is read once.

    That is all but the last token of the shortest prompt, and where it saves enough tokens. The
    result is that of one pass over all columns; gradients of a prompt are sums over its rows.
    """
    tokens, k = learnt.tokens[:, :-1], learnt.targets.shape[1]
    prompts, source = beginnings(tokens[:, :-k])
    spared = len(tokens) * prompts.shape[1] - prompts.numel()
    if spared >= WORTH * tokens.numel():
        cache = model.new_cache(len(prompts), tokens.shape[1])
        begun = model(prompts, cache, last=1)
        cache.take(source)
        output = model(tokens[:, prompts.shape[1] :], cache, last=k)
        routings = tuple(map(_one_after_another, begun.routings, output.routings))
        of_prompt = how_often(source, len(prompts)).repeat_interleave(prompts.shape[1])
        times = torch.cat([of_prompt, learnt.read[:, prompts.shape[1] :].flatten()])
    else:
        output = model(tokens, last=k)
        routings, times = output.routings, learnt.read.flatten()
    everything = (output.logits.float() / temperature).log_softmax(-1)
    logp = everything.gather(-1, learnt.targets[..., None])[..., 0]
    with torch.no_grad():
        entropy = -torch.linalg.vecdot(everything.exp(), everything)
    return Distribution(logp, entropy, tuple(weighted_load(routing, times) for routing in routings))


def beginnings(tokens: Int[Tensor, "n t"]) -> tuple[Int[Tensor, "p t"], Int[Tensor, " n"]]:
    """Return the different rows of `tokens` in order of appearance, and which of them each is."""
    number: dict[tuple[int, ...], int] = {}
    source = [number.setdefault(tuple(row), len(number)) for row in tokens.tolist()]
    different = torch.tensor(list(number), dtype=tokens.dtype, device=tokens.device)
    return different.view(len(number), -1), torch.tensor(source, device=tokens.device)


def _one_after_another(begun: Routing, rest: Routing) -> Routing:
    return Routing(*(torch.cat(pair) for pair in zip(begun, rest, strict=True)))


def joined(several: Sequence[Scored]) -> Scored:
    """Return several sets of rollouts as one; columns that do not count fill up the narrow ones.

    Targets begin behind the shortest prompt of all of them.
    """
    width = max(s.learnt.tokens.shape[1] for s in several)
    first = min(s.learnt.tokens.shape[1] - s.learnt.targets.shape[1] for s in several)

    def wide(x: Tensor, s: Scored) -> Tensor:
        after = width - s.learnt.tokens.shape[1]
        return torch.nn.functional.pad(x, (width - first - after - x.shape[1], after))

    tokens = torch.cat(
        [
            torch.nn.functional.pad(t, (0, width - t.shape[1]))
            for t in (s.learnt.tokens for s in several)
        ]
    )
    mask, logp = (torch.cat([wide(s.learnt[field], s) for s in several]) for field in (2, 3))
    parts = {name: torch.cat([s.parts[name] for s in several]) for name in several[0].parts}
    return Scored(
        tuple(p for s in several for p in s.problems),
        tuple(r for s in several for r in s.responses),
        torch.cat([s.rewards for s in several]),
        parts,
        Learnt(tokens, tokens[:, first:], mask, logp),
    )
