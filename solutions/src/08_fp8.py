# %% [markdown]
# # 08 fp8. Exercises
#
# Six exercises, from rounding one number to a measurement. Each checks itself: run the cell below it.
# A check stops at the first claim that does not hold, and hints. `hint("08.tile")` says more, in three steps.
#
# The chapter is `notebooks/08_fp8.ipynb`. Times are for somebody who has read it. Numbers 2 and 3 are the heart. In a workshop numbers 1 and 2 come first.

# %%
import torch

from minids.check import check, hint
from minids.model.fp8_formats import nearest, through_fp8
from minids.presets import preset
from minids.study import fp8_bytes
from minids.study.fp8_errors import int8, sum_error
from minids.study.lesson import claim

# %% [markdown]
# ## 1. Round to eight bits (15 minutes)
#
# Round every entry of `x` (float32, any shape) to the nearest E4M3 number, and return it in float32.
#
# - Between a power of two and the next lie 8 numbers: they stand an eighth of the lower power apart.
# - Below 2^-6 they do not get closer: the step stays 2^-9, down to zero.
# - Ties go to the even step (`torch.round` does that). What is larger than 448 becomes 448.
#
# By hand: 17 lies between 16 and 18, a tie, and goes to 16. 0.3 lies between 0.28125 and 0.3125, and goes to 0.3125.

# %%
hint("08.round")


# %% tags=["exercise"]
def round_e4m3(x):
    """Return the E4M3 numbers nearest to x, as float32."""
    ### BEGIN SOLUTION
    x = x.clamp(-448, 448)
    step = 2.0 ** (x.abs().clamp(min=2.0**-6).log2().floor() - 3)
    return (x / step).round() * step
    ### END SOLUTION


# %% tags=["check"]
check("08.round", round_e4m3)

# %% [markdown]
# ## 2. A scale for every tile (20 minutes)
#
# `x` is `(m, n)`. Every `size` neighbours of a row share a scale: their largest magnitude over 448. The last tile of a row may be shorter.
#
# Return two tensors: the numbers `(m, n)`, which are entries over scale, rounded to E4M3 (as float32); and the scales, `(m, number of tiles)`. `nearest(x)` from the
# package rounds, or your own function. A tile of zeros has a scale above zero, far below any gradient: 1e-30 as the least magnitude will do.


# %% tags=["exercise"]
def quantise_tiles(x, size):
    """Return (numbers, scale): x in tiles of 1 x size."""
    ### BEGIN SOLUTION
    filled = torch.nn.functional.pad(x, (0, -x.shape[1] % size))
    tiles = filled.view(len(x), -1, size)
    scale = tiles.abs().amax(-1).clamp(min=1e-30) / 448
    numbers = nearest(tiles / scale[..., None]).flatten(1)
    return numbers[:, : x.shape[1]], scale
    ### END SOLUTION


# %% tags=["check"]
check("08.tile", quantise_tiles)

# %% [markdown]
# ## 3. Three products (25 minutes)
#
# A linear layer with inputs `x (t, i)`, weights `w (o, i)` and an incoming gradient `g (t, o)`. Return the output `(t, o)`, the gradient of `x` and
# the gradient of `w`, with every factor in FP8 as in V3.
#
# `q(matrix, block)` rounds a matrix in which `block = (rows, columns)` entries share a scale. Use `(1, 128)`, `(128, 1)` and `(128, 128)`. Of `x` only the rounded copy
# of the output's product is kept for the gradient of `w`: round that copy again.


# %% tags=["exercise"]
def three_products(x, w, g, q):
    """Return (y, dx, dw), each from two factors that went through q."""
    ### BEGIN SOLUTION
    x8, w8 = q(x, (1, 128)), q(w, (128, 128))
    y = x8 @ w8.T
    dx = q(g, (1, 128)) @ w8
    dw = q(g, (128, 1)).T @ q(x8, (128, 1))
    return y, dx, dw
    ### END SOLUTION


# %% tags=["check"]
check("08.products", three_products)

# %% [markdown]
# ## 4. Predict: what does FP8 save? (10 minutes)
#
# Suppose that DeepSeek-V3 had finer scales, a float32 for each 32 numbers, in what it sends and in its weights. A token of 7168 numbers goes to an expert in FP8. The
# result comes back in bf16, 7168 numbers of 2 bytes. Of its 671.03e9 weights 669.07e9 are FP8; the other 1.96e9 are bf16.
#
# Write a dictionary: `"bytes to one expert"`, `"dispatch saves"` (a share, against bf16), `"both ways save"` (a share), `"weights, GB"`,
# the shares with two decimals or more. On paper first.

