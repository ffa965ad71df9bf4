# %% [markdown]
# # 10 grpo. Can a model teach itself to reason from right and wrong alone?
#
# R1-Zero was never shown how to reason. It was asked questions, and told afterwards whether its answers were right.
# Its answers grew longer, and its score on a mathematics contest, AIME 2024, rose from 16 to 78 of 100.
#
# This chapter does the same to a model of a tenth of a million parameters, with sums of two-digit numbers, in less than a minute.
# Then it asks what was learned: something new, or only to be surer of what was there?
#
# **You need** chapter 01: a language model, its log-probabilities, sampling.
# **You get** the whole method in four short functions: rewards by rule, advantages by group, a clipped loss, a loop.

# %%
import copy
import inspect

import torch
from IPython.display import clear_output
from tqdm import tqdm

from minids import accounting
from minids.check import examine
from minids.check.bugs import ch10 as bugs
from minids.rl import advantages, policy_loss, rewards, variants
from minids.rl.exam import pass_at
from minids.rl.grpo import grpo
from minids.rl.rollouts import distribution, roll_out
from minids.rl.zero import newborn, practise, questions, read_lessons
from minids.study import tables, viz_grpo, zero_lab
from minids.study.beside import beside
from minids.study.cards import Question, quiz, trap
from minids.study.lesson import claim, figure, predict, reveal, show_source
from minids.study.scale import Scale
from minids.study.watch import watch
from minids.study.widgets import explore
from minids.text.alphabet import alphabet
from minids.text.lessons import lesson, told

scale = Scale.auto()
reading = scale.pick(smoke=20, laptop=1000, gpu=1000)
steps = scale.pick(smoke=2, laptop=60, gpu=60)
prompts = scale.pick(smoke=16, laptop=16, gpu=64)  # questions of a step, 16 answers to each
device = str(scale.device) if scale.kind == "gpu" else "cpu"
real = scale.kind != "smoke"  # at smoke everything runs, and the numbers mean nothing
recipe = zero_lab.quick(reading, steps, prompts)
codec = alphabet()
torch.set_num_threads(1)  # for models as small as these a second thread costs more than it does

# %% [markdown]
# One run is one run. Two more seeds of what follows start now, from new weights, new lessons and new samples. Then three runs of a
# weaker base, for the end. They take what the cores have left, and are done when this notebook asks for them.

# %%
workers = scale.pick(smoke=2, laptop=2, gpu=0)  # on a GPU they wait for their turn
how_far = {"reading": reading, "practice": steps, "prompts": prompts, "device": device}
two_more = beside(zero_lab.zero, {"zero": how_far}, seeds=(1, 2), workers=workers)
little = {
    "reading": scale.pick(smoke=10, laptop=150, gpu=150),
    "steps": scale.pick(smoke=3, laptop=40, gpu=40),
    "prompts": prompts,
    "device": device,
}
weaker = beside(
    zero_lab.hack, {"weak base": little}, seeds=(0, 1, 2), workers=workers, after=two_more
)

# %% [markdown]
# ## The questions, and a base that answers badly
#
# A base model has read answers, good and bad. Ours has read these. Most come without working, and are wrong by ten.
# About a third are worked aloud, column by column, ones first. Half of those then write the columns down in the order in which
# they were found: 85 becomes 58. Now and then a column is wrong as well.

# %%
text = lesson(recipe.lessons, seed=0)
for i in range(9):
    print("".join(text(i)))

# %% [markdown]
# Why these words and tags? The form is that of R1-Zero's template: thoughts (the *chain of thought*) between think tags, the result between answer tags.
# The vocabulary has 80 tokens: digits, signs, numbers in words. The course's own has 1,024, and a model this small that samples pays
# for all of them.
#
# The questions of the test are held out: whatever the seed, training never asks them. There are four ways to grade, with 16 samples of each.
#
# - *Sampled*, or pass@1: the share of all samples that are right.
# - *Greedy*: one answer more, which takes the likeliest token each time.
# - *Majority*, or Maj@16: the answer that most of the 16 agree on.
# - *Pass@16*, in the pictures *once in k*: at least one of the 16 is right.

