"""A small model learns to recall on short rows: which value went with this key?

    lesson = learn(seed=0, steps=240)           # rows of 64 tokens, ten seconds
    model = build(weights=lesson.weights)

Two layers of the package's Transformer behind a token shift (see needle.py). `tune` trains it on
after its positions were stretched.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from minids.config import GQAConfig, ModelConfig
from minids.model.products import Products
from minids.model.transformer import Output, Transformer
from minids.study import needle
from minids.study.workers import run_tasks
from minids.text.batches import Batch
from minids.train.loop import Step, fit
from minids.train.losses import next_token
from minids.train.schedule import multi_step


class Lesson(NamedTuple):
    """What training on short rows left: weights, and the two losses of every step."""

    weights: dict[str, Tensor]
    losses: tuple[float, ...]  # all tokens, nats
    recall: tuple[float, ...]  # values that can be known, nats


def toy(length: int = 64) -> ModelConfig:
    """Return the model of the chapter, for rows of `length`: two layers, two heads of 32."""
    return ModelConfig(
        name="toy for needles",
        vocab=needle.VOCAB,
        dim=64,
        n_layers=2,
        hidden=128,
        attention=GQAConfig(n_heads=2, n_kv_heads=2, head_dim=32),
        context=length,
        init_std=0.1,
    )


def build(length: int = 64, seed: int = 0, weights: Mapping[str, Tensor] | None = None) -> Any:
    """Return the toy with its token shift, new or with the weights of a lesson."""
    model = needle.with_token_shift(Transformer(toy(length), seed=seed), seed)
    if weights is not None:
        model.load_state_dict(dict(weights))
    return model


def learn(
    *,
    seed: int,
    steps: int,
    length: int = 64,
    rows: int = 32,
    products: Products = "plain",
    device: str = "cpu",
) -> Lesson:
    """Return what the toy learns in `steps` steps on rows of `length` tokens."""
    model = build(length, seed).to(device)
    done = [*tune(model, length, seed=seed, steps=steps, rows=rows, lr=4e-3, products=products)]
    weights = {name: w.cpu() for name, w in model.state_dict().items()}
    losses, recall = zip(*((s.loss, s.parts["recall"]) for s in done), strict=True)
    return Lesson(weights, losses, recall)


def tune(
    model: Transformer,
    length: int,
    *,
    seed: int,
    steps: int,
    rows: int = 4,
    lr: float = 1e-3,
    products: Products = "plain",
) -> list[Step]:
    """Train the model in place on rows of `length` tokens, and return the steps.

    Values that can be known count as much as all tokens together.
    """
    steps_taken = fit(
        model,
        needle.lessons(rows, length, seed),
        steps=steps,
        lr=lr,
        schedule=multi_step(steps),
        warmup=min(steps // 4, 20),
        products=products,
        extra_losses=recall_loss,
    )
    return list(steps_taken)


def recall_loss(model: object, output: Output, batch: Batch) -> dict[str, Float[Tensor, ""]]:
    """Return the loss at values that can be known: see `needle.recalls`."""
    known = needle.recalls(batch.tokens)
    count = max(1, int(known.sum()))
    return {"recall": next_token(output.logits, batch.targets, known, count=count)}


def learn_all(
    seeds: Sequence[int], *, workers: int | None = None, progress: bool = True, **settings: Any
) -> dict[int, Lesson]:
    """Return a lesson for every seed; `learn(seed=seed, **settings)` in a process for each core.

    `workers=0` takes one after another in this process, as on a GPU.
    """
    tasks = [{"seed": seed, **settings} for seed in seeds]
    done = run_tasks(learn, tasks, workers)
    bar = tqdm(done, total=len(tasks), disable=not progress, leave=False)
    found = {seeds[number]: lesson for number, lesson in bar}
    return {seed: found[seed] for seed in seeds}
