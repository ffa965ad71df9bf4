"""Other ways to multiply give the same layer: exactly in fp32, to rounding in bf16."""

import threading
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from minids.decode.sample import generate
from minids.model.attention import SHORT_BF16, attend
from minids.model.experts import grouped_linear
from minids.model.mtp import MTP
from minids.model.products import Linear, fastest, linear, products
from minids.model.transformer import Transformer
from minids.presets import preset


def layer(kind, shape=(3, 5, 24), out=40, bias=False, seed=0):
    """Output and gradients of one linear layer under `kind`."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(*shape, generator=g, requires_grad=True)
    w = torch.randn(out, shape[-1], generator=g, requires_grad=True)
    b = torch.randn(out, generator=g, requires_grad=True) if bias else None
    weights = torch.randn(*shape[:-1], out, generator=g)
    with products(kind):
        y = linear(x, w, b)
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


def attention(kind, t=32, s=32, width=8, heads=3, seed=0, scale=0.9):
    """Output and gradients of causal attention of the last t of s tokens under `kind`."""
    g = torch.Generator().manual_seed(seed)
    sizes = ((t, heads, 8), (s, 3, 8), (s, 3, width))
    q, k, v = (torch.randn(2, *size, generator=g, requires_grad=True) for size in sizes)
    weights = torch.randn(2, heads, t, width, generator=g)
    with products(kind):
        y = attend(*(x.transpose(1, 2) for x in (q, k, v)), scale)
    (y * weights).sum().backward()
    return [y.detach(), q.grad, k.grad, v.grad]


@pytest.mark.parametrize("sizes", [{}, {"t": 9}, {"width": 4}, {"s": 40, "heads": 6}])
def test_bf16_attention_is_attention_with_rounded_factors(sizes):
    pairs = zip(attention("bf16", **sizes), attention("plain", **sizes), strict=True)
    for ours, plain in pairs:
        assert ours.shape == plain.shape
        assert 0 < (ours - plain).norm() / plain.norm() < 2e-2


@pytest.mark.parametrize("s", [SHORT_BF16.start - 1, SHORT_BF16.stop])
def test_where_rounding_does_not_pay_attention_is_exact(s):
    pairs = zip(attention("bf16", t=s, s=s), attention("plain", t=s, s=s), strict=True)
    assert all(torch.equal(ours, plain) for ours, plain in pairs)


def test_a_single_new_token_attends_exactly():
    q, k = torch.randn(2, 3, 1, 8), torch.randn(2, 3, 32, 8)
    with products("bf16"):
        found = attend(q, k, k, 1.0)
    assert torch.equal(found, attend(q, k, k, 1.0))


def test_masked_attention_is_exact():
    q, mask = torch.randn(1, 1, 32, 8), torch.ones(1, 1, 32, 32).tril().bool()
    with products("bf16"):
        masked = attend(q, q, q, 1.0, mask)
    assert torch.equal(masked, attend(q, q, q, 1.0, mask))


@pytest.mark.parametrize("kind", ["plain", "onednn", "bf16"])
def test_a_latent_model_decodes_with_every_kind_of_products(kind):
    model = Transformer(preset("toy-v3")).eval()
    prompts = [[1, 2, 3], [4, 5, 6]]  # of equal length: no mask is needed
    with products(kind):
        written = generate(model, prompts, 5, temperature=0.0)
    assert written.tokens.shape == (2, 8) and torch.isfinite(written.logp).all()


def test_bf16_attention_does_not_see_the_future():
    q = torch.randn(1, 2, 32, 8)
    changed = q.clone()
    changed[:, :, 20:] += 1
    with products("bf16"):
        before, after = (attend(x, x, x, 1.0) for x in (q, changed))
    assert torch.equal(before[:, :, :20], after[:, :, :20])
    assert not torch.equal(before, after)


def grouped(kind, counts=(600, 0, 1000, 448), width=64, out=96, seed=0):
    """Output and gradients of a product by groups, one of them empty, under `kind`."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(sum(counts), width, generator=g, requires_grad=True)
    w = torch.randn(len(counts), out, width, generator=g, requires_grad=True)
    weights = torch.randn(sum(counts), out, generator=g)
    ends = torch.tensor(counts).cumsum(0).int()
    with products(kind):
        y = grouped_linear(x, w, ends)
    (y * weights).sum().backward()
    return [y.detach(), x.grad, w.grad]