# %%
model = newborn(recipe, seed=0).to(device)
print(f"{accounting.parameters(model.c).total:,} parameters")
test = questions(recipe, 128)
print("tested:", ", ".join(p.question for p in test[:6]), "…")

# %% tags=["nbval-ignore-output"]
for _ in tqdm(read_lessons(model, recipe, seed=0, kind=scale.products), total=reading):
    pass
base = copy.deepcopy(model)
before = zero_lab.test(base, recipe, seed=0, kind=scale.products)
print(
    f"right: {before.pass_at_1:.0%} sampled, {before.greedy:.0%} greedy; {before.worked:.0%} show working"
)

# %% [markdown]
# **Predict first.** The model will be rewarded for right answers, and for keeping the form. Nobody asks for working: empty thoughts
# keep the form as well. What will happen to the share of answers that show their working?

# %% tags=["predict"]
working = predict(
    "the share of answers with working, now about a third, will be",
    ...,
    default="about the same",
    options=("nearly all", "about the same", "nearly none"),
)

# %% [markdown]
# ## By hand: rewards
#
# A reward is a rule. R1-Zero has two, equally weighted: is the answer right, and is the form kept? A rule cannot be talked round, as a
# learned judge can. Here nothing that a model writes is ever run as code; the programs that R1-Zero wrote were compiled and tested.

# %%
show_source(rewards.read, rewards.form, rewards.accuracy)

# %% tags=["claim"]
problem = test[0]
good = told("", problem.answer)
for response in (
    good,
    told("", problem.answer + "0"),
    problem.answer,
    good.replace("<answer>", "<answer><answer>"),
):
    print(
        f"{rewards.accuracy(problem, response):.0f} {rewards.form(problem, response):.0f}  {response}"
    )
claim(
    "the right number outside the form earns nothing",
    rewards.accuracy(problem, good) == 1 and rewards.accuracy(problem, problem.answer) == 0,
)

# %% [markdown]
# ## By hand: advantages
#
# Ask one question several times. How good was each answer, compared with its siblings? That is the whole idea of GRPO: the mean of the
# group stands in for the critic that other methods, such as PPO, train beside the model.


# %%
def by_hand(group):
    mean = sum(group) / len(group)
    deviation = (sum((r - mean) ** 2 for r in group) / len(group)) ** 0.5
    return [(r - mean) / (deviation + 1e-4) for r in group]


group = [1.0, 0.0, 0.0, 0.0]
print([round(a, 2) for a in by_hand(group)])
show_source(advantages.group_advantages, advantages.centred_advantages)

# %% tags=["claim"]
package = advantages.group_advantages(torch.tensor([group]))[0]
claim("by hand and by the package: the same", torch.allclose(package, torch.tensor(by_hand(group))))
alone = advantages.group_advantages(torch.tensor([[1.0], [0.0]]))
flat = advantages.group_advantages(torch.ones(1, 16))
claim(
    "a group of one, and a group of equals, teach exactly nothing",
    not alone.any() and not flat.any(),
)
one_in_16 = torch.zeros(1, 16)
one_in_16[0, 0] = 1
half = torch.arange(16)[None] < 8
factor = {
    name: float((advantages.group_advantages(r) / advantages.centred_advantages(r)).mean())
    for name, r in (("half", half.float()), ("one in 16", one_in_16))
}
claim(
    "dividing by the deviation weighs a hard question twice as much as an even one: 4.13 against 2.0",
    [round(factor["one in 16"], 1), round(factor["half"], 1)] == [4.1, 2.0],
)

# %% [markdown]
# ## The loss
#
# Some words first. The *policy* is the model that practises, and a *rollout* is an answer that it sampled. REINFORCE is the oldest rule of this kind: push
# each token by its advantage. The *KL* divergence says in nats how far the policy's distribution has gone from the base's; chapter 12 works it out. The *entropy* says
# how undecided the policy is: its own mean surprise, in nats, at the tokens that it draws; 0 if it always takes the same ones.
#
# Every written token carries its rollout's advantage. A token that grew more likely since it was sampled has a ratio above 1.
# The loss pushes good tokens up and bad ones down, until the ratio leaves the clip. A KL term keeps the policy near the base.

