# %% [markdown]
# # 08 fp8. What does training in 8 bits cost?
#
# A number in a model usually has 32 bits, or 16. DeepSeek-V3 was trained with 8 in nearly all of its linear layers. Half the bits are half
# the bytes of each number, and in theory twice the speed (V3, 3.3.1).
#
# But 8 bits make 256 different numbers, for everything a model knows and computes. Why does it still learn?
#
# Three questions. Which numbers are these 256? What happens when one number is very large? And what happens in a long sum?
#
# **You need** chapter 01: a linear layer, its gradients, the noise of a run; a little of chapter 03 or 04 for the table at the end.
# **You get** both FP8 formats bit by bit, V3's recipe in ten lines, and a model that is trained with it.

# %%
import math
from dataclasses import replace
from unittest.mock import patch

import torch

from minids import accounting, bill
from minids.check.bugs import ch08 as bugs
from minids.model import fp8, fp8_formats, fp8_gemm
from minids.model.fp8 import Recipe
from minids.model.fp8_formats import E4M3, E5M2
from minids.model.transformer import Transformer
from minids.presets import preset
from minids.study import fp8_bytes, fp8_errors, low_precision, tables, viz_fp8
from minids.study.cards import Question, quiz, trap
from minids.study.compare import compare
from minids.study.lesson import claim, figure, predict, reveal, show_source
from minids.study.scale import Scale
from minids.study.widgets import explore

scale = Scale.auto()  # the dial
steps = scale.pick(smoke=2, laptop=90, gpu=200)  # each simulated step is many small kernels
seeds = scale.pick(smoke=range(2), laptop=range(3), gpu=range(3))
batch = scale.pick(smoke=16, laptop=16, gpu=64)

# %% [markdown]
# ## A byte as a number
#
# One bit is the sign. The rest is cut into an exponent `e` and a mantissa `m`. The value is a power of two times a number from 1 to 2:
#
# $$ \pm\, 2^{e - \mathrm{bias}} \left(1 + \tfrac{m}{2^M}\right) $$
#
# **E4M3** has 4 bits of exponent and 3 of mantissa, **E5M2** has 5 and 2. `M` is the number of mantissa bits; `bias` puts the powers of two around 1.
#
# **Predict first.** What is the largest number of E4M3? And how far can a normal number be rounded away, at most?

# %% tags=["predict"]
largest = predict("the largest number of E4M3", ..., default=256)
worst = predict("the largest rounding error of a normal E4M3 number", ..., default=1.0, unit="%")

# %% [markdown]
# ## By hand
#
# The smallest exponent, `e = 0`, is special: there the leading 1 is missing, and steps stay equal down to zero. These are the *subnormal*
# numbers. In E4M3 one mantissa of the highest exponent means "not a number"; E5M2 spends its whole highest exponent on infinity and that.


# %%
def byte_to_number(code, M=3, bias=7):
    sign = -1 if code >= 128 else 1
    e, m = divmod(code % 128, 2**M)
    if M == 3 and code % 128 == 127:
        return math.nan
    if M == 2 and e == 31:
        return sign * math.inf if m == 0 else math.nan
    if e == 0:
        return sign * 2.0 ** (1 - bias) * m / 2**M
    return sign * 2.0 ** (e - bias) * (1 + m / 2**M)


for code in (0, 1, 7, 8, 9, 56, 126, 127, 254):
    print(f"{code:3d} = {code:08b}: {byte_to_number(code):g}")

# %% [markdown]
# The package says the same for every format, from its fields alone. Do the three agree: our lines, the package, and torch?

# %%
show_source(fp8_formats.Format.value)

# %% tags=["claim"]
codes = torch.arange(256, dtype=torch.uint8)


def same(a, b):
    return bool(((a == b) | (a.isnan() & b.isnan())).all())


for form, ours in ((E4M3, (3, 7)), (E5M2, (2, 15))):
    by_hand = torch.tensor([byte_to_number(code, *ours) for code in range(256)])
    package = torch.tensor([form.value(code) for code in range(256)])
    torchs = codes.view(form.dtype).float()
    claim(f"all 256 codes of {form.name} agree: by hand, package, torch", same(by_hand, torchs) and same(package, torchs))  # fmt: skip
    back = fp8_formats.encode(torchs, form).view(torch.uint8)
    claim("and every finite number comes back as its code", torch.equal(back[torchs.isfinite()], codes[torchs.isfinite()]))  # fmt: skip
reveal(largest, int(E4M3.largest))

# %% [markdown]
# ## Rounding
#
# A number between two neighbours goes to the nearer one. A tie goes to the one whose last bit is 0, so that ties do not all go up. What is
# larger than the largest becomes the largest.


# %%
def round_by_hand(x, M=3, smallest=2.0**-6, top=448.0):
    x = x.clamp(-top, top)
    exponent = x.abs().clamp(min=smallest).log2().floor()
    step = 2.0 ** (exponent - M)
    return (x / step).round() * step


g = torch.Generator().manual_seed(0)
some = torch.randn(100_000, generator=g) * 100 ** torch.randn(100_000, generator=g)

