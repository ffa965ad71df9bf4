"""RMSNorm and SwiGLU against numbers one can do on paper."""

import math

import pytest
import torch

from minids.model.layers import (
    FEW,
    RMSNorm,
    SwiGLU,
    gated_silu,
    gated_silu_written_out,
    init_weights,
    rms_norm_written_out,
)


def test_rms_norm_of_three_four_is_known():
    # root mean square of (3, 4) is sqrt(12.5)
    y = RMSNorm(2, eps=0)(torch.tensor([3.0, 4.0]))
    torch.testing.assert_close(y, torch.tensor([3.0, 4.0]) / math.sqrt(12.5))


def test_rms_norm_is_the_formula_gain_and_eps_included():
    norm = RMSNorm(7, eps=0.3)
    torch.nn.init.normal_(norm.weight, generator=torch.Generator().manual_seed(1))
    x = torch.randn(3, 5, 7, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(norm(x), rms_norm_written_out(x, norm.weight, 0.3))


@pytest.mark.parametrize("shape", [(1, 1, 7), (3, 5, 7), (FEW // 7 + 1, 7)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_rms_norm_without_gradients_is_the_same_formula_for_few_numbers_and_for_many(shape, dtype):
    norm = RMSNorm(7, eps=0.3).to(dtype)
    torch.nn.init.normal_(norm.weight, generator=torch.Generator().manual_seed(1))
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    with torch.no_grad():
        y = norm(x)
    assert y.dtype == dtype and norm.state_dict().keys() == {"weight"}
    torch.testing.assert_close(y, rms_norm_written_out(x, norm.weight, 0.3).detach())


def test_rms_norm_forgets_the_length_of_a_vector_and_keeps_its_direction():
    norm, x = RMSNorm(5), torch.randn(4, 5)
    torch.testing.assert_close(norm(3 * x), norm(x), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(norm(-x), -norm(x))
    torch.testing.assert_close(norm(x).square().mean(-1), torch.ones(4), rtol=1e-3, atol=1e-3)


def test_swiglu_gates_with_silu_of_the_first_half():
    ffn = SwiGLU(1, 1)
    with torch.no_grad():
        ffn.gate_up.weight.copy_(torch.tensor([[2.0], [3.0]]))
        ffn.down.weight.fill_(5.0)
    x = 0.5
    gate = 2 * x / (1 + math.exp(-2 * x))
    torch.testing.assert_close(ffn(torch.tensor([x])), torch.tensor([5 * gate * 3 * x]))


def test_tokens_do_not_see_each_other_in_a_feed_forward():
    ffn, x = SwiGLU(6, 10), torch.randn(2, 4, 6)
    torch.testing.assert_close(ffn(x)[:, 2], ffn(x[:, 2:3])[:, 0])


def test_initial_weights_depend_on_the_seed_alone():
    def drawn(seed):
        ffn = SwiGLU(20, 30)
        init_weights(ffn, 0.006, torch.Generator().manual_seed(seed))
        return ffn.down.weight

    assert torch.equal(drawn(3), drawn(3))
    assert not torch.equal(drawn(3), drawn(4))
    assert abs(drawn(3).std().item() / 0.006 - 1) < 0.1


def same_value_and_gradient(fast, formula, *inputs):
    """Both give the same output, and the same gradient of a random weighing of it."""
    copies = [[x.clone().requires_grad_() for x in inputs] for _ in range(2)]
    weights = torch.randn(fast(*inputs).shape, generator=torch.Generator().manual_seed(5)).double()
    outs = [f(*xs) for f, xs in zip((fast, formula), copies, strict=True)]
    for out in outs:
        (out * weights).sum().backward()
    torch.testing.assert_close(*outs)
    for a, b in zip(*copies, strict=True):
        torch.testing.assert_close(a.grad, b.grad)


def test_the_fast_norm_and_the_formula_agree_in_value_and_gradient():
    g = torch.Generator().manual_seed(0)
    x, gain = torch.randn(3, 5, 7, generator=g).double(), torch.randn(7, generator=g).double()
    norm = RMSNorm(7, eps=0.1).double()

    def fast(x, gain):
        return torch.func.functional_call(norm, {"weight": gain}, (x,))

    same_value_and_gradient(fast, lambda x, gain: rms_norm_written_out(x, gain, 0.1), x, gain)


@pytest.mark.parametrize("shape", [(3, 4, 10), (1, 2), (5, 6)])
def test_the_fast_gate_and_the_formula_agree_in_value_and_gradient(shape):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).double()
    same_value_and_gradient(gated_silu, gated_silu_written_out, x)


def test_a_single_vector_is_normalised_with_its_gradient():
    norm, x = RMSNorm(4), torch.randn(4, generator=torch.Generator().manual_seed(0))
    gradients = []
    for shape in ((4,), (1, 4)):
        leaf = x.view(shape).clone().requires_grad_()
        norm(leaf).square().sum().backward()
        gradients.append(leaf.grad.flatten())
    torch.testing.assert_close(*gradients)
    torch.testing.assert_close(
        norm.weight.grad, 2 * 2 * rms_norm_written_out(x, torch.ones(4), norm.eps) ** 2
    )


def test_initial_gains_are_one_and_biases_zero_whatever_they_were():
    norm, linear = RMSNorm(3), torch.nn.Linear(3, 4)
    parts = torch.nn.ModuleList([norm, linear])
    for parameter in parts.parameters():
        torch.nn.init.constant_(parameter, 7.0)
    init_weights(parts, 0.1, torch.Generator().manual_seed(0))
    assert norm.weight.eq(1).all() and linear.bias.eq(0).all() and linear.weight.ne(7).all()
