# %% [markdown]
# # 10 grpo. Exercises
#
# Six exercises: a reward, an advantage, a loss, how to count tries, a prediction to explain, and a measurement. Each checks itself: run
# the cell below it.
# Stuck? `hint("10.loss")`, `hint("10.loss", 2)`, `hint("10.loss", 3)`; 4 says where the solution is.
#
# The chapter is `notebooks/10_grpo.ipynb`. Times are for somebody who has read it.

# %%
import math
import re

import torch

from minids.check import check, hint
from minids.rl.advantages import group_advantages
from minids.rl.policy_loss import policy_loss
from minids.rl.rewards import accuracy
from minids.study.lesson import claim
from minids.text.arithmetic import Problem
from minids.text.lessons import told

# %% [markdown]
# ## 1. A reward by rule (10 minutes)
#
# Return 1 if `text` is `<think>…</think><answer>…</answer>` and nothing else, and the answer is `answer`, letter by letter. Else 0.
# Thoughts may be empty or have several lines. No `<` or `>` may stand inside a pair of tags.
#
# By hand: `reward("<think></think><answer>85</answer>", "85")` is 1, and with a `!` behind it 0.

# %%
hint("10.reward")


# %% tags=["exercise"]
def reward(text, answer):
    """Return 1.0 for a right answer in the right form, else 0.0. Any text gets a score."""
    ### BEGIN SOLUTION
    found = re.fullmatch(r"<think>[^<>]*</think><answer>([^<>]*)</answer>", text)
    return float(found is not None and found[1] == answer)
    ### END SOLUTION


# %% tags=["check"]
check("10.reward", reward)

# %% [markdown]
# The package's rule agrees on what a model might try:

# %% tags=["claim"]
problem = Problem("47+38", "85", "add-2")
tries = ["85", "<answer>85</answer>", "<think>85</think><answer>58</answer>"]
tries += ["<think></think><answer>85</answer>", "<think>five</think><answer>850</answer>"]
claim(
    "your rule and the package's give the same scores",
    [reward(t, "85") for t in tries] == [accuracy(problem, t) for t in tries],
    f"{sum(reward(t, '85') for t in tries):.0f} of {len(tries)} is right",
)

# %% [markdown]
# ## 2. Advantages of a group (5 minutes)
#
# `rewards` has shape (p, g): g answers to each of p questions. Return how many deviations of its group each reward lies above
# the mean of its group. Take the deviation that divides by g. Equal rewards have none: add 1e-4 to it, and they give 0.
#
# By hand: 1, 0, 0, 0 has mean 1/4 and deviation 0.433, so the right answer gets 1.73.


# %% tags=["exercise"]
def advantages(rewards):
    """Return advantages (p, g) from rewards (p, g)."""
    ### BEGIN SOLUTION
    centred = rewards - rewards.mean(-1, keepdim=True)
    return centred / (rewards.std(-1, correction=0, keepdim=True) + 1e-4)
    ### END SOLUTION


# %% tags=["check"]
check("10.advantage", advantages)

# %% tags=["claim"]
r = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))
claim(
    "yours are the package's",
    float((advantages(r) - group_advantages(r)).abs().max()) < 1e-3,
)

# %% [markdown]
# ## 3. The loss of GRPO (15 minutes)
#
# `logp` and `logp_old` are (n, t): log-probabilities of the written tokens now and when they were sampled. `advantages` is (n,),
# `mask` is (n, t) and True on written tokens. With the ratio r = exp(logp - logp_old), a token gains the smaller of
# `A r` and `A clip(r, 1 - eps, 1 + eps)`. Average over the tokens of each rollout, then over rollouts, and return minus that.
#
# What stands where the mask is False may be anything, NaN included.
#
# By hand: when nothing has changed yet, every r is 1 and the loss is minus the mean of the advantages.


# %% tags=["exercise"]
def loss(logp, logp_old, advantages, mask, eps):
    """Return the clipped loss as one number, with gradients to logp."""
    ### BEGIN SOLUTION
    ratio = (logp - logp_old).where(mask, 0).exp()
    a = advantages[:, None]
    gain = torch.minimum(a * ratio, a * ratio.clamp(1 - eps, 1 + eps))
    return -(gain.where(mask, 0).sum(-1) / mask.sum(-1)).mean()
    ### END SOLUTION


# %% tags=["check"]
check("10.loss", loss)

# %% tags=["claim"]
g = torch.Generator().manual_seed(1)
now, old = -torch.rand(3, 4, generator=g), -torch.rand(3, 4, generator=g)
mask = torch.arange(4)[None] < torch.tensor([4, 1, 3])[:, None]
a = torch.tensor([1.0, -0.5, 0.2])
theirs = policy_loss(now, old, a[:, None].expand(3, 4), mask).loss
claim(
    "yours is the package's, without the KL",
    abs(float(loss(now, old, a, mask, 0.2) - theirs)) < 1e-6,
)

# %% [markdown]
# ## 4. Right once in k tries (10 minutes)
#
# Of n samples, c are right. What is the chance that k of them, picked without putting back, hold a right one? Raise ValueError for
# k > n.
#
# By hand: n = 4, c = 1, k = 2. Of the six pairs three hold the right one: 0.5.


