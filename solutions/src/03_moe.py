# %% [markdown]
# # 03 moe. Exercises
#
# Six exercises, from one line to a measurement. Each checks itself: run the cell below it.
# A check stops at the first claim that does not hold, and hints. `hint("03.layer")` says more, in three steps.
#
# The chapter is `notebooks/03_moe.ipynb`. Times are for somebody who has read it. Number 3 is the heart. In a workshop numbers 1 and 2 come first.

# %%
import math

import torch

from minids.check import check, hint
from minids.model.routing import route, softmax_scores
from minids.study.lesson import claim
from minids.study.mixtures import Mixture

# %% [markdown]
# ## 1. Fill one line: cut the experts (5 minutes)
#
# There are `n` experts of `width` hidden numbers, and a token meets `k` of them. Cut each into `m` equal pieces, and let `shared` of the
# pieces serve every token. All pieces together, and those that a token meets, stay as wide as before.
#
# Return three whole numbers: how many are left to choose from, how many a token chooses, and the width of one.
# Example: 16 experts of 512, two chosen, cut in four with one shared: `(63, 7, 128)`.


# %%
hint("03.segment")


# %% tags=["exercise"]
def segment(n, k, width, m, shared):
    """Return (routed, chosen, width of one) after cutting every expert into m pieces."""
    ### BEGIN SOLUTION
    return m * n - shared, m * k - shared, width // m
    ### END SOLUTION


# %% tags=["check"]
check("03.segment", segment)

# %% [markdown]
# Beside the package's own: the chapter's arms are cut so.

# %% tags=["claim"]
claim(
    "the chapter's 1 + 7 of 63",
    tuple(segment(16, 2, 32, 4, 1)) == (63, 7, Mixture(63, 7, 1).width),
)

# %% [markdown]
# ## 2. Gates (15 minutes)
#
# `x` holds `t` tokens of `d` numbers, `centroids` a vector for each of `e` experts. A token's affinities are a softmax over its products with all
# vectors. Return a table `(t, e)`: the `k` largest affinities of each token as they are, 0 elsewhere.


# %% tags=["exercise"]
def gates(x, centroids, k):
    """Return V1's gates, shape (t, e): raw softmax values of the k best experts, else 0."""
    ### BEGIN SOLUTION
    s = (x @ centroids.T).softmax(-1)
    best = s.topk(k, dim=-1)
    return torch.zeros_like(s).scatter(-1, best.indices, best.values)
    ### END SOLUTION


# %% tags=["check"]
check("03.gates", gates)

# %% [markdown]
# ## 3. The layer (25 minutes)
#
# `x` is `(t, d)`, `gates` a table `(t, e)` as in exercise 2. `experts` is a list of `e` functions and `shared` a list of functions; each takes rows
# `(n, d)` and returns as many. Return the tokens, plus what every shared expert makes of them, plus their routed experts, times their gates.
#
# The check counts: an expert may compute only those tokens that have a gate for it. An expert without tokens need not be called.


# %% tags=["exercise"]
def layer(x, gates, experts, shared):
    """Return x plus shared experts plus gated routed ones, shape (t, d)."""
    ### BEGIN SOLUTION
    out = x
    for expert in shared:
        out = out + expert(x)
    for i, expert in enumerate(experts):
        rows = gates[:, i].nonzero().flatten()
        if len(rows):
            out = out.index_add(0, rows, gates[rows, i, None] * expert(x[rows]))
    return out
    ### END SOLUTION


# %% tags=["check"]
check("03.layer", layer)

# %% [markdown]
# ## 4. Measure: who serves whom? (20 minutes)
#
# `chosen` is `(t, k)`, the experts of each token; `domain` is `(t,)`, a number for each token. How much does the expert's number tell about the
# domain? With `p(d, e)` the share of all choices in which domain `d` chose expert `e`:
#
# $$ \frac{\sum_{d,e} p(d,e) \ln \frac{p(d,e)}{p(d)\,p(e)}}{-\sum_d p(d) \ln p(d)} $$
#
# Return it as a number, 0 to 1. Some experts may never be chosen.


