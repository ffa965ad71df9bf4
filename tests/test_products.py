"""Other ways to multiply give the same layer: exactly in fp32, to rounding in bf16."""

import pytest
import torch
from torch.nn import functional as F

from minids.model.products import fastest, products


def layer(kind, shape=(3, 5, 24), out=40, bias=False, seed=0):
    """Output and gradients of one linear layer under `kind`."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(*shape, generator=g, requires_grad=True)
    w = torch.randn(out, shape[-1], generator=g, requires_grad=True)
    b = torch.randn(out, generator=g, requires_grad=True) if bias else None
    weights = torch.randn(*shape[:-1], out, generator=g)
    with products(kind):
        y = F.linear(x, w, b)
    (y * weights).sum().backward()
    return [y.detach(), x.grad, w.grad] + ([b.grad] if bias else [])


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", [(3, 5, 24), (7, 24), (24,), (1, 1, 24)])
def test_onednn_gives_the_same_output_and_gradients(shape, bias):
    for ours, plain in zip(
        layer("onednn", shape, bias=bias), layer("plain", shape, bias=bias), strict=True
    ):
        torch.testing.assert_close(ours, plain, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("bias", [False, True])
def test_bf16_products_round_the_factors_and_stay_fp32_outside(bias):
    for ours, plain in zip(layer("bf16", bias=bias), layer("plain", bias=bias), strict=True):
        assert ours.dtype == torch.float32
        error = (ours - plain).norm() / plain.norm()
        assert error < 1e-2
    assert (layer("bf16")[0] - layer("plain")[0]).norm() > 1e-5  # it does round


def test_other_dtypes_and_no_rows_at_all_pass_through():
    w = torch.randn(4, 6)
    with products("bf16"):
        assert F.linear(torch.randn(2, 6).double(), w.double()).dtype == torch.float64
        assert F.linear(torch.randn(0, 6), w).shape == (0, 4)


def test_after_the_context_all_is_as_before():
    x, w = torch.randn(8, 16), torch.randn(4, 16)
    with products("bf16"):
        rounded = F.linear(x, w)
    assert torch.equal(F.linear(x, w), x @ w.t())
    assert not torch.equal(F.linear(x, w), rounded)


def test_exact_products_are_never_bf16():
    assert fastest(exact=True) in ("plain", "onednn")
    assert fastest() in ("plain", "onednn", "bf16")


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="'plain', 'onednn' or 'bf16', got 'fp4'"):
        products("fp4")
