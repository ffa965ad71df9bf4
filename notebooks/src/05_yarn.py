# %% [markdown]
# # 05 yarn. How does a 4K model read 128K?
#
# DeepSeek-V3 was trained on rows of 4,096 tokens. Then, in two thousand steps, it learned to read rows of 128K.
# These steps are a small part of the bill. How can a model read 32 times further than it was trained to, for so little?
#
# Positions are angles. A far position is an angle that training never showed. So the angles are stretched, until far ones
# look like those that were seen. Do that evenly, and neighbours can no longer be told apart.
# YaRN stretches some angles and not others, and then it sharpens attention.
#
# This chapter trains a small model on rows of 64 tokens and makes it read rows of 512. Two questions are kept apart all the way:
# does it find what stands **far** back, and does it still know what stands **near**?
#
# **You need** chapter 01: attention, and the rotation of queries and keys.
# **You get** three ways to stretch, a picture of what each one breaks, and the two repairs that make up YaRN.

# %%
import json
import math

import torch

from minids import accounting
from minids.check.bugs import ch05 as bugs
from minids.config import YarnConfig
from minids.model import rope
from minids.presets import DATA, preset
from minids.study import needle, reach, recall, stretch, tables, viz_yarn
from minids.study.cards import Question, quiz, trap
from minids.study.compare import compare
from minids.study.lesson import claim, figure, predict, reveal, show_source
from minids.study.scale import Scale
from minids.study.widgets import explore

scale = Scale.auto()
real = scale.kind != "smoke"  # at smoke everything runs, and the numbers mean nothing
trained = scale.pick(smoke=32, laptop=64, gpu=1024)  # tokens of a row in training
factor = scale.pick(smoke=2, laptop=8, gpu=32)
beta, too_large = scale.pick(smoke=(2.0, 8.0), laptop=(8.0, 32.0), gpu=(32.0, 256.0))  # turns
steps = scale.pick(smoke=4, laptop=240, gpu=600)
tuning = scale.pick(smoke=2, laptop=15, gpu=30)
rows = scale.pick(smoke=2, laptop=16, gpu=32)  # haystacks for each depth
seeds = (0, 1, 2)
target = factor * trained


def every(what, holds):
    """Claim that something holds in each seed; at smoke there is nothing to see."""
    return claim(what, all(map(holds, seeds)) or not real, f"{len(seeds)} of {len(seeds)} seeds")


def on_average(what, holds):
    """Claim something about means over the seeds; at smoke there is nothing to see."""
    return claim(what, holds or not real, f"means of {len(seeds)} seeds")


# %% [markdown]
# ## How long is a turn?
#
# RoPE cuts a query into pairs of numbers. Pair number $i$ turns by $\theta^{-2i/d}$ radians at every token, where $d$ is the rotary
# width and $\theta$ the base. The first pair needs six tokens for a full turn. The last one needs tens of thousands.
#
# A pair that never completes a turn in training has seen only part of the circle. On a longer row it meets angles that no key
# or query has ever had.
#
# **Predict first.** V3's rotary heads have 32 pairs, and a base of 10,000. How many of them do not complete a turn within 4,096 tokens?

# %% tags=["predict"]
unfinished = predict(
    "how many of V3's 32 pairs never complete a turn?", ..., default=0, unit="pairs"
)