def test_grouped_products_by_onednn_are_the_same():
    ours, plain = grouped("onednn"), grouped("plain")
    for a, b in zip(ours, plain, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
    assert not all(map(torch.equal, ours, plain))  # another library did sum them up


def test_grouped_products_in_bf16_round_the_factors():
    for ours, plain in zip(grouped("bf16"), grouped("plain"), strict=True):
        assert 1e-5 < (ours - plain).norm() / plain.norm() < 1e-2


def test_other_dtypes_and_no_rows_at_all_pass_through():
    w = torch.randn(4, 6)
    with products("bf16"):
        assert linear(torch.randn(2, 6).double(), w.double()).dtype == torch.float64
        assert linear(torch.randn(0, 6), w).shape == (0, 4)


def test_after_the_context_all_is_as_before_also_after_an_error():
    x, layer = torch.randn(8, 16), Linear(16, 4)
    with pytest.raises(KeyError), products("bf16"):
        rounded = layer(x)
        raise KeyError
    exact = F.linear(x, layer.weight, layer.bias)
    assert torch.equal(layer(x), exact) and not torch.equal(rounded, exact)


def test_the_innermost_context_counts_and_other_threads_have_their_own():
    x, layer, elsewhere = torch.randn(8, 16), Linear(16, 4, bias=False), []
    with products("bf16"):
        rounded = layer(x)
        with products("plain"):
            exact = layer(x)
        assert torch.equal(layer(x), rounded)
        thread = threading.Thread(target=lambda: elsewhere.append(layer(x)))
        thread.start()
        thread.join()
    assert torch.equal(exact, F.linear(x, layer.weight)) and not torch.equal(exact, rounded)
    assert torch.equal(elsewhere[0], exact)


def test_a_kind_wins_by_a_fifth_or_not_at_all(monkeypatch):
    seconds = {"plain": 1.0, "onednn": 0.85, "bf16": 0.7}
    monkeypatch.setattr("minids.model.products._measure", lambda _: seconds)
    assert (fastest(exact=True), fastest()) == ("plain", "bf16")
    seconds |= {"onednn": 0.75}
    assert (fastest(exact=True), fastest()) == ("onednn", "onednn")


@pytest.mark.parametrize("name", ["toy-llama", "toy-v3"])
def test_every_linear_layer_of_a_model_hears_what_is_asked_for(name):
    model = MTP(Transformer(replace(preset(name), mtp_depth=1)))
    layers = [part for part in model.modules() if isinstance(part, nn.Linear)]
    assert layers and all(type(part) is Linear for part in layers)


def test_groups_whose_rows_are_no_multiple_of_16_bytes_in_bf16_are_multiplied_one_by_one():
    for ours, plain in zip(grouped("bf16", width=100), grouped("plain", width=100), strict=True):
        assert 1e-5 < (ours - plain).norm() / plain.norm() < 1e-2


def test_exact_products_are_never_bf16():
    assert fastest(exact=True) in ("plain", "onednn")
    assert fastest() in ("plain", "onednn", "bf16")


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="'plain', 'onednn' or 'bf16', got 'fp4'"):
        products("fp4")


@pytest.mark.parametrize("kind", ["onednn", "bf16"])
def test_gradients_of_gradients_are_refused(kind):
    x, w = (torch.randn(4, 16, requires_grad=True) for _ in range(2))
    with products(kind):
        y = linear(x, w)
    (g,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        g.square().sum().backward()


@pytest.mark.parametrize(("capability", "kind"), [((7, 5), "plain"), ((8, 0), "bf16")])
def test_a_gpu_that_only_imitates_bf16_takes_fp32(monkeypatch, capability, kind):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: capability)
    assert fastest("cuda") == kind
    assert fastest("cuda", exact=True) == "plain"
