"""The training loop, as a generator: every step it takes, it yields.

    for step in fit(model, packed(tokens, batch=32, length=128, seed=0), steps=300):
        ...

Break when bored, plot every tenth, wrap it in tqdm or in `watch`, `list()` it in a script.
One step: gradients of the next-token loss and of whatever is added to it, clipping, AdamW, and for
models whose routers have a correction bias a nudge of it (DeepSeek-V3, 2.1.2). AdamW with betas
0.9 and 0.95, weight decay 0.1 and clipping at 1.0 are DeepSeek's in every report from LLM to V3.

The same loop runs in several processes (world.py, parallel.py): each works on its rows of the same
batch, and all yield the same steps.

Left out: fp16 with its loss scaling.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from minids.model import products as arithmetic
from minids.model.balance import max_violation
from minids.text.batches import Batch
from minids.train.gradients import ExtraLosses, add_gradients
from minids.train.gradients import clip as clipped
from minids.train.losses import next_token
from minids.train.update import adamw, nudge_biases, uninterrupted
from minids.train.world import World


class Step(NamedTuple):
    """What one optimizer step did.

    `parts` holds the terms that were added to `loss`, by name, as they were added; for a model
    with experts also `max_vio` (MaxVio of the step's load, mean over layers, 0 when even) and
    `idle_experts` (experts of all layers that got less than a tenth of their even share). MaxVio
    of one step cannot reach 0, by chance alone: to judge a balance, average `loads` over steps.
    """

    i: int
    loss: float  # next-token loss before the update, in nats per token that counts
    parts: dict[str, float]
    grad_norm: float  # before clipping
    lr: float
    tokens: int  # tokens the model read, whether their targets count or not
    seconds: float
    loads: tuple[Float[Tensor, " e"], ...] = ()  # share of assignments by expert, for each layer

    @property
    def tokens_per_second(self) -> float:
        """Tokens read per second of this step, making the batch included."""
        return self.tokens / self.seconds


class Diverged(ArithmeticError):
    """A loss or gradient that is no number any more. The weights are those of the step before."""


def fit(
    model: nn.Module,
    batches: Callable[[int], Batch],
    *,
    steps: int,
    lr: float = 3e-3,
    schedule: Callable[[int], float] | None = None,
    warmup: int = 10,
    weight_decay: float = 0.1,
    betas: tuple[float, float] = (0.9, 0.95),
    clip: float = 1.0,
    accumulate: int = 1,
    products: arithmetic.Products = "plain",
    balance: float = 0.0,
    bias_speed: float | Callable[[int], float] = 0.001,
    extra_losses: ExtraLosses | None = None,
    start: int = 0,
    optimizer: torch.optim.Optimizer | None = None,
    world: World | None = None,
) -> Iterator[Step]:
    """Return a generator that trains `model` in place, one optimizer step for each `Step`.

    Step i reads `batches(i)` at the rate `lr * schedule(i)`, or less during the first `warmup`
    steps. `accumulate` cuts a batch into so many parts, to save memory; the gradient is that of
    the whole. Weights stay float32: `products="bf16"` rounds the factors of the products alone
    (see model/products.py). `balance` weighs V3's sequence-wise loss; `bias_speed` is a number or
    a function of the step, 0 leaves the bias.
    `extra_losses(model, output, batch)` returns more terms by name, each a mean over tokens.

    To resume, give `start` and the `optimizer` (made by `adamw`) with its restored state; the
    numbers are those of a run that never stopped. Between steps, and after an interrupt anywhere,
    no update is half done. Raises `Diverged` before an update that would ruin the weights.

    With a `world` of several processes `batches` is the same in all, and `model` went through
    `parallel.spread`. Numbers are those of one process but for the order of additions.
    """
    if not 0 <= start <= steps or accumulate < 1:
        raise ValueError(
            f"start={start} must lie between 0 and steps={steps}, which counts the whole run, "
            f"and accumulate={accumulate} must be 1 or more"
        )
    speed = bias_speed if callable(bias_speed) else lambda _: bias_speed
    if optimizer is None:
        optimizer = adamw(model, lr=lr, weight_decay=weight_decay, betas=betas)
    weights = [p for group in optimizer.param_groups for p in group["params"]]
    device = weights[0].device

    def take(i: int) -> Step:
        began = time.perf_counter()
        rate = lr * min((i + 1) / max(1, warmup), 1.0 if schedule is None else schedule(i))
        batch = batches(i).to(device)
        optimizer.zero_grad(set_to_none=True)
        terms, loads = add_gradients(
            model,
            batch,
            accumulate=accumulate,
            kind=products,
            balance=balance,
            extra_losses=extra_losses,
            world=world,
        )
        norm = clipped(weights, clip)
        loss, grad_norm, *added = torch.stack([terms.pop("loss"), norm, *terms.values()]).tolist()
        parts = dict(zip(terms, added, strict=True))
        if not math.isfinite(loss + grad_norm + sum(added)):
            optimizer.zero_grad(set_to_none=True)
            raise Diverged(_diverged(i, {"loss": loss} | parts, grad_norm, rate))
        with uninterrupted():
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
            nudge_biases(model, loads, speed(i))
        parts |= _unevenness(loads)
        seconds = time.perf_counter() - began
        n_tokens = batch.tokens.numel()
        return Step(i, loss, parts, grad_norm, rate, n_tokens, seconds, tuple(loads))

    return (take(i) for i in range(start, steps))


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    batches: Iterable[Batch],
    *,
    products: arithmetic.Products = "plain",
) -> float:
    """Return the mean next-token loss over all tokens that count, in nats per token."""
    device = next(model.parameters()).device
    total, count = 0.0, 0
    for batch in batches:
        batch = batch.to(device)
        with arithmetic.products(products, device):
            logits = model(batch.tokens).logits
        n = int(batch.mask.sum())
        if n == 0:
            continue
        total += n * float(next_token(logits, batch.targets, batch.mask))
        count += n
    if count == 0:
        raise ValueError(
            "evaluate got no token that counts: give a list of batches, such as "
            "[batches(0), batches(1)]"
        )
    return total / count


def _unevenness(loads: Sequence[Float[Tensor, " e"]]) -> dict[str, float]:
    if not loads:
        return {}
    idle = torch.stack([(share < 0.1 * share.mean()).sum() for share in loads]).sum()
    uneven = torch.stack([max_violation(share) for share in loads]).mean()
    max_vio, n_idle = torch.stack([uneven, idle.to(uneven.dtype)]).tolist()  # a GPU waits once
    return {"max_vio": max_vio, "idle_experts": n_idle}


def _diverged(i: int, terms: dict[str, float], grad_norm: float, rate: float) -> str:
    said = ", ".join(f"{name} is {value}" for name, value in terms.items())
    return (
        f"step {i}: {said}, the norm of the gradient is {grad_norm}, at a learning "
        f"rate of {rate:.2g}. The weights are those of the step before. Try a lower `lr`, a longer "
        "`warmup`, or float32 products; if it is the first step, look for inf or nan in the weights"
    )
