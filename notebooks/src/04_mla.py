# %% [markdown]
# # 04 mla. How does a 70 kB cache replace 4 MB?
#
# A model that writes keeps something of every earlier token. Chapter 02 shared keys and values between heads: the cache shrank,
# and in DeepSeek's own tests quality paid.
#
# DeepSeek-V2 found another way. It keeps no head's keys and values. It keeps one short vector, a *latent*, from which they can be made
# again, and one small key for the position, which all heads share. V3 and R1 do the same.
#
# Three questions. Why need nothing be made again when the model writes? Why does position need a key of its own? And what does
# a model pay for it?
#
# **You need** chapter 02: keys, values, heads and the cache; chapter 01: rotary positions and the noise band.
# **You get** latent attention in ten lines, its two ways to compute the same, and three experiments.

# %%
from dataclasses import replace

import torch

from minids import accounting
from minids.check.bugs import ch04 as bugs
from minids.config import GQAConfig
from minids.model import mla
from minids.model.cache import LatentCache
from minids.model.rope import Rotary, frequencies, rotary, rotate_pairs
from minids.model.transformer import Transformer
from minids.presets import preset
from minids.study import latent, latent_decode, tables, viz_latent
from minids.study.cards import Question, quiz, trap
from minids.study.compare import compare
from minids.study.lesson import claim, figure, predict, reveal, show_source
from minids.study.scale import Scale
from minids.study.widgets import explore

scale = Scale.auto()  # the dial
steps = scale.pick(smoke=2, laptop=120, gpu=1000)
seeds = scale.pick(smoke=range(2), laptop=range(3), gpu=range(5))
contexts = scale.pick(
    smoke=(256, 1024), laptop=(256, 1024, 4096, 16_384), gpu=(1024, 16_384, 131_072)
)
batch = scale.pick(smoke=16, laptop=16, gpu=64)  # rows of a training step

# %% [markdown]
# ## What would V3 keep?
#
# V3 has 128 heads. If each kept a key and a value of its own, what would a token cost? The sizes are in the config.

# %%
v3 = preset("deepseek-v3")
a = v3.attention
plain, kept = accounting.mha_cache_elements(v3), accounting.cache_elements(v3)
print(f"a key and a value for each head: {plain:,} numbers, {2 * plain / 1e6:.1f} MB at 16 bits")

# %% [markdown]
# **Predict first.** V3 really keeps 70 kB. With GQA a token costs a key and a value of 128 numbers for each key head. How many key heads would keep as much?

# %% tags=["predict"]
heads = predict(
    "how many key heads of GQA would keep as much as V3 does?", ..., default=8, unit="key heads"
)
sizes = predict(
    "keys come from a latent through a matrix; it can be merged into the matrix of the queries. The two matrices together get …",
    ...,
    default="smaller",
    options=("smaller", "larger", "no different"),
)

# %% [markdown]
# ## By hand: move the bracket
#
# One head, no batch, no position. Names of sizes: `t` queries, `s` tokens so far, `r` numbers in a latent, `n` in a key.
#
# - `latent` has a row of `r` numbers for each token. This is all that is kept.
# - `key_up` takes a latent to a key, `value_up` takes it to a value.
#
# The first function makes all keys and values again and attends. The second never makes them.

# %%
t, s, r, n = 2, 6, 16, 8
q, kept_latents = torch.randn(t, n), torch.randn(s, r)
key_up, value_up = torch.randn(n, r) / 4, torch.randn(n, r) / 4
future = torch.ones(t, s).triu(s - t + 1).bool()


def by_rebuilding(q, latent):
    scores = q @ (latent @ key_up.T).T * n**-0.5
    weights = scores.masked_fill(future, -torch.inf).softmax(-1)
    return weights @ (latent @ value_up.T)


def by_carrying(q, latent):
    scores = (q @ key_up) @ latent.T * n**-0.5
    weights = scores.masked_fill(future, -torch.inf).softmax(-1)
    return (weights @ latent) @ value_up.T


torch.testing.assert_close(by_rebuilding(q, kept_latents), by_carrying(q, kept_latents))

# %% [markdown]
# Only brackets moved, twice. `q (latent key_upᵀ)ᵀ` became `(q key_up) latentᵀ`: the query goes to the latents, the latents do
# not go to keys. And the weights mix latents; the mixture alone becomes a value.
#
# The paper calls this *absorbing* `key_up` and `value_up`. How much work does it save? One new token, by the number of tokens before it:


# %% tags=["claim"]
def products_of(total, r=a.kv_rank, n=a.nope_dim):
    rebuilt = 2 * total * r * n + 2 * total * n  # all keys, all values; then scores and mixture
    carried = 2 * r * n + 2 * total * r  # the query down, the mixture up; then scores and mixture
    return rebuilt, carried


for total in (1, 16, 256, 4096):
    rebuilt, carried = products_of(total)
    print(f"{total:5} tokens: {rebuilt:12,} multiplications rebuilt, {carried:10,} carried")
