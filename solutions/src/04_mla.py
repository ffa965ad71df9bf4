# %% [markdown]
# # 04 mla. Exercises
#
# Six exercises, from one line to a measurement. Each checks itself: run the cell below it.
# A check stops at the first claim that does not hold, and hints. `hint("04.absorb")` says more, in three steps.
#
# The chapter is `notebooks/04_mla.ipynb`. Times are for somebody who has read it. Number 2 is the heart. In a workshop numbers 1 and 2 come first.

# %%
import torch
from torch.utils.flop_counter import FlopCounterMode

from minids import accounting
from minids.check import check, hint
from minids.model.mla import absorbed, expanded
from minids.presets import preset
from minids.study.lesson import claim

# %% [markdown]
# ## 1. Fill one line: move the bracket (5 minutes)
#
# One head. `q` has `t` queries of `n` numbers, `latent` has `s` latents of `r`, `key_up` is `(n, r)` and takes a latent to a key.
# Return the `(t, s)` plain scores of all queries with all keys, computed in torch. No scale, no softmax, and no key is ever made.


# %%
hint("04.bracket")


# %% tags=["exercise"]
def scores(q, latent, key_up):
    """Return the scores q (latent key_upᵀ)ᵀ, shape (t, s), without making a key."""
    ### BEGIN SOLUTION
    return (q @ key_up) @ latent.T
    ### END SOLUTION


# %% tags=["check"]
check("04.bracket", scores)

# %% [markdown]
# ## 2. Absorb (30 minutes)
#
# All heads now, and positions. The queries are the last `t` of `s` tokens, and none may see a later token.
#
# `q_nope` is `(b, h, t, n)`, `q_rope` `(b, h, t, p)`, `latent` `(b, s, r)`, `k_rope` `(b, s, p)`, `key_up` `(h, n, r)`,
# `value_up` `(h, v, r)`. Return the mixed values, `(b, h, t, v)`. Scores are divided by the root of `n + p`.
#
# The check counts your operations: no key and no value of a past token may be made. Stay in torch, so that it can count, and gradients can flow.


# %% tags=["exercise"]
def absorb(q_nope, q_rope, latent, k_rope, key_up, value_up):
    """Return the mixed values of every head, carrying queries to the latents."""
    ### BEGIN SOLUTION
    q_latent = torch.einsum("bhtn,hnr->bhtr", q_nope, key_up)
    content = torch.einsum("bhtr,bsr->bhts", q_latent, latent)
    position = torch.einsum("bhtp,bsp->bhts", q_rope, k_rope)
    scores = (content + position) * (q_nope.shape[-1] + q_rope.shape[-1]) ** -0.5
    t, s = scores.shape[-2:]
    seen = torch.ones(t, s, dtype=torch.bool).tril(s - t)
    weights = scores.masked_fill(~seen, -torch.inf).softmax(-1)
    mixed = torch.einsum("bhts,bsr->bhtr", weights, latent)
    return torch.einsum("bhtr,hvr->bhtv", mixed, value_up)
    ### END SOLUTION


# %% tags=["check"]
check("04.absorb", absorb)

# %% [markdown]
# ## 3. Keep, and forget (20 minutes)
#
# A memory for one layer. It is made with the two up-projections of all heads.
#
# - `step(q_nope, q_rope, latent, k_rope)` takes in one or more new tokens and returns the mixed values of their queries over everything so far.
#   Shapes are those of exercise 2, with only the new tokens. `absorbed(..., scale)` from the package computes them, or your own function.
# - `rewind(length)` keeps the first `length` tokens. It raises `ValueError` if there are not so many.
#
# What do you keep? The check counts the numbers in the tensors that your object holds.


# %% tags=["exercise"]
class Memory:
    """What one layer remembers of a text."""

    def __init__(self, key_up, value_up):
        ### BEGIN SOLUTION
        self.key_up, self.value_up = key_up, value_up
        self.latent = self.k_rope = None
        ### END SOLUTION

    def step(self, q_nope, q_rope, latent, k_rope):
        ### BEGIN SOLUTION
        if self.latent is not None:
            latent = torch.cat([self.latent, latent], dim=1)
            k_rope = torch.cat([self.k_rope, k_rope], dim=1)
        self.latent, self.k_rope = latent, k_rope
        scale = (q_nope.shape[-1] + q_rope.shape[-1]) ** -0.5
        return absorbed(q_nope, q_rope, latent, k_rope, self.key_up, self.value_up, scale)
        ### END SOLUTION

    def rewind(self, length):
        ### BEGIN SOLUTION
        held = 0 if self.latent is None else self.latent.shape[1]
        if length > held:
            raise ValueError(f"cannot keep {length} of {held} tokens")
        if held:
            self.latent, self.k_rope = self.latent[:, :length], self.k_rope[:, :length]
        ### END SOLUTION