# %%
show_source(policy_loss.policy_loss, policy_loss.k3, policy_loss.mean_of_rollouts)

# %% tags=["claim"]
g = torch.Generator().manual_seed(0)
logp = (-torch.rand(3, 5, generator=g)).requires_grad_()
mask = torch.arange(5)[None] < torch.tensor([5, 2, 4])[:, None]
a = torch.tensor([1.0, -1.0, 0.5])
first = policy_loss.policy_loss(logp, logp.detach(), advantages.over_tokens(a, mask), mask)
first.loss.backward()
reinforce = -(a[:, None] / mask.sum(-1, keepdim=True) / 3).expand(3, 5).where(mask, 0.0)
claim("on the first update its gradient is that of REINFORCE", torch.allclose(logp.grad, reinforce))
claim("and padding has none", not logp.grad[~mask].any())

# %% [markdown]
# What the loss raises, against the ratio. The green range is the clip; beyond it a line that goes level has no gradient.

# %%
figure(
    viz_grpo.clipping(),
    "Two panels. For a good token the objective rises with the ratio and goes level above the clip; for a bad one it is level below "
    "the clip and falls after it.",
)


# %%
def clip(low=0.2, high=0.2, ratio=1.5):
    return viz_grpo.clipping(low, high, ratio)


explore(
    clip,
    low=(0.05, 0.5, 0.05),
    high=(0.05, 0.5, 0.05),
    ratio=(0.3, 1.9, 0.1),
    alt="The objective against the ratio; a point shows where a token is and whether it has a gradient.",
)

# %% [markdown]
# ## Sampling and training must agree
#
# The ratio compares a probability from sampling (with a cache, token by token) with one from training (one pass over everything).
# If the two disagree, every ratio is wrong from the start.

# %% tags=["claim"]
scored = roll_out(
    base,
    test[:8],
    codec,
    recipe.rewards,
    group=4,
    max_new=32,
    generator=torch.Generator(device).manual_seed(1),
)
again = distribution(base, scored.learnt).logp
gap = (again - scored.learnt.logp)[scored.learnt.mask].detach().abs().max()
claim("log-probabilities of sampling and of training agree to 1e-4", float(gap) < 1e-4)

# %% [markdown]
# ## Practice
#
# The loop: ask, answer in groups, reward, update. This is the code that runs.

# %%
print(inspect.getsource(grpo).split('"""')[2].strip("\n"))

# %% [markdown]
# **What you should see.** The share with working moves first and soon reaches nearly 1; length grows by two thirds with it; accuracy follows, to
# between two thirds and 1. The KL soon is a tenth of a nat or so, with single peaks of up to a nat or two. The clipped share is a percent or two at first, then
# next to nothing. Trouble is named by the watcher.

# %% tags=["nbval-ignore-output"]
history = []
for step in tqdm(watch(practise(model, recipe, seed=0, kind=scale.products)), total=steps):
    history.append(step.parts)
    if step.i % 20 == 19:
        clear_output(wait=True)
        figure(
            viz_grpo.practice(history, "R1-Zero in miniature"),
            "A run so far: accuracy and working rise, length grows from twelve tokens to about twenty, entropy falls.",
        )
for question, response, reward in step.examples:
    print(f"{question:6} {reward:.0f} {response}")

# %% [markdown]
# ## Three seeds
#
# The two other seeds, which started with the notebook, are asked for here.

# %% tags=["nbval-ignore-output"]
others = two_more.result()
after = zero_lab.test(model, recipe, seed=0, kind=scale.products)


def seeds_of(when):
    first = {"before": before, "after": after}[when]._asdict()
    rows = [{name: float(first[name]) for name in first if name != "k"}]
    for i in range(2):
        rows.append({name: others.of("zero", f"{when} {name}")[i] for name in rows[0]})
    return rows


exams = {when: seeds_of(when) for when in ("before", "after")}
print(
    tables.text(
        [
            {"seed": i, "when": when} | {k: round(v, 2) for k, v in exams[when][i].items()}
            for i in range(3)
            for when in exams
        ]
    )
)