# %% tags=["claim"]
v3 = preset("deepseek-v3")
yarn_v3 = v3.rope_scaling
width, theta, original = v3.attention.rotary_width, v3.rope_theta, yarn_v3.original
waves = [2 * math.pi * theta ** (2 * i / width) for i in range(width // 2)]
print(f"fastest pair: {waves[0]:.1f} tokens for a turn; slowest: {waves[-1]:,.0f}")
never = [i for i, wave in enumerate(waves) if wave > original]
reveal(unfinished, len(never))
claim(
    "the pairs that never complete a turn are the last ones, from the upper bound of YaRN's ramp on",
    never == list(range(rope.correction_range(width, theta, yarn_v3)[1], width // 2)),
    f"pairs {never[0]} to {never[-1]}",
)

# %% [markdown]
# ## By hand: YaRN's frequencies
#
# Stretching by $s$ means: after it, position $s \cdot p$ should look like position $p$ did. Three ways to do it.
#
# - **Position interpolation** (PI) divides every frequency by $s$. All positions are squeezed into the known range.
# - **NTK-aware** scaling takes a larger base: the fastest pair stays, the slowest is divided by $s$, all others lie between.
# - **YaRN** asks how many turns a pair makes within the trained length. More than $\beta$ turns: leave it alone. Less than
#   $\alpha$: divide by $s$. Between the two: a ramp. In DeepSeek's config $\beta$ is `beta_fast`, 32, and $\alpha$ is `beta_slow`, 1.
#
# And YaRN multiplies all attention scores by $(0.1 \, m \ln s + 1)^2$, where $m$ is called `mscale`. That is its *temperature*.
#
# Here it is in plain Python, from DeepSeek's own `config.json`.

# %%
config = json.loads((DATA / "configs" / "deepseek-v3.json").read_text(encoding="utf-8"))
c, d, base = config["rope_scaling"], config["qk_rope_head_dim"], config["rope_theta"]
s, context = c["factor"], c["original_max_position_embeddings"]


def pair_that_turns(times):
    return d * math.log(context / (times * 2 * math.pi)) / (2 * math.log(base))


low = math.floor(pair_that_turns(c["beta_fast"]))
high = math.ceil(pair_that_turns(c["beta_slow"]))
by_hand = []
for i in range(d // 2):
    plain = base ** (-2 * i / d)
    share = min(max((i - low) / (high - low), 0), 1)  # 0: leave it alone, 1: divide by s
    by_hand.append(plain * (1 - share) + plain / s * share)
sharper = (0.1 * c["mscale_all_dim"] * math.log(s) + 1) ** 2

print(f"ramp from pair {low} to pair {high}; scores times {sharper:.4f}")

# %% [markdown]
# The package's own source, printed and not pasted:

# %%
show_source(rope.interpolate, rope.ntk_aware, rope.correction_range, rope.yarn, rope.softmax_factor)

# %% tags=["claim"]
package = rope.frequencies(width, theta, yarn_v3)
torch.testing.assert_close(torch.tensor(by_hand), package)
claim(
    "by hand and by the package: the same 32 frequencies",
    torch.allclose(package, torch.tensor(by_hand)),
)
claim(
    "for DeepSeek's own numbers the ramp runs from pair 10 to pair 23",
    (low, high) == (10, 23) == rope.correction_range(width, theta, yarn_v3),
)
published = {row["model"]: row for row in tables.read("yarn")}
ours = {name: rope.softmax_factor(preset(name).rope_scaling) for name in published}
claim(
    "and scores are multiplied by 1.5896 in V2 and 1.8739 in V3",
    all(round(ours[name], 4) == row["softmax_factor"] for name, row in published.items()),
)

# %% [markdown]
# Why squared? The factor stands for a sharper query and a sharper key, and a score is their product. DeepSeek's config has two fields for
# it, `mscale` and `mscale_all_dim`. They are equal, so that cosine and sine stay as they are and the whole score is multiplied.
#
# The picture. Left: what a pair needs for a turn. Right: by how much each method slows it.

# %%
figure(
    viz_yarn.wavelengths(width, theta, yarn_v3),
    "Left: wavelengths of V3's 32 pairs rise on a logarithmic axis; after YaRN the slow ones lie higher, the fast ones are unchanged. "
    "Right: PI slows all pairs equally, NTK-aware rises evenly, YaRN stays at one, climbs a ramp, and ends with PI.",
)

# %% [markdown]
# Move the factor, beta and the trained context. When does the ramp reach the fastest pair? What does a short context do to it?


# %%
def waves_of(factor=40, beta=32, trained_context=4096):
    return viz_yarn.wavelengths(
        width, theta, YarnConfig(factor=factor, original=trained_context, beta_fast=beta)
    )


explore(
    waves_of,
    factor=[2, 4, 8, 16, 32, 40, 64],
    beta=[2, 4, 8, 16, 32, 64],
    trained_context=[64, 256, 1024, 4096, 16384],
    alt="Wavelengths and slowing of 32 pairs; a shorter trained context moves the ramp to the left.",
)

# %% [markdown]
# ## Two questions for a long row
#
# A test must ask for near and for far things separately.
#
# **Far.** A *needle*, a key and its value, lies somewhere in a haystack. At the end the key comes again: which value? Three other pairs
# with other values lie about, so guessing among what was seen is right once in four. Depth 0 is the start of the row, far away.
#
# **Near.** The hay is no noise. Four of five tokens follow from the token three places back, by a fixed rule. Whoever loses the
# sense of near distances shows it at every token of hay.

# %%
hay = needle.haystacks(1, 28, depth=0.5, seed=3)


def spell(token):
    """Filler as a letter, keys and values with their numbers."""
    if token < needle.N_FILLER:
        return chr(ord("a") + token)
    kind = "KEY" if token < needle.N_FILLER + needle.N_KEYS else "value"
    return f"[{kind} {(token - needle.N_FILLER) % needle.N_KEYS}]"


print(" ".join(map(spell, hay.tokens[0].tolist())), "?")
print("answer:", spell(int(hay.answers)))

# %% [markdown]
# The model is the package's Transformer: two layers, two heads of 32, so 16 rotary pairs. One thing stands in front of it: a *token shift*,
# a matrix that adds to each embedding that of the token before. Without it, no two-layer model that we tried learned to look up
# a value by its key in the time of a chapter. It helps finding, not reaching: it looks one token back, at any position.

# %%
show_source(needle.TokenShift)

# %% [markdown]
# ## Train on short rows
#
# **What you should see.** First the values that can be known fall to nothing: recall is learned. Then the rule of the hay is learned.
# All tokens together level off far above zero: one token of hay in five is random, and keys and first values cannot be known.
#
# One help: values that can be known are a second loss, which weighs as much as all tokens together, here and wherever we tune below. Without it
# the toy does not learn to look things up in the time of a chapter.

# %% tags=["nbval-ignore-output"]
print(scale)
in_workers = None if scale.device.type == "cpu" else 0
where = {"device": str(scale.device), "products": scale.products}
lessons = recall.learn_all(seeds, steps=steps, length=trained, workers=in_workers, **where)
for seed, lesson in lessons.items():
    print(
        f"seed {seed}: {lesson.losses[0]:.2f} -> {lesson.losses[-1]:.2f} nats per token,", end=" "
    )
    print(f"values {lesson.recall[0]:.2f} -> {lesson.recall[-1]:.3f}")
weights = {seed: lesson.weights for seed, lesson in lessons.items()}

# %%
figure(
    viz_yarn.learning({seed: (x.losses, x.recall) for seed, x in lessons.items()}),
    "Loss over training steps for three seeds: recall drops to zero early, the loss on all tokens falls later and levels off.",
)

# %% tags=["claim"]
models = {seed: recall.build(trained, seed, weights[seed]) for seed in seeds}
short_needle = {seed: reach.accuracy(model, trained, rows=rows) for seed, model in models.items()}
short_near = {
    seed: reach.local_loss(model, trained, rows=64, bins=1)[0] for seed, model in models.items()
}
short_weight = {seed: reach.weight_on_needle(model, trained) for seed, model in models.items()}
best = needle.floor()
print(
    f"a model that knows the rule and no more has a loss of {best:.2f} on hay, a guess {math.log(needle.N_FILLER):.2f}"
)
every(
    "at the trained length needles are found at every depth", lambda i: min(short_needle[i]) > 0.85
)
every(
    "and hay is predicted, within 0.4 nats of the best possible",
    lambda i: short_near[i] < best + 0.4,
)

# %% [markdown]
# ## Read eight times further, without any tuning
#
# The same weights, rows of eight times the length. Each method comes plain, and *sharper*: with YaRN's temperature. Three numbers are taken:
# the share of needles found, at five depths; *far*, the same at the three farthest of them; and *near*, the loss on hay in the second half of the row.
#
# **Predict first.** Only distances count in attention. So what happens to a model that is simply given the longer row?
# And which method, without temperature, keeps the near best?

# %% tags=["predict"]
simply = predict(
    "no stretching, a row eight times as long: which needles are found?",
    ...,
    default="all",
    options=("all", "near ones", "none"),
)
keeps_near = predict(
    "which stretching keeps the near best?", ..., default="PI", options=("PI", "NTK", "YaRN")
)

# %% tags=["nbval-ignore-output"]
common = {
    "weights": weights,
    "factor": float(factor),
    "beta": beta,
    "length": trained,
    "rows": rows,
    **where,
}
methods = ("none", "PI", "NTK", "YaRN")
arms = {}
for method in methods:
    arms[method] = {"method": method} | common
    arms[f"{method}, sharper"] = {"method": method, "temperature": True} | common
too_many_turns = f"YaRN by turns, beta {too_large:g}"  # what this one is for comes further down
arms[too_many_turns] = (
    {"method": "YaRN by turns", "temperature": True} | common | {"beta": too_large}
)
results = compare(reach.score, arms, seeds, workers=in_workers)
for number, says in (
    ("needle", "share of needles found, all depths"),
    ("near", "near: loss on hay, nats"),
):
    print(f"{says}\n{results.table(number)}\n")
print(f"noise band of none: needles {results.band('needle')}; near {results.band('near')}")

# %% [markdown]
# The noise band is wide for *near*: how badly a model fails outside its range is a matter of luck. And the arms do not spread
# alike, which the band takes for granted. So the claims below compare seed by seed. Here is *near*, by position:


# %%
def curves(names):
    return {
        name: [[results.of(name, f"bin {i}")[k] for i in range(8)] for k in range(len(seeds))]
        for name in names
    }


shown = ("none", "PI", "NTK", "YaRN, sharper")
figure(
    viz_yarn.by_position(curves(shown), target, trained, best),
    "Loss on hay over position, for four methods with bands over three seeds. PI is high everywhere, even at the start; none and NTK-aware "
    "start low and rise with position; YaRN with temperature starts beside them and stays low.",
)

# %% tags=["claim"]


def of(arm, number, seed):
    return results.of(arm, number)[seeds.index(seed)]


far_found, near_found = (results.mean("none", part) > 0.6 for part in ("far", "depth 1.0"))
reveal(
    simply,
    {
        "all": far_found,
        "near ones": near_found and not far_found,
        "none": not near_found and not far_found,
    },
)
every(
    "without stretching needles at the end of the row are found, over 0.6, and those in its far half are not, under 0.4",
    lambda i: of("none", "far", i) < 0.4 and of("none", "depth 1.0", i) > 0.6,
)
every(
    "PI finds far needles, more than 0.6 of them, and ruins the near: worse than guessing hay at random",
    lambda i: of("PI", "far", i) > 0.6 and of("PI", "near", i) > math.log(needle.N_FILLER),
)
every(
    "NTK-aware is the reverse: the near is better than PI's by 0.3 nats, and far needles are fewer by 0.15",
    lambda i: (
        of("NTK", "near", i) < of("PI", "near", i) - 0.3
        and of("NTK", "far", i) < of("PI", "far", i) - 0.15
    ),
)
every(
    "YaRN with its temperature finds more than nine needles in ten",
    lambda i: of("YaRN, sharper", "needle", i) > 0.9,
)
every(
    "and its near is better than that of PI, NTK-aware and none by 0.2 nats",
    lambda i: (
        of("YaRN, sharper", "near", i)
        < min(of(name, "near", i) for name in ("PI", "NTK", "none")) - 0.2
    ),
)
reveal(keeps_near, min(("PI", "NTK", "YaRN"), key=lambda method: results.mean(method, "near")))
every(
    "YaRN keeps the near best without its temperature too",
    lambda i: of("YaRN", "near", i) < min(of(name, "near", i) for name in ("PI", "NTK")),
)

# %% [markdown]
# Perplexity is the exponential of a loss: the number of tokens that a guess is spread over. In those terms:

# %% tags=["nbval-ignore-output"]
for name in shown:
    print(f"{name:14} perplexity on hay {math.exp(results.mean(name, 'near')):5.1f}")

# %% [markdown]
# Why does PI ruin the near? The hay's rule looks three tokens back. The fastest pair turned three radians for that. Divided by eight, all pairs
# together now say "three eighths of a token back", and no two tokens were ever that near. (One pair alone may have stood like that: after a full
# turn its angles come again.)
#
# And *none*, whose near is lost as well? The distance three is known to it. New are the tokens further back than any in training: they take part in the
# softmax at angles that nothing was learned for.
#
# YaRN pays a little for its stretched pairs: look at the very start of the row, where nothing is far and the model as it was needs no help.
#
# "PI beats NTK-aware on needles" is our result, on our task. The literature compares them by perplexity, where NTK-aware wins: our *near*.
#
# ## Two harms, two repairs
#
# YaRN does two things. Which of them does what? The control: give the temperature to every method.

# %%
before = {
    name: [(of(name, "needle", i), of(name, "near", i)) for i in seeds]
    for method in methods
    for name in (method, f"{method}, sharper")
}
figure(
    viz_yarn.two_harms({"no tuning: the upper left is best": before}),
    "Needles found against loss on hay. Filled marks, with temperature, lie above hollow ones of the same method. YaRN stands left of PI at "
    "the same height, and reaches the upper left corner when sharper.",
)

# %% [markdown]
# Stretching moves a method up, and so does the temperature. PI and YaRN stand equally high. What YaRN's frequencies change is the near.
#
# Why is sharpening needed at all? A softmax shares out one unit of attention. Eight times the tokens are eight times as many that each take
# a little. What is left for the needle can be measured: the attention that the question pays to the needle's value.

# %%
paid = {
    method: [(of(method, "weight", i), of(f"{method}, sharper", "weight", i)) for i in seeds]
    for method in methods
}
at_trained = sum(short_weight.values()) / len(seeds)
figure(
    viz_yarn.attention_paid(paid, at_trained),
    "Attention on the needle's value for four methods and three seeds. Every line goes to the right with temperature; PI and YaRN, sharpened, "
    "reach about the level of the trained length, none and NTK-aware stay below it.",
)

# %% tags=["claim"]
on_short = {
    (method, i): reach.weight_on_needle(
        stretch.stretch(models[i], method, factor, beta=beta), trained
    )
    for method in ("PI", "YaRN")
    for i in seeds
}
print(f"as trained, on a row of the trained length: {at_trained:.2f}")
for method in ("PI", "YaRN"):
    print(f"stretched by {method}, on such a row:", *(f"{on_short[method, i]:.2f}" for i in seeds))
every(
    "on the long row PI and YaRN, without temperature, pay less attention than the model did where it was trained",
    lambda i: max(of("PI", "weight", i), of("YaRN", "weight", i)) < short_weight[i],
)
every(
    "for YaRN a part of that comes with the length: on a short row it pays more, by 0.02 or more",
    lambda i: of("YaRN", "weight", i) < on_short["YaRN", i] - 0.02,
)
every(
    "with the temperature every method pays the needle more attention, none included",
    lambda i: all(of(f"{m}, sharper", "weight", i) > of(m, "weight", i) + 0.02 for m in methods),
)
on_average(
    "needles follow: for no method does the temperature cost any",
    all(
        results.mean(f"{m}, sharper", "needle") >= results.mean(m, "needle") - 0.01 for m in methods
    ),
)
on_average(
    "YaRN's frequencies alone do not find more than PI's: within 0.1",
    abs(results.mean("YaRN", "needle") - results.mean("PI", "needle")) < 0.1,
)
on_average(
    "what they do is the near: more than one nat better than PI, with or without temperature",
    results.mean("YaRN", "near") < results.mean("PI", "near") - 1
    and results.mean("YaRN, sharper", "near") < results.mean("PI, sharper", "near") - 1,
)

# %% tags=["trap"]
trap(
    "YaRN finds more far needles than plain interpolation, because of its frequencies.",
    real and results.mean("YaRN", "needle") - results.mean("PI", "needle") >= 0.1,
    "Without temperature it finds as many, within 0.1. Stretching finds them, in either way; the temperature undoes the dilution and adds the rest. "
    "Where YaRN's frequencies differ from PI's, they repair the near.",
)

# %% [markdown]
# ## Beta belongs to a length
#
# The published $\beta$ is 32 turns. How many turns fit in 64 tokens?

# %% tags=["claim"]
toy_width = recall.toy(trained).attention.rotary_width
turns = [trained / (2 * math.pi) * theta ** (-2 * i / toy_width) for i in range(toy_width // 2)]
print("turns within the trained length, by pair:", *(f"{t:.2g}" for t in turns[:7]), "...")
claim(
    "32 turns do not fit: not even the fastest pair makes that many",
    turns[0] < 32 or scale.kind == "gpu",
)


def bounds(beta, original):
    return rope.correction_range(
        toy_width, theta, YarnConfig(factor=8, original=original, beta_fast=beta)
    )


print("the package's ramp at 64 tokens:", {b: bounds(b, 64) for b in (4, 8, 16, 32)})
claim(
    "in DeepSeek's code nothing bad happens: its lower bound stops at pair 0, so 8, 16 and 32 are one ramp",
    bounds(8, 64) == bounds(16, 64) == bounds(32, 64) == (0, 5),
)
claim(
    "at the length that it was made for, they are three",
    len({bounds(b, 4096) for b in (8, 16, 32)}) == 3,
)

# %% [markdown]
# YaRN's paper prints the ramp over *turns*: a pair with $r$ turns is left alone by a share of $(r - \alpha) / (\beta - \alpha)$. DeepSeek's code, like
# Hugging Face's, has a ramp over the *number of the pair*, between the same two bounds. With turns, nothing stops at pair 0. A beta far
# too large then stretches every pair. That was the last arm of the comparison:

# %% tags=["claim"]
every(
    "by turns, a beta that does not fit slows the fastest pair as well: the near is worse than a guess",
    lambda i: of(too_many_turns, "near", i) > math.log(needle.N_FILLER),
)
every(
    "needles do not notice: they are found all the same",
    lambda i: of(too_many_turns, "needle", i) > 0.9,
)

# %% tags=["trap"]
trap(
    "A model that finds every needle reads its long context well.",
    real and results.mean(too_many_turns, "near") < math.log(needle.N_FILLER),
    "The last arm finds them nearly all and cannot follow a rule three tokens back. A needle asks for one far thing. Ask for something near beside it: "
    "a loss, by position.",
)

# %% [markdown]
# ## A few steps of tuning
#
# DeepSeek does not stop at stretching: it trains on long rows, a little. We take 15 steps of 4 rows. Every method gets the same.
# The arm *none*, tuned and not stretched, is the control: how much does tuning do by itself?

# %% tags=["nbval-ignore-output"]
chosen = ("none", "PI", "NTK", "YaRN, sharper")
tuned = compare(
    reach.score,
    {name: arms[name] | {"tuning": tuning} for name in chosen},
    seeds,
    workers=in_workers,
)
for number, says in (
    ("needle", "share of needles found, all depths"),
    ("near", "near: loss on hay, nats"),
):
    print(f"{says}\n{tuned.table(number)}\n")
print(f"noise band of none: needles {tuned.band('needle')}; near {tuned.band('near')}")

# %%
after = {
    name: list(zip(tuned.of(name, "needle"), tuned.of(name, "near"), strict=True))
    for name in chosen
}
figure(
    viz_yarn.two_harms(
        {"before tuning": {name: before[name] for name in chosen}, "after a few steps": after}
    ),
    "Two panels, before and after tuning. All methods move to the upper left; PI stays to the right, none and NTK-aware stay lower, "
    "YaRN is in the corner before and after.",
)

# %% tags=["claim"]


def then(arm, number, seed):
    return tuned.of(arm, number)[seeds.index(seed)]


every(
    "after tuning YaRN still finds more than nine needles in ten, and its near is within 0.05 of the best",
    lambda i: (
        then("YaRN, sharper", "needle", i) > 0.9
        and then("YaRN, sharper", "near", i) < min(then(name, "near", i) for name in chosen) + 0.05
    ),
)
every(
    "PI's near is not repaired: half a nat behind",
    lambda i: then("PI", "near", i) > then("YaRN, sharper", "near", i) + 0.5,
)
every(
    "tuning alone repairs the near, to within 0.4 nats of the best possible; far needles stay behind YaRN's by 0.15",
    lambda i: (
        then("none", "near", i) < best + 0.4
        and then("none", "far", i) < then("YaRN, sharper", "far", i) - 0.15
    ),
)
on_average(
    "NTK-aware comes close and stays below in far needles",
    tuned.mean("NTK", "far") < tuned.mean("YaRN, sharper", "far"),
)

# %% [markdown]
# Not every gap stays. NTK-aware repairs its near, and finds most needles. Do not take from this that tuning makes the choice of method idle: PI's near is still far behind.
#
# ## The grid, and where it ends
#
# The usual picture of a long context: length against depth. Left the model as it was trained, right with YaRN, its temperature and the few
# steps. The dashed line is what it was stretched for. How far beyond does it go?

# %% tags=["predict"]
beyond = predict(
    "stretched for 8 times the length, asked at 16 times: the farthest needles are ...",
    ...,
    default="all found",
    options=("all found", "partly lost"),
)

# %% tags=["nbval-ignore-output"]
lengths = sorted({trained, 2 * trained, target // 2, target, target * 3 // 2, 2 * target})
depths = (0.0, 0.125, 0.25, 0.5, 0.75, 1.0)
grid_common = common | {"lengths": lengths, "depths": depths}
grids = compare(
    reach.grid,
    {
        "as trained": grid_common | {"method": "none"},
        "YaRN, tuned": grid_common | {"method": "YaRN", "temperature": True, "tuning": tuning},
    },
    seeds,
    workers=in_workers,
)

# %%
values = {
    name: [[grids.mean(name, reach.cell(n, d)) for d in depths] for n in lengths]
    for name in grids.arms
}
figure(
    viz_yarn.needle_grids(
        {"As trained": values["as trained"], f"YaRN for x{factor}, tuned": values["YaRN, tuned"]},
        lengths,
        depths,
        target,
    ),
    "Two grids of needles found in percent, length against depth, means of three seeds. As trained, needles are found where they lie near "
    "enough: in the first row, and in a part of the others that shrinks as rows get longer. With YaRN all is bright down to the dashed line; below it the far depths darken.",
)

# %% tags=["claim"]
at = {
    n: dict(zip(depths, row, strict=True))
    for n, row in zip(lengths, values["YaRN, tuned"], strict=True)
}
on_average(
    "up to the length that it was stretched for, every cell is above 0.9",
    min(x for n in lengths if n <= target for x in at[n].values()) > 0.9,
)
far_end = lengths[-1]
reveal(beyond, "all found" if min(at[far_end].values()) > 0.9 else "partly lost")
on_average(
    "at twice that length the two farthest depths lose more than 0.15, and the nearest stays above 0.85",
    max(at[far_end][0.0], at[far_end][0.125]) < 0.85 and at[far_end][1.0] > 0.85,
)

# %% [markdown]
# The limit is honest: positions beyond the target are angles that were not seen, again.
#
# ## What is it like at real size?
#
# The settings of V2 and V3, read from their configs:

# %%
rows_of = []
for name in ("deepseek-v2", "deepseek-v3"):
    model, y = preset(name), preset(name).rope_scaling
    ramp = rope.correction_range(model.attention.rotary_width, model.rope_theta, y)
    rows_of.append(
        {
            "model": name,
            "trained": y.original,
            "factor": y.factor,
            "reaches": round(y.original * y.factor),
            "ramp, pairs": f"{ramp[0]} to {ramp[1]}",
            "mscale": y.mscale,
            "scores times": round(rope.softmax_factor(y), 4),
        }
    )
print(tables.text(rows_of))

# %% [markdown]
# The factor is 40, and 40 times 4,096 are 160K: more than the 128K that the models are used for. The grid above says why one leaves room.
# YaRN is applied to the 64 numbers of the decoupled rotary key alone (chapter 04). The temperature multiplies the whole score.
#
# What does reading 128K cost?

# %%
K = 1024
print(
    tables.text(
        [
            {
                "context": f"{n // K}K",
                "cache, GB": round(accounting.cache_bytes(v3) * n / 1e9, 2),
                "work of the last token, GFLOP": round(
                    accounting.flops_per_token(v3, n, "prefill") / 1e9
                ),
            }
            for n in (4 * K, 32 * K, 128 * K)
        ]
    )
)

# %% tags=["claim"]
work = [accounting.flops_per_token(v3, n, "prefill") for n in (4 * K, 128 * K)]
claim(
    "the last of 128K tokens costs several times what the last of 4K costs: attention has outgrown everything else",
    work[1] > 2 * work[0],
    f"{work[1] / work[0]:.1f} times",
)

# %% [markdown]
# ## What DeepSeek reported

# %% tags=["claim"]
print(
    tables.text(
        tables.read("yarn"),
        ["model", "factor", "original", "beta_fast", "beta_slow", "mscale", "stages"],
    )
)
bill = {row["stage"]: row["h800_khours"] for row in tables.read("cost")}
print(bill)
extension = next(hours for stage, hours in bill.items() if "context" in stage)
total = max(bill.values())
claim(
    "the whole extension is less than a twentieth of V3's bill",
    extension < total / 20,
    f"{100 * extension / total:.1f} %",
)

# %% [markdown]
# The report's figure is a needle grid from 2K to 128K, all green. It shows no loss by position. Our toy says what such a grid can hide: it does not
# say that anything is hidden there.
#
# What is ours and not theirs: needles of two tokens instead of a sentence, a factor of 8 instead of 40, a beta of 8, a model of a tenth of a
# million parameters, and a token shift that helps it find.
#
# ## Bug museum
#
# Three versions of YaRN that are wrong. All of them train: here is the loss at the end of the same 15 steps.
# One run each. Find the mistake in the numbers before you read the line.
#
# The cell that makes them is folded: its names give the answers away.

# %% tags=["nbval-ignore-output", "hide-input"]
seed = seeds[0]
short = models[seed].to(scale.device)
plain = rope.frequencies(toy_width, theta)
sharp = stretch.sharpening(short.c, factor)
ramp = rope.correction_range(
    toy_width, theta, YarnConfig(factor=factor, original=trained, beta_fast=beta)
)
right_pace = stretch.turning("YaRN", short.c, factor, beta=beta)
wrong_pace = bugs.yarn_inverted(plain, factor, *ramp)


def sharpness_of(attend):
    """By what `attend` multiplies scores, seen from outside: how much differences of log-weights grow."""
    g = torch.Generator().manual_seed(0)
    q, k = torch.randn(1, 8, generator=g), torch.randn(1, 2, 8, generator=g)
    gap = [attend(q, k, s, 1.0)[0].log().diff() for s in (1.0, float(factor))]
    return float(gap[1] / gap[0])


exhibits = {  # name: (the model that reads, the model that answers from its cache)
    "right": (stretch.with_positions(short, right_pace, sharpness_of(bugs.weights), target),) * 2,
    "A": (stretch.with_positions(short, right_pace, sharpness_of(bugs.weights_once), target),) * 2,
    "B": (stretch.with_positions(short, wrong_pace, sharp, target),) * 2,
    "C": (
        stretch.stretch(short, "YaRN", factor, temperature=True, beta=beta),
        stretch.stretch(short, "none", factor),
    ),
}
found = {}
for name, (reader, writer) in exhibits.items():
    found[name] = {
        "near, nats": reach.local_loss(reader, target, rows=rows, bins=1)[0],
        "needles, read at once": sum(reach.accuracy(reader, target, rows=rows)) / 5,
        "needles, from the cache": sum(reach.accuracy(reader, target, rows=rows, writer=writer))
        / 5,
        "attention on the needle": reach.weight_on_needle(reader, target),
    }
    taken = recall.tune(reader, target, seed=7, steps=tuning, products=scale.products)
    found[name]["loss after tuning"] = taken[-1].loss
print(
    tables.text(
        [{"version": n} | {k: f"{x:.2f}" for k, x in row.items()} for n, row in found.items()]
    )
)

# %% tags=["predict"]
which = predict(
    "one of them stretches the fast pairs and spares the slow ones. Which?",
    ...,
    default="A",
    options=["A", "B", "C"],
)

# %% tags=["claim"]
reveal(which, max("ABC", key=lambda name: found[name]["near, nats"]))
once = sharpness_of(bugs.weights_once)
print(
    f"scores are multiplied by {sharpness_of(bugs.weights):.3f} where YaRN is right, and by {once:.3f} in A"
)
claim("A sharpens by the root of what it should", abs(once**2 - sharp) < 1e-3)
claim(
    "A loses attention on the needle",
    found["A"]["attention on the needle"] < found["right"]["attention on the needle"] - 0.01
    or not real,
    "one run",
)
claim(
    "B loses both, near and far",
    (found["B"]["near, nats"] > 3 and found["B"]["needles, read at once"] < 0.7) or not real,
    "one run",
)
claim(
    "C is right in training, and finds next to nothing when it decodes",
    (found["C"]["needles, read at once"] > 0.9 and found["C"]["needles, from the cache"] < 0.5)
    or not real,
    "one run",
)

# %% [markdown]
# A multiplies the query alone, so the temperature counts once. B has its ramp upside down. C stretches where it trains, and forgets to where it
# decodes: cached keys are turned in one way and new queries in another. No training loss can see that; comparing the cached
# answer with the whole pass does.

# %%
show_source(bugs.weights_once, bugs.yarn_inverted)
show_source(stretch.answer)

# %% [markdown]
# ## Trap or not?

# %% tags=["trap"]
x = torch.randn(2, 1, 32, generator=torch.Generator().manual_seed(0))


def rotated_score(query_at, key_at):
    q, k = (
        rope.rotate_halves(v, rope.rotary(plain, torch.tensor([p])))
        for v, p in zip(x, (query_at, key_at), strict=True)
    )
    return float((q * k).sum())


moved = abs(rotated_score(40, 10) - rotated_score(1040, 1010))
claim("moving query and key together leaves their score alone", moved < 1e-3)
trap(
    "RoPE reads longer rows by itself, because only distances count.",
    real and min(of("none", "far", i) for i in seeds) > 0.6,
    "Only distances count, the claim above shows it. But a row of 512 has distances up to 511, and training on 64 showed none above 63. "
    "Needles at those distances were mostly not found.",
)

# %% [markdown]
# ## What was left out
#
# - **Longer training rows.** The simplest way to a long context is to train on it from the start. It costs what attention costs.
# - **Real needles.** Sentences in essays, several needles, questions that need two of them. Finding one pair is the easiest long task.
# - **Other factors.** `minids.study.reach` takes any length and device: with a GPU the dial above reads rows of 32K; ask for more.
# - **Llama's variant.** Llama 3.1 stretches with a ramp over turns and without temperature. The package reads it (`rope.llama3`).
# - **Sparse attention.** V3.2 reads 128K at less cost by looking at a choice of tokens. It is beyond this course.
#
# ## Quiz
#
# Five questions. Open an option to see whether it is right, and why.

# %% tags=["quiz"]
doubled = YarnConfig(factor=80, original=4096)
quiz(
    [
        Question(
            "A model reads past its trained length without stretching. Which needles does it miss?",
            "Those further back than any distance it was trained on.",
            "Needles near the end were found, those at the start were not.",
            {
                "All of them.": "Those near the end were found. It is the hay that it loses near the end, too.",
                "None: only distances count.": "The distances themselves are new.",
            },
            not real or all(of("none", "depth 1.0", i) > of("none", "depth 0.0", i) for i in seeds),
        ),
        Question(
            "What does dividing every frequency by the factor ruin?",
            "Near positions.",
            "Neighbouring tokens come to lie closer than any that training showed.",
            {
                "Far positions.": "They are squeezed into the known range: far needles were found.",
                "The sharpness of attention.": "It suffers a little, on a short row too, and far needles were found all the same.",
            },
            not real or all(of("PI", "near", i) > of("NTK", "near", i) for i in seeds),
        ),
        Question(
            "Which pairs does YaRN leave alone?",
            "Those that turn often within the trained length.",
            f"In V3 pairs 0 to {low}: they have seen the whole circle many times, and they carry near distances.",
            {
                "Those that never complete a turn.": "They meet unknown angles first: they are divided by the factor.",
                "None: it divides all by different amounts.": "Up to the lower bound the share of stretching is 0.",
            },
            torch.equal(package[: low + 1], rope.frequencies(width, theta)[: low + 1]),
        ),
        Question(
            "Why are scores multiplied by more than 1 on longer rows?",
            "More tokens share one unit of attention; sharper scores give the needle its part back.",
            "Without it attention on the needle fell below its level at the trained length, for every method.",
            {
                "To make up for the slower rotation.": "It helped a model that was not stretched at all.",
                "To keep gradients from vanishing.": "It helped without a single gradient step.",
            },
            not real
            or all(of("none, sharper", "weight", i) > of("none", "weight", i) for i in seeds),
        ),
        Question(
            "V3's factor is doubled. What happens to the ramp?",
            "Nothing: its bounds stay where they are.",
            "They count turns within the trained length, which does not know the factor. Temperature and the depth of the stretch change.",
            {
                "It moves to faster pairs.": "A shorter trained length would do that.",
                "It becomes twice as wide.": "Its ends are where pairs make 32 turns and 1 turn, as before.",
            },
            rope.correction_range(width, theta, doubled) == (low, high),
        ),
    ]
)

# %% [markdown]
# ## Exercises
#
# In `exercises/05_yarn.ipynb`: turns of a pair, YaRN's ramp, its temperature, a prediction, and
# a measurement by position of a model that you stretch with your own code. Each checks itself and hints.
#
# Next: chapter 06: how experts can share the load without a loss that hurts.