rebuilt, carried = products_of(4096)
claim(
    "after 4,096 tokens one head of V3's widths does 100 times less work by carrying",
    rebuilt > 100 * carried,
    f"{rebuilt / carried:.0f} x",
)

# %% [markdown]
# ## The package's own
#
# The same for all heads and rows. `q_rope` and `k_rope` carry the positions; they come later in this chapter. Here it is as one reads it. The model
# itself calls `rebuild` and `carry`, the same two ways in fewer and faster products.

# %%
show_source(mla.expanded, mla.absorbed, mla.attention_weights)

# %% [markdown]
# Does it agree with the lines above? And do the two agree with each other, with many heads and with positions?


# %% tags=["claim"]
def one(x):
    return x[None, None]


nowhere = torch.zeros(1, t, 0)  # no rotary part
ours = mla.absorbed(
    one(q),
    nowhere[None],
    kept_latents[None],
    torch.zeros(1, s, 0),
    key_up[None],
    value_up[None],
    n**-0.5,
)
by_hand = by_carrying(q, kept_latents)
torch.testing.assert_close(ours[0, 0], by_hand)


def difference(dtype, seed=0):
    """Largest difference of the two ways, relative to the largest output."""
    g = torch.Generator().manual_seed(seed)
    shapes = (2, 8, 5, 32), (2, 8, 5, 16), (2, 64, 128), (2, 64, 16), (8, 32, 128), (8, 32, 128)
    inputs = [torch.randn(*shape, generator=g, dtype=dtype) for shape in shapes]
    inputs[4:] = [x * 128**-0.5 for x in inputs[4:]]
    out = [way(*inputs, scale=48**-0.5) for way in (mla.expanded, mla.absorbed)]
    return float((out[0] - out[1]).abs().max() / out[0].abs().max())


claim("by hand and by the package: the same", float((ours[0, 0] - by_hand).abs().max()) < 1e-5)
claim(
    "absorbed equals expanded to 1e-5 in 32 bits",
    max(difference(torch.float32, i) for i in range(3)) < 1e-5,
)
claim("and to 1e-12 in 64 bits", max(difference(torch.float64, i) for i in range(3)) < 1e-12)

# %% [markdown]
# So it is one attention with two ways to compute it. The module takes the cheaper one:

# %%
show_source(mla.MLA.forward, mla.absorbing_pays)

# %% [markdown]
# Training and reading a prompt (*prefill*) have many new tokens: keys and values are made once and met by every query. Writing (*decode*) has one:
# nothing is made. Where does it turn? Count, with V3's widths. The counter is torch's own, and the tensors have a shape and no memory.

# %% tags=["claim"]
past = 100_000
rows = []
for new in (1, 16, 128, 512):
    work = [latent_decode.flops(way, new, past, a) / 1e12 for way in (mla.expanded, mla.absorbed)]
    cheaper = "carried" if mla.absorbing_pays(new, past, a) else "rebuilt"
    rows.append(
        {
            "new tokens": new,
            "rebuilt, TFLOP": f"{work[0]:.3f}",
            "carried, TFLOP": f"{work[1]:.3f}",
            "the module takes": cheaper,
        }
    )
print(tables.text(rows))
chosen = [row["the module takes"] for row in rows]
claim(
    "carrying wins for few new tokens, rebuilding for many",
    chosen == ["carried", "carried", "carried", "rebuilt"],
)
claim(
    "the module's rule agrees with the counted operations",
    all(
        (float(row["carried, TFLOP"]) < float(row["rebuilt, TFLOP"]))
        == (row["the module takes"] == "carried")
        for row in rows
    ),
)

# %% [markdown]
# ## Two factors, in turn
#
# The paper says that `key_up` can be absorbed into the matrix of the queries. Taken at its word, that would be one merged matrix for
# each head, from the query's latent straight to the key-value latent. (V2 and V3 press queries through a latent, too, of 1,536 numbers. It is not kept.) Count it.

# %% tags=["claim"]
in_turn = a.nope_dim * a.q_rank + a.nope_dim * a.kv_rank
merged = a.q_rank * a.kv_rank
print(f"one head in two factors: {in_turn:,} numbers; merged: {merged:,}")
reveal(sizes, "larger" if merged > in_turn else "smaller")
claim("the merged matrix is three times as large as its factors", merged == 3 * in_turn)

# %% tags=["trap"]
trap(
    "Absorbing saves parameters.",
    merged < in_turn,
    f"A product of {a.q_rank} x {a.nope_dim} and {a.nope_dim} x {a.kv_rank} has {a.q_rank} x {a.kv_rank} numbers: {merged / in_turn:.0f} "
    "times as many as the two. What absorbing saves is work and memory for the past. So our code never merges: it applies the factors in "
    "turn, as DeepSeek's own inference code does.",
)

