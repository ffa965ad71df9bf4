# %% [markdown]
# # 05 yarn. Exercises
#
# Six exercises, from one line to a measurement and an explanation. Each checks itself: run the cell below it.
# A check stops at the first claim that does not hold, and hints. `hint("05.wavelength")` says more, in three steps.
#
# The chapter is `notebooks/05_yarn.ipynb`. Times are for somebody who has read it.

# %%
import math

import torch

from minids.check import check, hint
from minids.config import YarnConfig
from minids.model import rope
from minids.presets import preset
from minids.study import needle, recall, stretch
from minids.study.lesson import claim, figure
from minids.study.scale import Scale
from minids.study.viz_yarn import by_position as draw_positions

scale = Scale.auto()
real = scale.kind != "smoke"  # at smoke everything runs, and the numbers mean nothing

# %% [markdown]
# ## 1. Fill one line: how often does a pair turn? (5 minutes)
#
# Pair $i$ of a rotary head turns by $\theta^{-2i/d}$ radians at every token, where $d$ is the width of the head. A full turn has
# $2\pi$ radians. How many turns does each pair make in a row of `length` tokens?
#
# For width 4 and base 100 there are two pairs, with 1 and 0.1 radians per token: 62.8 tokens are ten turns and one.


# %%
hint("05.wavelength")


# %% tags=["exercise"]
def turns(width, theta, length):
    """Return the turns of every pair in `length` tokens, fastest pair first: a tensor [width / 2]."""
    ### BEGIN SOLUTION
    return length * theta ** (-torch.arange(0, width, 2) / width) / (2 * math.pi)
    ### END SOLUTION


# %% tags=["check"]
check("05.wavelength", turns)

# %% [markdown]
# Use it on DeepSeek-V3. YaRN's ramp runs between the pairs that make 32 turns and 1 turn in 4,096 tokens.

# %% tags=["claim"]
v3 = preset("deepseek-v3")
in_v3 = turns(v3.attention.rotary_width, v3.rope_theta, 4096)
claim("the ramp begins at the last pair with 32 turns or more", int((in_v3 >= 32).sum()) - 1 == 10)
claim("and ends at the first with fewer than one", int((in_v3 >= 1).sum()) == 23)

# %% [markdown]
# ## 2. YaRN's ramp (15 minutes)
#
# Pairs up to `low` turn as before. Pairs from `high` on are divided by `factor`. Between the two, the share of the divided frequency
# rises evenly with the number of the pair.
#
# With `low` 1, `high` 3 and factor 2, the pairs `[8, 4, 2, 1]` become `[8, 4, 1.5, 0.5]`. `low` may equal `high`.


# %% tags=["exercise"]
def yarn(plain, factor, low, high):
    """Return YaRN's frequencies. plain: a tensor [half], radians per token, fastest pair first."""
    ### BEGIN SOLUTION
    index = torch.arange(len(plain), dtype=plain.dtype)
    share = ((index - low) / max(high - low, 0.001)).clamp(0, 1)
    return plain / factor * share + plain * (1 - share)
    ### END SOLUTION


# %% tags=["check"]
check("05.yarn", yarn)

# %% [markdown]
# ## 3. The temperature (10 minutes)
#
# One query for each row, and `s` keys. Return the attention weights, with YaRN's temperature: scores are
# multiplied by $(0.1 \cdot m \cdot \ln f + 1)^2$, where $f$ is the factor and $m$ is `mscale`. A factor of 1 or less changes nothing.


# %% tags=["exercise"]
def weights(q, k, factor, mscale):
    """Return the weights [b, s] of keys k [b, s, d] for queries q [b, d]; each row sums to 1."""
    ### BEGIN SOLUTION
    scores = torch.einsum("bd,bsd->bs", q, k) / q.shape[-1] ** 0.5
    sharper = 0.1 * mscale * math.log(factor) + 1 if factor > 1 else 1.0
    return (scores * sharper**2).softmax(-1)
    ### END SOLUTION


# %% tags=["check"]
check("05.temperature", weights)

# %% [markdown]
# What is it for? One key fits the query, all others do not. Watch its share as their number grows.

# %% tags=["claim"]
q = torch.full((1, 16), 1.5)


def share(n_others, factor):
    """The weight of the one key that fits, among so many that do not."""
    k = torch.cat([torch.full((1, 1, 16), 1.0), torch.zeros(1, n_others, 16)], dim=1)
    return float(weights(q, k, factor, 1.0)[0, 0])


print(
    f"among 64: {share(64, 1):.2f}; among 512: {share(512, 1):.2f}; sharpened: {share(512, 8):.2f}"
)
claim("eight times the keys dilute it", share(512, 1) < share(64, 1) - 0.1)
claim("the temperature for a factor of 8 gives it back", share(512, 8) > share(64, 1) - 0.1)

# %% [markdown]
# ## 4. Predict: what moves? (10 minutes)
#
# YaRN's settings in DeepSeek-V3 are changed in one place. Which of these move: `"low"` and `"high"`, the bounds of the ramp,
# and `"temperature"`, the factor on the scores?
#
# The changes are: `"twice the factor"`, `"twice the trained context"`, `"beta 16 instead of 32"`, `"alpha 2 instead of 1"`,
# `"base 100,000 instead of 10,000"`, `"mscale 0.707 instead of 1"`. Write a dictionary with a set for each. Decide before you compute.

