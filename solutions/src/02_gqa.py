# %% [markdown]
# # 02 gqa. Exercises
#
# Six exercises, from one line to a measurement. Each checks itself: run the cell below it.
# A check stops at the first claim that does not hold, and hints. `hint("02.repeat_kv")` says more, in three steps.
#
# The chapter is `notebooks/02_gqa.ipynb`. Times are for somebody who has read it.

# %%
from dataclasses import replace

import torch

from minids import accounting
from minids.check import check, hint
from minids.model.transformer import Transformer
from minids.presets import preset
from minids.study import by_steps, sharing
from minids.study.lesson import claim

# %% [markdown]
# ## 1. Fill one line: share the key heads (5 minutes)
#
# `x` holds keys (or values): `(batch, key heads, tokens, width)`. Give each of them to `n` query heads. The result has
# `key heads * n` heads. Query head `i` gets key head `i // n`: with two key heads and `n = 3` they come as 0 0 0 1 1 1.


# %%
hint("02.repeat_kv")


# %% tags=["exercise"]
def repeat_kv(x, n):
    """Return keys or values (b, g, s, d), repeated for n query heads each: (b, g * n, s, d)."""
    ### BEGIN SOLUTION
    return x.repeat_interleave(n, dim=1)
    ### END SOLUTION


# %% tags=["check"]
check("02.repeat_kv", repeat_kv)

# %% [markdown]
# ## 2. A step with a cache (25 minutes)
#
# New tokens arrive. Write what one attention layer does with them.
#
# - `q` is `(b, h, t, d)`; `k` is `(b, g, t, d)` and `v` is `(b, g, t, dv)`: queries, keys and values of `t` new tokens, not yet turned.
# - `past` is what you returned as the second thing the last time: `(keys, values)` of all earlier tokens. At first it is None.
# - `turn(x, start)` turns vectors to the positions `start`, `start + 1`, …
#
# Return what is mixed, `(b, h, t, dv)`, and the new pair to keep. Keep `g` heads, not `h`. Scores are divided by the root of `d`.
# When several tokens arrive at once, none may look at a later one.


# %% tags=["exercise"]
def cache_step(q, k, v, past, turn):
    """Return the mixed values of the new tokens, and the pair (keys, values) to keep."""
    ### BEGIN SOLUTION
    start = 0 if past is None else past[0].shape[2]
    q, k = turn(q, start), turn(k, start)
    if past is not None:
        k, v = torch.cat([past[0], k], dim=2), torch.cat([past[1], v], dim=2)
    n = q.shape[1] // k.shape[1]
    scores = q @ repeat_kv(k, n).mT / q.shape[-1] ** 0.5
    may_look = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool).tril(k.shape[2] - q.shape[2])
    weights = scores.masked_fill(~may_look, -torch.inf).softmax(-1)
    return weights @ repeat_kv(v, n), (k, v)
    ### END SOLUTION


# %% tags=["check"]
check("02.cache_step", cache_step)

# %% [markdown]
# Put your step into a whole model: it has to say what the package's model says, one token at a time.

# %% tags=["claim"]
model = Transformer(sharing.toy(2))
tokens = torch.randint(model.c.vocab, (3, 20), generator=torch.Generator().manual_seed(1))
yours = by_steps.read(model, tokens, cache_step, chunk=1)
with torch.no_grad():
    expected = model(tokens).logits
claim(
    "your step decodes what the model reads at once",
    bool((yours.logits - expected).abs().max() < 1e-4 * expected.abs().max()),
)
claim(
    "and keeps what the formula says",
    yours.cache_bytes == tokens.numel() * accounting.cache_bytes(model.c, bits=32),
)

# %% [markdown]
# ## 3. Count the bytes (10 minutes)
#
# How many bytes does a cache take? `config.n_layers` and `config.attention` (with `n_heads`, `n_kv_heads`, `head_dim`) say enough.
# `context` is the number of tokens in each of `batch` texts; a number takes `bits` bits.


# %% tags=["exercise"]
def cache_bytes(config, context, batch, bits=16):
    """Return the bytes of keys and values of all layers."""
    a = config.attention
    ### BEGIN SOLUTION
    per_token = 2 * a.n_kv_heads * a.head_dim * config.n_layers
    return per_token * context * batch * bits / 8
    ### END SOLUTION


# %% tags=["check"]
check("02.cache_bytes", cache_bytes)

