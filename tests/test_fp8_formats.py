"""FP8 numbers, code by code against their definition; scales, block by block."""

import functools
import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minids.model.fp8_formats import (
    E4M3,
    E5M2,
    SQUARE,
    TILE,
    block_scales,
    dequantise,
    encode,
    nearest,
    quantise,
    through_fp8,
)

FORMATS = [pytest.param(form, id=form.name) for form in (E4M3, E5M2)]
CODES = torch.arange(256, dtype=torch.uint8)


def random(*shape, seed=0, spread=1.0):
    g = torch.Generator().manual_seed(seed)
    size = torch.exp(spread * torch.randn(*shape, generator=g))
    return torch.randn(*shape, generator=g) * size


@functools.cache
def finite(form):
    """Every finite value of a format as (value, code), the values rising, 0 once."""
    found = {form.value(code): code for code in range(256) if math.isfinite(form.value(code))}
    return sorted(found.items())


def rounded_on_paper(x, form):
    """The nearest value by comparison with all of them; of two as near the one with even code."""
    if math.isnan(x):
        return x
    exact = Fraction(min(max(x, -form.largest), form.largest))
    return min(finite(form), key=lambda v: (abs(Fraction(v[0]) - exact), v[1] % 2))[0]


# ---- the numbers themselves


@pytest.mark.parametrize("form", FORMATS)
def test_all_256_codes_mean_what_torch_says(form):
    ours = torch.tensor([form.value(code) for code in range(256)])
    theirs = CODES.view(form.dtype).float()
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0, equal_nan=True)
    assert torch.equal(ours.signbit() & ~ours.isnan(), theirs.signbit() & ~theirs.isnan())


@pytest.mark.parametrize("form", FORMATS)
def test_all_256_codes_come_back_from_their_values(form):
    values = torch.tensor([form.value(code) for code in range(256)])
    kept = values.isfinite()
    assert torch.equal(encode(values, form).view(torch.uint8)[kept], CODES[kept])
    assert torch.equal(nearest(values, form)[kept], values[kept])


def test_the_limits_are_those_of_the_formats_paper():
    # arXiv 2209.05433, Table 1
    assert (E4M3.largest, E5M2.largest) == (448, 57_344)
    assert (E4M3.smallest_normal, E5M2.smallest_normal) == (2**-6, 2**-14)
    assert (E4M3.smallest, E5M2.smallest) == (2**-9, 2**-16)
    assert [sum(math.isnan(f.value(c)) for c in range(256)) for f in (E4M3, E5M2)] == [2, 6]
    assert [sum(math.isinf(f.value(c)) for c in range(256)) for f in (E4M3, E5M2)] == [0, 2]


@pytest.mark.parametrize("form", FORMATS)
def test_the_limits_are_those_of_torch(form):
    info = torch.finfo(form.dtype)
    assert (form.largest, form.smallest_normal) == (info.max, info.smallest_normal)


# ---- rounding


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("way", [nearest, lambda x, form: encode(x, form).float()])
def test_between_two_neighbours_the_nearer_wins_and_a_tie_goes_to_the_even_one(form, way):
    values = finite(form)
    for (low, code_low), (high, _) in zip(values, values[1:], strict=False):
        middle = torch.tensor((low + high) / 2)  # exact: neighbours differ in one bit
        even = low if code_low % 2 == 0 else high
        x = torch.stack([middle.nextafter(torch.tensor(-1e9)), middle,
                         middle.nextafter(torch.tensor(1e9))])  # fmt: skip
        assert way(x, form).tolist() == [low, even, high]


@pytest.mark.parametrize("form", FORMATS)
def test_rounding_three_ways_gives_one_answer(form):
    x = torch.cat([random(200, spread=3.0), random(200, seed=1, spread=0.1) * form.smallest])
    want = torch.tensor([rounded_on_paper(float(value), form) for value in x])
    assert torch.equal(nearest(x, form), want)
    assert torch.equal(encode(x, form).float(), want)


