"""Nine ways to balance one small language model: the runs of chapter 06.

Sixteen routed experts with V3's sigmoid gate, two chosen, one shared, in two layers. A row of a
batch comes from one of four domains, as a real sequence has one topic: so a loss within sequences
asks every domain to use all experts, and a loss over the batch does not.

Left out: one learning rate for each way, other sizes, V2's device and communication losses.

axes: n steps, l layers, e routed experts, d domains
"""

from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from minids.config import GQAConfig, ModelConfig, MoEConfig
from minids.model.balance import expert_balance, max_violation
from minids.model.products import Products, products
from minids.model.transformer import Output, Transformer
from minids.study.results import Results
from minids.study.served import by_label, relative_load, specialisation
from minids.text.batches import Batch
from minids.text.domains import DOMAINS
from minids.text.labelled import domain_streams, labelled, labelled_windows
from minids.text.tokenizer import default_tokenizer
from minids.train.loop import fit
from minids.train.losses import next_token_by_row
from minids.train.schedule import multi_step

DIM, LAYERS, EXPERTS, LENGTH, BLOCKS, LAST, EXAM = 48, 2, 16, 64, 20, 50, 48


class Way(NamedTuple):
    """One way to balance. All zero: none."""

    loss: float = 0.0  # alpha of the balance loss over the whole batch
    by_sequence: float = 0.0  # alpha of the one within each sequence
    speed: float = 0.0  # of the bias, for the first three quarters of the steps
    last_speed: float = 0.0  # for the last quarter


WAYS: dict[str, Way] = {
    "none": Way(),
    "loss 0.001": Way(loss=0.001),
    "loss 0.01": Way(loss=0.01),
    "loss 0.1": Way(loss=0.1),
    "by sequence": Way(by_sequence=0.01),
    "bias, two speeds": Way(speed=0.01, last_speed=0.003),
    "bias 0.01": Way(speed=0.01, last_speed=0.01),
    "bias 0.001": Way(speed=0.001, last_speed=0.001),
    "bias 0.0001": Way(speed=0.0001, last_speed=0.0001),
}
"""What is compared; the first is the baseline."""