# %% [markdown]
# ## Why position needs a key of its own
#
# So far no token knew where it stands. In chapter 01 a rotation, RoPE, turned queries and keys by their position. Do the same to the
# rebuilt key: token `j` has the key `R_j key_up c_j`, with `R_j` the rotation of position `j` and `c_j` its latent. The score of query `i` is
#
# $$ q_i^T R_{j-i}\, \mathrm{key\_up}\; c_j $$
#
# **Predict first.** The bracket is moved as before, and the query is carried through `key_up`. How wrong is the score, as a share of its size?

# %% tags=["predict"]
wrong = predict("how wrong is a carried score when the whole key is turned?", ..., default="a rounding error",
                options=("a rounding error", "about 1 %", "as large as the score"))  # fmt: skip

# %% [markdown]
# Measure it by the distance of the two tokens, in 64 bits. Beside it DeepSeek's way: the rebuilt key is not turned at all, and position
# travels in a small key of its own, which is turned *before* it is kept.

# %%
g = torch.Generator().manual_seed(0)
draw = lambda *shape: torch.randn(*shape, generator=g, dtype=torch.float64)  # noqa: E731
samples, reach, width, p = 200, 64, 32, 16
queries, latents, up = draw(samples, width), draw(samples, 128), draw(width, 128) * 128**-0.5
q_small, k_small = draw(samples, p), draw(samples, p)
angles = {w: rotary(frequencies(w, 100.0).double(), torch.arange(reach)) for w in (width, p)}


def turned(x, distance):
    r = angles[x.shape[-1]]
    return rotate_pairs(x, Rotary(r.cos[distance].double(), r.sin[distance].double()))


def share(score, truth):
    return float((score - truth).square().mean().sqrt() / truth.square().mean().sqrt())


whole, apart = [], []
for distance in range(reach):
    keys = latents @ up.T
    truth = (turned(queries, distance) * keys).sum(-1)
    whole.append(share(((queries @ up) * latents).sum(-1), truth))
    position = (turned(q_small, distance) * k_small).sum(-1)
    truth = (queries * keys).sum(-1) + position
    apart.append(share(((queries @ up) * latents).sum(-1) + position, truth))

# %% tags=["claim"]
far_off = min(whole[10:])
reveal(
    wrong,
    {
        "a rounding error": far_off < 1e-6,
        "about 1 %": 1e-6 <= far_off < 0.1,
        "as large as the score": far_off >= 0.1,
    },
)
print(
    f"whole key turned, distance 10 and more: {min(whole[10:]):.1f} to {max(whole[10:]):.1f} of the score's size"
)
claim(
    "turning the whole key breaks the bracket: the error is as large as the score",
    min(whole[10:]) > 0.5,
)
claim("at distance 0 nothing is turned, and the bracket holds", whole[0] < 1e-12)
claim("with a rotary key apart the two ways agree to 1e-12 at every distance", max(apart) < 1e-12)

# %%
figure(
    viz_latent.position_errors({"whole key turned": whole, "rotary key apart": apart}),
    "Error of a carried score over distance, logarithmic. With the whole key turned it is at rounding error at distance zero and as large as "
    "the score from a few tokens on; with a rotary key apart it stays at rounding error.",
)

# %% [markdown]
# Why? A rotation stands between the query and `key_up`, another one for each distance. The query cannot be carried once: it would
# have to be turned and carried anew for each token of the past, which is as much work as making the keys. Turning the latents instead
# does not help: turning and `key_up` cannot be exchanged.

# %% tags=["claim"]
distance = 7
truth = (turned(queries, distance) * (latents @ up.T)).sum(-1)
each = ((turned(queries, distance) @ up) * latents).sum(-1)
latents_turned = latents.clone()
latents_turned[:, :width] = turned(latents[:, :width], distance)
instead = ((queries @ up) * latents_turned).sum(-1)
claim("a query turned and carried for this one distance is right", share(each, truth) < 1e-12)
claim(
    "latents turned instead of keys are wrong by the size of the score", share(instead, truth) > 0.5
)

# %% [markdown]
# So MLA cuts a head in two: *decoupled RoPE*. The *nope* part (no position) comes from the latent and is carried. The *rope* part is turned. Its key
# does not come from the latent, and **one** serves all heads: it is kept, so it has to be small. This is what is kept of a token:

# %%
show_source(mla.MLA.project)

# %% [markdown]
# Two things are easily missed. The latent is normed before it is kept, the rotary key is not. And the softmax scale counts both
# widths: a score is a sum of `nope_dim + rope_dim` products.
#
# ## The cache
#
# The latent and the rotary key lie side by side. A cache can be rewound, which chapter 07 needs.

# %%
show_source(LatentCache)

# %% [markdown]
# What does it hold? First a toy with V3's structure that has read 50 tokens. Then V3's own widths, without memory.

# %% tags=["claim"]
toy = Transformer(preset("toy-v3"))
cache = toy.new_cache(1, 64)
with torch.no_grad():
    toy(torch.zeros(1, 50, dtype=torch.long), cache)
print(
    f"toy: {cache.nbytes / 50:,.0f} bytes per token measured, {accounting.cache_bytes(toy.c, bits=32):,.0f} by the formula"
)