# %% tags=["nbval-ignore-output"]
figure(
    viz_grpo.before_and_after(exams["before"], exams["after"]),
    "Bars before and after practice: sampled, greedy and majority go from low to most; once in k was high already; working becomes universal.",
)

# %% tags=["claim"]


def every(what, holds):
    """Whether something holds in each of three seeds; at smoke there is nothing to see."""
    held = [bool(holds(b, a)) for b, a in zip(exams["before"], exams["after"], strict=True)]
    return claim(what, all(held) or not real, f"{sum(held) if real else 3} of 3 seeds")


every(
    "sampled accuracy goes from below 0.3 to above 0.6",
    lambda b, a: b["pass_at_1"] < 0.3 and a["pass_at_1"] > 0.6,
)
every(
    "greedy is poor before, below 0.2, and above 0.75 after",
    lambda b, a: b["greedy"] < 0.2 and a["greedy"] > 0.75,
)
every(
    "working goes from below half to above 0.9, and nobody asked",
    lambda b, a: b["worked"] < 0.5 and a["worked"] > 0.9,
)
every("answers grow by more than a third", lambda b, a: a["length"] > 1.33 * b["length"])

# %% tags=["claim"]
worked = sum(a["worked"] for a in exams["after"]) / 3
reveal(
    working,
    {
        "nearly all": worked > 0.8,
        "about the same": 0.1 <= worked <= 0.8,
        "nearly none": worked < 0.1,
    },
)
every(
    "majority@16 gains more than pass@16, which was high already",
    lambda b, a: a["majority"] - b["majority"] > 2 * (a["pass_at_k"] - b["pass_at_k"]),
)
every(
    "the base was right once in 16 tries in more than six of ten questions",
    lambda b, a: b["pass_at_k"] > 0.6,
)

# %% [markdown]
# ## Learning, or sharpening?
#
# A model that is only made surer of what it mostly does raises its *sampled* accuracy, and leaves *greedy* and *majority* where they were.
# Here greedy was poor and is good: a wrong habit of the majority was replaced by a better one of the minority.
#
# But that better way was among the base's samples, in most questions within 16 tries. So this is not new knowledge. It is what
# DeepSeekMath found at 7B: reinforcement raises Maj@K, and hardly Pass@K. In our toy pass@16 rises as well, because it had room.
#
# The paper's run (points read off the chart of its first version, which ends at 71 after about 8,400 steps; the 78 above are from the later one, after 10,400 steps and
# with longer answers):

# %%
print(tables.text(tables.read("r1_zero_curve"), ["step", "aime_pass1"]))
print()
print(tables.text(tables.read("grpo"), ["setting", "deepseekmath_7b", "r1_zero", "r1_first_rl"]))

# %% [markdown]
# Note the clip: R1 reports 10, where we take 0.2. A ratio never falls below 0, so the lower bound, -9, cuts nothing, and the upper one only ratios above 11.


# %% tags=["trap"]
def loss_at_first(policy):
    """The loss over fresh answers of a policy, before it has learned from them."""
    g = torch.Generator(device).manual_seed(1)
    fresh = roll_out(policy, test[:8], codec, recipe.rewards, group=16, max_new=32, generator=g)
    given = advantages.group_advantages(fresh.rewards.view(8, 16)).flatten()
    logp, mask = fresh.learnt.logp, fresh.learnt.mask
    gains = advantages.over_tokens(given.to(mask.device), mask)
    return float(policy_loss.policy_loss(logp, logp, gains, mask).loss)


trap(
    "The loss of GRPO should fall while the model learns.",
    loss_at_first(model) < loss_at_first(base) - 1e-3,
    "Advantages of a group sum to 0. So before anything has changed, the loss over all answers of a step is 0 up to the KL term, however good the model is. Watch the reward.",
)

# %% [markdown]
# ## Working vanishes when it does not pay
#
# The same questions. This base has read quick answers that are right, and workings in which every second column is a slip, and half of the results are
# written the wrong way round.
# Does reinforcement make a model think?

