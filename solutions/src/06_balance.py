# %% [markdown]
# # 06 balance. Exercises
#
# Six exercises, from one line to a detector. Each checks itself: run the cell below it.
# A check stops at the first claim that does not hold, and hints. `hint("06.route")` says more, in three steps.
#
# The chapter is `notebooks/06_balance.ipynb`. Times are for somebody who has read it. Number 2 is the heart. In a workshop numbers 1 and 2 come first.

# %%
import torch

from minids.check import check, hint
from minids.model.balance import load, max_violation
from minids.model.routing import Routing, route
from minids.study.lesson import claim
from minids.systems import dispatch

# %% [markdown]
# ## 1. Fill one line: the nudge (5 minutes)
#
# `bias` and `load` have a number for each expert. Return the next bias: `speed` up for an expert below the mean load, `speed` down for one above it, and no
# step for one that has exactly the mean.
#
# By hand: loads 0.5, 0.3, 0.4 with speed 0.1 move the biases by -0.1, +0.1, 0.


# %%
hint("06.nudge")


# %% tags=["exercise"]
def nudge(bias, load, speed):
    """Return the bias after one step, shape (e,)."""
    ### BEGIN SOLUTION
    return bias + speed * torch.sign(load.mean() - load)
    ### END SOLUTION


# %% tags=["check"]
check("06.nudge", nudge)

# %% [markdown]
# ## 2. Choose with the bias, weigh without (15 minutes)
#
# `scores` is `(t, e)`, V3's affinities between 0 and 1; `bias` is `(e,)`. Return two tensors of shape `(t, top_k)`: the chosen experts, and how much each counts. The
# weights of a token sum to 1.


# %% tags=["exercise"]
def choose(scores, bias, top_k):
    """Return the experts of each token and their weights: (experts, weights)."""
    ### BEGIN SOLUTION
    experts = (scores + bias).topk(top_k, dim=-1).indices
    weights = scores.gather(-1, experts)
    return experts, weights / weights.sum(-1, keepdim=True)
    ### END SOLUTION


# %% tags=["check"]
check("06.route", choose)

# %% [markdown]
# ## 3. The loss, with its scope (20 minutes)
#
# `scores` is `(t, e)`, `experts` `(t, k)`: what each token chose. The tokens are `n_sequences` texts of equal length, one after another.
#
# For each text and expert: the *frequency* is the share of the text's tokens that chose it, times `e / k`; the *affinity* is the mean over the text's tokens of its score over the
# token's sum of scores. Multiply, sum over experts, average over texts. An even load costs 1.


# %% tags=["exercise"]
def balance_loss(scores, experts, n_sequences):
    """Return the balance loss, a single number with a gradient through the scores."""
    ### BEGIN SOLUTION
    e, k = scores.shape[-1], experts.shape[-1]
    affinity = scores / scores.sum(-1, keepdim=True)
    chosen = torch.zeros_like(scores).scatter(1, experts, 1.0)
    frequency = chosen.view(n_sequences, -1, e).mean(1) * e / k
    affinity = affinity.view(n_sequences, -1, e).mean(1)
    return (frequency * affinity).sum(-1).mean()
    ### END SOLUTION


# %% tags=["check"]
check("06.balance", balance_loss)

# %% [markdown]
# ## 4. Predict: routing in four numbers (10 minutes)
#
# A model routes as V3 does, with half of its experts: 128 on 4 nodes. A token gets 8 of them, on M = 2 nodes. On paper:
#
# - `"most nodes"`: how many nodes can a token visit at most?
# - `"nodes by chance"`: how many would it visit on average if all sets of 8 experts were equally likely? To half a percent.
# - `"worst MaxVio"`: how large can MaxVio become?
# - `"steps"`: how many steps does a bias need from 0 to 0.4, at a speed of 0.002?

# %% tags=["exercise"]
### BEGIN SOLUTION
numbers = {"most nodes": 2, "nodes by chance": 3.63, "worst MaxVio": 15, "steps": 200}
### END SOLUTION

# %% tags=["check"]
check("06.predict", numbers)

# %% [markdown]
# Beside the package's own:

# %% tags=["claim"]
g = torch.Generator().manual_seed(0)
scores = torch.randn(4096, 128, generator=g).sigmoid()
places = dispatch.in_order(128, n_devices=32, n_nodes=4)
visited = dispatch.nodes_visited(dispatch.devices_visited(route(scores, top_k=8), places), 4)
claim(
    "4,096 free tokens visit as many nodes as the formula says, to 1 %",
    abs(float(visited.sum(-1).float().mean()) / dispatch.expected_destinations(128, 4, 8) - 1)
    < 0.01,
)