# %% tags=["exercise"]
### BEGIN SOLUTION
moves = {
    "twice the factor": {"temperature"},
    "twice the trained context": {"low", "high"},
    "beta 16 instead of 32": {"low"},
    "alpha 2 instead of 1": {"high"},
    "base 100,000 instead of 10,000": {"low", "high"},
    "mscale 0.707 instead of 1": {"temperature"},
}
### END SOLUTION

# %% tags=["check"]
check("05.predict", moves)

# %% [markdown]
# ## 5. Build it and measure it (25 minutes)
#
# A mean loss hides where a model is lost. Cut the positions of a row into `bins`, and return the mean loss of each.
# Bin `i` holds the positions from `i * t // bins` up to `(i + 1) * t // bins`. Targets where `mask` is False do not count.
# All that do count weigh the same.


# %% tags=["exercise"]
def by_position(logits, targets, mask, bins):
    """Return a list of `bins` mean losses, nats. logits: (b, t, v); targets, mask: (b, t)."""
    ### BEGIN SOLUTION
    surprise = -logits.log_softmax(-1).gather(-1, targets[..., None])[..., 0]
    t = targets.shape[1]
    found = []
    for i in range(bins):
        here = slice(i * t // bins, (i + 1) * t // bins)
        found.append(surprise[:, here][mask[:, here]].mean().item())
    return found
    ### END SOLUTION


# %% tags=["check"]
check("05.measure", by_position)

# %% [markdown]
# Now stretch a model with your own `yarn`, and measure it with your own `by_position`. It is trained on rows of 64
# tokens and reads rows of 512. One run; the chapter has three seeds.

# %% tags=["nbval-ignore-output"]
lesson = recall.learn(
    seed=0, steps=scale.pick(smoke=4, laptop=240), products=scale.products, device=str(scale.device)
)
short = recall.build(64, 0, lesson.weights)
print(f"{scale}: loss {lesson.losses[0]:.2f} -> {lesson.losses[-1]:.2f} nats per token")

# %%
factor, width, theta = 8, short.c.attention.rotary_width, short.c.rope_theta
plain = rope.frequencies(width, theta)
low, high = rope.correction_range(width, theta, YarnConfig(factor=factor, original=64, beta_fast=8))
paces = {
    "none": plain,
    "PI": plain / factor,
    "NTK": rope.ntk_aware(width, theta, factor),
    "YaRN": yarn(plain, factor, low, high),
}
batch = needle.lessons(8, 512, seed=1)(0)
near = {}
for name, pace in paces.items():
    longer = stretch.with_positions(short, pace, stretch.sharpening(short.c, factor), 512)
    with torch.no_grad():
        logits = longer(batch.tokens).logits
    mask = needle.predictable(batch.tokens, batch.targets)
    near[name] = by_position(logits, batch.targets, mask, 8)

figure(
    draw_positions({name: [losses] for name, losses in near.items()}, 512, 64, needle.floor()),
    "Loss on hay over position for one run, all methods with temperature: PI is high everywhere, none and NTK-aware rise, YaRN stays low.",
)

# %% tags=["claim"]
last = {name: sum(losses[4:]) / 4 for name, losses in near.items()}
claim(
    "in the second half of the row your YaRN is better than every other pace",
    last["YaRN"] < min(last[n] for n in ("none", "PI", "NTK")) or not real,
    "one run",
)
claim(
    "your PI is lost from the first bin on, where nothing is far",
    near["PI"][0] > near["none"][0] + 1 or not real,
    "one run",
)

# %% [markdown]
# ## 6. Explain, with numbers: why is PI lost at once? (10 minutes)
#
# The rule of the hay looks three tokens back. How many radians does the fastest pair turn for that, as trained, and after PI with factor 8?
# All pairs together then say another distance. Between which two distances that training showed does it lie?
#
# Write a dictionary with `"as trained"`, `"after PI"`, `"between"`, the two distances as a pair such as `(2, 3)`, and `"because"`: a sentence
# that holds the second number, with three digits, on why PI is lost.

# %% tags=["exercise"]
### BEGIN SOLUTION
angles = {
    "as trained": 3.0,
    "after PI": 3 / 8,
    "between": (0, 1),
    "because": "All pairs stand as for 0.375 tokens, which lies between no token and one, and training showed whole tokens alone.",
}
### END SOLUTION

# %% tags=["check"]
check("05.explain", angles)

# %% [markdown]
# ### BEGIN SOLUTION
# ## About the answers
#
# - **1.** Turns, not radians: the $2\pi$ decides which pairs count as slow. Without it V3's ramp would start six pairs later.
# - **2.** The ramp mixes frequencies. Mixing wavelengths gives the same two ends and other pairs between.
# - **3.** Multiplying the query alone gives the root of the factor. Training still works, and attention stays diluted.
# - **4.** The bounds count turns within the *trained* context. The factor only says how far the slow pairs go.
# - **6.** As trained, three tokens are 3 radians of the fastest pair. After PI with factor 8 they are 3/8, and every other pair says the same:
#   three eighths of a token, between "this token" and "the last one", which training never showed. YaRN leaves the fastest pair at 3. So PI is
#   lost in the first bin already, though every distance there is known; the others are lost where distances are new.
# ### END SOLUTION