# %% [markdown]
# The package rounds in two ways. `encode` makes real FP8 numbers. `nearest` stays in 32 bits, which is faster on a CPU: add a number so large
# that nothing smaller than a step has room, then subtract it.

# %%
show_source(fp8_formats.encode, fp8_formats.nearest)

# %% tags=["claim"]
ways = round_by_hand(some), fp8_formats.nearest(some), fp8_formats.encode(some).float()
claim("three ways to round 100,000 numbers, one answer, bit for bit", all(torch.equal(ways[0], w) for w in ways))  # fmt: skip
normal = some[(some.abs() > E4M3.smallest_normal) & (some.abs() < E4M3.largest)]
off = ((fp8_formats.nearest(normal) - normal) / normal).abs().max()
reveal(worst, round(100 / 17, 1))
claim("a normal number is at most 1/17 off: half a step above a power of two", 0.99 / 17 < off <= 1.001 / 17)  # fmt: skip

# %% [markdown]
# Now look at all sizes. A floating-point number is equally fine over a long range; then it ends, on both sides.

# %%
sizes = 2.0 ** torch.linspace(-20, 20, 6000)
formats = {
    "E4M3": fp8_formats.nearest,
    "E5M2": lambda x: fp8_formats.nearest(x, E5M2),
    "INT8": lambda x: x.round().clamp(-127, 127),
    "bf16": lambda x: x.bfloat16().float(),
}
relative = {name: viz_fp8.largest_nearby(((way(sizes) - sizes) / sizes).abs()) for name, way in formats.items()}  # fmt: skip
figure(
    viz_fp8.fineness(sizes, relative),
    "Largest relative rounding error over the size of a number. bf16 is finest everywhere. E4M3 is flat from about one over 64 to 448, E5M2 "
    "is twice as coarse and flat over a far longer range, and INT8 has no flat part: its error falls until its end.",
)

# %% tags=["claim"]
claim("E5M2 reaches from 2^-16 to 57,344, E4M3 from 2^-9 to 448",
      (E5M2.smallest, E5M2.largest, E4M3.smallest, E4M3.largest) == (2**-16, 57_344, 2**-9, 448))  # fmt: skip
reach = {f.name: math.log2(f.largest / f.smallest_normal) for f in (E4M3, E5M2)}
print({name: f"{bits:.1f} powers of two at full fineness" for name, bits in reach.items()})

# %% [markdown]
# One bit more of mantissa halves the error, one bit more of exponent doubles the range. Earlier recipes took E4M3 for the forward pass and E5M2
# for gradients, which spread more widely. V3 takes E4M3 everywhere. It can, because of the next idea.
#
# ## A scale
#
# Activations and gradients do not lie between 2^-9 and 448 by themselves. So a matrix is divided by a *scale* that brings its largest entry to
# 448, and the product is multiplied by it afterwards: *quantisation*. One scale for a whole matrix is the usual way.
#
# Then comes an outlier: one entry far larger than all others. It sets the scale, and all others move towards zero.
#
# **Predict first.** The others are about 1. From which size on does one outlier cost them a tenth of themselves? Sizes are tried in steps of about three: 1, 3.2, 10, 32, 100 and so on.
# (Measured as a length: the root of the mean square of what changed, over that of what was there. INT8, whole numbers from -127 to 127, is shown beside it.)

# %% tags=["predict"]
breaks_int8 = predict(
    "INT8 with one scale: an outlier of which size does a tenth of damage?", ..., default=100
)
breaks_e4m3 = predict("and E4M3 with one scale?", ..., default=100)

# %%
outliers = [10.0 ** (i / 2) for i in range(15)]
harm = {where: [fp8_errors.by_size(outliers, where, seed=s) for s in range(3)] for where in ("entry", "token", "channel")}  # fmt: skip


def mean_harm(where):
    runs = harm[where]
    return {way: [sum(values) / len(runs) for values in zip(*(run[way] for run in runs), strict=True)] for way in runs[0]}  # fmt: skip


figure(
    viz_fp8.by_outlier(outliers, mean_harm("entry")),
    "Error of all other entries over the size of one outlier. INT8 with one scale is lowest at first and rises soonest. E4M3 with one scale is flat up to "
    "some ten thousand, then rises to a total loss. E5M2 stays flat at twice the height. E4M3 with tiles rises last, and ends not far above E5M2.",
)

# %% tags=["claim"]


def first_above(limit, errors):
    return next(size for size, error in zip(outliers, errors, strict=True) if error > limit)


entry = mean_harm("entry")
reveal(breaks_int8, round(first_above(0.1, entry["INT8, one scale"])))
reveal(breaks_e4m3, round(first_above(0.1, entry["E4M3, one scale"])))
claim("E4M3 with one scale stands outliers of 1,000 without a loss, INT8 loses over half of everything",
      all(run["E4M3, one scale"][6] < 1.1 * run["E4M3, one scale"][0] and run["INT8, one scale"][6] > 0.5 for run in harm["entry"]), "3 of 3 seeds")  # fmt: skip