# %% tags=["check"]
check("04.cache", Memory)

# %% [markdown]
# ## 4. Predict: how many users fit? (10 minutes)
#
# DeepSeek-V2: 60 layers, 128 heads of 128 numbers, a latent of 512, a rotary key of 64; 16 bits a number. Suppose 80 GB (80e9 bytes) are free
# for caches, and every user has a text of 16K tokens (16 x 1024).
#
# Write a dictionary: `"bytes per token"`, `"GB per user"` (1 GB is 1e9 bytes; three digits), `"users"`, and `"users with MHA"`, if each
# head kept a key and a value of 128 numbers. Work it out on paper, then check.

# %% tags=["exercise"]
### BEGIN SOLUTION
fits = {"bytes per token": 69_120, "GB per user": 1.132, "users": 70, "users with MHA": 1}
### END SOLUTION

# %% tags=["check"]
check("04.predict", fits)

# %% [markdown]
# Beside the package's own count:

# %% tags=["claim"]
v2 = preset("deepseek-v2")
user, user_of_mha = (
    2 * n * 16 * 1024 for n in (accounting.cache_elements(v2), accounting.mha_cache_elements(v2))
)
print(f"{user / 1e9:.2f} GB a user; with MHA {user_of_mha / 1e9:.1f} GB")
claim("seventy users fit, with MHA one", 80e9 // user == 70 and 80e9 // user_of_mha == 1)

# %% [markdown]
# ## 5. Explain: why nobody merges (10 minutes)
#
# In V3 a head's query comes from a latent of 1536 numbers through a matrix `(128, 1536)`. Carrying then multiplies by `(128, 512)`. Both
# could be merged into one matrix from 1536 to 512. How many numbers has one head in the two factors, how many in the merged matrix, and why?
#
# Write a dictionary with `"two factors"`, `"merged"` and `"because"`: a sentence that holds both numbers.

# %% tags=["exercise"]
### BEGIN SOLUTION
answer = {
    "two factors": 128 * 1536 + 128 * 512,
    "merged": 1536 * 512,
    "because": "The product has rank 128 at most: 262,144 numbers say all that its 786,432 numbers can say.",
}
### END SOLUTION

# %% tags=["check"]
check("04.explain", answer)

# %% [markdown]
# ## 6. Measure: where does carrying stop to pay? (20 minutes)
#
# With one new token carrying wins, with thousands rebuilding does. Find the first number of new tokens for which carrying takes as many
# operations as rebuilding, or more. Measure it: `flops` runs a function on tensors without memory and counts.


# %%
def flops(attend, new, total, c):
    """Operations of `attend` for `new` of `total` tokens; `c` is an MLAConfig."""
    with FlopCounterMode(display=False) as counter, torch.device("meta"):
        attend(
            torch.empty(1, c.n_heads, new, c.nope_dim),
            torch.empty(1, c.n_heads, new, c.rope_dim),
            torch.empty(1, total, c.kv_rank),
            torch.empty(1, total, c.rope_dim),
            torch.empty(c.n_heads, c.nope_dim, c.kv_rank),
            torch.empty(c.n_heads, c.value_dim, c.kv_rank),
            1.0,
        )
    return counter.get_total_flops()


# %% tags=["exercise"]
def stops_paying(carry, rebuild, total, c):
    """Return the first number of new tokens for which `carry` is no cheaper than `rebuild`."""
    ### BEGIN SOLUTION
    new = 1
    while flops(carry, new, total, c) < flops(rebuild, new, total, c):
        new += 1
    return new
    ### END SOLUTION


# %% tags=["check"]
check("04.measure", stops_paying)

# %% [markdown]
# Use it. Does the length of the past matter, with V3's widths?

# %% tags=["claim"]
v3 = preset("deepseek-v3")
found = {
    total: stops_paying(absorbed, expanded, total, v3.attention) for total in (256, 1024, 100_000)
}
print(found)
claim(
    "behind a longer past carrying pays for more new tokens",
    found[256] < found[1024] < found[100_000],
)

# %% [markdown]
# ### BEGIN SOLUTION
# ## About the answers
#
# - **1.** `(t, n) @ (n, r)` first: with one query that is a single small product, and the long axis `s` meets `r` numbers instead of `n x r`.
# - **2.** Two moves of a bracket: one before the softmax, one after it. The softmax itself cannot be moved.
# - **3.** A memory of keys and values passes every test of outputs. Only counting finds it.
# - **4.** Of MHA's users one fits. V3 has one layer more, so its numbers are nearly these.
# - **5.** A matrix through a narrow middle is cheaper in two parts. The same idea makes the latent itself.
# - **6.** Behind a long past the crossing is near `r (n + v) / (2 r - n - v)`, 171 tokens in V3; behind a short one it comes sooner. No heads in it.
# ### END SOLUTION
