"""Layers in FP8: three products, each rounded as it should be, around weights that are not."""

import pytest
import torch
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.nn import functional as F

from minids.model import fp8
from minids.model.fp8 import V3, Fp8Experts, Fp8Linear, Recipe, fp8_linear, to_fp8
from minids.model.fp8_formats import E4M3, E5M2, SQUARE, TILE, dequantise, quantise
from minids.model.fp8_gemm import has_fp8
from minids.model.products import Linear, products
from minids.model.transformer import Transformer
from minids.presets import preset
from minids.text.batches import packed
from minids.train.loop import fit
from minids.train.parallel import spread
from minids.train.update import adamw
from minids.train.world import World

SMALL = Recipe(size=16)
HOPPER = torch.cuda.is_available() and has_fp8("cuda", TILE)
DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=[
            pytest.mark.cuda,
            pytest.mark.skipif(not HOPPER, reason="needs a Hopper GPU"),
        ],
    ),
]


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def in_fp8(x, block, form=E4M3, power_of_two=False):
    """Through the FP8 type itself, and back."""
    return dequantise(*quantise(x, block, form, power_of_two=power_of_two), block)


def gradients(recipe, t=70, i=40, o=50, device="cpu"):
    """x, w, the gradient that comes in, and what fp8_linear makes of them."""
    x, w, g = draw(t, i).to(device), draw(o, i, seed=1).to(device), draw(t, o, seed=2).to(device)
    x.requires_grad_(), w.requires_grad_()
    y = fp8_linear(x, w, recipe)
    y.backward(g)
    return x.detach(), w.detach(), g, y.detach(), x.grad, w.grad


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("recipe", [V3, Recipe(power_of_two=True), Recipe(gradients=E5M2)])
@pytest.mark.parametrize("sizes", [(300, 200, 260), (1, 130, 1), (129, 1, 7)])
def test_all_three_products_take_factors_in_v3s_tiles(recipe, sizes, device):
    x, w, g, y, dx, dw = gradients(recipe, *sizes, device=device)
    p, n = recipe.power_of_two, recipe.gradients
    x8, w8 = in_fp8(x, (1, 128), E4M3, p), in_fp8(w, (128, 128), E4M3, p)
    tight = {"rtol": 1e-5, "atol": 1e-4} if device == "cpu" else {"rtol": 2e-3, "atol": 2e-2}
    torch.testing.assert_close(y, x8 @ w8.T, **tight)
    torch.testing.assert_close(dx, in_fp8(g, (1, 128), n, p) @ w8, **tight)
    retiled = in_fp8(x8, (128, 1), E4M3, p)
    torch.testing.assert_close(dw, in_fp8(g, (128, 1), n, p).T @ retiled, **tight)