claim("an outlier of a million leaves nothing of the others with one scale, and with tiles nearly all",
      all(run["E4M3, one scale"][12] > 0.8 and run["E4M3, 1 x 128 tiles"][12] < 0.15 for run in harm["entry"]), "3 of 3 seeds")  # fmt: skip
claim("E5M2 pays double at every size and never breaks here",
      all(1.8 < e / run["E4M3, one scale"][0] < 2.2 for run in harm["entry"] for e in run["E5M2, one scale"]))  # fmt: skip

# %% tags=["trap"]
trap(
    "One outlier ten times as large as the rest ruins FP8.",
    entry["E4M3, one scale"][2] > 1.05 * entry["E4M3, one scale"][0],
    f"At ten times nothing is ruined: E4M3 loses {entry['E4M3, one scale'][2]:.1%}, as without an outlier, and even INT8 no more than {entry['INT8, one scale'][2]:.1%}. INT8, whose steps are "
    "equal, loses a tenth from some tens on. A floating-point number keeps its relative error over fifteen powers of two: FP8 with one scale breaks when "
    "an outlier is some tens of thousands times as large. The report names outliers of activations as the reason for its tiles (V3, 3.3).",
)

# %% [markdown]
# ## V3's tiles and blocks
#
# V3 lets few entries share a scale. An activation has one for every 128 channels of a token: a **tile** of 1 x 128. A weight has one for
# every **block** of 128 x 128. Both are found anew each time, from the numbers at hand (*online*), not from those of earlier steps.

# %%
show_source(fp8_formats.quantise, fp8_formats.block_scales, fp8_formats._scales)


# %% [markdown]
# By hand, for tiles, and compared:


# %% tags=["claim"]
def tiles_by_hand(x, size=128):
    tiles = x.view(len(x), -1, size)
    scales = tiles.abs().amax(-1, keepdim=True) / 448
    return (round_by_hand(tiles / scales) * scales).view(x.shape)


x = fp8_errors.planted(1e6, "entry", seed=1).x
q = fp8_formats.quantise(x, (1, 128))
package = fp8_formats.dequantise(*q, (1, 128))
claim("tiles by hand and by the package agree, bit for bit", torch.equal(tiles_by_hand(x), package))
claim("the simulation, which skips the FP8 type, too", torch.equal(fp8_formats.through_fp8(x, (1, 128)), package))  # fmt: skip
print(f"{q.numbers.dtype}: {q.numbers.nbytes:,} bytes, and {q.scale.nbytes:,} bytes of scales; in 32 bits {x.nbytes:,}")  # fmt: skip

# %% [markdown]
# V3's published weights are stored that way: `weight` in FP8 and `weight_scale_inv`, one factor for each block. Multiplying them out is exact
# where it is checked against another way: the definition of the byte times the factor, in five places.