# %% [markdown]
# ## 4. Predict: which is heavier? (10 minutes)
#
# DeepSeek LLM 67B has 67.4 billion parameters, 95 layers, 64 query heads and 8 key heads of width 128. It writes 8 texts of 4096 tokens each.
# All numbers have 16 bits. A GB is $10^9$ bytes. Estimate on paper, to 10 %:
#
# - `"weights, GB"`, `"cache, GB"`, and `"cache as MHA, GB"`, if all 64 heads had keys of their own;
# - `"heavier"` and `"heavier as MHA"`: `"weights"` or `"cache"`?
# - `"heavier in the 7B"`: the same for the 7B (30 layers, 32 query heads, 32 key heads of 128), with its own weights.
#
# Write a dictionary with these six answers.

# %% tags=["exercise"]
### BEGIN SOLUTION
prediction = {
    "weights, GB": 67.4 * 2,
    "cache, GB": 2 * 8 * 128 * 95 * 2 * 4096 * 8 / 1e9,
    "cache as MHA, GB": 2 * 64 * 128 * 95 * 2 * 4096 * 8 / 1e9,
    "heavier": "weights",
    "heavier as MHA": "weights",
    "heavier in the 7B": "cache",
}
### END SOLUTION

# %% tags=["check"]
check("02.predict", prediction)

# %% [markdown]
# ## 5. Explain, with numbers: why is sharing faster? (15 minutes)
#
# The 67B writes its token number 4097, once as it is and once with 64 key heads. Divide "as it is" by "with 64 key heads":
#
# - `"operations on the cache"`: multiplications and additions of attention with what was kept;
# - `"bytes of cache read"`;
# - `"operations per byte"`: the first over the second;
# - `"parameters"` of the whole model (`accounting.parameters(config).total` counts; `replace` changes a config).
#
# Then say `"so it is faster where the time goes into"`: `"computing"` or `"reading"`? Write a dictionary with these five answers.
# Two percent is near enough.

# %% tags=["exercise"]
### BEGIN SOLUTION
b67 = preset("deepseek-llm-67b")
full = replace(b67, attention=replace(b67.attention, n_kv_heads=64))
explanation = {
    "operations on the cache": 1,
    "bytes of cache read": 8 / 64,
    "operations per byte": 1 / (8 / 64),
    "parameters": accounting.parameters(b67).total / accounting.parameters(full).total,
    "so it is faster where the time goes into": "reading",
}
### END SOLUTION

# %% tags=["check"]
check("02.explain", explanation)

# %% [markdown]
# ## 6. Build it and measure it: when does the cache outweigh the model? (20 minutes)
#
# Take a model as it lies in memory, and a number of texts. Find the smallest number of tokens per text at which the cache
# takes more bytes than the weights. Measure, do not trust a formula: `p.nbytes` of `model.parameters()`, `model.new_cache(batch, max_len)`,
# `model(tokens, cache)`, `cache.nbytes`. The model reads short texts only (`model.c.context`), so read a few tokens and reckon on.


# %% tags=["exercise"]
def outweighs(model, batch):
    """Return the smallest number of tokens at which `batch` caches outweigh the weights."""
    ### BEGIN SOLUTION
    weights = sum(p.nbytes for p in model.parameters())
    cache = model.new_cache(batch, 4)
    model(torch.zeros(batch, 4, dtype=torch.long), cache)
    return weights // (cache.nbytes // 4) + 1
    ### END SOLUTION


# %% tags=["check"]
check("02.measure", outweighs)

# %% [markdown]
# The toys of the chapter, and beside them the real models by formula:

# %% tags=["claim"]
found = {heads: outweighs(Transformer(sharing.toy(heads)), 1) for heads in (8, 4, 2, 1)}
for heads, n in found.items():
    print(f"toy with {heads} key heads: from {n:,} tokens on, for one text")
for name in ("deepseek-llm-7b", "deepseek-llm-67b"):
    c = preset(name)
    n = int(2 * accounting.parameters(c).total // (32 * accounting.cache_bytes(c)) + 1)
    print(f"{name}: from {n:,} tokens on, for 32 texts")
claim(
    "an eighth of the key heads: eight times the tokens, up to rounding",
    abs(found[1] - 8 * found[8]) <= 8,
)

# %% [markdown]
# ### BEGIN SOLUTION
# ## About the answers
#
# - **1.** `repeat` would give 0 1 0 1. A model trained that way is as good, and no other program can read it.
# - **2.** Three lines decide: where positions start, what is appended, and when heads are repeated. Repeating before appending gives
#   the right text and a cache that saves nothing.
# - **3.** Neither the width of the model nor its query heads appear.
# - **4.** Eight texts weigh less than the 67B even without sharing; the 7B's eight texts outweigh the 7B. That it does not share, the paper does not explain.
# - **5.** A key that is read once serves eight queries. Where reading is what takes time, and in decoding it mostly is, that is the gain.
# - **6.** Both sides scale with the size of a number, so 16 bits change nothing. A cache that keeps too much changes everything.
# ### END SOLUTION