# %% tags=["exercise"]
def special(chosen, domain, n_experts):
    """Return mutual information of expert and domain over the entropy of the domains."""
    ### BEGIN SOLUTION
    n_domains = int(domain.max()) + 1
    pair = domain[:, None] * n_experts + chosen
    p = torch.bincount(pair.flatten(), minlength=n_domains * n_experts).view(n_domains, n_experts)
    p = p.double() / p.sum()
    p_d, p_e = p.sum(1, keepdim=True), p.sum(0, keepdim=True)
    information = torch.xlogy(p, p).sum() - torch.xlogy(p, p_d * p_e).sum()
    return float(information / -torch.xlogy(p_d, p_d).sum())
    ### END SOLUTION


# %% tags=["check"]
check("03.measure", special)

# %% [markdown]
# Use it. A router that was only drawn, never trained, and tokens whose domains differ a little: what does it say, and what do shuffled labels say?

# %% tags=["claim"]
g = torch.Generator().manual_seed(0)
domain = torch.arange(4).repeat_interleave(500)
tokens = torch.randn(2000, 16, generator=g) + 0.5 * torch.randn(4, 16, generator=g)[domain]
drawn = route(softmax_scores(tokens @ torch.randn(16, 16, generator=g).T), top_k=2).experts
said = special(drawn, domain, 16)
by_chance = special(drawn, domain[torch.randperm(2000, generator=g)], 16)
print(f"untrained router {said:.2f}, labels shuffled {by_chance:.3f}")
claim("a router that never learned tells ten times as much as chance", said > 10 * by_chance)

# %% [markdown]
# So a number above chance is no proof that *training* made specialists. Measure before training, too.
#
# ## 5. Predict: how many ways? (10 minutes)
#
# Write a dictionary. `"3 of 24"`, `"12 of 96"`, `"11 of 95"`: in how many ways can they be chosen, exactly? `"16B, share active"`: DeepSeekMoE 16B has 64 routed
# experts, 6 of them for a token, and 2 shared ones of the same width. Which share of all its experts does a token meet, 0 to 1? Two digits will do.

# %% tags=["exercise"]
### BEGIN SOLUTION
ways = {
    "3 of 24": 24 * 23 * 22 // 6,
    "12 of 96": math.comb(96, 12),
    "11 of 95": math.comb(95, 11),
    "16B, share active": 8 / 66,
}
### END SOLUTION

# %% tags=["check"]
check("03.predict", ways)

# %% [markdown]
# ## 6. Explain: why did the router stand still? (10 minutes)
#
# One expert a token. The softmax gives the best expert 0.8, and the expert returns 3. The output is gate times 3.
#
# What is the slope of the output to that expert's logit, with the raw gate, and with a gate divided by the sum of the chosen gates? Write a dictionary
# with both slopes, `"raw"` and `"renormalised"`, with `"second gate"`: what that gate is, whatever the logits are, and with `"because"`:
# a sentence that says why the router stands still.

# %% tags=["exercise"]
### BEGIN SOLUTION
answer = {
    "raw": 3 * 0.8 * (1 - 0.8),
    "renormalised": 0,
    "second gate": 1,
    "because": "Over one expert the gate is 0.8 / 0.8 = 1 whatever the logits are, and a constant has no slope.",
}
### END SOLUTION

# %% tags=["check"]
check("03.explain", answer)

# %% [markdown]
# Beside torch's own slopes:

# %% tags=["claim"]
slopes = []
for normalise in (False, True):
    logits = torch.tensor([[math.log(0.8), math.log(0.2)]], requires_grad=True)
    gate = route(softmax_scores(logits), top_k=1, normalise=normalise).weights
    (3 * gate).sum().backward()
    slopes.append(round(float(logits.grad[0, 0]), 4))
print(slopes)
claim("0.48 and nothing", slopes == [0.48, 0.0])

# %% [markdown]
# ### BEGIN SOLUTION
# ## About the answers
#
# - **1.** Who cuts and forgets the width has built a model four times as large, and will report that fine-grained experts win.
# - **2.** The softmax comes first, over all experts. What the chosen lose to the others is what tells the router how sure it was.
# - **3.** Computing all experts and multiplying by 0 gives the same numbers, and the work of a dense model of the total size.
# - **4.** Mutual information does not care about names or sizes of experts. Correlation does, and means nothing here.
# - **5.** The shared expert takes one from the pool and one from the choice: an eighth of the ways, and still 78 trillion.
# - **6.** The same holds for any number of experts with k = 1: dividing a number by itself.
# ### END SOLUTION
