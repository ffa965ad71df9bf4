"""Group relative policy optimisation, as a generator: ask, answer in groups, reward, update.

    for step in grpo(model, problems("add-2", seed=0), codec, R1_ZERO, steps=80):
        ...

Step i asks the questions i p to (i + 1) p - 1 and draws from a generator seeded by (seed, i), so a
run that was stopped goes on with the numbers of one that was not. The model learns in place.

Left out: several devices, and rollouts that lag behind the policy.
"""

import copy
import hashlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn

from minids.model.balance import load
from minids.model.products import Products, products
from minids.model.transformer import Transformer
from minids.rl.advantages import flat_groups, over_tokens
from minids.rl.policy_loss import policy_loss
from minids.rl.rewards import Rewards
from minids.rl.rollouts import Learnt, Scored, distribution, joined, roll_out
from minids.rl.variants import GRPO, Variant
from minids.text.alphabet import Codec
from minids.text.arithmetic import Problem
from minids.train.loop import Diverged
from minids.train.update import adamw, nudge_biases, uninterrupted

ROUNDS = 3
"""How often a variant that replaces flat groups may ask again in one step."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a run is set up. R1-Zero: 32 questions x 16 answers, temperature 1 (R1, Methods).

    here          there              meaning
    prompts       32                 questions of a step
    group         G = 16             answers to each
    max_new       32,768             longest answer, tokens
    minibatches   16 of 8,192        updates that one set of answers serves, each answer once
    epochs        1                  how often each answer serves
    lr            3e-6               reached after `warmup` steps, then constant
    refresh       400                steps after which the reference becomes the policy
    """

    variant: Variant = GRPO
    prompts: int = 32
    group: int = 16
    max_new: int = 40
    temperature: float = 1.0
    minibatches: int = 2
    epochs: int = 1
    lr: float = 5e-4
    warmup: int = 5
    grad_clip: float = 1.0
    refresh: int = 400
    bias_speed: float = 0.001

    def __post_init__(self) -> None:
        for name in ("prompts", "group", "max_new", "minibatches", "epochs", "refresh"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be 1 or more")
        if self.temperature <= 0:
            raise ValueError("GRPO learns from samples: the temperature must be positive")
        if self.minibatches > self.prompts * self.group:
            raise ValueError(
                f"{self.prompts * self.group} answers do not fill {self.minibatches} minibatches"
            )


class Step(NamedTuple):
    """What one step did. `parts` holds means over its rollouts, in the units given.

    reward        weighted sum of the rules; and each rule by its name, 0..1
    length        tokens, the end included
    entropy       nats, of the distribution of a token
    kl            nats per token, from the reference; 0 for a variant without it
    clipped       share of tokens whose gradient was removed
    flat_groups   share of groups in which all rewards were equal
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
    kind: Products = "plain",
    reference: Transformer | None = None,
    start: int = 0,
    optimizer: torch.optim.Optimizer | None = None,
) -> Iterator[Step]:
    """Return a generator that improves `model` in place, one set of rollouts for each `Step`.

    `reference` is the model that the KL term keeps the policy near: a copy of `model` unless
    given, and overwritten every `settings.refresh` steps. To resume, give `start`, the
    `optimizer` (made by `optimizer_for`) and the `reference`. Raises `Diverged` before an update
    that would ruin the weights.
    """
    s = settings or Settings()
    if not 0 <= start <= steps:
        raise ValueError(f"start={start} must lie between 0 and steps={steps}, the whole run")
    optimizer = optimizer or optimizer_for(model, s)
    if s.variant.kl_weight and reference is None:
        reference = copy.deepcopy(model)

    def take(i: int) -> Step:
        began = time.perf_counter()
        generator = torch.Generator(model.embed.weight.device).manual_seed(_mixed(seed, i))
        if reference is not None and i and i % s.refresh == 0:
            reference.load_state_dict(model.state_dict())
        scored = _gather(model, ask, codec, rewards, s, i, generator, kind)
        wrote = time.perf_counter() - began
        rate = s.lr * min(1.0, (i + 1) / max(1, s.warmup))
        told = _learn(model, reference, optimizer, scored, s, rate, generator, kind)
        written = scored.learnt.mask.sum(-1)
        groups = rearrange(scored.rewards, "(p g) -> p g", g=s.group)
        parts = {"reward": float(scored.rewards.mean())}
        parts |= {name: float(values.mean()) for name, values in scored.parts.items()}
        parts |= {"length": float(written.float().mean())}
        parts |= {name: told[name] for name in ("entropy", "kl", "clipped")}
        parts["flat_groups"] = float(flat_groups(groups).float().mean())
        shown = tuple(
            (scored.problems[r].question, scored.responses[r], float(scored.rewards[r]))
            for r in range(0, len(scored.problems), max(1, len(scored.problems) // 4))
        )
        seconds, n = time.perf_counter() - began, int(written.sum())
        return Step(i, told["loss"], parts, told["grad_norm"], rate, n, seconds, wrote, shown)

    return (take(i) for i in range(start, steps))


def optimizer_for(model: Transformer, settings: Settings) -> torch.optim.Optimizer:
    """Return AdamW without decay: what pulls weights towards 0 would pull the policy, too."""
    return adamw(model, lr=settings.lr, weight_decay=0.0)


def _gather(
    model: Transformer,
    ask: Callable[[int], Problem],
    codec: Codec,
    rewards: Rewards,
    s: Settings,
    i: int,
    generator: torch.Generator,
    kind: Products,
) -> Scored:
    """The rollouts of step i; flat groups are replaced where the variant asks for it."""
    rounds = ROUNDS if s.variant.refill else 1
    kept: list[Scored] = []
    useful = 0
    for r in range(rounds):
        numbers = range((i * rounds + r) * s.prompts, (i * rounds + r + 1) * s.prompts)
        kept.append(
            roll_out(
                model,
                [ask(number) for number in numbers],
                codec,
                rewards,
                group=s.group,
                max_new=s.max_new,
                temperature=s.temperature,
                generator=generator,
                kind=kind,
            )
        )
        groups = rearrange(kept[-1].rewards, "(p g) -> p g", g=s.group)
        useful += int((~flat_groups(groups)).sum())
        if useful >= s.prompts:
            break
    return kept[0] if len(kept) == 1 else joined(kept)


def _learn(
    model: Transformer,
    reference: Transformer | None,
    optimizer: torch.optim.Optimizer,
    scored: Scored,
    s: Settings,
    rate: float,
    generator: torch.Generator,
    kind: Products,
) -> dict[str, float]:
    """Update the weights, minibatch by minibatch, and return what was seen on the way."""
    device = scored.learnt.tokens.device
    groups = rearrange(scored.rewards, "(p g) -> p g", g=s.group)
    advantages = s.variant.advantages(groups).flatten().to(device)
    rows = torch.arange(len(advantages), device=device)
    if s.variant.refill and not bool(flat_groups(groups).all()):
        useful = (~flat_groups(groups)).repeat_interleave(s.group)
        rows = rows[useful.to(device)][: s.prompts * s.group]
    seen: list[Tensor] = []
    for _ in range(s.epochs):
        order = torch.randperm(len(rows), generator=generator, device=device)
        for part in rows[order].tensor_split(s.minibatches):
            learnt = scored.learnt.rows(part)
            seen.append(
                _update(model, reference, optimizer, learnt, advantages[part], s, rate, kind)
            )
    names = ("loss", "kl", "clipped", "entropy", "grad_norm")
    return dict(zip(names, torch.stack(seen).mean(0).tolist(), strict=True))


def _update(
    model: Transformer,
    reference: Transformer | None,
    optimizer: torch.optim.Optimizer,
    learnt: Learnt,
    advantages: Tensor,
    s: Settings,
    rate: float,
    kind: Products,
) -> Tensor:
    """One step of the optimizer; loss, KL, clipped share, entropy and norm of the gradient."""
    with products(kind, learnt.tokens.device):
        now = distribution(model, learnt, s.temperature)
        with torch.no_grad():
            ref = None if reference is None else distribution(reference, learnt, s.temperature)
    told = policy_loss(
        now.logp,
        learnt.logp,
        over_tokens(advantages, learnt.mask),
        learnt.mask,
        logp_ref=None if ref is None else ref.logp,
        clip=s.variant.clip,
        kl_weight=s.variant.kl_weight,
        average=s.variant.average,
    )
    optimizer.zero_grad(set_to_none=True)
    told.loss.backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), s.grad_clip)
    loss = told.loss.detach()
    if not math.isfinite(float(loss) + float(norm)):
        optimizer.zero_grad(set_to_none=True)
        raise Diverged(
            f"the loss is {float(loss)} and the norm of its gradient {float(norm)}: the "
            "weights are those of the update before. Try a lower `lr` or a longer `warmup`"
        )
    with uninterrupted():
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        nudge_biases(model, [load(routing) for routing in now.routings], s.bias_speed)
    entropy = now.entropy[learnt.mask].mean()
    return torch.stack([loss, told.kl, told.clipped, entropy, norm])


def _mixed(seed: int, i: int) -> int:
    """A seed of 56 bits from two numbers, of which neighbours have nothing in common."""
    digest = hashlib.sha256(f"grpo/{seed}/{i}".encode()).digest()
    return int.from_bytes(digest[:7])
