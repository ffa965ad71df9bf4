"""One run of chapter 03, as a function of its seed: a mixture learns, and is then taken apart.

axes: e routed experts, d domains
"""

import math
from functools import partial
from pathlib import Path

import torch

from minids import checkpoint
from minids.model.balance import load, max_violation
from minids.model.products import Products
from minids.model.transformer import Transformer
from minids.study.mixtures import ARMS, TEXTS, Mixture, Texts, balanced, examine, toy
from minids.study.served import specialisation
from minids.study.specialise import (
    by_chance,
    by_domain,
    change,
    masked,
    more_routed,
    shared_off,
)
from minids.train.loop import fit
from minids.train.schedule import multi_step

PROBES = ("one routed fewer", "shared off", "shared off, one more routed", "top 1/16 masked")
"""What is done to a trained mixture, one at a time."""


def run(
    *,
    seed: int,
    arm: str,
    steps: int,
    text: str = "controlled",
    batch: int = 16,
    alpha: float = 0.01,
    by_sequence: bool = False,
    marks: int = 6,
    n: int = 128,
    keep: str | None = None,
    products: Products = "plain",
    device: str = "cpu",
) -> dict[str, float]:
    """Return what a run ended with, by name; NaN where a thing does not apply to the arm.

    "loss" and the loss of each domain in nats per token; what each of `PROBES` adds to it;
    "after i" the mean specialisation after i steps, `marks` times; "specialisation" of both
    layers and by chance; "MaxVio" of the exam. The loss is taken on `n` rows of each domain, all
    else on a quarter of them. `alpha` and `by_sequence` are the balance loss's. `seed` decides
    first weights and order of the text. `keep` is a folder for the trained model: see `kept`.
    """
    texts = TEXTS[text]()
    model = Transformer(toy(arm, texts.vocab), seed=seed).to(device)
    steps_of = fit(
        model,
        texts.batches(seed, batch).batches,
        steps=steps,
        lr=8e-3,
        schedule=multi_step(steps, warmup=min(20, steps), drops=((0.6, 0.316), (0.85, 0.1))),
        extra_losses=balanced(alpha, by_sequence=by_sequence),
        products=products,
    )
    few = max(1, n // 4)
    when = {round(steps * i / marks) for i in range(1, marks)}
    grown = {"after 0": special(model, texts, few)}
    for step in steps_of:
        if step.i + 1 in when:
            grown[f"after {step.i + 1}"] = special(model, texts, few)
    found = examine(model, texts, n=n, kind=products)
    if keep is not None:
        checkpoint.save(Path(keep) / f"{arm}, {seed}", model, step=steps)
    return (
        {"loss": found.loss, **found.by_domain}
        | taken_apart(model, texts, few, products)
        | grown
        | {f"after {steps}": special(model, texts, few)}
        | layers(model, texts, few)
    )


def kept(folder: str, arm: str, seed: int) -> Transformer:
    """Return a model that `run` kept."""
    return checkpoint.build(checkpoint.load(Path(folder) / f"{arm}, {seed}"))


def special(model: Transformer, texts: Texts, n: int = 32) -> float:
    """Return the specialisation on held-out text, mean over the layers; NaN without experts."""
    labels, found = texts.exam(n)[1], examine(model, texts, n=n).routings
    each = [specialisation(by_domain(r, labels, len(texts.train))) for r in found]
    return sum(each) / len(each) if each else math.nan


def layers(model: Transformer, texts: Texts, n: int = 32) -> dict[str, float]:
    """Return specialisation, its shuffled baseline and MaxVio of the two layers."""
    labels, found = texts.exam(n)[1], examine(model, texts, n=n).routings
    out = dict.fromkeys(
        ("specialisation, layer 0", "specialisation, layer 1", "by chance", "MaxVio"), math.nan
    )
    for i, routing in enumerate(found):
        counts = by_domain(routing, labels, len(texts.train))
        out[f"specialisation, layer {i}"] = specialisation(counts)
    if found:
        chance = [by_chance(r, labels, len(texts.train)) for r in found]
        out["by chance"] = max(chance)
        out["MaxVio"] = max(float(max_violation(load(r))) for r in found)
    return out


@torch.no_grad()
def taken_apart(
    model: Transformer, texts: Texts, n: int = 32, kind: Products = "plain"
) -> dict[str, float]:
    """Return what each of `PROBES` adds to the loss; NaN where a probe does not apply."""
    m = model.c.moe
    out = dict.fromkeys(PROBES, math.nan)
    if m is None:
        return out

    intact = examine(model, texts, n=n, kind=kind).loss

    def added(*hows: partial[None]) -> float:
        changed = model
        for how in hows:
            changed = change(changed, how)
        return examine(changed, texts, n=n, kind=kind).loss - intact

    if m.top_k > 1:
        out["one routed fewer"] = added(partial(more_routed, n=-1))
    if m.n_shared:
        out["shared off"] = added(partial(shared_off))
        out["shared off, one more routed"] = added(partial(shared_off), partial(more_routed, n=1))
    if m.n_routed >= 15:
        out["top 1/16 masked"] = added(partial(masked, n=round(m.n_routed / 16)))
    return out


def active(arm: str) -> int:
    """Return the width of feed-forward that a token of this arm meets, in each layer."""
    cut = ARMS[arm]
    return cut if isinstance(cut, int) else (cut.top_k + cut.shared) * cut.width


def total(arm: str) -> int:
    """Return the width of all experts of a layer together."""
    cut = ARMS[arm]
    return (cut.routed + cut.shared) * cut.width if isinstance(cut, Mixture) else cut
