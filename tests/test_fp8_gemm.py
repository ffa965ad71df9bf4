"""Sums of a few bits against exact fractions; scales along k; layouts as torch's rules ask."""

import math
from fractions import Fraction

import pytest
import torch
from torch.nn import functional as F

from minids.model import fp8_gemm
from minids.model.fp8_formats import E4M3, SQUARE, TILE, dequantise, nearest, quantise
from minids.model.fp8_gemm import (
    cut_sum,
    has_fp8,
    limited_product,
    real_product,
    tiled_product,
)


def random(*shape, seed=0, positive=False):
    g = torch.Generator().manual_seed(seed)
    draw = torch.rand if positive else torch.randn
    return nearest(draw(*shape, generator=g))


def cut(x, largest, bits):
    """A fraction cut towards zero to whole steps, of which `largest` has `bits` bits."""
    if not largest:
        return Fraction(0)
    mantissa, exponent = math.frexp(float(largest))
    step = Fraction(2) ** (exponent - bits)
    return Fraction(math.trunc(x / step)) * step


def summed_on_paper(products, bits):
    """Steps of 32 terms and the sum so far, in exact fractions."""
    inside = Fraction(0)
    for start in range(0, len(products), 32):
        terms = [*products[start : start + 32], inside]
        largest = max(map(abs, terms))
        inside = sum((cut(term, largest, bits) for term in terms), Fraction(0))
        inside = cut(inside, abs(inside), bits)
    return inside


@pytest.mark.parametrize("bits", [10, 14, 20])
@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("k", [1, 32, 33, 100, 256])
def test_limited_sums_are_those_of_exact_fractions(bits, positive, k):
    a, b = random(2, k, positive=positive), random(3, k, seed=1, positive=positive)
    got = limited_product(a, b, bits=bits)
    for i in range(2):
        for j in range(3):
            pairs = zip(a[i].tolist(), b[j].tolist(), strict=True)
            want = summed_on_paper([Fraction(x) * Fraction(y) for x, y in pairs], bits)
            assert got[i, j] == float(want)


def test_two_products_on_paper():
    # 2^14 fills the 14 bits down to the 2; 1 lies below and is gone, 3 loses its last bit.
    terms = torch.tensor([[[2.0**14, 1.0], [2.0**14, 3.0], [2.0**14, -3.0]]])
    assert cut_sum(terms).tolist() == [[2.0**14, 2.0**14 + 2, 2.0**14 - 2]]


def test_products_too_small_for_float32_are_zero():
    tiny = torch.full((1, 4), 1e-21)
    assert limited_product(tiny, tiny).abs().item() < 1e-40