def toy() -> ModelConfig:
    """Return the model that all ways train: V3's gate, half the width of a usual feed-forward."""
    return ModelConfig(
        name="balanced toy",
        vocab=default_tokenizer().vocab,
        dim=DIM,
        n_layers=LAYERS,
        hidden=64,
        attention=GQAConfig(n_heads=4, n_kv_heads=4, head_dim=DIM // 4),
        moe=MoEConfig(
            n_routed=EXPERTS,
            n_shared=1,
            top_k=2,
            hidden=32,
            scores="sigmoid",
            normalise=True,
            biased=True,
        ),
        context=LENGTH,
        tied=True,
        init_std=0.06,
    )


class Trained(NamedTuple):
    """A model after its training, and the load of every step and layer."""

    model: Transformer
    loads: Float[Tensor, "n l e"]


def train(
    way: Way,
    seed: int,
    *,
    steps: int,
    batch: int = 16,
    products: Products = "plain",
    device: str = "cpu",
) -> Trained:
    """Return the toy after a short training on four domains; `seed` decides weights and order."""

    def balance(model: nn.Module, output: Output, batch: Batch) -> dict[str, Tensor]:
        each = [expert_balance(r) for r in output.routings]
        return {"balance": way.loss * torch.stack(each).sum()}

    model = Transformer(toy(), seed=seed).to(device)
    training = fit(
        model,
        labelled(_texts(1000, 150_000), batch=batch, length=LENGTH, seed=seed).batches,
        steps=steps,
        lr=4e-3,
        schedule=multi_step(steps, warmup=min(20, steps), drops=((0.6, 0.316), (0.85, 0.1))),
        extra_losses=balance if way.loss else None,
        balance=way.by_sequence,
        bias_speed=lambda i: way.speed if i < 0.75 * steps else way.last_speed,
        products=products,
    )
    loads = [torch.stack([layer.cpu() for layer in step.loads]) for step in training]
    return Trained(model, torch.stack(loads))


@cache
def _texts(seed: int, n_chars: int) -> Mapping[str, Int[Tensor, " n"]]:
    return domain_streams(default_tokenizer(), seed=seed, n_chars=n_chars)


def run(
    *,
    seed: int,
    way: str,
    steps: int,
    batch: int = 16,
    products: Products = "plain",
    device: str = "cpu",
) -> dict[str, float]:
    """Return for one training what the chapter needs, as numbers by name.

    "loss": nats per token on held-out rows. "max_vio": of the loads of the last 50 steps, taken
    together (a third of all steps, if there are fewer); "exam": of the held-out rows; "in a row":
    within one of them, mean. "specialisation": of experts by domain; "idle": experts with less
    than a tenth of their even share. All are means over layers, "idle" a sum. "block 3": MaxVio
    of the fourth of 20 parts of training. "1 code 7": times layer 1 took its expert 7 for code.
    """
    if way not in WAYS:
        raise ValueError(f"there is no way {way!r}; there are: {', '.join(WAYS)}")
    model, loads = train(
        WAYS[way], seed, steps=steps, batch=batch, products=products, device=device
    )
    parts = loads.tensor_split(min(BLOCKS, steps))
    found = exam(model, products)
    return {
        "loss": found.pop("loss"),
        "max_vio": uneven(loads[-max(1, min(LAST, steps // 3)) :]),
        **found,
        **{f"block {i}": uneven(part) for i, part in enumerate(parts)},
    }


def uneven(loads: Float[Tensor, "n l e"]) -> float:
    """Return MaxVio of the load of all steps together, mean over layers."""
    return sum(float(max_violation(layer)) for layer in loads.mean(0)) / loads.shape[1]


@torch.inference_mode()
def exam(model: Transformer, kind: Products = "plain", n: int = EXAM) -> dict[str, float]:
    """Return loss, load and specialisation on `n` rows of each domain that no run has read."""
    batch, domain = labelled_windows(_texts(2000, 40_000), length=LENGTH, n=n)
    device = model.embed.weight.device
    rows: list[Tensor] = []
    chosen: list[list[Tensor]] = [[] for _ in range(LAYERS)]
    for tokens, targets, mask in batch.pieces(32):  # less memory, as fast
        with products(kind, device):
            output = model(tokens.to(device))
        rows.append(next_token_by_row(output.logits.cpu(), targets, mask))
        for seen, routing in zip(chosen, output.routings, strict=True):
            seen.append(routing.experts.cpu())
    found = {"loss": float(torch.cat(rows).mean())}
    each: list[dict[str, float]] = []
    shares: dict[str, float] = {}
    for layer, parts in enumerate(chosen):
        experts = torch.cat(parts)
        row = torch.arange(len(domain)).repeat_interleave(LENGTH)
        by_row = by_label(experts, row, n_labels=len(domain), n_experts=EXPERTS)
        by_domain = torch.stack([by_row[domain == d].sum(0) for d in range(len(DOMAINS))])
        total = by_row.sum(0)
        each.append(
            {
                "exam": float(max_violation(total)),
                "in a row": float((by_row.amax(1) / by_row.mean(1) - 1).mean()),
                "specialisation": specialisation(by_domain),
                "idle": LAYERS * float((total < 0.1 * total.mean()).sum()),
            }
        )
        shares |= {
            f"{layer} {name} {e}": float(by_domain[d, e])
            for d, name in enumerate(DOMAINS)
            for e in range(EXPERTS)
        }
    return found | {name: sum(x[name] for x in each) / len(each) for name in each[0]} | shares


def served(results: Results, way: str, seed: int, layer: int) -> Float[Tensor, "d e"]:
    """Return the relative load of each expert on each domain, 1 when even, from a comparison."""
    place = results.seeds.index(seed)
    rows = [
        [results.of(way, f"{layer} {name} {e}")[place] for e in range(EXPERTS)] for name in DOMAINS
    ]
    return relative_load(torch.tensor(rows))


def curve(results: Results, way: str) -> list[float]:
    """Return MaxVio in each part of training, mean over seeds, from a comparison."""
    return [results.mean(way, name) for name in results.metrics if name.startswith("block ")]
