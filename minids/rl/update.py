"""From scored rollouts to new weights: minibatches, the loss of a variant, one step of AdamW each.

The first minibatch is on-policy: its ratios are 1 and nothing is clipped. The later ones of the
same rollouts are not any more, and that is what ratio and clip are for. Several processes share a
minibatch: each works on its rows, and all make the same step.

axes: p prompts, g rollouts of each, n = p g in that order, k learnt columns
"""

import math
from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor

from minids.model.products import Products, products
from minids.model.transformer import Transformer
from minids.rl.advantages import group_advantages, over_tokens
from minids.rl.policy_loss import policy_loss
from minids.rl.process import StepsOf, supervised
from minids.rl.rollouts import Learnt, Scored, distribution
from minids.rl.variants import GRPO, Variant
from minids.text.alphabet import Codec
from minids.train.gradients import clip
from minids.train.loop import Diverged
from minids.train.update import adamw, nudge_biases, uninterrupted
from minids.train.world import World


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a run is set up. R1-Zero: 32 questions x 16 answers, temperature 1 (R1, Methods).

    here          there              meaning
    prompts       32                 questions of a step
    group         G = 16             answers to each
    max_new       32,768             longest answer, tokens
    minibatches   16 from 8,192      updates that one set of answers serves, each answer once
    epochs        1                  how often each answer serves
    lr            3e-6               reached after `warmup` steps
    refresh       400                steps after which the reference becomes the policy
    steps_of      none               judges each step of an answer, instead of the whole: process.py
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
    steps_of: StepsOf | None = None

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
        if self.steps_of and self.variant.advantages is not group_advantages:
            raise ValueError(
                f"steps_of divides rewards by their deviation, and {self.variant.name} does not: "
                "take a variant whose advantages are group_advantages"
            )


def optimizer_for(model: Transformer, settings: Settings) -> torch.optim.Optimizer:
    """Return AdamW without decay: what pulls weights towards 0 would pull the policy, too."""
    return adamw(model, lr=settings.lr, weight_decay=0.0)


def credit(scored: Scored, s: Settings, codec: Codec) -> Float[Tensor, "n k"]:
    """Return the advantage of each learnt token: its answer's, or that of the steps to come."""
    if s.steps_of:
        return supervised(scored, s.steps_of, codec, s.group)
    groups = rearrange(scored.rewards, "(p g) -> p g", g=s.group)
    mask = scored.learnt.mask
    return over_tokens(s.variant.advantages(groups).flatten().to(mask.device), mask)


def silent(advantages: Float[Tensor, "n k"], group: int) -> Bool[Tensor, " p"]:
    """Return which groups teach nothing: all advantages are 0, as they are for equal rewards."""
    return rearrange(advantages == 0, "(p g) k -> p (g k)", g=group).all(-1)


def learn(
    model: Transformer,
    reference: Transformer | None,
    optimizer: torch.optim.Optimizer,
    learnt: Learnt,
    advantages: Float[Tensor, "n k"],
    s: Settings,
    rate: float,
    generator: torch.Generator,
    kind: Products,
    world: World | None = None,
) -> dict[str, float]:
    """Update the weights, minibatch by minibatch, and return what was seen on the way.

    Of several processes each has all weights and all rollouts, and the same generator.
    """
    world = world or World.alone()
    device = learnt.tokens.device
    rows = torch.arange(len(advantages), device=device)
    flat = silent(advantages, s.group)
    if s.variant.refill and not bool(flat.all()):
        rows = rows[~flat.repeat_interleave(s.group)][: s.prompts * s.group]
    seen: list[Tensor] = []
    for _ in range(s.epochs):
        order = torch.randperm(len(rows), generator=generator, device=device)
        for part in rows[order].tensor_split(min(s.minibatches, len(rows))):
            some = learnt.rows(part)
            gains = advantages[part, : some.mask.shape[1]]
            seen.append(_update(model, reference, optimizer, some, gains, s, rate, kind, world))
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
    world: World,
) -> Tensor:
    """One step of the optimizer; loss, KL, clipped share, entropy and norm of the gradient."""
    mine, counts = _share(len(learnt.tokens), world, learnt.tokens.device)
    own = Learnt(*(part[mine] for part in learnt))
    with products(kind, learnt.tokens.device):
        now = distribution(model, own, s.temperature)
        with torch.no_grad():
            ref = None if reference is None else distribution(reference, own, s.temperature)
    # Every average is a sum over rows: with nothing in the rows of others, it is our part of it.
    logp = learnt.logp.index_put((mine,), now.logp)
    told = policy_loss(
        logp,
        learnt.logp,
        advantages.where(counts[:, None], 0.0),
        learnt.mask,
        logp_ref=None if ref is None else _elsewhere(logp, ref.logp, mine, counts),
        clip=s.variant.clip,
        kl_weight=s.variant.kl_weight,
        average=s.variant.average,
    )
    optimizer.zero_grad(set_to_none=True)
    told.loss.backward()
    if world.size > 1:
        from minids.train.parallel import add_up

        add_up(model, world)
    norm = clip(list(model.parameters()), s.grad_clip)
    entropy = now.entropy[own.mask & counts[mine, None]].sum() / learnt.mask.sum()
    weight = learnt.read[counts].sum() / learnt.read.sum()
    seen = [told.loss.detach(), told.kl, told.clipped, entropy]
    seen += [weight * share for share in now.loads]
    loss, kl, clipped, entropy, *loads = world.summed(seen)
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
        nudge_biases(model, loads, s.bias_speed)
    return torch.stack([loss, kl, clipped, entropy, norm])


def _share(n: int, world: World, device: torch.device) -> tuple[Tensor, Tensor]:
    """Which of n rows this process works on, and for each of the n whether it counts here.

    A process with nothing to do works on the first row and counts it 0 times.
    """
    rows = torch.arange(n, device=device)
    mine = rows[world.share(n)]
    return mine if len(mine) else rows[:1], torch.isin(rows, mine)


def _elsewhere(logp: Tensor, ref: Tensor, mine: Tensor, counts: Tensor) -> Tensor:
    """The reference in rows that count here; elsewhere the policy, which is 0 away from itself."""
    there = logp.detach()
    return there.index_put((mine,), ref).where(counts[:, None], there)