layer = LatentCache(1, 1000, a.kv_rank, a.rope_dim, dtype=torch.bfloat16, device="meta")
layer.append(
    *(torch.empty(1, 1000, w, dtype=torch.bfloat16, device="meta") for w in (a.kv_rank, a.rope_dim))
)
measured = layer.nbytes / 1000 * v3.n_layers
print(f"V3: {kept:,} numbers per token, {measured:,.0f} bytes")
claim(
    "tensors and formula agree, for the toy",
    cache.nbytes == 50 * accounting.cache_bytes(toy.c, bits=32),
)
claim(
    "35,136 numbers and 70,272 bytes for V3",
    kept == 35_136 and measured == accounting.cache_bytes(v3) == 70_272,
)

# %% [markdown]
# How many key heads would GQA have with the same cache? GQA keeps a key and a value of `n` numbers for each.

# %% tags=["claim"]
groups = a.cached_width / (2 * a.nope_dim)
reveal(heads, groups)
claim(
    "with a latent of four heads and a rotary key of half a head, MLA keeps as much as GQA with 2.25 key heads",
    groups == 2.25 and a.kv_rank == 4 * a.nope_dim and 2 * a.rope_dim == a.nope_dim,
)

# %% [markdown]
# Writing token by token must give what one pass gives. The first way carries, the second rebuilds: a model that passes has two ways
# that agree, and a cache that forgets nothing. A mistake that both ways share passes as well: the museum below has two.

# %% tags=["claim"]
double = Transformer(preset("toy-v3"), seed=1).double()
text = torch.randint(1024, (2, 24), generator=torch.Generator().manual_seed(2))
with torch.no_grad():
    whole_text = double(text).logits
    cache = double.new_cache(2, 24)
    steps_of_one = torch.cat([double(text[:, i : i + 1], cache).logits for i in range(24)], dim=1)
    cache.rewind(10)
    again = double(text[:, 10:], cache).logits
error = float((steps_of_one - whole_text).abs().max() / whole_text.abs().max())
claim("token by token gives what one pass gives, to 1e-12 in 64 bits", error < 1e-12)
claim(
    "so does going on after a rewind",
    float((again - whole_text[:, 10:]).abs().max() / whole_text.abs().max()) < 1e-12,
)

# %% [markdown]
# ## Experiment 1: what does a small cache cost?
#
# Five models with the same number of parameters. Each has 16 query heads; what attention saves goes to the feed-forward. They differ in what they
# keep. MLA gets exactly the cache of GQA with two key heads.

# %%
show_source(latent.attention, latent.toy)
print(
    tables.text(
        [
            {
                "kind": kind,
                "numbers kept, token and layer": c.attention.cached_width,
                "parameters": accounting.parameters(c).total,
                "of them attention": accounting.parameters(c).attention,
                "FLOPs per token, training": accounting.flops_per_token(c, latent.LENGTH),
            }
            for kind in latent.KINDS
            for c in [latent.toy(kind)]
        ]
    )
)

# %% tags=["claim"]
toys = {kind: latent.toy(kind) for kind in latent.KINDS}
weigh = [accounting.parameters(c).total for c in toys.values()]
cached = {kind: c.attention.cached_width for kind, c in toys.items()}
claim("all five weigh the same, to one part in a thousand", max(weigh) < 1.001 * min(weigh))
claim("MLA keeps as much as GQA-2", cached["MLA"] == cached["GQA-2"])

# %% [markdown]
# **Predict first.** They read short stories for a few seconds. Where will MLA's loss lie?

# %% tags=["predict"]
where = predict(
    "MLA's mean loss will lie …",
    ...,
    default="above GQA-2",
    options=("below MHA", "between MHA and GQA-2", "above GQA-2"),
)

# %% [markdown]
# **What you should see.** Losses near 1 nat per token, MHA lowest, MQA highest. Around the mean of MHA lies the noise band. The mean of
# an arm that does not differ falls inside 95 times in 100.

# %% tags=["nbval-ignore-output"]
results = compare(
    latent.loss,
    {
        kind: {
            "kind": kind,
            "steps": steps,
            "batch": batch,
            "products": scale.products,
            "device": str(scale.device),
        }
        for kind in latent.KINDS
    },
    seeds=seeds,
    workers=None if scale.device.type == "cpu" else 0,
)
print(results.table())

# %%
figure(
    viz_latent.loss_by_cache(results, cached),
    "Held-out loss against numbers kept, for five kinds of attention and all seeds. Along the GQA family loss rises as the cache "
    "shrinks. MLA lies a little below GQA-2, which keeps as much, and above GQA-4, which keeps twice as much; MHA, with eight times as much, is lowest.",
)

