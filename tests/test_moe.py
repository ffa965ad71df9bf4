"""Two ways to compute experts, and what must hold whichever computes them."""

import copy
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from minids.config import GQAConfig, ModelConfig, MoEConfig
from minids.model import experts
from minids.model.balance import load, nudge
from minids.model.experts import (
    Experts,
    experts_grouped,
    experts_loop,
    experts_of_one_token,
    grouped_linear,
)
from minids.model.layers import SwiGLU, init_weights
from minids.model.moe import MoE
from minids.model.products import products
from minids.model.routing import drop, kept_by_affinity, route, softmax_scores

V3 = MoEConfig(
    n_routed=8,
    n_shared=1,
    top_k=3,
    hidden=12,
    scores="sigmoid",
    normalise=True,
    scale=2.5,
    n_groups=4,
    kept_groups=2,
    group_score="top2",
    biased=True,
)
V1 = MoEConfig(n_routed=6, n_shared=2, top_k=2, hidden=8)


def model_with(moe: MoEConfig | None, dim: int = 20) -> ModelConfig:
    return ModelConfig(
        name="tiny",
        vocab=11,
        dim=dim,
        n_layers=1,
        hidden=24,
        attention=GQAConfig(n_heads=2, n_kv_heads=1, head_dim=4),
        moe=moe,
        context=16,
        init_std=0.4,
    )


def moe_layer(moe: MoEConfig = V3, dim: int = 20, seed: int = 0) -> MoE:
    layer = MoE(model_with(moe, dim))
    init_weights(layer, 0.4, torch.Generator().manual_seed(seed))
    return layer


