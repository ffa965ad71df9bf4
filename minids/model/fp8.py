"""Layers that multiply in FP8, forward and backward, around weights in full precision.

A linear layer has three products (DeepSeek-V3, 3.3.1): the output (Fprop), the gradient of its
input (Dgrad) and the gradient of its weights (Wgrad). All three take FP8 factors. The weights
themselves, their gradients and the optimizer never are FP8: a step of the optimizer would be
lost in rounding.

Embedding, head, norms, router and the attention core stay in higher precision, as in V3. On a
GPU that has FP8 the products are real ones; elsewhere factors are rounded to FP8 and multiplied
in fp32, which is a simulation: same numbers, no speed.

Left out: MLA's `kv_up`, which V3 does in FP8 (`mla.rebuild` multiplies by its matrix, not
through its layer); activations kept in FP8 between the passes (here they keep their size).

axes: t tokens, i and o widths going in and out, d model width; `...` any leading axes
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from minids.model.experts import Experts
from minids.model.fp8_formats import E4M3, SIZE, Block, Format, through_fp8
from minids.model.fp8_gemm import has_fp8, real_product
from minids.model.layers import gated_silu
from minids.model.routing import Routing

KEPT = ("head", "kv_up")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Which FP8 for what. The defaults are V3's; others trained with E5M2 for `gradients`.

    `size` is the side of tiles and blocks; None gives each matrix one scale. V3's is 128: a toy of
    width 128 has a smaller one, so that its rows have several tiles as well.
    """

    size: int | None = SIZE
    form: Format = E4M3
    gradients: Format = E4M3
    power_of_two: bool = False

    def __post_init__(self) -> None:
        if self.size is not None and self.size < 1:
            raise ValueError(f"size={self.size}: a tile has at least one entry; None is no tiles")

    @property
    def tile(self) -> Block:
        """Entries of an activation or its gradient that share a scale: 1 x size."""
        return None if self.size is None else (1, self.size)

    @property
    def column(self) -> Block:
        """The same for sums over tokens: size x 1."""
        return None if self.size is None else (self.size, 1)

    @property
    def square(self) -> Block:
        """Entries of a weight that share a scale: size x size."""
        return None if self.size is None else (self.size, self.size)


V3 = Recipe()


class _Product(torch.autograd.Function):
    """x w^T, and its two gradients, each from two factors in FP8."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, recipe: Recipe) -> Tensor:
        ctx.recipe, ctx.dtype = recipe, x.dtype
        if has_fp8(x.device, recipe.tile):
            ctx.save_for_backward(x, w)
        else:
            x = _round(x, recipe.tile, recipe.form, recipe)
            w = _round(w, recipe.square, recipe.form, recipe)
            ctx.save_for_backward(x, w)
            with torch.autocast(x.device.type, enabled=False):  # it would round factors to bf16
                return (x @ w.t()).to(ctx.dtype)
        return _real(x, w, recipe.square, (recipe.form, recipe.form), recipe).to(ctx.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (x, w), r, g = ctx.saved_tensors, ctx.recipe, grads[0].float()
        real, dx, dw = has_fp8(x.device, r.tile), None, None
        forms = (r.gradients, r.form)
        if ctx.needs_input_grad[0]:  # summed over the outputs: g in rows, w as it was
            dx = _real(g, w.t(), r.square, forms, r) if real else _round(g, r.tile, forms[0], r) @ w
        if ctx.needs_input_grad[1]:  # summed over the tokens: tiles turn from 1 x 128 to 128 x 1
            if real:
                x = through_fp8(x, r.tile, r.form, power_of_two=r.power_of_two)
                dw = _real(g.t(), x.t(), r.tile, forms, r)
            else:
                dw = _round(g, r.column, forms[0], r).t() @ _round(x, r.column, r.form, r)
        return None if dx is None else dx.to(ctx.dtype), dw, None


def fp8_linear(
    x: Float[Tensor, "*any i"], w: Float[Tensor, "o i"], recipe: Recipe = V3
) -> Float[Tensor, "*any o"]:
    """Return x w^T from factors in FP8; gradients, too, come from products of FP8 factors.

    `w` and its gradient stay float32. The output has the type of `x`. For Wgrad the rounded `x` is
    rounded again in tiles along the tokens, as V3 does (3.3.3).
    """
    y = _Product.apply(x.reshape(-1, x.shape[-1]), w, recipe)
    return y.view(*x.shape[:-1], len(w))


class Fp8Linear(nn.Linear):
    """`nn.Linear` whose products take FP8 factors; the same weights under the same names."""

    def __init__(self, linear: nn.Linear, recipe: Recipe = V3) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight, self.bias, self.recipe = linear.weight, linear.bias, recipe

    def forward(self, input: Float[Tensor, "*any i"]) -> Float[Tensor, "*any o"]:
        """Return the layer's output; the bias is added in full precision."""
        y = fp8_linear(input, self.weight, self.recipe)
        return y if self.bias is None else y + self.bias


class Fp8Experts(Experts):
    """`Experts`, one after another, with products of FP8 factors; same weights, same names."""

    def __init__(self, experts: Experts, recipe: Recipe = V3) -> None:
        nn.Module.__init__(self)
        self.gate_up, self.down, self.recipe = experts.gate_up, experts.down, recipe

    def forward(self, x: Float[Tensor, "t d"], routing: Routing) -> Float[Tensor, "t d"]:
        """Return for each token the weighted sum of its experts."""
        out = torch.zeros_like(x)
        for expert in routing.experts.unique().tolist():
            token, slot = (routing.experts == expert).nonzero(as_tuple=True)
            hidden = gated_silu(fp8_linear(x[token], self.gate_up[expert], self.recipe))
            y = fp8_linear(hidden, self.down[expert], self.recipe)
            y = y * routing.weights[token, slot, None]
            out = out.index_add(0, token, y.to(out.dtype))
        return out


def to_fp8(model: nn.Module, recipe: Recipe = V3, *, keep: Sequence[str] = KEPT) -> list[str]:
    """Change `model` so that its linear layers and experts multiply in FP8; return their names.

    Weights are shared with the layers they replace: an optimizer made before goes on. Layers whose
    last name is in `keep` stay as they are. Embedding, norms, router and attention core are no
    linear layers, so they stay in any case. Calling it again changes the recipe. ValueError for a
    model that several processes share, and for a single layer.
    """
    if any(hasattr(weight, "full_tensor") for weight in model.parameters()):
        raise ValueError("this model is spread over several processes: call to_fp8 before that")
    changed = []
    for name, part in list(model.named_modules()):
        last = name.rpartition(".")[2]
        new: nn.Module
        if isinstance(part, nn.Linear) and last not in keep:
            new = Fp8Linear(part, recipe)
        elif isinstance(part, Experts):
            new = Fp8Experts(part, recipe)
        else:
            continue
        if not name:
            raise ValueError("model is a single layer: give Fp8Linear(model) its place yourself")
        model.get_submodule(name.rpartition(".")[0]).register_module(last, new)
        changed.append(name)
    return changed


def _round(x: Tensor, block: Block, form: Format, recipe: Recipe) -> Tensor:
    return through_fp8(x, block, form, power_of_two=recipe.power_of_two)


def _real(
    a: Tensor, b: Tensor, block_b: Block, forms: tuple[Format, Format], recipe: Recipe
) -> Tensor:
    return real_product(
        a,
        b,
        block_a=recipe.tile,
        block_b=block_b,
        form_a=forms[0],
        form_b=forms[1],
        power_of_two=recipe.power_of_two,
    )