# %% tags=["claim"]
stored = torch.randint(0, 126, (200, 300), generator=g, dtype=torch.uint8)
factors = torch.rand(2, 3, generator=g)
out = fp8_formats.dequantise(stored.view(torch.float8_e4m3fn), factors, (128, 128))
places = [(0, 0), (127, 127), (128, 127), (199, 299), (50, 256)]
exact = [float(torch.tensor(byte_to_number(int(stored[i, j]))) * factors[i // 128, j // 128]) for i, j in places]  # fmt: skip
claim("V3's weight blocks come out exactly", [float(out[i, j]) for i, j in places] == exact)

# %% [markdown]
# Which shape of block helps against which outlier? A single entry spoils one tile. A token whose numbers are all large spoils nobody else. A
# channel that is large in every token spoils a tile in each of them: tiles do not solve that. Here it is one tile of
# four: a quarter of the squares, and the root of a quarter is one half. A token of V3 has 56 tiles: there it would be the root of 1/56, 13 %.

# %% tags=["claim"]
tiled = {where: [run["E4M3, 1 x 128 tiles"][-1] for run in harm[where]] for where in harm}
print({where: [round(v, 2) for v in values] for where, values in tiled.items()})
claim("with tiles a large token costs nothing, an entry little, a channel a lot",
      all(t < 0.03 < e < 0.15 < 0.3 < c for t, e, c in zip(tiled["token"], tiled["entry"], tiled["channel"], strict=True)), "3 of 3 seeds")  # fmt: skip

# %%
averages = {where: mean_harm(where) for where in harm}
blocks = {
    "whole matrix": None,
    "1 x 128 tiles": (1, 128),
    "1 x 32 tiles": (1, 32),
    "128 x 128 blocks": (128, 128),
}


def draw_payers(outlier=1e5, where="entry", shared_by="1 x 128 tiles", form="E4M3"):
    p = fp8_errors.planted(outlier, where)
    rounded = fp8_formats.through_fp8(p.x, blocks[shared_by], {"E4M3": E4M3, "E5M2": E5M2}[form])
    lost = ((rounded - p.x) / p.x).abs()
    return viz_fp8.who_pays(lost, p.outlier, outliers, averages[where], outlier)


figure(
    draw_payers(1e6),
    "Left: a matrix of tokens and channels; the entries of the outlier's own tile are lost, all others are kept. Right: the error of the "
    "others over the size of the outlier, for four ways to round; the chosen size is marked.",
)

# %% [markdown]
# Move it. How large must the outlier be before the left picture changes at all? Which outlier makes tiles useless, and what does E5M2 do then?

# %%
explore(
    draw_payers,
    outlier={f"{size:,.0f}": size for size in outliers},
    where=["entry", "token", "channel"],
    shared_by=list(blocks),
    form=["E4M3", "E5M2"],
    alt="Which entries are lost beside an outlier, and the error of the others over its size.",
)

# %% [markdown]
# **Powers of two.** A scale may be rounded up to a power of two. It then fits into eight bits itself (*ue8m0*: eight bits of exponent, nothing else),
# and multiplying by it is exact. V3 does so where it stores inputs of some layers; V3.1 added it to its kernels. What does it cost?

# %% tags=["claim"]
plain = torch.randn(256, 512, generator=g)


def loss_of(**how):
    return float((fp8_formats.through_fp8(plain, (1, 128), **how) - plain).norm() / plain.norm())


free, powers = loss_of(), loss_of(power_of_two=True)
print(f"error with any scale {free:.2%}, with powers of two {powers:.2%}")
two = fp8_formats.block_scales(plain, (1, 128), power_of_two=True)
claim("a power-of-two scale is stored in one byte without loss", torch.equal(two.to(torch.float8_e8m0fnu).float(), two))  # fmt: skip
claim("and costs less than a tenth more error", powers < 1.1 * free)

# %% [markdown]
# ## A long sum
#
# An entry of a product is a sum of `K` small products. A tensor core of the H800 adds 32 of them at a time. It shifts all to the exponent of
# the largest, and keeps about 14 bits. What lies below is cut off.
#
# Early in a sum this is nothing. Late in it, the sum is large, and a product may be smaller than the sum's last bit.
#
# **Predict first.** `K = 4096`. The report found "nearly 2 %" for two random matrices. How will numbers that are all positive do?

# %% tags=["predict"]
positive = predict(
    "the largest error of a sum of 4,096 positive products with 14 bits", ..., default=2.0, unit="%"
)


# %%
def add_up(products, bits=14, promote=None):
    total = inside = 0.0
    for start in range(0, len(products), 32):
        if promote and start and start % promote == 0:
            total, inside = total + inside, 0.0
        terms = [*products[start : start + 32], inside]
        last_bit = 2.0 ** (math.frexp(max(map(abs, terms)))[1] - bits)
        inside = sum(math.trunc(term / last_bit) for term in terms) * last_bit
        last_bit = 2.0 ** (math.frexp(inside)[1] - bits)
        inside = math.trunc(inside / last_bit) * last_bit
    return total + inside


show_source(fp8_gemm.limited_product, fp8_gemm.cut_sum)

# %% tags=["claim"]
a, b = (fp8_formats.nearest(torch.rand(3, 4096, generator=g)) for _ in range(2))
hand = [
    [add_up((row * column).tolist(), promote=p) for column in b] for p in (None, 128) for row in a
]
ours = [fp8_gemm.limited_product(a, b, promote=p).tolist() for p in (None, 128)]
claim("by hand and by the package: the same sums, to the last bit", hand == ours[0] + ours[1])

# %% [markdown]
# V3's cure is *promotion*: after every 128 products the sum leaves the tensor core, and is added to a total in 32 bits. The small sum starts
# from zero again, and never gets large. The scales of the two tiles are multiplied in at the same moment, so they cost nothing extra.

# %%
lengths = (128, 512, 1024, 2048, 4096)
kinds = {
    "normal, 14 bits": {},
    "normal, promoted": {"promote": 128},
    "positive, 14 bits": {"positive": True},
    "positive, promoted": {"positive": True, "promote": 128},
}
rows_of = scale.pick(smoke=16, laptop=64, gpu=64)
runs = {name: [[fp8_errors.sum_error(k, seed=s, rows=rows_of, **how) for k in lengths] for s in range(3)] for name, how in kinds.items()}  # fmt: skip
reported = tables.figure("fp8_gemm_error") / 100
figure(
    viz_fp8.sums(lengths, {name: [sum(run[i].largest for run in of) / 3 for i in range(len(lengths))] for name, of in runs.items()}, reported),
    "Largest error of sums over their length. With 14 bits it grows, for positive numbers faster than for normal ones. The reported level "
    "lies between the two at the longest sums. With promotion both fall a little, far below.",
)  # fmt: skip

# %% tags=["claim"]
last = {name: [run[-1].largest for run in of] for name, of in runs.items()}
print({name: [f"{error:.2%}" for error in errors] for name, errors in last.items()})
reveal(positive, round(100 * sum(last["positive, 14 bits"]) / 3))
claim("K = 4096, 14 bits: the reported 2 % lies between our normal and our positive numbers",
      max(last["normal, 14 bits"]) < reported < min(last["positive, 14 bits"]), "3 of 3 seeds")  # fmt: skip
claim("promotion makes it at least seven times smaller for normal numbers, fifty times for positive ones",
      all(p * 7 < x for p, x in zip(last["normal, promoted"], last["normal, 14 bits"], strict=True))
      and all(p * 50 < x for p, x in zip(last["positive, promoted"], last["positive, 14 bits"], strict=True)), "3 of 3 seeds")  # fmt: skip

# %% [markdown]
# The report does not say which random matrices it took, nor relative to what the error is. We take it relative to the typical size of a sum
# (its root mean square). With signs on both sides we get somewhat less than 2 %, with one sign more.
#
# Is this much? Rounding the factors to FP8 costs something as well. Set both side by side:

# %% tags=["claim"]
table = []
for sign in (False, True):
    for k in (128, 4096):
        factors_off = fp8_errors.sum_error(k, positive=sign, exact=True, rows=rows_of).typical
        sums_off = fp8_errors.sum_error(k, positive=sign, rows=rows_of).typical
        table.append({"numbers": "positive" if sign else "normal", "K": k, "factors rounded, %": f"{100 * factors_off:.2f}", "sums cut, %": f"{100 * sums_off:.2f}"})  # fmt: skip
print(tables.text(table))
off = {(row["numbers"], row["K"]): (float(row["factors rounded, %"]), float(row["sums cut, %"])) for row in table}  # fmt: skip
claim("for normal numbers rounding the factors costs more than cutting the sums, at both lengths", all(off["normal", k][0] > 10 * off["normal", k][1] for k in (128, 4096)))  # fmt: skip
claim("for positive numbers it averages out in long sums, and the cut does not", off["positive", 4096][0] < off["positive", 128][0] and off["positive", 4096][1] > 50 * off["positive", 4096][0])  # fmt: skip

# %% [markdown]
# Rounding goes up as often as down. Where all products are positive it cancels in a long sum; what is cut off always makes the sum smaller, and adds
# up. With both signs neither is so plain: the sum itself stays small, and rounding the factors costs more at both lengths. V3 cannot know the signs,
# so it guards the sum.
#
# ## A layer
#
# A linear layer has three products. V3 computes all three in FP8:
#
# - *Fprop*: the output, `y = x wᵀ`, summed over the inputs;
# - *Dgrad*: the gradient of `x`, `g w`, summed over the outputs. `g` is the gradient that comes in;
# - *Wgrad*: the gradient of `w`, `gᵀ x`, summed over the tokens.
#
# A scale can be taken out of a sum only if all its terms share it. So tiles lie along the axis that is summed over. For Wgrad this axis is
# the tokens: there tiles have 128 tokens of one channel, and the stored `x`, already in FP8, is rounded once more.

# %%
show_source(fp8._Product, fp8.Fp8Linear)

# %% [markdown]
# On a Hopper GPU the same class hands its factors to `torch.nn.functional.scaled_mm`. Here they are rounded and multiplied in 32 bits: the same numbers,
# no speed. Whatever is measured below says nothing about time.
#
# The weights themselves stay in 32 bits, and so do their gradients. Why? Look at one small step of an optimizer, of a size as at the end of V3's training,
# and beside it one at V3's highest rate:

# %% tags=["claim"]
master = torch.randn(128, 128, generator=g) * 0.02
signs = torch.randn(128, 128, generator=g).sign()


def in_8_bits(weights):
    return fp8_formats.quantise(weights, (128, 128)).numbers.view(torch.uint8)


still = {
    rate: float((in_8_bits(master) == in_8_bits(master - rate * signs)).float().mean())
    for rate in (1e-5, 2.2e-4)
}
print(
    "of the weights in FP8 stand still:",
    *(f"{share:.0%} in a step of {rate:g}" for rate, share in still.items()),
)
claim("a step of 1e-5 moves every master weight, and hardly one in FP8", bool((master != master - 1e-5 * signs).all()) and still[1e-5] > 0.95)  # fmt: skip
claim("of the steps at the highest rate most are lost, too", 0.5 < still[2.2e-4] < still[1e-5])

# %% [markdown]
# `to_fp8` changes a model. What stays in higher precision? Embedding, head, norms, the router and the attention core, as in V3. (In ours also
# MLA's up-projection of the latent.)

# %% tags=["claim"]
v3_toy = Transformer(preset("toy-v3"))
names = fp8.to_fp8(v3_toy, Recipe(size=16))
in_fp8 = {name.rpartition(".")[2] for name in names}
print("in FP8:", ", ".join(sorted(in_fp8)))
claim("embedding, head, norms and routers are not among them", not in_fp8 & {"embed", "head", "norm", "router"})  # fmt: skip
v3 = preset("deepseek-v3")
share, heavy = bill.fp8_share(v3, 2048), fp8_bytes.weights(v3)
print(f"real size: FP8 takes {heavy.in_fp8 / accounting.parameters(v3).total:.1%} of V3's weights and {share:.0%} of its operations; a token of 4,096 sees 2,048 others on average")  # fmt: skip
all_of_it, without = (accounting.flops_per_token(v3, n, "prefill") for n in (2048, 0))
rest = (1 - share) * all_of_it
claim("nearly all weights and 85 % of the operations are FP8", heavy.in_fp8 > 0.99 * accounting.parameters(v3).total and round(share, 2) == 0.85)  # fmt: skip
claim("attention is most of the rest", (all_of_it - without) / rest > 0.8)

# %% [markdown]
# ## Experiment: the same model in fp32, bf16, FP8
#
# A small Llama reads Python's manual. In the FP8 runs everything else is bf16, as in V3. Its rows have 64 numbers, so tiles have 16: a row has
# several tiles, as in V3, where 7168 channels make 56.

# %%
show_source(low_precision.plant)

# %% [markdown]
# `plant` is for the second half: an outlier in the input of every layer, where the weights are zero and stay zero. In exact arithmetic no one
# can notice. It harms those who share its scale.
#
# **Predict first.** How much will FP8 change the loss of bf16?

# %% tags=["predict"]
gap_guess = predict(
    "FP8 changes the loss of bf16, in the mean over the seeds, by …",
    ...,
    default="0.5 to 2 %",
    options=("less than 0.5 %", "0.5 to 2 %", "more than 2 %"),
)

# %% [markdown]
# **What you should see.** Losses near 4 nats per token. All clean versions within half a per cent of each other, in no particular order. With outliers:
# tiles nearly as before, one scale far above.

# %% tags=["nbval-ignore-output"]
tiles, tensor = Recipe(size=low_precision.SIZE), Recipe(size=None)
big = 3e5
kinds = {
    "bf16": {},
    "fp32": {"products": "onednn"},
    "FP8, tiles": {"recipe": tiles},
    "FP8, one scale": {"recipe": tensor},
}
planted = {f"{name}, outliers": how | {"outlier": big} for name, how in kinds.items() if name != "fp32"}  # fmt: skip
results = compare(
    low_precision.held_out_loss,
    {
        name: how | {"steps": steps, "batch": batch, "device": str(scale.device)}
        for name, how in (kinds | planted).items()
    },
    seeds=seeds,
    workers=None if scale.device.type == "cpu" else 0,
)
clean = replace(results, values={name: results.values[name] for name in kinds})
spoiled = replace(results, values={name.removesuffix(", outliers"): results.values[name] for name in planted})  # fmt: skip
print(clean.table(digits=4), "", "with planted outliers", spoiled.table(digits=4), sep="\n")

# %%
bound = tables.figure("fp8_loss_error")
figure(
    viz_fp8.gaps(clean, spoiled, bound),
    "Loss against the bf16 run of the same seed, in per cent. Left, without outliers: fp32 lies at zero; both kinds of FP8 scatter around it, about as "
    "wide as the band of the report. Right, with outliers: tiles stay near zero, one scale lies far to the right.",
)


# %% tags=["claim"]
def relative_gap(results, arm):
    pairs = zip(results.of(arm), results.of("bf16"), strict=True)
    return sum(x / reference - 1 for x, reference in pairs) / len(results.seeds)


tiles_off, clean_tensor = relative_gap(clean, "FP8, tiles"), relative_gap(clean, "FP8, one scale")
spoiled_tiles, spoiled_tensor = (relative_gap(spoiled, arm) for arm in ("FP8, tiles", "FP8, one scale"))  # fmt: skip
reveal(
    gap_guess,
    {
        "less than 0.5 %": abs(tiles_off) < 0.005,
        "0.5 to 2 %": 0.005 <= abs(tiles_off) < 0.02,
        "more than 2 %": abs(tiles_off) >= 0.02,
    },
)
claim(
    "FP8 with tiles ends within 0.5 % of bf16's loss, mean over the seeds", abs(tiles_off) < 0.005
)
claim("without outliers one scale does as well", abs(clean_tensor) < 0.005)
if scale.kind != "smoke":
    claim("with outliers one scale costs more than 5 %, tiles less than 2 %", spoiled_tensor > 0.05 and spoiled_tiles < 0.02)  # fmt: skip

# %% [markdown]
# How much of the gap is noise? Two bf16 runs that differ by their seed alone differ by far more. The gap is taken seed by seed, which takes out most of
# that. fp32, whose bits differ from the first step on as well, stays much nearer to bf16 than FP8 does: so the rest is FP8's, and its sign changes from seed to seed.
# With three seeds we see no cost, and without outliers we cannot tell tiles from one scale.
#
# Does the size of the outliers change anything? In bf16 it must not: their weights are zero. (A planted model has one channel less to learn with. So compare within one
# table: the clean runs are other models.)

# %% tags=["claim"]
few = scale.pick(smoke=2, laptop=15, gpu=15)
pair = [low_precision.trained(seed=0, steps=few, outlier=size)[1] for size in (0.0, big)]
claim("a bf16 model with outliers, and the same one with zeros in their places, have the same losses, bit for bit", pair[0] == pair[1])  # fmt: skip

# %% [markdown]
# ## On a real GPU
#
# With a Hopper GPU the next cell compares a real product with the simulation. Without one it says so.

# %% tags=["nbval-ignore-output"]
if fp8_gemm.has_fp8(scale.device, (1, 128)):
    m = 4096
    left, right = (torch.randn(m, m, device=scale.device) for _ in range(2))
    how = {"block_a": (1, 128), "block_b": (128, 128), "form_a": E4M3, "form_b": E4M3}
    real = fp8_gemm.real_product(left, right, **how)
    simulated = fp8_formats.through_fp8(left, (1, 128)) @ fp8_formats.through_fp8(right, (128, 128)).T  # fmt: skip
    print(f"largest difference {float((real - simulated).abs().max()):.4f} of {float(simulated.std()):.1f}")  # fmt: skip
else:
    print("no Hopper GPU here: FP8 is simulated in this chapter, and nothing is said about speed")

# %% [markdown]
# ## What it saves, at real size
#
# Weights: one byte each, and one scale for 16,384. Messages: a token travels to 8 experts in FP8, with 56 scales, and comes back in bf16.

# %% tags=["claim"]
sent = fp8_bytes.messages(v3, v3.moe.top_k)
rows = [
    {"what": "weights, GB", "bf16": round(heavy.bf16 / 1e9, 1), "V3": round(heavy.fp8 / 1e9, 1), "saved": f"{1 - heavy.fp8 / heavy.bf16:.1%}"},
    {"what": "a token to its 8 experts, kB", "bf16": round(sent.all_bf16 / 2e3, 1), "V3": round(sent.dispatch / 1e3, 1), "saved": f"{1 - 2 * sent.dispatch / sent.all_bf16:.1%}"},
    {"what": "there and back, kB", "bf16": round(sent.all_bf16 / 1e3, 1), "V3": round((sent.dispatch + sent.combine) / 1e3, 1), "saved": f"{sent.saved:.1%}"},
    {"what": "AdamW's moments, bytes a weight", "bf16": 8, "V3": 4, "saved": "50.0%"},
]  # fmt: skip
print(tables.text(rows))
claim("FP8 halves the weights and a quarter of the messages goes", heavy.fp8 < 0.51 * heavy.bf16 and 0.23 < sent.saved < 0.26)  # fmt: skip

# %% [markdown]
# (The column for moments compares with fp32, the usual choice; V3 keeps them in bf16. Master weights and gradients stay in fp32, so training needs more memory
# than these rows say.)

# %% tags=["trap"]
trap(
    "FP8 halves what experts send to each other.",
    sent.saved > 0.45,
    f"Only the way to the experts is FP8. What comes back is summed over experts, and V3 keeps it in bf16. Together {sent.saved:.0%} are saved.",
)

# %% [markdown]
# ## What DeepSeek reported
#
# V3 compared FP8 with bf16 on two models, of about 16B parameters over 1.33T tokens and about 230B over 0.9T (appendix B.1).

# %% tags=["nbval-ignore-output"]
print(f"reported: the relative loss error stays below {bound} %")
print(f"reported: {tables.figure('fp8_gemm_error')} % largest error with about 14 bits, K = 4096")
print(f"ours: {100 * tiles_off:+.2f} % with tiles, mean of {len(seeds)} seeds")

# %% [markdown]
# Ours is measured over three seeds of a model some seventy thousand and a million times smaller than theirs, after seconds of training. It can say that nothing breaks at once. It cannot say that nothing
# drifts apart after a trillion tokens. The report saw exactly such a case: with 128 x 128 blocks for the *gradients of activations*, a 16B
# model diverged after about 300B tokens.
#
# ## Bug museum
#
# Three broken versions of the tile. Each of them trains. Find each mistake in the numbers before you read the line below the table. Columns: the error of
# ordinary numbers, the error of gradients of size 1e-6, and by how much numbers shrink on average.
#
# The cell that makes them is folded: its names give the answers away.


# %% tags=["hide-input"]
def spread(tile):
    """Numbers back in their own size, so that they can be compared."""

    def rounding(x, block, form=E4M3, *, power_of_two=False):
        if block[1] == 1:
            return rounding(x.T.contiguous(), (1, block[0])).T
        numbers, factor = tile(x.float(), block[1])
        return numbers * factor.repeat_interleave(block[1], 1)[:, : x.shape[1]]

    return rounding


exhibits = {"right": bugs.tile, "A": bugs.tile_without_scale, "B": bugs.tile_cut_off, "C": bugs.tile_of_the_mean}  # fmt: skip
x = torch.randn(64, 256, generator=g)
seen = {}
for name, tile in exhibits.items():
    way = spread(tile)
    out, small = way(x, (1, 16)), way(1e-6 * x, (1, 16))
    seen[name] = (
        float((out - x).norm() / x.norm()),
        float((small - 1e-6 * x).norm() / (1e-6 * x).norm()),
        1 - float((out * x).sum() / x.square().sum()),
    )
    print(f"{name:6} error {seen[name][0]:6.1%}   of gradients {seen[name][1]:6.1%}   shrinks by {seen[name][2]:6.1%}")  # fmt: skip

# %% [markdown]
# And does one see it in the loss? Each version takes the place of the package's own rounding, in all three products, for one run.


# %% tags=["nbval-ignore-output"]
def loss_with(seed, tile, **how):
    with patch.object(fp8, "through_fp8", spread(tile)):
        return low_precision.held_out_loss(seed=seed, recipe=Recipe(size=16), **how)


museum = compare(
    loss_with,
    {
        name: {"tile": tile, "steps": steps, "device": str(scale.device)}
        for name, tile in exhibits.items()
    },
    seeds=[0],
    workers=None if scale.device.type == "cpu" else 0,
)
print(museum.table())

# %% tags=["claim"]
claim("A: no scale. Ordinary numbers are fine, and of small gradients nothing is left", seen["A"][0] < 2 * seen["right"][0] and seen["A"][1] > 0.99)  # fmt: skip
claim("B: cut off instead of rounded. Twice the error, and everything shrinks by some per cent", seen["B"][0] > 1.7 * seen["right"][0] and seen["B"][2] > 0.02 > 0.002 > abs(seen["right"][2]))  # fmt: skip
claim(
    "C: the mean of a tile goes to 448, not its largest. What is larger is lost", seen["C"][0] > 0.4
)
ended = {name: museum.mean(name) for name in exhibits}
untrained = math.log(low_precision.toy().vocab)
claim("all of them learn: they end below a guess among all tokens", max(ended.values()) < untrained)
if scale.kind != "smoke":
    claim("the loss gives away A and C", min(ended["A"], ended["C"]) > 1.05 * ended["right"])
    claim("and B only by being too good", ended["B"] < 1.02 * ended["right"])

# %% [markdown]
# (One run each.) B is the dangerous one. Its loss is even lower than the right version's, by 2 to 4 % in three seeds we tried. It is not the cutting that
# helps: right numbers times 0.966 gain as much, and those of B over 0.966 nothing. This toy likes smaller products. A test of the forward pass with
# a generous tolerance accepts it, too. What finds it is a number that should be zero: by how much the rounding shrinks things on average.
#
# ## What was left out
#
# - Speed. This is a simulation; on a GPU the point of FP8 is time.
# - How activations are kept between the passes: V3 stores them in FP8, those behind attention in a format of 12 bits (E5M6), and computes SwiGLU again.
# - What drifts apart after many tokens. Ours stop after seconds.
# - Outliers that a model grows by itself. Ours are planted.
# - Which of the details of a tensor core are true: the report gives "about 14 bits"; whether what is cut goes towards zero is our assumption.
#
# ## Quiz

# %% tags=["quiz"]
quiz([
    Question("Why does E4M3 stand an outlier of 1,000 when INT8 does not?", right="its steps grow with the number, so small ones keep their relative error",
             because="A floating-point number has the same relative error over many powers of two; equal steps have not.",
             wrong={"it has more different values": "both have about 256", "it clips the outlier": "the scale brings the outlier to 448, nothing is clipped"},
             backed=entry["E4M3, one scale"][6] < 0.05 < 0.5 < entry["INT8, one scale"][6]),
    Question("What do 1 x 128 tiles do about one enormous entry?", right="they limit the loss to the 127 others of its tile",
             because="Nobody else shares its scale.",
             wrong={"they remove it": "it is still there, and rounded well", "they spread it over the tile": "nothing is mixed, only the scale is shared"},
             backed=entry["E4M3, 1 x 128 tiles"][12] < 0.15),
    Question("Why does cutting sums to 14 bits hurt more in long sums?", right="the last bit of a large sum is larger than small products",
             because="The largest term decides what the last bit is worth; with positive numbers what is cut off pulls one way.",
             wrong={"rounding of the factors adds up": "that averages out", "there are more multiplications": "each product is exact; the sum is not"},
             backed=min(last["positive, 14 bits"]) > 5 * max(run[0].largest for run in runs["positive, 14 bits"])),
    Question("In which tiles does V3 round x for the gradient of the weights?", right="128 tokens of one channel",
             because="A scale must be shared along the axis that is summed over: the tokens.",
             wrong={"1 token, 128 channels": "that is for the output, which is summed over channels", "128 x 128": "that is for weights"},
             backed=Recipe().column == (128, 1)),
    Question("Why are master weights not FP8?", right="a step of the optimizer is smaller than the distance of two FP8 numbers",
             because="In a step of 1e-5 nearly all weights would stand still.",
             wrong={"they would need too much memory": "they would need less", "the forward pass needs them": "it reads their FP8 copies"},
             backed=still[1e-5] > 0.95),
])  # fmt: skip

# %% [markdown]
# ## Now you
#
# `exercises/08_fp8.ipynb` has six: round to E4M3, scale tiles, the three products of a layer, what V3 saves, where a rounding breaks, and why
# one error averages out.