@pytest.mark.parametrize("recipe", [V3, Recipe(size=None), Recipe(gradients=E5M2)])
def test_the_real_products_get_the_factors_of_the_simulated_ones(recipe, monkeypatch):
    def stands_in(a, b, *, block_a, block_b, form_a, form_b, power_of_two):
        return in_fp8(a, block_a, form_a, power_of_two) @ in_fp8(b, block_b, form_b, power_of_two).T

    want = gradients(recipe, 300, 200, 140)
    monkeypatch.setattr(fp8, "has_fp8", lambda *_: True)
    monkeypatch.setattr(fp8, "real_product", stands_in)
    for got, simulated in zip(gradients(recipe, 300, 200, 140), want, strict=True):
        torch.testing.assert_close(got, simulated, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("recipe", [V3, SMALL, Recipe(size=None)])
def test_the_result_is_near_the_exact_one_and_not_equal(recipe, device):
    x, w, g, y, dx, dw = gradients(recipe, 256, 192, 160, device=device)
    for got, want in ((y, x @ w.T), (dx, g @ w), (dw, g.T @ x)):
        error = float((got - want).norm() / want.norm())
        assert 0.02 < error < 0.06, "two factors, each 2.6 % off"


def test_gradients_below_fp8s_smallest_number_are_not_lost():
    x, w = draw(64, 32).requires_grad_(), draw(16, 32, seed=1).requires_grad_()
    g = 1e-9 * draw(64, 16, seed=2)
    fp8_linear(x, w, SMALL).backward(g)
    exact = g.T @ x.detach()
    assert float((w.grad - exact).norm() / exact.norm()) < 0.06
    unscaled = g.to(torch.float8_e4m3fn).float()
    assert unscaled.abs().max() == 0, "without scales nothing would be left"


def test_one_outlier_costs_a_tile_or_everything():
    x, w = draw(64, 64), draw(32, 64, seed=1)
    w[:, 0] = 0
    spoiled = x.clone()
    spoiled[0, 0] = 1e7
    for recipe, lost in ((SMALL, 1), (Recipe(size=None), 64)):
        before, after = fp8_linear(x, w, recipe), fp8_linear(spoiled, w, recipe)
        exact = x @ w.T
        off = ((after - exact).norm(dim=1) > 0.2 * exact.norm(dim=1)).sum()
        assert off == lost
        assert recipe.size is None or torch.equal(before[1:], after[1:])


def test_leading_axes_and_types_are_kept():
    w = draw(24, 16)
    for shape in ((16,), (1, 16), (2, 3, 16)):
        assert fp8_linear(draw(*shape), w, SMALL).shape == (*shape[:-1], 24)
    x = draw(4, 16).bfloat16().requires_grad_()
    y = fp8_linear(x, w, SMALL)
    y.sum().backward()
    assert y.dtype == x.grad.dtype == torch.bfloat16


def test_a_layer_keeps_weights_names_and_bias():
    linear = nn.Linear(16, 24)
    layer = Fp8Linear(linear, SMALL)
    assert list(layer.state_dict()) == list(linear.state_dict())
    assert layer.weight is linear.weight and layer.weight.dtype == torch.float32
    x = draw(5, 16)
    torch.testing.assert_close(layer(x), fp8_linear(x, linear.weight, SMALL) + linear.bias)
    layer(x).sum().backward()
    torch.testing.assert_close(linear.bias.grad, torch.full((24,), 5.0))
    assert linear.weight.grad.dtype == torch.float32


# ---- a whole model


def tokens(seed=0, b=2, t=32):
    return torch.randint(1024, (b, t), generator=torch.Generator().manual_seed(seed))


def test_what_v3_keeps_in_higher_precision_stays_so():
    model = Transformer(preset("toy-v3"))
    changed = to_fp8(model, SMALL)
    assert {name.rpartition(".")[2] for name in changed} == {
        "q_up", "kv_down", "out", "gate_up", "down", "experts",
    }  # fmt: skip
    kept = {name for name, part in model.named_modules() if type(part) is Linear}
    assert kept == {"head"} | {f"layers.{i}.attention.kv_up" for i in range(model.c.n_layers)}
    assert type(model.embed) is nn.Embedding
    routers = [part for name, part in model.named_modules() if name.endswith("router")]
    assert routers and all(type(part).__name__ == "Router" for part in routers)


@pytest.mark.parametrize("name", ["toy-llama", "toy-v3"])
def test_changing_a_model_changes_no_weight_and_no_name(name):
    model = Transformer(preset(name))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    parameters = [id(p) for p in model.parameters()]
    exact = model(tokens()).logits.detach()
    to_fp8(model, SMALL)
    after = model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[key], before[key]) for key in before)
    assert [id(p) for p in model.parameters()] == parameters
    rounded = model(tokens()).logits.detach()
    assert 1e-4 < float((rounded - exact).norm() / exact.norm()) < 0.2