# %% tags=["claim"]
mean = {kind: results.mean(kind) for kind in latent.KINDS}
reveal(
    where,
    {
        "below MHA": mean["MLA"] < mean["MHA"],
        "between MHA and GQA-2": mean["MHA"] <= mean["MLA"] < mean["GQA-2"],
        "above GQA-2": mean["MLA"] >= max(mean["GQA-2"], mean["MHA"]),
    },
)
reach = results.band().reach  # how far apart chance alone brings two means
claim(
    "with the same cache, MLA's mean loss is not above that of GQA-2 by more than the noise reaches",
    mean["MLA"] < mean["GQA-2"] + reach,
)
claim(
    "MLA keeps half as much as GQA-4, and their means differ by less than MQA and MHA do, by half",
    2 * cached["MLA"] == cached["GQA-4"]
    and 2 * abs(mean["MLA"] - mean["GQA-4"]) < mean["MQA"] - mean["MHA"],
)
claim("the smallest cache, MQA's, has the highest loss", max(mean, key=mean.get) == "MQA")
claim(
    "the lead over MHA that the paper reports is not seen: MHA's mean loss is the lower one, by more than the noise reaches",
    mean["MHA"] < mean["MLA"] - reach,
)

# %% [markdown]
# When this was written the MLA point lay a little below GQA-2, which keeps as much. Three seeds do not settle it: the gap is smaller than what the noise reaches. The paper
# says more, that MLA beats MHA. Here MHA wins, which keeps eight times as much. Our latent has three eighths of the model's width, and every head has 8 numbers; the next section looks at what that loses.
#
# One thing did not come out at first. With DeepSeek's ratio, a rotary key of *half* a head, our MLA was worse than GQA-2 in a
# trial of one seed: half of 8 numbers turn at two speeds only, which is too few to tell positions apart. V3's key has 64 numbers, 32 speeds. The toy's has 8 numbers, 4 speeds.
#
# ## How much is there to keep?
#
# Why can so few numbers stand for so many? Take the trained MHA model and look at what it keeps: keys and values of all heads, before they are turned.
# How large is the error, beside their size, when they pass through `r` numbers? The best possible way is known. The *singular value decomposition*
# sorts the directions in which the rows vary, and one keeps the `r` largest.

# %%
show_source(latent.rank_errors)

# %% tags=["nbval-ignore-output"]
ranks = (0, 4, 8, 16, 24, 32, 48, 64)
taught = latent.trained(
    seed=0, kind="MHA", steps=steps, batch=batch, products=scale.products, device=str(scale.device)
)
layers = {
    name: [latent.rank_errors(rows, ranks) for rows in latent.keys_and_values(model)]
    for name, model in (("trained", taught), ("not trained", Transformer(latent.toy("MHA"))))
}
for name, by_layer in layers.items():
    for number, errors in enumerate(by_layer):
        print(
            f"{name}, layer {number}:",
            *(f"{r}: {error:.2f}" for r, error in zip(ranks, errors, strict=True)),
        )

# %% tags=["claim"]
claim(
    "training makes keys and values simpler: at every rank less is lost than without training, in both layers",
    all(
        x < y
        for after, before in zip(layers["trained"], layers["not trained"], strict=True)
        for x, y in zip(after[1:-1], before[1:-1], strict=True)
    ),
)
claim(
    "at the model's width nothing is lost: 256 numbers were made from 64",
    all(errors[-1] < 1e-3 for by_layer in layers.values() for errors in by_layer),
)


# %%
def draw_budget(kv_rank=24, rope_dim=8, layer=0):
    errors = {name: by_layer[layer] for name, by_layer in layers.items()}
    others = {kind: cached[kind] for kind in ("MHA", "GQA-4", "GQA-2", "MQA")}
    return viz_latent.budget(ranks, errors, others, kv_rank=kv_rank, rope_dim=rope_dim)


figure(
    draw_budget(),
    "Left: the error of keys and values falls with the width of the latent, faster for the trained model, to zero at the model's "
    "width. Right: what a latent and its rotary key cost, beside MHA, GQA and MQA.",
)

# %% [markdown]
# Move it. Which latent loses less than a tenth? What does a wide rotary key cost, and what does it buy? It buys speeds of rotation, and
# no error on the left: position is not in the latent.

# %%
explore(
    draw_budget,
    kv_rank=list(ranks[1:]),
    rope_dim=(0, 32, 2),
    layer=[0, 1],
    alt="Error of keys and values by the width of the latent, and numbers kept beside other kinds of attention.",
)

# %% [markdown]
# One warning. This cuts a model that was trained without a latent. MLA is trained *with* it: its heads learn to live on what passes.
#
# ## Experiment 2: is it fast?
#
# One new token, one layer, a full cache. Widths are V2-Lite's, divided by four. Four ways take turns on the same machine.

# %% tags=["predict"]
faster = predict(
    "at the longest context, carrying is how many times as fast as rebuilding?",
    ...,
    default=2,
    unit="times",
)

# %% tags=["nbval-ignore-output", "claim"]
seconds = {n: latent_decode.step_seconds(n, device=str(scale.device)) for n in contexts}
for n, times_of in seconds.items():
    print(f"{n:7,} tokens:", ", ".join(f"{name} {1e3 * x:.2f} ms" for name, x in times_of.items()))