def test_enough_bits_are_exact():
    a, b = random(4, 96), random(5, 96, seed=1)
    got = limited_product(a, b, bits=23)
    torch.testing.assert_close(got, a @ b.T, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("positive", [False, True])
def test_promotion_makes_long_sums_ten_times_as_exact(seed, positive):
    a = random(32, 4096, seed=seed, positive=positive)
    b = random(32, 4096, seed=seed + 9, positive=positive)
    exact = a.double() @ b.double().T
    size = exact.square().mean().sqrt()
    plain, promoted = (
        float((limited_product(a, b, promote=n) - exact).abs().max() / size) for n in (None, 128)
    )
    assert 0.005 < plain < 0.1
    assert promoted < plain / 7 and promoted < 0.0012


@pytest.mark.parametrize("every", [32, 64, 128])
def test_promotion_sums_the_parts_in_fp32(every):
    a, b = random(4, 320, positive=True), random(5, 320, seed=1, positive=True)
    parts = zip(a.split(every, 1), b.split(every, 1), strict=True)
    total = sum(limited_product(*part) for part in parts)
    assert torch.equal(limited_product(a, b, promote=every), total)


def test_promotion_in_the_midst_of_a_step_is_refused():
    a, b = random(4, 128), random(5, 128, seed=1)
    with pytest.raises(ValueError, match="every 32, 64"):
        limited_product(a, b, promote=100)


@pytest.mark.parametrize("block_b", [TILE, SQUARE])
@pytest.mark.parametrize(("m", "n", "k"), [(3, 200, 300), (1, 1, 1), (130, 5, 256)])
def test_scales_by_partial_sums_give_the_dequantised_product(block_b, m, n, k):
    g = torch.Generator().manual_seed(0)
    a, b = torch.randn(m, k, generator=g), torch.randn(n, k, generator=g)
    qa, qb = quantise(a, TILE), quantise(b, block_b)
    got = tiled_product(qa, qb, block_a=TILE, block_b=block_b)
    want = dequantise(*qa, TILE).double() @ dequantise(*qb, block_b).double().T
    torch.testing.assert_close(got.double(), want, rtol=1e-4, atol=1e-4)
    limited = tiled_product(qa, qb, block_a=TILE, block_b=block_b, bits=14)
    torch.testing.assert_close(limited, got, rtol=0.01, atol=0.01)


def test_the_scales_of_one_row_do_not_reach_another():
    a, b = torch.ones(2, 256), torch.ones(1, 256)
    a[0, :128] = 1000.0
    product = tiled_product(quantise(a, TILE), quantise(b, TILE), block_a=TILE, block_b=TILE)
    torch.testing.assert_close(product, torch.tensor([[128_128.0], [256.0]]))
    with pytest.raises(ValueError, match="along the axis of the sum"):
        tiled_product(quantise(a, TILE), quantise(b, (1, 64)), block_a=TILE, block_b=(1, 64))


# ---- the real product


def test_nothing_but_a_gpu_has_fp8():
    assert not has_fp8("cpu", TILE) and not has_fp8("meta", None)


def test_other_tiles_are_refused():
    a = torch.randn(128, 128)
    for block_a, block_b in (((1, 64), TILE), (SQUARE, TILE)):
        with pytest.raises(ValueError, match="1 x 128"):
            real_product(a, a, block_a=block_a, block_b=block_b, form_a=E4M3, form_b=E4M3)


@pytest.mark.skipif(not hasattr(F, "scaled_mm"), reason="torch before 2.10 has no scaled_mm")
@pytest.mark.parametrize("block_b", [TILE, SQUARE])
@pytest.mark.parametrize(("m", "n", "k"), [(300, 200, 700), (1, 1, 1), (128, 256, 128)])
def test_layouts_are_what_torchs_rules_for_gpus_ask_for(m, n, k, block_b):
    # Tensors without memory pass through the checks of shapes and strides that CUDA's have to.
    a, b = torch.empty(m, k, device="meta"), torch.empty(n, k, device="meta")
    out = real_product(a, b, block_a=TILE, block_b=block_b, form_a=E4M3, form_b=E4M3)
    assert out.shape == (m, n) and out.dtype == torch.float32


RUNS_HERE = hasattr(F, "scaled_mm") and torch._C._dispatch_has_kernel_for_dispatch_key(
    "aten::_scaled_mm_v2", "CPU"
)


@pytest.mark.skipif(not RUNS_HERE, reason="torch up to 2.11 has no scaled_mm for a CPU")
@pytest.mark.parametrize(("m", "n", "k"), [(30, 20, 70), (1, 1, 1), (128, 256, 128)])
def test_with_one_scale_for_a_matrix_scaled_mm_also_runs_here_and_agrees(m, n, k):
    g = torch.Generator().manual_seed(0)
    a, b = torch.randn(m, k, generator=g), torch.randn(n, k, generator=g)
    got = real_product(a, b, block_a=None, block_b=None, form_a=E4M3, form_b=E4M3)
    want = dequantise(*quantise(a, None), None) @ dequantise(*quantise(b, None), None).T
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)


HOPPER = torch.cuda.is_available() and fp8_gemm.has_fp8("cuda", TILE)


@pytest.mark.cuda
@pytest.mark.skipif(not HOPPER, reason="needs a Hopper GPU")
@pytest.mark.parametrize("block_b", [TILE, SQUARE])
@pytest.mark.parametrize(("m", "n", "k"), [(300, 200, 700), (1, 1, 1), (256, 768, 512)])
def test_a_gpus_product_is_the_simulated_one(m, n, k, block_b):
    g = torch.Generator().manual_seed(0)
    a, b = (torch.randn(rows, k, generator=g).cuda() for rows in (m, n))
    got = real_product(a, b, block_a=TILE, block_b=block_b, form_a=E4M3, form_b=E4M3)
    want = dequantise(*quantise(a, TILE), TILE) @ dequantise(*quantise(b, block_b), block_b).T
    torch.testing.assert_close(got, want, rtol=2e-3, atol=2e-3 * k**0.5)