# %% tags=["nbval-ignore-output"]
clumsy = zero_lab.clumsy(
    scale.pick(smoke=10, laptop=300, gpu=400), scale.pick(smoke=2, laptop=30, gpu=35), prompts
)
careless = zero_lab.base(clumsy, seed=0, kind=scale.products, device=device)
share = [step.parts["worked"] for step in practise(careless, clumsy, seed=0, kind=scale.products)]
print(f"working: {share[0]:.2f} at first, {share[-1]:.2f} at last")

# %% tags=["claim"]
claim(
    "working falls to less than half of what it was (one run)", share[-1] < share[0] / 2 or not real
)

# %% [markdown]
# Reinforcement makes a model do what pays. Where thinking pays, it thinks.
#
# ## A rule with a hole
#
# Here is a rule for right answers, as somebody might write it in a hurry. Find the hole before you run on. A model may find it, too: *reward hacking*.

# %%
show_source(zero_lab.starts_right)

# %% [markdown]
# An answer that leaves off the last digit passes, and so does an empty one. Nobody showed the model that.
# Two bases practise under this rule: one that has read little and is right in one answer of a hundred, and the one from above. Each goes on
# until the rule calls six answers of ten right, for 40 steps at most. How many of the six are?

# %% tags=["nbval-ignore-output"]
weak = weaker.result()
for metric in weak.metrics:
    print(metric)
    print(weak.table(metric))
strong = others.of("zero", "leaky hack"), others.of("zero", "leaky accuracy")
print("the base from above, seeds 1 and 2: hacked, right", strong)

# %% tags=["claim"]
called, right = weak.of("weak base", "reward"), weak.of("weak base", "accuracy")
claim(
    "where honest success is rare the hole is found, and of what is called right hardly anything is",
    all(c > zero_lab.ENOUGH and r < 0.1 for c, r in zip(called, right, strict=True)) or not real,
    "3 of 3 seeds",
)
claim(
    "where it is not, more of the answers called right are right than hacked",
    all(a > h for h, a in zip(*strong, strict=True)) or not real,
    "2 of 2 seeds",
)
claim(
    "the reward alone cannot tell the two apart: both kinds of base end with six of ten called right",
    all(c > zero_lab.ENOUGH for c in (*called, *(h + a for h, a in zip(*strong, strict=True))))
    or not real,
)

# %% [markdown]
# **You write the detector.** What number, computed from questions and responses alone, would have warned you in time? Write one down before you
# open the next lines.
#
# <details><summary>Two answers</summary>The length of what stands between the answer tags: it falls from about three digits to one or none. (The whole response
# hardly gets shorter before half of them are hacked.) Or a second rule, stricter, that is only watched: <code>minids.study.zero_lab.hacked</code>.</details>
#
# ## Variants: what others changed
#
# Dr. GRPO and DAPO each differ from GRPO in a few fields. Here are they, and what they do to one group of answers.

# %%
show_source(variants.Variant, variants.dr_grpo)
print(inspect.getsource(variants).split("DAPO = ")[1].split("\n\n")[0])

# %%
example = ([1, 0, 0, 1, 0, 0, 0, 1], [4, 20, 8, 20, 20, 20, 8, 8])
figure(
    viz_grpo.group(*example),
    "One group of eight answers: rewards, advantages and the push on a token. GRPO pushes tokens of short answers more than those of long ones; for the others length makes no difference.",
)

# %% [markdown]
# Move the rewards and the length of the long answers. When does a question teach nothing? Which variant lets a long wrong answer off lightly?


# %%
def microscope(right=3, long=20, variant="all"):
    given = [1.0] * right + [0.0] * (8 - right)
    lengths = [8, long] * 4
    chosen = {"GRPO": [variants.GRPO], "Dr. GRPO": [variants.dr_grpo(32)], "DAPO": [variants.DAPO]}
    return viz_grpo.group(given, lengths, chosen.get(variant))


explore(
    microscope,
    right=(0, 8),
    long=(1, 32),
    variant=["all", "GRPO", "Dr. GRPO", "DAPO"],
    alt="Rewards, advantages and token weights of a group of eight answers of which the chosen number is right.",
)