def normal(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def layer_inputs(tokens, experts, k, dim, hidden, dtype=torch.float32, tilt=0.0):
    x = normal(tokens, dim, seed=1, dtype=dtype)
    gate_up = normal(experts, 2 * hidden, dim, seed=2, dtype=dtype) * 0.4
    down = normal(experts, dim, hidden, seed=3, dtype=dtype) * 0.4
    logits = normal(tokens, experts, seed=4, dtype=dtype)
    logits = logits + tilt * torch.linspace(0, 1, experts, dtype=dtype)
    return [leaf.requires_grad_() for leaf in (x, gate_up, down, logits)]


def value_and_gradients(compute, leaves, k):
    x, gate_up, down, logits = leaves
    y = compute(x, gate_up, down, route(softmax_scores(logits), top_k=k))
    return y, *torch.autograd.grad((y * normal(*y.shape, seed=9).to(y.dtype)).sum(), leaves)


def error(got, want):
    return ((got.float() - want).norm() / want.norm()).item()


def dense_masked(x, gate_up, down, routing):
    """Every expert on every token, times a weight that is 0 for those not chosen."""
    gate, up = torch.einsum("td,ehd->teh", x, gate_up).chunk(2, -1)
    y = torch.einsum("teh,edh->ted", F.silu(gate) * up, down)
    weights = torch.zeros_like(routing.scores).scatter(-1, routing.experts, routing.weights)
    return torch.einsum("ted,te->td", y, weights)


@pytest.mark.parametrize("other", [experts_grouped, dense_masked])
@pytest.mark.parametrize(
    "tokens, experts, k, dim, hidden, tilt",
    [
        (37, 8, 3, 20, 12, 0.0),
        (5, 16, 2, 20, 12, 0.0),  # more experts than tokens
        (40, 8, 2, 20, 12, 200.0),  # six experts get no token
        (9, 4, 4, 20, 12, 0.0),  # every expert gets every token
        (23, 6, 2, 7, 5, 0.0),  # widths that the grouped product refuses
        (1, 8, 3, 20, 12, 0.0),
    ],
)
def test_the_loop_is_what_the_others_compute_in_value_and_gradient(
    other, tokens, experts, k, dim, hidden, tilt
):
    leaves = layer_inputs(tokens, experts, k, dim, hidden, tilt=tilt)
    expected = value_and_gradients(experts_loop, leaves, k)
    for got, want in zip(value_and_gradients(other, leaves, k), expected, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rows", [4, 7, 64])
@pytest.mark.parametrize("tilt", [0.0, 200.0])  # with 200, six experts get no token
def test_groups_that_are_filled_up_change_no_value_and_no_gradient(rows, tilt, monkeypatch):
    leaves = layer_inputs(37, 8, 3, 20, 12, tilt=tilt)
    expected = value_and_gradients(experts_loop, leaves, 3)
    monkeypatch.setattr(experts, "_rows", lambda *_: rows)
    for got, want in zip(value_and_gradients(experts_grouped, leaves, 3), expected, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)


def test_filled_up_groups_have_few_sizes_and_lose_no_assignment():
    routing = route(softmax_scores(normal(50, 5)), top_k=2)
    token, weights, ends = experts.by_expert(routing, 5, rows=8)
    sizes = ends.diff(prepend=ends.new_zeros(1))
    asked = torch.bincount(routing.experts.flatten(), minlength=5)
    assert not (sizes % 8).any()
    assert ((sizes >= asked) & (sizes < asked + 8)).all()
    assert (weights != 0).sum() == 100
    for expert, (mine, w) in enumerate(
        zip(token.split(sizes.tolist()), weights.split(sizes.tolist()), strict=True)
    ):
        chose = (routing.experts == expert).any(-1).nonzero().flatten()
        assert torch.equal(mine[w != 0], chose)


def test_only_large_products_on_a_cpu_are_filled_up():
    few, many = (route(softmax_scores(normal(t, 4)), top_k=2) for t in (8, 4096))
    weight = torch.empty(4, 64, 64)
    assert experts._rows(torch.empty(8, 64), weight, few) == 1
    assert experts._rows(torch.empty(4096, 64), weight, many) == experts.ROWS
    assert experts._rows(torch.empty(4096, 64, device="meta"), weight, many) == 1


def test_one_token_alone_is_computed_as_in_the_loop_in_value_and_gradient():
    leaves = layer_inputs(1, 8, 3, 20, 12)
    expected = value_and_gradients(experts_loop, leaves, 3)
    for got, want in zip(
        value_and_gradients(experts_of_one_token, leaves, 3), expected, strict=True
    ):
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dim", [3, 4])  # of 4, rows are 16 bytes and more
@pytest.mark.parametrize("compute", [experts_loop, experts_grouped, experts_of_one_token])
def test_gradients_are_those_of_finite_differences(compute, dim):
    tokens = 1 if compute is experts_of_one_token else 4
    leaves = layer_inputs(tokens, 5, 2, dim, 2, dtype=torch.float64)

    def layer(x, gate_up, down, logits):
        return compute(x, gate_up, down, route(softmax_scores(logits), top_k=2, normalise=True))

    assert torch.autograd.gradcheck(layer, leaves)


def test_idle_experts_get_gradient_zero():
    for compute in (experts_loop, experts_grouped):
        _, _, gate_up, down, _ = value_and_gradients(
            compute, layer_inputs(40, 8, 2, 20, 12, tilt=200.0), 2
        )
        assert not gate_up[:6].any()
        assert not down[:6].any()
        assert gate_up[6:].any()


def test_grouped_rows_meet_their_own_matrix_and_no_other():
    x, weight = torch.eye(4), torch.arange(3 * 8 * 4.0).view(3, 8, 4)
    y = grouped_linear(x, weight, torch.tensor([1, 1, 4], dtype=torch.int32))
    torch.testing.assert_close(y, torch.stack([weight[0, :, 0], *weight[2, :, 1:].T]))


def test_choosing_all_experts_is_a_dense_layer():
    # Four copies of one expert whose weights sum to 1 are that expert.
    layer = moe_layer(
        MoEConfig(n_routed=4, n_shared=0, top_k=4, hidden=12, scores="sigmoid", normalise=True)
    )
    dense = SwiGLU(20, 12)
    with torch.no_grad():
        layer.experts.gate_up.copy_(dense.gate_up.weight.expand(4, -1, -1))
        layer.experts.down.copy_(dense.down.weight.expand(4, -1, -1))
    x = normal(2, 5, 20)
    torch.testing.assert_close(layer(x)[0], dense(x))


def test_splitting_an_expert_in_two_halves_changes_nothing_when_both_are_chosen():
    # Fine-grained segmentation (DeepSeekMoE, 3.1) only adds combinations.
    whole, halves = Experts(3, 8, 12), Experts(6, 8, 6)
    init_weights(whole, 0.4, torch.Generator().manual_seed(0))
    with torch.no_grad():
        gate, up = whole.gate_up.view(3, 2, 2, 6, 8).unbind(1)
        halves.gate_up.copy_(torch.cat([gate, up], 2).flatten(0, 1))
        halves.down.copy_(whole.down.view(3, 8, 2, 6).transpose(1, 2).flatten(0, 1))
    x, routing = normal(7, 8), route(softmax_scores(normal(7, 3, seed=5)), top_k=1)
    both = torch.cat([2 * routing.experts, 2 * routing.experts + 1], -1)
    pair = routing._replace(experts=both, weights=routing.weights.repeat(1, 2))
    torch.testing.assert_close(halves(x, pair), whole(x, routing))


def test_the_layer_is_shared_plus_chosen_experts():
    layer, x = moe_layer(), normal(2, 5, 20)
    y, routing = layer(x)
    flat = x.flatten(0, 1)
    routed = dense_masked(flat, layer.experts.gate_up, layer.experts.down, routing)
    torch.testing.assert_close(y, layer.shared(x) + routed.view_as(x))
    assert routing.experts.shape == (10, 3)
    assert routing.scores.shape == (10, 8)
    torch.testing.assert_close(routing.weights.sum(-1), torch.full((10,), 2.5))


def test_shared_experts_are_one_wide_one():
    one, layer = moe_layer(V1).shared, moe_layer(V1)
    assert one.down.weight.shape == (20, 16)
    first, second = SwiGLU(20, 8), SwiGLU(20, 8)
    with torch.no_grad():
        gate, up = layer.shared.gate_up.weight.chunk(2)
        for i, part in enumerate((first, second)):
            rows = slice(8 * i, 8 * i + 8)
            part.gate_up.weight.copy_(torch.cat([gate[rows], up[rows]]))
            part.down.weight.copy_(layer.shared.down.weight[:, rows])
    x = normal(3, 20)
    torch.testing.assert_close(layer.shared(x), first(x) + second(x))


def test_a_layer_without_shared_experts_has_none():
    layer = moe_layer(replace(V1, n_shared=0))
    assert layer.shared is None
    assert layer(normal(1, 3, 20))[0].shape == (1, 3, 20)


def test_a_config_without_experts_is_refused():
    with pytest.raises(ValueError, match="tiny has no experts"):
        MoE(model_with(None))


def test_a_sequence_gives_alone_what_it_gives_in_a_batch():
    layer, x = moe_layer(), normal(3, 7, 20)
    together, routing = layer(x)
    for i in range(3):
        alone, own = layer(x[i : i + 1])
        torch.testing.assert_close(alone[0], together[i])
        assert torch.equal(own.experts, routing.experts[7 * i : 7 * i + 7])


def test_a_token_gives_alone_what_it_gives_in_its_sequence():
    layer, x = moe_layer(), normal(2, 7, 20)
    steps = torch.cat([layer(x[:, t : t + 1])[0] for t in range(7)], 1)
    torch.testing.assert_close(steps, layer(x)[0])
    single = torch.cat([layer(x[:1, t : t + 1])[0] for t in range(7)], 1)
    torch.testing.assert_close(single, layer(x)[0][:1])


def test_only_chosen_experts_and_the_router_learn_from_a_token():
    layer = moe_layer()
    y, routing = layer(normal(1, 1, 20))
    y.square().sum().backward()
    learned = layer.experts.gate_up.grad.flatten(1).any(-1).nonzero().flatten().tolist()
    assert learned == sorted(routing.experts[0].tolist())
    assert layer.router.weight.grad.any()


@pytest.mark.parametrize("normalise, learns", [(True, False), (False, True)])
def test_a_renormalised_gate_over_one_expert_teaches_the_router_nothing(normalise, learns):
    # The trap: s / s is the constant 1.
    layer = moe_layer(replace(V1, top_k=1, normalise=normalise))
    layer(normal(2, 9, 20))[0].square().sum().backward()
    assert (layer.router.weight.grad.abs().max().item() > 1e-3) == learns


def test_a_bias_that_does_not_change_the_choice_leaves_the_output_bit_equal():
    layer, x = moe_layer(), normal(2, 9, 20)
    before, old = layer(x)
    layer.router.bias += 0.25  # for all alike
    after, new = layer(x)
    assert torch.equal(old.experts, new.experts)
    assert torch.equal(before, after)


def test_but_a_bias_that_changes_the_choice_changes_the_output():
    layer, x = moe_layer(), normal(2, 9, 20)
    before, _ = layer(x)
    layer.router.bias[0] = 2.0
    after, routing = layer(x)
    assert (routing.experts == 0).any(-1).all()
    assert (before - after).abs().max() > 0.1


def test_the_bias_is_a_buffer_that_no_gradient_reaches_and_forward_never_writes():
    layer = moe_layer()
    assert dict(layer.named_buffers()).keys() == {"router.bias"}
    assert "router.bias" in layer.state_dict()
    y, routing = layer(normal(2, 9, 20))
    y.sum().backward()
    assert not layer.router.bias.any()
    layer.router.bias = nudge(layer.router.bias, load(routing), 0.001)
    assert layer.state_dict()["router.bias"].any()


def test_a_model_without_bias_has_no_buffer():
    layer = moe_layer(V1)
    assert layer.router.bias is None
    assert not list(layer.buffers())


@pytest.mark.parametrize(
    "cast",
    [
        lambda m: m.to(torch.bfloat16),
        lambda m: m.half(),
        lambda m: m.double(),
        lambda m: m.bfloat16().float(),
        lambda m: copy.deepcopy(m).bfloat16(),
        lambda m: torch.nn.Sequential(m).to(torch.bfloat16)[0],
    ],
)
def test_the_bias_stays_float32_to_the_last_bit_in_a_model_of_any_type(cast):
    # In bfloat16, 0.501 would become 0.5, and a step of 0.001 would be lost for good.
    layer = moe_layer()
    layer.router.bias.fill_(0.501)
    layer = cast(layer)
    assert layer.router.bias.dtype == torch.float32
    assert torch.equal(layer.router.bias, torch.full((8,), 0.501))
    assert layer.router.bias is layer.get_buffer("router.bias")


def test_the_bias_moves_with_the_model():
    with torch.device("meta"):
        layer = MoE(model_with(V3)).bfloat16()
    assert layer.router.bias.is_meta and layer.router.bias.dtype == torch.float32
    layer = layer.to_empty(device="cpu")
    assert layer.router.bias.device.type == "cpu"
    layer.load_state_dict(moe_layer().state_dict())
    assert layer.router.bias.dtype == torch.float32 and not layer.router.bias.any()


def test_the_choice_is_made_in_float32_in_a_bfloat16_model():
    layer, x = moe_layer().bfloat16(), normal(2, 50, 20).bfloat16()
    y, routing = layer(x)
    assert y.dtype == torch.bfloat16
    assert routing.scores.dtype == routing.weights.dtype == torch.float32
    exact = moe_layer()
    exact.load_state_dict({k: v.float() for k, v in layer.state_dict().items()})
    reference, wanted = exact(x.float())
    assert torch.equal(routing.experts, wanted.experts)
    torch.testing.assert_close(routing.weights, wanted.weights)
    assert error(y, reference) < 0.02


@pytest.mark.parametrize("context", ["autocast", "products"])
def test_the_choice_is_made_in_float32_when_products_are_not(context):
    layer, x = moe_layer(), normal(2, 200, 20)
    low = torch.autocast("cpu", torch.bfloat16) if context == "autocast" else products("bf16")
    reference, wanted = layer(x)
    with low:
        y, routing = layer(x)
    assert torch.equal(routing.scores, wanted.scores)
    assert 1e-4 < error(y, reference) < 0.02


def test_autocast_trains_float32_weights_with_bfloat16_products():
    layer, x = moe_layer(dim=16), normal(2, 30, 16).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        y, _ = layer(x)
    assert y.dtype == torch.float32  # as the stream it is added to: sums over experts are wide
    y.square().sum().backward()
    low = [p.grad for p in layer.parameters()] + [x.grad]
    assert all(g.dtype == torch.float32 for g in low)
    layer.zero_grad()
    x.grad = None
    layer(x)[0].square().sum().backward()
    for got, want in zip(low, [p.grad for p in layer.parameters()] + [x.grad], strict=True):
        assert error(got, want) < 0.03


def test_a_dropped_routing_takes_another_way_than_forward():
    layer, x = moe_layer(V1), normal(1, 12, 20)
    _, routing = layer(x)
    kept = kept_by_affinity(routing, n_devices=6, factor=0.5)
    y = layer.mix(x, drop(routing, kept))
    gone = (~kept).all(-1)
    assert gone.any()
    torch.testing.assert_close(y[0, gone], layer.shared(x)[0, gone])
    whole = kept.all(-1)
    torch.testing.assert_close(y[0, whole], layer(x)[0][0, whole])


def test_building_and_counting_agree():
    layer = moe_layer()
    experts, router, shared = 8 * 3 * 20 * 12, 8 * 20, 3 * 20 * 12
    assert sum(p.numel() for p in layer.parameters()) == experts + router + shared


def test_sums_over_experts_stay_wide_under_autocast():
    experts = Experts(8, 16, 16)
    init_weights(experts, 0.1)
    x, routing = torch.randn(16, 16), route(softmax_scores(torch.randn(16, 8)), top_k=2)
    with torch.autocast("cpu", torch.bfloat16):
        y = experts_grouped(x, experts.gate_up, experts.down, routing)
    assert y.dtype == torch.float32


ONE_GRAPH = """
from dataclasses import replace
import torch
from minids.model.transformer import Transformer
from minids.presets import preset

for name in ("toy-llama", "toy-v3"):
    config = replace(preset(name), n_layers=2)  # the first of the V3 toy is dense
    model, tokens = Transformer(config, seed=0), torch.arange(2 * 40).view(2, 40)
    with torch.autocast("cpu", torch.bfloat16):  # torch cannot trace grouped products in fp32
        found = torch._dynamo.explain(model)(tokens)
    print(name, found.graph_count, found.break_reasons)
"""


def test_models_are_one_graph_to_a_compiler():
    # In a process of its own: checked signatures know no tensors of a compiler.
    done = subprocess.run([sys.executable, "-c", ONE_GRAPH], capture_output=True, text=True)
    assert done.stdout.splitlines() == ["toy-llama 1 []", "toy-v3 1 []"], done.stdout + done.stderr