# %% tags=["exercise"]
### BEGIN SOLUTION
saves = {
    "bytes to one expert": 7168 + 4 * 224,
    "dispatch saves": 1 - 8064 / 14_336,
    "both ways save": 1 - (8064 + 14_336) / (2 * 14_336),
    "weights, GB": 669.07 * (1 + 4 / 32) + 2 * 1.96,
}
### END SOLUTION

# %% tags=["check"]
check("08.predict", saves)

# %% [markdown]
# Beside V3's own scales, one for 128 numbers that are sent and one for 128 x 128 weights:

# %% tags=["claim"]
v3 = preset("deepseek-v3")
own, saved = fp8_bytes.weights(v3).fp8 / 1e9, fp8_bytes.messages(v3, v3.moe.top_k).saved
print(f"{own:.2f} GB of weights; {saved:.1%} of both ways saved")
claim("finer scales cost 82 to 85 GB of weights", abs(saves["weights, GB"] - own - 83.5) < 1.6)
claim("and a tenth of what both ways save", round(saves["both ways save"] / saved, 1) == 0.9)

# %% [markdown]
# ## 5. Measure: where does a rounding break? (15 minutes)
#
# `damage(rounding, size)` plants one outlier of this size among numbers of about 1, and returns what all others lose. Find the smallest power of two from 2^0 to 2^20 that does more
# than 0.1 damage. If none does, return `None`.


# %%
def damage(rounding, size):
    x = torch.randn(16, 256, generator=torch.Generator().manual_seed(0))
    x[3, 5] = size
    rest = torch.ones_like(x, dtype=torch.bool)
    rest[3, 5] = False
    return float((rounding(x) - x)[rest].norm() / x[rest].norm())


# %% tags=["exercise"]
def breaks_at(rounding):
    """Return the smallest power of two whose outlier does more than 0.1 damage, or None."""
    ### BEGIN SOLUTION
    for size in (2**i for i in range(21)):
        if damage(rounding, size) > 0.1:
            return size
    return None
    ### END SOLUTION


# %% tags=["check"]
check("08.measure", breaks_at)

# %% [markdown]
# Use it. How much longer do tiles hold out than one scale, and one scale of E4M3 than INT8?

# %% tags=["claim"]
found = {
    "INT8": breaks_at(int8),
    "one scale": breaks_at(lambda x: through_fp8(x, None)),
    "tiles": breaks_at(lambda x: through_fp8(x, (1, 128))),
}
print(found)
claim("E4M3 stands outliers 500 times as large as INT8", found["one scale"] > 500 * found["INT8"])

# %% [markdown]
# Tiles break here only because the matrix is small: the tile of the outlier has 128 of its 4,096 numbers. In larger ones they hold to the end.

# %% [markdown]
# ## 6. Explain: which error averages out? (15 minutes)
#
# Take numbers that are all positive. `typical(k, exact=True)` is the error of sums of `k` products whose factors were rounded to E4M3 and whose sums are exact.
# `typical(k)` is the error of sums cut to 14 bits, with exact factors. Compare `k = 128` with `k = 4096`.
#
# Write a dictionary with `"rounding shrinks by"` and `"sums grow by"` (how many times, both above 1) and `"because"`: a sentence that holds both numbers,
# the first with one decimal, the second whole.


# %%
def typical(k, exact=False):
    return sum_error(k, positive=True, exact=exact).typical


# %% tags=["exercise"]
### BEGIN SOLUTION
shrinks = typical(128, exact=True) / typical(4096, exact=True)
grows = typical(4096) / typical(128)
answer = {
    "rounding shrinks by": shrinks,
    "sums grow by": grows,
    "because": f"Rounding goes both ways and averages out, {shrinks:.1f} times over 32 times as many terms; "
    f"what is cut off a growing sum has one sign, and the error grows {grows:.0f} times.",
}
### END SOLUTION

# %% tags=["check"]
check("08.explain", answer)

# %% [markdown]
# ### BEGIN SOLUTION
# ## About the answers
#
# - **1.** `log2` of a number just below a power of two may come out as the power itself. It does not matter: such a number rounds up to it anyway.
# - **2.** Everything hangs on one `abs`. Without it a tile of negative numbers gets the least scale there is, and all its numbers are lost.
# - **3.** Fprop and Dgrad can share the rounded weights, because a square block is the same when it is transposed. A tile is not: that is why `x` is rounded again.
# - **4.** The way back stays in bf16, so half of a half is saved, less the scales.
# - **5.** INT8 has 7 bits for its range, E4M3 some 18 powers of two.
# - **6.** About the root of 32 for rounding. A sum that is cut gets worse in proportion to its length, and more: V3 moves it into a total in 32 bits once in
#   128 products, which is rare enough to be cheap.
# ### END SOLUTION