last = seconds[contexts[-1]]
reveal(faster, round(last["MLA, rebuilt"] / last["MLA, carried"], 1))
claim(
    "at the longest context carrying is more than five times as fast as rebuilding",
    last["MLA, rebuilt"] > 5 * last["MLA, carried"],
)
print(f"MHA takes {last['MHA'] / last['MLA, carried']:.1f} times, GQA with a quarter of the key heads "
      f"{last['GQA'] / last['MLA, carried']:.1f} times as long as MLA, carried")  # fmt: skip

# %%
figure(
    viz_latent.decode_times(seconds),
    "Milliseconds of one decode step over context, both logarithmic. Latent attention that rebuilds lies far above the rest and rises "
    "in proportion to context; carried, it lies with MHA and GQA, far below.",
)

# %% [markdown]
# Rebuilding is the trap of a naive cache: it is small and slow. Against MHA and GQA the picture depends on the machine. Carrying reads
# less and multiplies more. How much more, for each byte that is read?


# %% tags=["claim"]
def per_token(config, **how):
    """Operations that one more token in the cache adds to a step, over all layers."""
    return accounting.flops_per_token(config, 1, "decode", **how) - accounting.flops_per_token(
        config, 0, "decode", **how
    )


as_mha = replace(
    v3, attention=GQAConfig(n_heads=a.n_heads, n_kv_heads=a.n_heads, head_dim=a.nope_dim)
)
cases = {
    "V3 as MHA": (as_mha, {}),
    "67B, GQA-8": (preset("deepseek-llm-67b"), {}),
    "V3, rebuilt": (v3, {"mla": "expanded"}),
    "V3, carried": (v3, {"mla": "absorbed"}),
}
intensity = {
    name: per_token(c, **how) / accounting.cache_bytes(c) for name, (c, how) in cases.items()
}
print(
    tables.text(
        [
            {
                "attention": name,
                "bytes read": int(accounting.cache_bytes(c)),
                "MFLOP": round(per_token(c, **how) / 1e6, 2),
                "FLOPs per byte": round(intensity[name], 1),
            }
            for name, (c, how) in cases.items()
        ]
    )
)
claim(
    "MHA does one operation for each byte it reads: it waits for memory",
    intensity["V3 as MHA"] == 1,
)
claim(
    "carrying does more than 200, which is what a large GPU wants, and over 100 times less work than rebuilding",
    200 < intensity["V3, carried"] < 300
    and intensity["V3, rebuilt"] > 100 * intensity["V3, carried"],
)

# %% [markdown]
# A GPU can do some hundreds of operations in the time it reads a byte. MHA leaves it idle. MLA reads far less and gives it work to do.
# On a CPU, which does fewer operations per byte, carrying gains less against MHA, and may lose: look at your own numbers above.

# %% tags=["trap"]
longer = accounting.flops_per_token(toys["MLA"], latent.LENGTH) / accounting.flops_per_token(
    toys["MHA"], latent.LENGTH
)
trap(
    "MLA makes training faster.",
    longer < 1,
    "In training nothing is kept and all keys and values are made. At equal parameters our MLA takes "
    f"{100 * (longer - 1):.0f} % more operations a token than MHA: its queries and keys are wider, by the rotary part. What gets cheaper is writing.",
)

# %% [markdown]
# ## Real size
#
# The three published models with latent attention, and what each would keep otherwise. How many users, each with as long a text as the model reads, fit into 80 GB,
# if the cache had it for itself?

