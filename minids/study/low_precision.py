"""One small model, trained in fp32, bf16 or FP8, with or without planted outliers: chapter 08.

The toy has the structure of DeepSeek LLM 7B and reads Python's manual. In the FP8 runs all that is
not FP8 is bf16, as in DeepSeek-V3. Its rows are 64 to 192 numbers long, so tiles are 16, not 128.

A planted outlier cannot be told from the loss in exact arithmetic: it stands where the weights are
0 and stay 0. It harms those alone that share a scale with it.

Left out: other texts, longer runs, more than one size, experts.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from minids.config import ModelConfig
from minids.model.fp8 import Recipe, to_fp8
from minids.model.products import Products
from minids.model.transformer import Transformer
from minids.study import sharing
from minids.study.pretrain import learning_rate
from minids.study.pretrain import toy as llama
from minids.train.loop import evaluate, fit
from minids.train.schedule import multi_step

DIM, SIZE = 64, 16
CHANNEL = 0  # of every layer's input, where an outlier may stand


def toy() -> ModelConfig:
    """Return the model of all runs: 2 layers, 64 wide, texts of 64 tokens."""
    return llama(DIM, vocab=1024, context=sharing.LENGTH)


def linears(model: nn.Module) -> list[nn.Linear]:
    """Return the linear layers that V3 would compute in FP8: all but the head."""
    parts = model.named_modules()
    return [part for name, part in parts if isinstance(part, nn.Linear) and name != "head"]


def plant(model: nn.Module, size: float) -> None:
    """Put an outlier into the input of every linear layer: the first token's channel 0.

    It is `size` times the root mean square of that input. The weights of the channel become 0 and
    get no gradient, so that outputs do not depend on it, in exact arithmetic and in bf16. The model
    has one channel less for its use, whatever the size.
    """
    if not 0 <= size < 1e8:
        raise ValueError(f"size={size} is not between 0 and 1e8, beyond which bf16 sums overflow")

    def before(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        x = inputs[0].clone()
        with torch.no_grad():
            x[:, 0, CHANNEL] = size * inputs[0].float().square().mean().sqrt().to(x.dtype)
        return (x, *inputs[1:])

    def silence(gradient: Tensor) -> Tensor:
        gradient = gradient.clone()
        gradient[:, CHANNEL] = 0
        return gradient

    for layer in linears(model):
        with torch.no_grad():
            layer.weight[:, CHANNEL] = 0
        layer.weight.register_hook(silence)
        layer.register_forward_pre_hook(before)


def trained(
    *,
    seed: int,
    steps: int,
    recipe: Recipe | None = None,
    products: Products = "bf16",
    outlier: float | None = None,
    change: Callable[[Transformer], object] = lambda model: None,
    batch: int = 16,
    device: str = "cpu",
) -> tuple[Transformer, list[float]]:
    """Return a model after a short training, and the loss of every step, in nats per token.

    `recipe` puts all linear layers but the head into FP8; `products` says how the rest multiplies,
    or all without a recipe. `outlier` is its size (see `plant`), `change` may break the model.
    """
    model = Transformer(toy(), seed=seed).to(device)
    if recipe is not None:
        to_fp8(model, recipe)
    if outlier is not None:
        plant(model, outlier)
    change(model)
    run = fit(
        model,
        sharing.train_batches(seed, batch),
        steps=steps,
        lr=learning_rate(DIM),
        schedule=multi_step(steps),
        warmup=min(20, steps // 5),
        products=products,
    )
    return model, [step.loss for step in run]


def held_out_loss(
    *,
    seed: int,
    steps: int,
    recipe: Recipe | None = None,
    products: Products = "bf16",
    outlier: float | None = None,
    change: Callable[[Transformer], object] = lambda model: None,
    n_windows: int = 200,
    batch: int = 16,
    device: str = "cpu",
) -> float:
    """Return the loss on pages that no run reads, evaluated in the precision of the training."""
    model, _ = trained(
        seed=seed,
        steps=steps,
        recipe=recipe,
        products=products,
        outlier=outlier,
        change=change,
        batch=batch,
        device=device,
    )
    return evaluate(model, [sharing.held_out_batch(n_windows)], products=products)