# %% tags=["claim"]
_, grpo_push = viz_grpo.token_weights([0, 0, 1, 1], [4, 16, 4, 16], variants.GRPO)
_, dr_push = viz_grpo.token_weights([0, 0, 1, 1], [4, 16, 4, 16], variants.dr_grpo(16))
claim(
    "under GRPO a token of a wrong answer four times as long is pushed down a quarter as hard",
    round(grpo_push[0] / grpo_push[1], 3) == 4,
)
claim("under Dr. GRPO as hard", round(dr_push[0] / dr_push[1], 3) == 1)

# %% tags=["trap"]
trap(
    "Dividing by the length of each answer makes a policy prefer short answers.",
    grpo_push[0] + grpo_push[2] > 1e-3,  # of the short answers: a wrong one and a right one
    "Among right answers yes: a short one gains more per token. Among wrong ones the long lose less per token, so long wrong answers survive. "
    "The two weigh the same, however many answers are wrong. Which one wins depends on whether right or wrong answers are longer.",
)

# %% [markdown]
# What DAPO's authors measured when they added one change after the other (Qwen2.5-32B, AIME 2024). *Overlong* answers are cut off at the limit of length: filtering leaves
# them out of the loss, the soft punishment takes reward away as an answer comes near the limit. Clip-higher is the 0.28 above, the token-level loss is
# `mean_of_tokens`, dynamic sampling is `refill`.

# %%
print(tables.text(tables.read("dapo"), ["step", "aime24_avg32"]))

# %% [markdown]
# ## Bug museum
#
# Three advantages that train. Each is one line away from the right one. Here is what they give to two questions, one with rewards
# 1, 0, 0, 0 and one with 3, 3, 1, 1. Find the mistake in the numbers first.
#
# The cell that makes them is folded: its names give the answers away.

# %% tags=["hide-input"]
two = torch.tensor([[1.0, 0.0, 0.0, 0.0], [3.0, 3.0, 1.0, 1.0]])
exhibits = {
    "right": bugs.advantage,
    "A": bugs.advantage_of_batch,
    "B": bugs.advantage_batch_deviation,
    "C": bugs.advantage_with_sample_deviation,
}
for name, wrong in exhibits.items():
    print(f"{name:6}", [[round(x, 2) for x in row] for row in wrong(two).tolist()])

# %% tags=["predict"]
which = predict(
    "which one calls the best answer to the first question worse than average?",
    ...,
    default="B",
    options=["A", "B", "C"],
)

# %% tags=["claim"]
reveal(which, next(name for name in "ABC" if exhibits[name](two)[0, 0] < 0))
claim(
    "A gives the only right answer to the first question a negative advantage",
    bugs.advantage_of_batch(two)[0, 0] < 0,
)
claim(
    "B is right in sign, and its groups have different spreads",
    torch.equal(bugs.advantage_batch_deviation(two).sign(), bugs.advantage(two).sign())
    and len({round(float(row.std(correction=0)), 2) for row in bugs.advantage_batch_deviation(two)})
    == 2,
)
pair = torch.tensor([[1.0, 0.0]])
claim(
    "C shrinks small groups: in a group of two its advantages are 0.71 times the right ones",
    round(float((bugs.advantage_with_sample_deviation(pair) / bugs.advantage(pair))[0, 0]), 2)
    == 0.71,
)
show_source(
    bugs.advantage_of_batch, bugs.advantage_batch_deviation, bugs.advantage_with_sample_deviation
)
print(examine("10.advantage", bugs.advantage_batch_deviation, seed=0).message())

# %% [markdown]
# ## Exploration
#
# Entropy falls while a policy makes up its mind. If it falls to nothing while most answers are wrong, all samples of a question are alike, every
# group is flat, and learning stops. The watcher calls that *collapsed entropy*. A lower learning rate, a broader base, or DAPO's higher clip
# for rare tokens help.
#
# ## Groups that teach nothing
#
# A question that is always or never answered right gives a flat group. As the model improves, more and more groups are flat, and
# their sampling is wasted: the share of flat groups is drawn further up. DAPO drops them and asks again.