# %% tags=["claim"]
reads = {row["model"]: row["extends_to"] for row in tables.read("models")}
published = {row["model"]: row for row in tables.read("cache")}
rows = []
for name in ("deepseek-v2-lite", "deepseek-v2", "deepseek-v3"):
    c = preset(name)
    mha, full = accounting.mha_cache_elements(c), reads[name]
    rows.append(
        {
            "model": name,
            "heads": c.attention.n_heads,
            "numbers": accounting.cache_elements(c),
            "kB": round(accounting.cache_bytes(c) / 1e3, 1),
            "as MHA, kB": round(2 * mha / 1e3, 1),
            "times smaller": round(mha / accounting.cache_elements(c), 1),
            "reads": f"{full // 1024}K",
            "users": int(80e9 // (accounting.cache_bytes(c) * full)),
            "users, MHA": int(80e9 // (2 * mha * full)),
        }
    )
print(tables.text(rows))
claim(
    "every count is the published one",
    all(row["numbers"] == published[row["model"]]["elements"] for row in rows),
)
claim(
    "V3 serves several users where MHA would not serve one",
    rows[-1]["users"] > 5 and rows[-1]["users, MHA"] == 0,
)

# %% [markdown]
# To the cache heads are free: V2-Lite and V3 keep the same in a layer, with 16 and with 128 of them.
#
# What of the 93.3 % in V2's abstract? Chapter 00 settled it: it counts V2's cache at 6 bits and the other one at 16.
#
# ## What DeepSeek reported
#
# Two pairs of models, trained alike but for attention (V2, Table 9):

# %%
print(
    tables.text(
        tables.read("mla_ablation"), ["measure", "small_mha", "small_mla", "large_mha", "large_mla"]
    )
)

# %% tags=["claim"]
table = {row["measure"]: row for row in tables.read("mla_ablation")}
scores = [row for name, row in table.items() if name.isupper() or name == "C-Eval"]
better = sum(
    row[f"{size}_mla"] > row[f"{size}_mha"] for row in scores for size in ("small", "large")
)
lite, large = (accounting.cache_elements(preset(f"deepseek-v2{end}")) for end in ("-lite", ""))
claim("there MLA wins most of the eight scores", better == 7, f"{better} of {2 * len(scores)}")
claim(
    "the caches in the table are those of V2-Lite and V2",
    [table["cache_k_elements"][f"{size}_mla"] for size in ("small", "large")]
    == [round(lite / 1e3, 1), round(large / 1e3, 1)],
)
claim(
    "the large MHA model is not V2 with MHA: it has fewer heads, or narrower ones",
    table["cache_k_elements"]["large_mha"]
    < accounting.mha_cache_elements(preset("deepseek-v2")) / 1e3 / 2,
)

# %% [markdown]
# Beside ours: at our size MHA's loss is the lower one. The paper has no GQA with so small a cache. Its Table 8 puts GQA behind MHA, and its Table 9
# puts MLA ahead of MHA.
#
# ## Bug museum
#
# Four broken versions. All of them write fluently, two of them exactly as they should. A text of 40 tokens goes through each. Find each mistake
# in the numbers before you read the line. The last column feeds the same text ten times as large, with the rotary key switched off.
#
# The cell that makes them is folded: its names give the answers away.

# %% tags=["hide-input"]
g = torch.Generator().manual_seed(3)
h, d, r, n, p = 8, 48, 32, 16, 8
x, down, gain = (
    torch.randn(1, 40, d, generator=g),
    torch.randn(r + p, d, generator=g) * d**-0.5,
    torch.ones(r),
)
ups = [torch.randn(h, n, r, generator=g) * r**-0.5 * 2 for _ in range(2)]
asks = torch.randn(1, h, 40, n, generator=g), torch.randn(1, h, 40, p, generator=g)
turn = rotary(frequencies(p, 100.0), torch.arange(40))
silent = torch.cat([down[:r], 0 * down[r:]])


def write(compress, memory, x=x, down=down):
    """Output of all 40 steps, and the numbers that are kept of a token."""
    notes = memory(*ups)
    past = compress(x, down, gain, turn)
    out = [
        notes.step(*(q[:, :, i : i + 1] for q in asks), *(y[:, i : i + 1] for y in past))
        for i in range(40)
    ]
    held = [
        y
        for y in vars(notes).values()
        if isinstance(y, torch.Tensor) and not any(y is up for up in ups)
    ]
    return torch.cat(out, dim=2), sum(y.numel() for y in held) // 40


exhibits = {
    "right": (bugs.compress, bugs.Memory),
    "A": (bugs.compress, bugs.ScaleWithoutRope),
    "B": (bugs.compress, bugs.RopeKeyForEachHead),
    "C": (bugs.latent_without_norm, bugs.Memory),
    "D": (bugs.compress, bugs.KeysAndValues),
}
right, _ = write(*exhibits["right"])


def off(out, from_what):
    return float((out - from_what).abs().max() / from_what.abs().max())


found = {
    name: (
        write(*e)[1],
        off(write(*e)[0], right),
        off(write(*e, 10 * x, silent)[0], write(*e, x, silent)[0]),
    )
    for name, e in exhibits.items()
}
print(
    tables.text(
        [
            {
                "version": name,
                "numbers kept": k,
                "output off by": f"{o:.2f}",
                "moved by loudness": f"{m:.2f}",
            }
            for name, (k, o, m) in found.items()
        ]
    )
)

# %% tags=["predict"]
which = predict(
    "one of them keeps keys and values of every head. Which?",
    ...,
    default="B",
    options=("A", "B", "C", "D"),
)

# %% tags=["claim"]
reveal(which, max(found, key=lambda name: found[name][0]))
claim(
    "B and D write what they should: no loss and no sample can tell",
    max(found[name][1] for name in "BD") < 1e-5,
)
claim(
    "their cache tells: B keeps a rotary key for each head, D more than MHA would",
    found["B"][0] == r + h * p and found["D"][0] == h * (n + p + n) > 2 * h * n,
)
claim(
    "C alone hears loudness: its latent is not normed",
    found["C"][2] > 0.1 > 1e-3 > max(found[k][2] for k in "ABD"),
)
claim(
    "A keeps the right numbers and is off all the same: its scale forgets the rope width",
    found["A"][0] == r + p and found["A"][1] > 0.01,
)
print(f"with A scores are spread {((n + p) / n) ** 0.5:.2f} times as wide as they should be")

# %% [markdown]
# Does training notice A and C? Both built into the toy, beside the right one, a run each, half as long as above:

# %% tags=["nbval-ignore-output", "claim"]
broken = compare(
    latent.loss,
    {
        name: {
            "kind": "MLA",
            "steps": steps // 2,
            "change": change,
            "products": scale.products,
            "device": str(scale.device),
        }
        for name, change in (
            ("right", None),
            ("A", bugs.forget_the_rope_width),
            ("C", bugs.forget_the_norm),
        )
    },
    seeds=[0],
    workers=None if scale.device.type == "cpu" else 0,
)
print(broken.table())
claim(
    "both train: neither ends more than a tenth above the right one",
    max(broken.mean("A"), broken.mean("C")) < 1.1 * broken.mean("right"),
    "one run each",
)

# %% [markdown]
# A loss curve shows neither: after so few steps a broken one may even end lower. A is found by loading published weights, or by the spread of the scores. C is found by a loud input. B and D are
# found by counting what is kept, and by nothing else: open courses ship both. The lines:

# %%
show_source(
    bugs.scale_without_rope, bugs.RopeKeyForEachHead, bugs.latent_without_norm, bugs.KeysAndValues
)

# %% [markdown]
# ## What was left out
#
# - **The query latent.** V2 and V3 also press queries through a latent. It saves memory in training, and nothing in the cache.
# - **MLA as a change to a trained model.** A GQA model can be turned into an MLA model and tuned; that is other people's work.
# - **A cache in 6 bits**, as V2 was served. Chapter 08 explains such rounding, with 8 bits.
# - **A kernel.** DeepSeek has its own for carried attention on a GPU. Ours is torch's, with one wide key head.
# - **Long texts.** The rotary key is what has to stretch: chapter 05.
#
# ## Quiz
#
# Five questions. Open an option to see whether it is right, and why.

# %% tags=["quiz"]
more_heads = replace(v3, attention=replace(a, n_heads=2 * a.n_heads))
quiz(
    [
        Question(
            "What does V3 keep of a token in one layer?",
            f"A latent of {a.kv_rank} numbers and one rotary key of {a.rope_dim}.",
            f"Together {a.cached_width}: the width of the cache's tensor.",
            {
                f"{a.kv_rank} numbers: the latent.": "The rotary key is made beside it, so it is kept too.",
                f"A latent, and a rotary key of {a.rope_dim} for each head.": "One rotary key serves all heads. With one for each, the cache would be "
                f"{(a.kv_rank + a.n_heads * a.rope_dim) / a.cached_width:.0f} times as large.",
            },
            layer.kept.shape[-1] == a.kv_rank + a.rope_dim,
        ),
        Question(
            "V3 with twice the heads: what happens to its cache?",
            "Nothing.",
            "All heads read the same latent and the same rotary key.",
            {
                "It doubles.": "That is MHA. Here heads are made from the latent, and are not kept.",
                "It grows by the rotary keys.": "There is one, whatever the number of heads.",
            },
            accounting.cache_bytes(more_heads) == accounting.cache_bytes(v3),
        ),
        Question(
            "Why are the keys that come from the latent not turned?",
            "A rotation between query and key_up differs for every distance, so the query could not be carried once.",
            "Measured above: carried all the same, scores are wrong by their own size.",
            {
                "Turned keys would be wider.": "A rotation changes no width.",
                "Rotations cannot be learned.": "They are not learned in any model of this course, and keys turn in all of them.",
            },
            min(whole[10:]) > 0.5 and max(apart) < 1e-12,
        ),
        Question(
            "When does the package rebuild keys and values?",
            "When many new tokens come at once.",
            "Each rebuilt key is then met by many queries: training, and reading a prompt.",
            {
                "Never: carrying is always cheaper.": f"With V3's widths and {new} new tokens it is not: a product with a latent is four times as wide as one with a key.",
                "When the past is long.": "A long past is where carrying gains most, if one token comes at a time.",
            },
            not mla.absorbing_pays(new, past, a) and mla.absorbing_pays(1, past, a),
        ),
        Question(
            "A course's MLA gives exactly the right outputs. What can still be wrong?",
            "What it keeps.",
            "Two exhibits of the museum write as they should and keep more than they need: one of them more than plain attention.",
            {
                "Nothing: outputs are the test.": "Outputs cannot see memory. Count the numbers that are held.",
                "The loss.": "Equal outputs have equal losses.",
            },
            found["D"][1] < 1e-5 and found["D"][0] > 5 * found["right"][0],
        ),
    ]
)

# %% [markdown]
# ## Exercises
#
# In `exercises/04_mla.ipynb`: move the bracket in one line, absorb, keep and rewind, predict how many users fit, explain why
# nobody merges, and measure where carrying stops to pay. Each checks itself and hints.
#
# Next: chapter 05 asks how a model that learned on 4K tokens reads 128K.
