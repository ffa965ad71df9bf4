"""Dense models and mixtures of experts of equal size, on four labelled domains: chapter 03's runs.

Two budgets are kept apart. All mixtures have the same *total* width of experts and the same
*active* one, an eighth of it; one dense model has the active width, another the total. Gates are
V1's: the raw softmax over the routed experts, with its balance loss (DeepSeekMoE, arXiv
2401.06066, section 3), here over all tokens of a batch unless a run says otherwise. Made texts are
read by the character, so that few tokens tell by themselves which domain they are from.

Left out: more than one size, a learning rate for each arm.

axes: b rows of a batch, t tokens of a row, n tokens of a text
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor, nn

from minids.config import GQAConfig, ModelConfig, MoEConfig
from minids.model.balance import expert_balance
from minids.model.products import Products, products
from minids.model.routing import Routing
from minids.model.transformer import Output, Transformer
from minids.text.batches import Batch
from minids.text.corpus import real_text
from minids.text.domains import DOMAINS, domain
from minids.text.labelled import Labelled, labelled, labelled_windows
from minids.text.tokenizer import default_tokenizer
from minids.train.gradients import ExtraLosses
from minids.train.losses import next_token_by_row

TOTAL, ACTIVE = 512, 64
"""Width of all experts of a layer together, and of those that one token meets."""

TRAINED_ON, TESTED_ON = 1000, 2000
"""Seeds of the texts: other sentences about the same facts."""

LENGTH = 64


class Mixture(NamedTuple):
    """How a feed-forward is cut: 1 + 7 of 63 is Mixture(63, 7, 1)."""

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


def toy(arm: str, vocab: int | None = None) -> ModelConfig:
    """Return the model of an arm; all arms share attention, depth and vocabulary."""
    if arm not in ARMS:
        raise ValueError(f"there is no arm {arm!r}; there are: {', '.join(ARMS)}")
    cut, moe = ARMS[arm], None
    if isinstance(cut, Mixture):
        moe = MoEConfig(n_routed=cut.routed, top_k=cut.top_k, n_shared=cut.shared, hidden=cut.width)
    return ModelConfig(
        name=arm,
        vocab=vocab or len(letters()),
        dim=48,
        n_layers=2,
        hidden=cut if isinstance(cut, int) else ACTIVE,
        attention=GQAConfig(n_heads=4, n_kv_heads=4, head_dim=12),
        moe=moe,
        context=LENGTH,
        tied=True,
        init_std=0.1,
    )


class Texts(NamedTuple):
    """What is read and what is asked, by domain, as numbers of tokens."""

    train: Mapping[str, Int[Tensor, " n"]]
    held_out: Mapping[str, Int[Tensor, " n"]]
    vocab: int

    def batches(self, seed: int, batch: int = 16) -> Labelled:
        """Return training batches: equal shares of the domains, each row from one of them."""
        return labelled(self.train, batch=batch, length=LENGTH, seed=seed)

    def exam(self, n: int = 32) -> tuple[Batch, Int[Tensor, " b"]]:
        """Return `n` fixed rows of each domain that no run has read, and each row's domain."""
        return labelled_windows(self.held_out, length=LENGTH, n=n)


@cache
def letters() -> dict[str, int]:
    """Return a number for each character of the four domains."""
    written = {c for seed, n in _WRITTEN for d in DOMAINS for c in domain(d, seed=seed, n_chars=n)}
    return {letter: number for number, letter in enumerate(sorted(written))}


_WRITTEN = ((TRAINED_ON, 300_000), (TESTED_ON, 60_000))


@cache
def controlled() -> Texts:
    """Return the four domains of `text/domains.py`, the same on every machine."""
    numbers = letters()
    train, held_out = (
        {d: torch.tensor([numbers[c] for c in domain(d, seed=s, n_chars=n)]) for d in DOMAINS}
        for s, n in _WRITTEN
    )
    return Texts(train, held_out, len(numbers))


@cache
def real(n_chars: int = 300_000) -> Texts:
    """Return prose and code that come with this Python, in tokens; other Pythons have others."""
    tokenizer = default_tokenizer()
    parts: dict[str, dict[str, Tensor]] = {"train": {}, "held_out": {}}
    for kind in ("prose", "code"):
        text = real_text(kind, n_chars=n_chars)
        for part, by_kind in parts.items():
            by_kind[kind] = torch.tensor(tokenizer.encode(getattr(text, part)))
    return Texts(parts["train"], parts["held_out"], tokenizer.vocab)


TEXTS: dict[str, Callable[[], Texts]] = {"controlled": controlled, "real": real}


def balanced(alpha: float, *, by_sequence: bool = False) -> ExtraLosses:
    """Return V1's balance loss for `fit(..., extra_losses=...)`, summed over the layers.

    Over all tokens of a batch, or `by_sequence`, as printed: T in the paper is the length of a
    sequence. The 2B model used 0.01, the 145B one 0.003, and 0.05 for `device_balance`, left out
    here.
    """

    def losses(_model: nn.Module, output: Output, batch: Batch) -> dict[str, Tensor]:
        if not alpha or not output.routings:
            return {}
        n = len(batch.tokens) if by_sequence else 1
        each = [alpha * expert_balance(r, n) for r in output.routings]
        return {"expert balance": torch.stack(each).sum()}

    return losses


class Marks(NamedTuple):
    """What a model did in an exam: its loss, and its choices in every layer."""

    loss: float  # nats per token, mean over the domains
    by_domain: dict[str, float]
    routings: tuple[Routing, ...]


@torch.no_grad()
def examine(model: Transformer, texts: Texts, *, n: int = 32, kind: Products = "plain") -> Marks:
    """Return the marks of `model` on held-out text; its routings lie on the CPU."""
    batch, labels = texts.exam(n)
    device = next(model.parameters()).device
    rows, parts = [], []
    for few in batch.pieces(128):  # of all at once: 1 GB
        with products(kind, device):
            output = model(few.tokens.to(device))
        rows.append(next_token_by_row(output.logits.cpu(), few.targets, few.mask))
        parts.append([Routing(*(x.cpu() for x in r)) for r in output.routings])
    loss = torch.cat(rows)
    each = {name: float(loss[labels == i].mean()) for i, name in enumerate(texts.held_out)}
    layers = (
        Routing(*map(torch.cat, zip(*layer, strict=True))) for layer in zip(*parts, strict=True)
    )
    return Marks(sum(each.values()) / len(each), each, tuple(layers))