@settings(max_examples=200, deadline=None)
@given(x=st.floats(width=32), wide=st.booleans())
def test_any_float_is_rounded_alike_by_both_ways(x, wide):
    form = E5M2 if wide else E4M3
    a, b = nearest(torch.tensor([x]), form), encode(torch.tensor([x]), form).float()
    torch.testing.assert_close(a, b, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_too_large_saturates_and_nan_stays(form):
    x = torch.tensor([1e6, math.inf, -1e30, -math.inf])
    for way in (nearest(x, form), encode(x, form).float()):
        assert way.tolist() == [form.largest] * 2 + [-form.largest] * 2
    nan = torch.tensor([math.nan])
    assert nearest(nan, form).isnan().all() and encode(nan, form).float().isnan().all()


@pytest.mark.parametrize("form", FORMATS)
def test_the_relative_error_is_half_a_step_at_most(form):
    # worst half a step above a power of two: 1/17 with three bits of mantissa, 1/9 with two
    worst = 1 / (2 ** (form.mantissa_bits + 1) + 1)
    x = random(5000).abs().clamp(form.smallest_normal, form.largest)
    error = (nearest(x, form) - x).abs() / x
    assert 0.95 * worst < error.max() <= 1.0001 * worst


def test_below_the_normal_numbers_steps_are_equal():
    x = torch.linspace(0, 2**-6, 999)
    assert (nearest(x) - x).abs().max() <= 2**-10
    assert nearest(torch.tensor([2**-10])).item() == 0.0, "a tie between 0 and 2^-9: 0 is even"


# ---- scales


@pytest.mark.parametrize("block", [TILE, SQUARE, (128, 1), (1, 16), (3, 5), None])
@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (130, 257), (128, 128)])
def test_every_block_is_scaled_by_its_own_largest_entry(block, shape):
    x = random(*shape)
    rows, columns = block or shape
    numbers, scale = quantise(x, block)
    assert scale.shape == (-(-shape[0] // rows), -(-shape[1] // columns))
    assert numbers.shape == shape and numbers.dtype == torch.float8_e4m3fn
    for i in range(scale.shape[0]):
        for j in range(scale.shape[1]):
            at = slice(i * rows, (i + 1) * rows), slice(j * columns, (j + 1) * columns)
            assert scale[i, j] == x[at].abs().max() / 448
            assert numbers[at].float().abs().max() == 448
            want = encode(x[at] / scale[i, j]).float()
            assert torch.equal(numbers[at].float(), want)


@pytest.mark.parametrize("block", [TILE, SQUARE, (16, 1), None])
@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("power_of_two", [False, True])
def test_the_simulation_is_quantise_and_dequantise(block, form, power_of_two):
    x = random(70, 300)
    q = quantise(x, block, form, power_of_two=power_of_two)
    want = dequantise(*q, block)
    assert torch.equal(through_fp8(x, block, form, power_of_two=power_of_two), want)


def test_a_scale_that_is_a_power_of_two_fits_into_eight_bits():
    x = random(40, 256, spread=5.0)
    scale = block_scales(x, TILE, power_of_two=True)
    assert torch.equal(scale.to(torch.float8_e8m0fnu).float(), scale)
    exact = block_scales(x, TILE)
    assert ((scale >= exact) & (scale < 2 * exact)).all(), "rounded up: nothing overflows"
    assert torch.equal(block_scales(448 * torch.ones(1, 1), None, power_of_two=True).log2(),
                       torch.zeros(1, 1))  # fmt: skip


def test_a_scale_that_is_a_power_of_two_multiplies_without_an_error():
    x = random(30, 256)
    got = through_fp8(x, TILE, power_of_two=True)
    assert torch.equal(got.bfloat16().float(), got), "FP8 times a power of two fits bf16"
    any_scale = through_fp8(x, TILE)
    assert not torch.equal(any_scale.bfloat16().float(), any_scale)


def test_scaling_the_input_scales_the_result():
    x = random(5, 300)
    assert torch.equal(through_fp8(2**20 * x, TILE), 2**20 * through_fp8(x, TILE))
    assert torch.equal(through_fp8(-x, TILE), -through_fp8(x, TILE))


def test_zeros_and_tiny_gradients_survive():
    assert torch.equal(through_fp8(torch.zeros(3, 200), TILE), torch.zeros(3, 200))
    x = 1e-12 * random(3, 200)
    assert float((through_fp8(x, TILE) - x).norm() / x.norm()) < 0.04
    kernel = quantise(x, TILE, floor=1e-4)  # DeepSeek's inference code
    assert dequantise(*kernel, TILE).abs().max() == 0


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 99), rows=st.integers(1, 40), columns=st.integers(1, 40))
def test_an_outlier_harms_those_alone_that_share_its_scale(seed, rows, columns):
    x = random(rows, columns, seed=seed, spread=0.1)
    spoiled = x.clone()
    spoiled[-1, -1] = 1e9
    before, after = (through_fp8(y, (1, 8)) for y in (x, spoiled))
    tile = torch.zeros_like(x, dtype=torch.bool)
    tile[-1, (columns - 1) // 8 * 8 :] = True
    assert torch.equal(before[~tile], after[~tile])
    tile[-1, -1] = False
    assert after[tile].abs().sum() == 0
    whole = through_fp8(spoiled, None)
    whole[-1, -1] = 0
    assert whole.abs().sum() == 0, "with one scale for all, nobody else is left"


# ---- the blocks of DeepSeek-V3's files


@pytest.mark.parametrize("shape", [(128, 128), (256, 384), (130, 200), (1, 1)])
def test_v3s_weight_blocks_are_dequantised_exactly(shape):
    g = torch.Generator().manual_seed(3)
    codes = torch.randint(0, 256, shape, generator=g, dtype=torch.uint8)
    codes[codes & 127 == 127] = 0  # the two NaN
    numbers = codes.view(torch.float8_e4m3fn)
    scale = torch.rand(-(-shape[0] // 128), -(-shape[1] // 128), generator=g) + 0.1
    got = dequantise(numbers, scale, SQUARE)
    for row in range(0, shape[0], 37):
        for column in range(0, shape[1], 41):
            by_hand = E4M3.value(int(codes[row, column])) * scale[row // 128, column // 128]
            assert got[row, column] == by_hand


def test_scales_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="2 x 1 were expected"):
        dequantise(torch.zeros(130, 4).to(torch.float8_e4m3fn), torch.ones(1, 1), SQUARE)
    with pytest.raises(ValueError, match="at least one row"):
        quantise(torch.zeros(2, 2), (0, 1))
    with pytest.raises(ValueError, match="one byte"):
        E4M3.value(256)