@torch.no_grad()
def test_experts_in_fp8_are_experts_of_rounded_factors():
    c = preset("toy-v3")
    moe = Transformer(c).layers[1].ffn
    x = draw(2, 9, c.dim)
    routing = moe.router(x.flatten(0, 1))
    exact = moe.experts(x.flatten(0, 1), routing)
    out = Fp8Experts(moe.experts, SMALL)(x.flatten(0, 1), routing)
    assert 0.01 < float((out - exact).norm() / exact.norm()) < 0.1
    alone = torch.zeros_like(out)
    for t in range(len(out)):
        for expert, weight in zip(routing.experts[t], routing.weights[t], strict=True):
            w = moe.experts.gate_up[expert], moe.experts.down[expert]
            gate, up = (
                in_fp8(x.flatten(0, 1)[t : t + 1], (1, 16)) @ in_fp8(w[0], (16, 16)).T
            ).chunk(2, -1)
            hidden = in_fp8(F.silu(gate) * up, (1, 16))
            alone[t] += weight * (hidden @ in_fp8(w[1], (16, 16)).T)[0]
    torch.testing.assert_close(out, alone, rtol=1e-3, atol=1e-5)


def test_every_weight_of_a_converted_model_learns():
    model = Transformer(preset("toy-v3"))
    to_fp8(model, SMALL)
    model(tokens(b=4)).logits.square().mean().backward()
    silent = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not silent


def test_the_master_weights_move_by_less_than_fp8_can_tell():
    model = Transformer(preset("toy-llama"))
    to_fp8(model, SMALL)
    layer = model.layers[0].ffn.down
    before = layer.weight.detach().clone()
    text = torch.randint(1024, (500,), generator=torch.Generator().manual_seed(1))
    list(fit(model, packed(text, batch=2, length=16, seed=0), steps=1, lr=1e-5, warmup=0))
    assert (layer.weight != before).float().mean() > 0.9
    rounded = [quantise(w, SQUARE).numbers.float() for w in (before, layer.weight.detach())]
    assert (rounded[0] == rounded[1]).float().mean() > 0.9, "in FP8 most weights would stand still"


def test_an_optimizer_made_before_goes_on_after():
    model = Transformer(preset("toy-llama"))
    optimizer = adamw(model, lr=1e-3)
    to_fp8(model, SMALL)
    known = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert known == {id(p) for p in model.parameters()}


def test_bf16_for_the_rest_leaves_the_fp8_products_alone():
    layer, x = Fp8Linear(nn.Linear(32, 16, bias=False), SMALL), draw(8, 32)
    with products("bf16"):
        inside = layer(x)
    assert torch.equal(inside, layer(x))


def test_a_model_that_several_processes_share_is_refused():
    model = Transformer(preset("toy-v3"))
    model.embed.weight.full_tensor = lambda: model.embed.weight
    with pytest.raises(ValueError, match="spread over several processes: call to_fp8 before"):
        to_fp8(model)


def test_experts_in_fp8_are_not_spread():
    model = Transformer(preset("toy-v3"))
    to_fp8(model, Recipe(size=16))
    with pytest.raises(ValueError, match="experts in FP8 work in one process"):
        spread(model, World(rank=0, size=2, mesh=DeviceMesh.__new__(DeviceMesh)))


def test_calling_it_again_changes_the_recipe():
    model = Transformer(preset("toy-v3"))
    first = to_fp8(model, SMALL)
    assert to_fp8(model, Recipe(size=None)) == first
    assert model.layers[0].ffn.down.recipe.size is None


def test_a_recipe_without_sense_is_refused():
    with pytest.raises(ValueError, match="None is no tiles"):
        Recipe(size=0)
    with pytest.raises(ValueError, match="single layer"):
        to_fp8(nn.Linear(2, 2))


def test_the_simulated_product_is_fp32_under_autocast_too():
    g = torch.Generator().manual_seed(0)
    x, w = torch.randn(8, 64, generator=g), torch.randn(16, 64, generator=g)
    alone = fp8_linear(x, w, Recipe(size=16))
    with torch.autocast("cpu", torch.bfloat16):
        within = fp8_linear(x, w, Recipe(size=16))
    torch.testing.assert_close(within, alone, rtol=0, atol=0)