# %% tags=["claim"]
claim(
    "the longer the run, the more flat groups",
    sum(h["flat_groups"] for h in history[-10:]) > sum(h["flat_groups"] for h in history[:10])
    or not real,
)

# %% [markdown]
# ## Real size
#
# R1-Zero's groups are as large as ours. Its answers may be a thousand times as long, and its model is six million times as large.

# %% tags=["claim"]
setting = {row["setting"]: row for row in tables.read("grpo")}
answers = int(setting["outputs per batch"]["r1_zero"])
group_size = int(setting["group size"]["r1_zero"])
hours = {row["part"]: row["h800_khours"] for row in tables.read("r1_cost")}
print(
    f"a step of R1-Zero: {answers // group_size} questions x {group_size} answers; {setting['steps']['r1_zero']} steps"
)
print(
    f"a step of ours: {recipe.settings.prompts} questions x {recipe.settings.group} answers; {steps} steps"
)
claim("our groups are as large as R1-Zero's", recipe.settings.group == group_size)
longest = int(setting["max length"]["r1_zero"].split(",")[0])  # later twice as many
print(f"longest answer: {longest:,} tokens there, {recipe.settings.max_new} here")
print(f"thousand H800 hours: {hours}")

# %% [markdown]
# ## What was left out
#
# - **A KL that matters.** Its weight is R1's, 0.001, and the toy would do as well without.
# - **Open-ended length.** Here an answer is short or worked: length is a choice between two, and cannot grow on as R1-Zero's did.
# - **Many updates from one set of answers.** Each answer serves once, here and there: two minibatches here, sixteen from 8,192 answers for R1-Zero.
# - **Process supervision**: rewards for single steps, not for the outcome alone. `process_advantages` is in the package and tested; R1's authors tried such rewards and dropped them.
# - **Languages.** Working can be English or Chinese: chapter 11.
#
# ## Quiz

# %% tags=["quiz"]
quiz(
    [
        Question(
            "All sixteen answers to a question are right. What does the question teach?",
            "Nothing.",
            "All rewards are equal, so all advantages are 0.",
            {
                "To answer the same way again.": "That would need a positive advantage, and the mean is subtracted.",
                "As much as any other.": "What counts is the difference to the siblings, and there is none.",
            },
            not flat.any(),
        ),
        Question(
            "What replaces the critic of PPO in GRPO?",
            "The mean reward of a group of answers to the same question.",
            "It says how well this question is answered on average, which is what a critic estimates.",
            {
                "A learned reward model.": "R1-Zero uses rules alone.",
                "The KL term.": "It only keeps the policy near the reference.",
            },
            abs(float(package.sum())) < 1e-3,
        ),
        Question(
            "A token has a positive advantage, and its ratio is 1.3 with a clip of 0.2. Its gradient, without the KL term?",
            "0.",
            "The clipped gain is the smaller one, and it does not depend on the policy any more.",
            {
                "Positive, but smaller.": "The minimum takes the clipped gain, which is constant.",
                "Negative.": "Only the KL term could pull it back.",
            },
            viz_grpo.clipping(ratio=1.3).axes[0].get_legend().get_texts()[-1].get_text()
            == "no gradient",
        ),
        Question(
            "One of sixteen samples is right. What is pass@8?",
            "One half.",
            "Of all ways to pick eight of sixteen, half hold the right one.",
            {
                "One sixteenth.": "That is pass@1.",
                "One.": "Only pass@16 is certain.",
            },
            pass_at(8, 1, 16) == 0.5,
        ),
        Question(
            "Which number would show a reward that is being hacked?",
            "True accuracy, by a stricter rule that is only watched.",
            "Under the rule with a hole it stayed near 0 while the reward rose.",
            {
                "The reward.": "It rises, as if all were well.",
                "The loss.": "It is near 0 all the time.",
            },
            rewards.accuracy(problem, told("", "")) == 0
            and zero_lab.starts_right(problem, told("", "")) == 1,
        ),
    ]
)

# %% [markdown]
# ## Exercises
#
# In `exercises/10_grpo.ipynb`: a reward, an advantage, the loss, how to count tries, when a group teaches, and whether practice taught anything.
#
# Next: chapter 11 makes R1 out of this, in four stages.
