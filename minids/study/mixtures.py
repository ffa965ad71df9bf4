"""Dense models and mixtures of experts of equal size, on four labelled domains: chapter 03's runs.

Two budgets are kept apart. All mixtures have the same *total* expert width and the same *active*
one, an eighth of it; one dense model has the active width, another the total. Gates are V1's: the
raw softmax over the routed experts, with its balance loss over the whole batch
(DeepSeekMoE, arXiv 2401.06066, section 3).

Left out: more than one size, one learning rate for each arm, other texts.

axes: b rows of a batch, e routed experts
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor, nn

from minids.config import GQAConfig, ModelConfig, MoEConfig
from minids.model.balance import device_balance, expert_balance
from minids.model.products import Products, products
from minids.model.transformer import Output, Transformer
from minids.study.specialise import by_domain, change, masked, shuffled, specialisation
from minids.text.batches import Batch
from minids.text.domains import DOMAINS
from minids.text.labelled import Labelled, domain_streams, labelled, labelled_windows
from minids.text.tokenizer import default_tokenizer
from minids.train.loop import Step, fit
from minids.train.losses import next_token_by_row
from minids.train.schedule import multi_step

TOTAL, ACTIVE = 512, 64
"""Width of all experts of a layer together, and of those that one token meets."""

TRAINED_ON, TESTED_ON = 1000, 2000
"""Seeds of the texts: other sentences about the same facts."""


class Mixture(NamedTuple):
    """How a feed-forward is cut: 1 + 7 of 63 is Mixture(63, 7, 1). A dense one has no experts."""

    routed: int
    top_k: int
    shared: int = 0

    @property
    def width(self) -> int:
        """Width of one expert, so that all mixtures have the same total and active width."""
        return TOTAL // (self.routed + self.shared)


ARMS: dict[str, Mixture | int] = {
    "top-2 of 16": Mixture(16, 2),
    "dense, active size": ACTIVE,
    "top-1 of 8": Mixture(8, 1),
    "8 of 64": Mixture(64, 8),
    "1 + 7 of 63": Mixture(63, 7, 1),
    "dense, total size": TOTAL,
}
"""What is compared: a mixture, or the hidden width of a dense model. GShard's shape comes first."""


def toy(arm: str, *, dim: int = 48, n_layers: int = 2, context: int = 64) -> ModelConfig:
    """Return the model of an arm; all arms share attention, depth and vocabulary."""
    if arm not in ARMS:
        raise ValueError(f"there is no arm {arm!r}; there are: {', '.join(ARMS)}")
    cut = ARMS[arm]
    moe = None
    if isinstance(cut, Mixture):
        moe = MoEConfig(
            n_routed=cut.routed, top_k=cut.top_k, n_shared=cut.shared, hidden=cut.width
        )
    return ModelConfig(
        name=arm,
        vocab=default_tokenizer().vocab,
        dim=dim,
        n_layers=n_layers,
        hidden=cut if isinstance(cut, int) else ACTIVE,
        attention=GQAConfig(n_heads=4, n_kv_heads=4, head_dim=dim // 4),
        moe=moe,
        context=context,
        tied=True,
        init_std=0.06,
    )


@cache
def _texts(seed: int, n_chars: int) -> Mapping[str, Int[Tensor, " n"]]:
    return domain_streams(default_tokenizer(), seed=seed, n_chars=n_chars)


def reading(
    seed: int, *, batch: int = 32, length: int = 64, n_chars: int = 300_000
) -> Labelled:
    """Return training batches: equal shares of four domains, each row from one of them."""
    return labelled(_texts(TRAINED_ON, n_chars), batch=batch, length=length, seed=seed)


def exam(n: int = 48, length: int = 64) -> tuple[Batch, Int[Tensor, " b"]]:
    """Return `n` fixed rows of each domain that no run has read, and each row's domain."""
    return labelled_windows(_texts(TESTED_ON, 60_000), length=length, n=n)


def balanced(
    alpha: float = 0.01, device_alpha: float = 0.0, n_devices: int = 8
) -> Callable[[nn.Module, Output, Batch], dict[str, Tensor]]:
    """Return V1's balance losses for `fit(..., extra_losses=...)`, summed over layers.

    The 2B model used 0.01 for experts and none for devices; the 145B one 0.003 and 0.05.
    """

    def losses(model: nn.Module, output: Output, batch: Batch) -> dict[str, Tensor]:
        terms = {}
        if alpha and output.routings:
            each = [expert_balance(r) for r in output.routings]
            terms["expert balance"] = alpha * torch.stack(each).sum()
        if device_alpha and output.routings:
            each = [device_balance(r, n_devices) for r in output.routings]
            terms["device balance"] = device_alpha * torch.stack(each).sum()
        return terms

    return losses


def steps_of(
    model: Transformer,
    seed: int,
    *,
    steps: int,
    batch: int = 32,
    alpha: float = 0.01,
    device_alpha: float = 0.0,
    products: Products = "plain",
) -> Iterator[Step]:
    """Return the training of `model` as a generator, with this chapter's rates and losses."""
    return fit(
        model,
        reading(seed, batch=batch).batches,
        steps=steps,
        lr=4e-3,
        schedule=multi_step(steps, warmup=min(20, steps), drops=((0.6, 0.316), (0.85, 0.1))),
        extra_losses=balanced(alpha, device_alpha),
        products=products,
    )


@torch.inference_mode()
def losses(
    model: Transformer, n: int = 48, kind: Products = "plain"
) -> dict[str, float]:
    """Return the loss on the exam, as a mean and by domain, in nats per token."""
    batch, domain = exam(n)
    device = next(model.parameters()).device
    with products(kind, device):
        logits = model(batch.tokens.to(device)).logits.cpu()
    rows = next_token_by_row(logits, batch.targets, batch.mask)
    each = {name: float(rows[domain == i].mean()) for i, name in enumerate(DOMAINS)}
    return {"loss": sum(each.values()) / len(each), **each}
