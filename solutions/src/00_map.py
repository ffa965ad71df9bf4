# %% [markdown]
# # 00 map. Exercises
#
# Six exercises, from one line to a measurement and an explanation. Each checks itself: run the cell below it.
# A check stops at the first claim that does not hold, and hints. `hint("00.saving")` says more, in three steps.
#
# The chapter is `notebooks/00_map.ipynb`. Times are for somebody who has read it.

# %%
import torch

from minids import accounting
from minids.check import check, hint
from minids.model.transformer import Transformer
from minids.presets import preset
from minids.study import tables, viz_map
from minids.study.lesson import claim

# %% [markdown]
# ## 1. Fill one line: how much smaller? (5 minutes)
#
# A cache keeps so many numbers per token, each with so many bits. By how many percent is a new cache smaller than an old one?


# %%
hint("00.saving")


# %% tags=["exercise"]
def saving(elements, bits, old_elements, old_bits):
    """Return by how many percent the new cache is smaller than the old one, in bytes."""
    ### BEGIN SOLUTION
    return 100 * (1 - elements * bits / (old_elements * old_bits))
    ### END SOLUTION


# %% tags=["check"]
check("00.saving", saving)

# %% [markdown]
# Use it. V2's abstract compares V2 with the dense 67B. Which bits give its figure?

# %% tags=["claim"]
v2, dense = (
    accounting.cache_elements(preset(name)) for name in ("deepseek-v2", "deepseek-llm-67b")
)
for bits in (16, 8, 6):
    print(f"{bits:2} bits against 16: {saving(v2, bits, dense, 16):.1f} %")
claim(
    "6 bits give the published figure",
    round(saving(v2, 6, dense, 16), 1) == tables.figure("v2_cache_saving"),
)

# %% [markdown]
# ## 2. Count latent attention (15 minutes)
#
# How many weights has one layer of multi-head latent attention? No norms, no biases.
#
# A vector of width `dim` goes down to `q_rank` and up to `n_heads` queries of width `nope_dim + rope_dim`. It also goes down to
# `kv_rank + rope_dim`: a latent, and one rotary key that all heads share. From the latent come, for each head, a key of width
# `nope_dim` and a value of width `value_dim`. All values together go back to `dim`.
#
# V2-Lite has no query latent: then `q_rank` is None, and queries come straight from `dim`.


# %% tags=["exercise"]
def mla_parameters(dim, n_heads, kv_rank, q_rank, nope_dim, rope_dim, value_dim):
    """Return the number of weights in one layer of latent attention."""
    ### BEGIN SOLUTION
    queries = n_heads * (nope_dim + rope_dim)
    q = dim * queries if q_rank is None else dim * q_rank + q_rank * queries
    kv = dim * (kv_rank + rope_dim) + kv_rank * n_heads * (nope_dim + value_dim)
    out = n_heads * value_dim * dim
    return q + kv + out
    ### END SOLUTION


# %% tags=["check"]
check("00.mla", mla_parameters)

# %% [markdown]
# ## 3. Count what a token meets (15 minutes)
#
# `accounting.parameters(config)` says how many parameters each part has: embedding, head, attention, dense, routed, shared,
# router, norms. How many of them does one token pass through?
#
# `config.moe` is None for a dense model; else it has `n_routed`, `n_shared`, `top_k`. `tables` says how many vocabulary
# tables to count: 0, 1 or 2.


# %% tags=["exercise"]
def active(config, tables):
    """Return the parameters that one token passes through, counting so many vocabulary tables."""
    p = accounting.parameters(config)
    ### BEGIN SOLUTION
    chosen = p.routed * config.moe.top_k // config.moe.n_routed if config.moe else 0
    always = p.attention + p.dense + p.shared + p.router + p.norms
    return always + chosen + tables * config.vocab * config.dim
    ### END SOLUTION


# %% tags=["check"]
check("00.active", active)

# %% [markdown]
# ## 4. Predict: what moves? (10 minutes)
#
# DeepSeek-V3 is changed in one place. Which of `"total"`, `"active"` (parameters) and `"cache"` (bytes per token) move by more
# than five percent? The changes are: `"twice the layers"`, `"twice the routed experts"`, `"twice the experts per token"`,
# `"half the kv_rank"`, `"twice the query heads"`, `"a second MTP module"`.
#
# Write a dictionary with a set for each change, as in `{"twice the layers": {"total", "cache"}, ...}`; `set()` where nothing
# moves that far. Decide before you compute.

