"""Group relative policy optimisation, as a generator: ask, answer in groups, reward, update.

    for step in grpo(model, problems("add-2", seed=0), codec, R1_ZERO, steps=80):
        ...

Step i asks the questions i p to (i + 1) p - 1 and draws from a generator seeded by (seed, i), so a
run that was stopped goes on with the numbers of one that was not. A variant that replaces flat
groups has three times as many to itself, those from 3 i p on. The model learns in place.

Several processes share the questions of a step; then all have all answers, and share the rows of
each update. Each has the whole model: a policy that writes must be at hand, weight by weight.

Left out: rollouts that lag behind the policy; models that do not fit into one device.
"""

import copy
import hashlib
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch

from minids.decode.sample import Share
from minids.model.products import Products
from minids.model.transformer import Transformer, uncompiled
from minids.rl.rewards import Rewards
from minids.rl.rollouts import Learnt, Scored, joined, roll_out
from minids.rl.update import Settings as Settings
from minids.rl.update import credit, learn, silent
from minids.rl.update import optimizer_for as optimizer_for
from minids.text.alphabet import Codec
from minids.text.arithmetic import Problem
from minids.train.world import World

ROUNDS = 3
"""How often a variant that replaces flat groups may ask again in one step."""


class Step(NamedTuple):
    """What one step did. `parts` holds means over its rollouts, in the units given.

    reward        weighted sum of the rules; and each rule by its name, 0..1
    length        tokens, the end included
    entropy       nats, of the distribution of a token
    kl            nats per token, from the reference; 0 for a variant without it
    clipped       share of tokens whose gradient was removed
    flat_groups   share of groups in which all rewards were equal, so that they taught nothing
    """

    i: int
    loss: float  # mean over the updates; near 0 by construction, and it need not fall
    parts: dict[str, float]
    grad_norm: float  # before clipping, mean over the updates
    lr: float
    tokens: int  # tokens written
    seconds: float
    writing: float  # seconds of them spent on sampling
    examples: tuple[tuple[str, str, float], ...]  # question, response and reward of some rollouts

    @property
    def tokens_per_second(self) -> float:
        """Tokens written per second of sampling."""
        return self.tokens / self.writing


def grpo(
    model: Transformer,
    ask: Callable[[int], Problem],
    codec: Codec,
    rewards: Rewards,
    *,
    steps: int,
    settings: Settings | None = None,
    seed: int = 0,
    schedule: Callable[[int], float] | None = None,
    kind: Products = "plain",
    reference: Transformer | None = None,
    start: int = 0,
    optimizer: torch.optim.Optimizer | None = None,
    world: World | None = None,
) -> Iterator[Step]:
    """Return a generator that improves `model` in place, one set of rollouts for each `Step`.

    Step i learns at the rate `settings.lr * schedule(i)`, or less during the warm-up. With
    `settings.steps_of` the steps of an answer are rewarded, and `rewards` are measured alone.
    `reference` is the model that the KL term keeps the policy near: a copy of `model` unless
    given, and overwritten every `settings.refresh` steps. To resume, give `start`, the
    `optimizer` (made by `optimizer_for`) and the `reference`. Raises `Diverged` before an update
    that would ruin the weights. With a `world` of several processes all must come with the same
    weights, and the numbers are those of one process but for the order of additions. `model` may
    be `compiled(model, dynamic=True)`, which pays in hundreds of steps with many answers.
    """
    s, world = settings or Settings(), world or World.alone()
    if s.prompts < world.size:
        raise ValueError(f"{s.prompts} questions a step for {world.size} processes: ask more")
    if not 0 <= start <= steps:
        raise ValueError(f"start={start} must lie between 0 and steps={steps}, the whole run")
    optimizer = optimizer or optimizer_for(model, s)
    if s.variant.kl_weight and reference is None:
        reference = copy.deepcopy(model)

    def take(i: int) -> Step:
        began = time.perf_counter()
        generator = torch.Generator(model.embed.weight.device).manual_seed(_mixed(seed, i))
        if reference is not None and i and i % s.refresh == 0:
            uncompiled(reference).load_state_dict(uncompiled(model).state_dict())
        scored = _gather(model, ask, codec, rewards, s, i, generator, kind, world)
        wrote = time.perf_counter() - began
        rate = s.lr * min((i + 1) / max(1, s.warmup), schedule(i) if schedule else 1.0)
        gains = credit(scored, s, codec)
        learnt = scored.learnt
        told = learn(model, reference, optimizer, learnt, gains, s, rate, generator, kind, world)
        written = learnt.mask.sum(-1)
        parts = {"reward": float(scored.rewards.mean())}
        parts |= {name: float(values.mean()) for name, values in scored.parts.items()}
        parts |= {"length": float(written.float().mean())}
        parts |= {name: told[name] for name in ("entropy", "kl", "clipped")}
        parts["flat_groups"] = float(silent(gains, s.group).float().mean())
        shown = tuple(
            (scored.problems[r].question, scored.responses[r], float(scored.rewards[r]))
            for r in range(0, len(scored.problems), max(1, len(scored.problems) // 4))
        )
        seconds, n = time.perf_counter() - began, int(written.sum())
        return Step(i, told["loss"], parts, told["grad_norm"], rate, n, seconds, wrote, shown)

    return (take(i) for i in range(start, steps))


def _gather(
    model: Transformer,
    ask: Callable[[int], Problem],
    codec: Codec,
    rewards: Rewards,
    s: Settings,
    i: int,
    generator: torch.Generator,
    kind: Products,
    world: World,
) -> Scored:
    """The rollouts of step i; flat groups are replaced where the variant asks for it."""
    rounds = ROUNDS if s.variant.refill else 1
    kept: list[Scored] = []
    for r in range(rounds):
        useful = sum(int((~silent(credit(k, s, codec), s.group)).sum()) for k in kept)
        if useful >= s.prompts:
            break
        numbers = range((i * rounds + r) * s.prompts, (i * rounds + r + 1) * s.prompts)
        mine = world.share(s.prompts)
        chance = Share(generator, mine.start * s.group, s.prompts * s.group)
        scored = roll_out(
            model,
            [ask(number) for number in numbers[mine]],
            codec,
            rewards,
            group=s.group,
            max_new=s.max_new,
            temperature=s.temperature,
            generator=chance if world.size > 1 else generator,
            kind=kind,
        )
        kept.append(_together(scored, generator, world) if world.size > 1 else scored)
    return kept[0] if len(kept) == 1 else joined(kept)


def _together(scored: Scored, generator: torch.Generator, world: World) -> Scored:
    """The rollouts of all processes, in the order of their questions; and chance as one would be.

    A generator has moved on once for each token of its longest answer: all take the state of the
    one that moved the furthest, which is where a single process would be.
    """
    longest, state = int(scored.learnt.mask.sum(-1).max()), generator.get_state()
    device = scored.learnt.tokens.device
    sent = scored._replace(learnt=Learnt(*(part.cpu() for part in scored.learnt)))
    answers, lengths, states = zip(*world.gathered((sent, longest, state)), strict=True)
    generator.set_state(states[lengths.index(max(lengths))])
    several = joined(answers)
    return several._replace(learnt=Learnt(*(part.to(device) for part in several.learnt)))


def _mixed(seed: int, i: int) -> int:
    """A seed of 56 bits from two numbers, of which neighbours have nothing in common."""
    digest = hashlib.sha256(f"grpo/{seed}/{i}".encode()).digest()
    return int.from_bytes(digest[:7])