# %% tags=["exercise"]
def pass_at(n, c, k):
    """Return the chance that one of k samples is right, 0 to 1."""
    ### BEGIN SOLUTION
    if k > n:
        raise ValueError(f"k={k} tries, and only n={n} samples")
    return 1 - math.comb(n - c, k) / math.comb(n, k)
    ### END SOLUTION


# %% tags=["check"]
check("10.pass", pass_at)

# %% tags=["claim"]
claim(
    "one right sample in sixteen is a poor first try, and a good chance in eight",
    round(pass_at(16, 1, 1), 3) == 0.062 and pass_at(16, 1, 8) == 0.5,
)

# %% [markdown]
# ## 5. Predict, and explain with numbers: when does a group teach? (10 minutes)
#
# A model answers a question rightly with chance p, each time anew. A group of eight answers whose rewards are all equal has advantages of
# zero: it is silent, nothing is learned from it. On paper:
#
# - `"silent at 0.5"`, `"silent at 0.01"`, `"silent at 0.99"`: which share of groups is silent at that p?
# - `"answers needed at 0.01"`: how large must groups be, at least, so that half of them or more are not silent?
# - `"because"`: a sentence with the second share in it, on what a base model has to be able to do before it can practise.
#
# Write a dictionary with these five answers. Give shares with three figures (each has to be right to one percent of itself); the size is a whole number.

# %% tags=["exercise"]
### BEGIN SOLUTION
teaches = {
    "silent at 0.5": 2 * 0.5**8,
    "silent at 0.01": 0.99**8 + 0.01**8,
    "silent at 0.99": 0.99**8 + 0.01**8,
    "answers needed at 0.01": math.ceil(math.log(0.5) / math.log(0.99)),
    "because": "At a chance of 0.01 a share of 0.923 of all groups is silent, so a base has to be right now and then.",
}
### END SOLUTION

# %% tags=["check"]
check("10.predict", teaches)

# %% [markdown]
# Two hundred thousand groups, drawn:

# %% tags=["claim"]
dice = torch.rand(200_000, 8, generator=torch.Generator().manual_seed(2)) < 0.01
right = dice.sum(-1)
drawn = float(((right == 0) | (right == 8)).float().mean())
claim("chance agrees to half a percent", abs(drawn - teaches["silent at 0.01"]) < 0.005)

# %% [markdown]
# ## 6. Measure: learned, or sharpened? (15 minutes)
#
# `before` and `after` are (p, n): for each of p questions the rewards of n sampled answers, 1 or 0, before and after practice. Return a
# dictionary:
#
# - `"pass@1"`: by how much the mean reward rose;
# - `"pass@k"`: by how much the chance rose that k of a question's n answers, picked without putting back, hold a right one, as a mean over
#   questions. `pass_at` from above knows it;
# - `"silent"`: the share of questions that teach nothing after practice, because all of their answers earn the same.


# %% tags=["exercise"]
def measured(before, after, k):
    """Return what practice changed: gains of pass@1 and pass@k, and the share that is silent after it."""
    ### BEGIN SOLUTION
    n = before.shape[1]

    def chance(rewards):
        return sum(pass_at(n, int(c), k) for c in rewards.sum(-1)) / len(rewards)

    silent = (after == after[:, :1]).all(-1).float().mean().item()
    gain = (after.mean() - before.mean()).item()
    return {"pass@1": gain, "pass@k": chance(after) - chance(before), "silent": silent}
    ### END SOLUTION


# %% tags=["check"]
check("10.measure", measured)

# %% [markdown]
# Use it on two models that begin alike, right in 0.3 of their tries. One becomes surer: a question that it got right with
# a chance above 0.3, more often than it gave any single wrong answer, is answered rightly from now on, any other never. The other one learns.

# %% tags=["claim"]
g = torch.Generator().manual_seed(3)
chances = torch.rand(400, 1, generator=g) * 0.6
before = (torch.rand(400, 16, generator=g) < chances).float()
sharper = (chances > 0.3).float().expand(400, 16)
learned = (torch.rand(400, 16, generator=g) < 0.95).float()
surer, better = measured(before, sharper, 8), measured(before, learned, 8)
for name, gains in (("sharpened", surer), ("learned", better)):
    print(f"{name:9}  " + "  ".join(f"{key} {value:+.2f}" for key, value in gains.items()))
claim("both gain at the first try", surer["pass@1"] > 0.1 and better["pass@1"] > 0.1)
claim("whoever is only sharpened loses at eight tries", surer["pass@k"] < 0 < better["pass@k"])
claim("and has nothing left to learn from", surer["silent"] == 1)
print(told("your turn", "chapter 11"))

# %% [markdown]
# ### BEGIN SOLUTION
# ## About the answers
#
# - **1.** `fullmatch`: with `search` whatever stands before or behind the form would earn as well, and a model finds that.
# - **2.** With n - 1 in place of g a pair would get 0.71 in place of 1. The eps decides what rewards teach that differ in their last digit alone.
# - **3.** The mask comes before `exp`: 0 times NaN is NaN. And the smaller *gain* counts, not the smaller ratio: below zero they are not the same.
# - **4.** `1 - (1 - c / n) ** k` puts every answer back before the next is picked, and says too little.
# - **5.** Both ends are alike: a question that is nearly always answered rightly teaches as little as one that nearly never is.
# - **6.** What a sharpened model gives up it never samples again. So pass@k falls while pass@1 rises.
# ### END SOLUTION