# %% tags=["exercise"]
### BEGIN SOLUTION
moves = {
    "twice the layers": {"total", "active", "cache"},
    "twice the routed experts": {"total"},
    "twice the experts per token": {"active"},
    "half the kv_rank": {"cache"},
    "twice the query heads": {"active"},
    "a second MTP module": set(),
}
### END SOLUTION

# %% tags=["check"]
check("00.predict", moves)

# %% [markdown]
# Look at one of them closely. Which other change surprises you? `viz_map.CHANGES` lists what can be varied.

# %%
v3 = preset("deepseek-v3")
heads = viz_map.vary(v3, "query heads", 2)
print(f"total x {accounting.parameters(heads).total / accounting.parameters(v3).total:.3f}")
print(f"active x {accounting.activated(heads) / accounting.activated(v3):.3f}")
print(f"cache x {accounting.cache_bytes(heads) / accounting.cache_bytes(v3):.3f}")

# %% [markdown]
# ## 5. Build it and measure it (20 minutes)
#
# A formula says what a cache should keep. What does a model really keep? Let it read `n` tokens and look.
#
# `model.new_cache(batch, max_len)` gives an empty cache, `model(tokens, cache)` fills it, `cache.nbytes` is what it holds.
# Tokens are whole numbers of shape `[batch, n]`, below `model.c.vocab`.


# %% tags=["exercise"]
def bytes_per_token(model, n):
    """Return the bytes that the model's cache holds per token, after it has read `n` tokens."""
    ### BEGIN SOLUTION
    cache = model.new_cache(1, n)
    model(torch.zeros(1, n, dtype=torch.long), cache)
    return cache.nbytes / n
    ### END SOLUTION


# %% tags=["check"]
check("00.measure", bytes_per_token)

# %% [markdown]
# The measurement beside the formula, for two toys with the structure of the real models. Their numbers have 32 bits.

# %% tags=["claim"]
for name in ("toy-llama", "toy-v3"):
    toy = Transformer(preset(name))
    measured, formula = bytes_per_token(toy, 50), accounting.cache_bytes(toy.c, bits=32)
    print(f"{name}: measured {measured:,.0f} bytes per token, formula {formula:,.0f}")
    claim("they agree", measured == formula)

# %% [markdown]
# ## 6. Explain, with numbers: which 37 billion? (10 minutes)
#
# The report says that V3 activates 37 billion parameters for each token. It has two vocabulary tables: the embedding, where a token
# looks up one row, and the head, which is multiplied whole. Count V3 three times with your `active`, in billions: with `"no table"`, with the
# `"head only"`, with `"both tables"`.
#
# Write a dictionary with these three, with `"rounds to 37"` (which of the three is it?), and with `"because"`: a sentence with that count
# in it, on what it counts and what it leaves out.

# %% tags=["exercise"]
### BEGIN SOLUTION
none, head, both = (active(preset("deepseek-v3"), tables) / 1e9 for tables in (0, 1, 2))
which = {
    "no table": none,
    "head only": head,
    "both tables": both,
    "rounds to 37": "head only",
    "because": f"{head:.1f} billion is what a token is multiplied with: the head counts, the embedding is only looked up.",
}
### END SOLUTION

# %% tags=["check"]
check("00.explain", which)

# %% [markdown]
# ### BEGIN SOLUTION
# ## About the answers
#
# - **1.** Percent of what? A saving compares with the old cache. Dividing by the new one would give several hundred percent.
# - **2.** The output matrix reads all heads' values. In V3 that is more than twice `dim`: heads times width is not the model's width.
# - **3.** The router counts in full, since every expert gets a score. The embedding is a look-up, which is why conventions differ.
# - **4.** Heads are cheap for the latent cache and dear for the work: attention is a third of what a token meets.
# - **5.** Three models can have the same config and keep different things. The last claim plants one that keeps too much: only a
#   measurement finds it.
# ### END SOLUTION