# %% [markdown]
# ## 5. Explain: why is no batch even? (15 minutes)
#
# Imagine a perfect router: every expert is equally likely. 1,024 tokens choose 2 different ones of 16 experts.
#
# Write a dictionary: `"mean"`, how many tokens an expert gets on average; `"spread"`, the standard deviation of that number from batch to batch, to one decimal; `"batches"`, how many batches must be
# counted together until the spread is a hundredth of the mean; and `"because"`: a sentence, with mean and spread in it, on why MaxVio of one batch is never 0.

# %% tags=["exercise"]
### BEGIN SOLUTION
answer = {
    "mean": 1024 * 2 / 16,
    "spread": (1024 * 2 / 16 * 14 / 16) ** 0.5,
    "batches": 69,
    "because": "An expert gets 128 tokens only on average, give or take 10.6 by chance, and MaxVio looks at the luckiest of 16.",
}
### END SOLUTION

# %% tags=["check"]
check("06.explain", answer)

# %% [markdown]
# Measured, with a router that rolls dice:

# %% tags=["claim"]
dice = [load(route(torch.rand(1024, 16, generator=g), top_k=2)) for _ in range(70)]
one, many = float(max_violation(dice[0])), float(max_violation(torch.stack(dice).mean(0)))
claim("one batch of dice is uneven by 0.08 or more, seventy together by less than 0.05", one > 0.08 and many < 0.05)  # fmt: skip

# %% [markdown]
# ## 6. Build and measure: a detector of leaks (25 minutes)
#
# Somebody gives you `router(scores, bias, top_k)`, which returns `(experts, weights)` as in exercise 2. Does its bias leak into the weights? Load cannot tell. Measure it: by how much do
# weights move when the bias moves and the choice does not? Return the largest such move, a float: 0 for a clean router. Move biases by about 0.001 to 0.01.
#
# Two traps. A token that chose other experts has other weights, rightly. And some leaks cannot be seen when all biases are raised alike.


# %% tags=["exercise"]
def detector(router, scores, bias, top_k):
    """Return by how much weights move with the bias where the choice stays: 0 if it does not leak."""
    ### BEGIN SOLUTION
    noise = 1e-3 * torch.randn(bias.shape, generator=torch.Generator().manual_seed(0))
    before, weights = router(scores, bias, top_k)
    after, moved = router(scores, bias + noise, top_k)
    same = (before == after).all(-1)
    return float((weights - moved)[same].abs().max())
    ### END SOLUTION


# %% tags=["check"]
check("06.detector", detector)

# %% [markdown]
# Use it on your own router, on the package's, and on one that is off by a line:


# %% tags=["claim"]
def package(scores, bias, top_k):
    routing = route(scores, bias, top_k=top_k, normalise=True)
    return routing.experts, routing.weights


def off_by_a_line(scores, bias, top_k):
    weights, experts = (scores + bias).topk(top_k, dim=-1)
    return experts, weights / weights.sum(-1, keepdim=True)


scores, bias = scores[:512, :16], 0.2 * torch.randn(16, generator=g)
found = [detector(router, scores, bias, 4) for router in (choose, package, off_by_a_line)]
claim("yours and the package's are clean", max(found[:2]) < 1e-6)
claim("the other one leaks", found[2] > 1e-5)


def balanced(router, n=300):
    """MaxVio after nudging with your line of exercise 1, with this router."""
    b = torch.zeros(16)
    for _ in range(n):
        experts, weights = router(scores, b, 4)
        b = nudge(b, load(Routing(experts, weights, scores)), 0.001)
    return float(max_violation(load(Routing(experts, weights, scores))))


claim("and all three balance: load sees nothing", max(map(balanced, (choose, package, off_by_a_line))) < 0.1)  # fmt: skip

# %% [markdown]
# ### BEGIN SOLUTION
# ## About the answers
#
# - **1.** The sign alone. A step in proportion to the gap was tried by the loss-free paper too: it balances a little better and gives no better a model.
# - **2.** Two lines that look alike and are not: `topk` of scores plus bias, `gather` from scores. `weights, experts = (scores + bias).topk(k)` is shorter, and is the leak.
# - **3.** Scope is one `view`. That line decided, in the chapter, whether experts knew a domain.
# - **4.** One expert can have at most one of a token's 8 choices: 128 / 8 - 1.
# - **5.** So a load is judged over many batches. One step's sign is right often enough: errors of chance cancel, steps in the right direction add up.
# - **6.** Raising all biases alike leaves a softmax over scores plus bias as it was: a detector has to move them unequally.
# ### END SOLUTION
