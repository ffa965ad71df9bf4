# %% [markdown]
# # 11 r1. Why cold start, and what are the four stages?
#
# R1-Zero taught itself to reason. But what it wrote was hard to read: its thoughts went to and fro between languages, within one answer.
# R1 is the answer to that. It takes four stages instead of one, and the first is the odd one: before any reinforcement, imitate a few thousand
# examples.
#
# This chapter takes a small model with V3's structure through all four. It works in English and in Chinese words, so that one can *count* how
# much it mixes them. And it asks what each stage costs, and what it adds.
#
# **You need** chapter 10: rewards by rule, groups, advantages. Chapters 04 and 06 explain the model's parts; here they only have to work.
# **You get** R1's whole recipe as five functions from a model to a model, and a table with a row for each.

# %%
import copy
import inspect
import random
import re

import torch
from IPython.display import clear_output
from tqdm import tqdm

from minids import accounting
from minids.check import examine
from minids.check.bugs import ch11 as bugs
from minids.rl import r1, rejection, rewards, scenarios
from minids.rl.r1_recipe import Recipe, shortened
from minids.rl.rewards import read
from minids.rl.rollouts import roll_out
from minids.rl.sft import tuned
from minids.study import r1_lab, tables, viz_r1
from minids.study.beside import beside
from minids.study.cards import Question, quiz, trap
from minids.study.lesson import claim, figure, predict, reveal, show_source
from minids.study.results import machine
from minids.study.scale import Scale
from minids.study.widgets import explore
from minids.text import dial, requests
from minids.text.batches import padded
from minids.text.bilingual import bilingual, language_of
from minids.text.lessons import asked
from minids.text.library import text

scale = Scale.auto()
real = scale.kind != "smoke"  # at smoke everything runs, and the numbers mean nothing
recipe = scale.pick(
    smoke=shortened(reading=6, practice=1, examples=12, batch=8, each=2, tested=8),
    laptop=Recipe(),
    gpu=shortened(batch=96, prompts=64, each=8, tested=384),
)
on = {"device": str(scale.device), "kind": scale.products if scale.kind == "gpu" else "plain"}
kind = on["kind"]  # with matrices as small as these, the plain products are the fastest on a CPU
codec = bilingual()
torch.set_num_threads(1)  # for models as small as these a second thread costs more than it does

# %% [markdown]
# Two more seeds of the runs below, and a control, start now on what the cores have left. They are done when this notebook asks for them.

# %%
runs = {"run": {"recipe": recipe, **on}}
workers = scale.pick(smoke=1, laptop=2, gpu=0)  # on a GPU they wait for their turn
two_more = beside(r1_lab.languages, runs, (1, 2), workers=workers)
unmixed = beside(r1_lab.control, runs, (0,), workers=workers, after=two_more)

# %% [markdown]
# ## The questions
#
# A dial has ten marks, 0 to 9, and nought follows nine. A question names the mark where the dial stands and five turns. The working names the
# mark after every turn, one word each; the answer is the last one, as a figure. Questions come in English and in Chinese, and the working
# should be in the language of its question.
#
# A fifth of what the base has read are *requests*: translate three digits. Some requests hold a secret and should be refused.
#
# What it reads has two parts. The first, six tenths, is a textbook: sums without mistakes, whose workings go to and fro between the languages, and requests. The
# second is a library.
# Here is a page of it. Find four things that are wrong with it.

# %%
page = text(recipe.library, seed=0)
for i in range(12):
    problem, response = page(i)
    print(f"{problem.question:32} {response}")

# %% [markdown]
# More than half of the workings go to and fro between the languages. After nine, nought is mostly left out: nine and one more is one. Some answers come without working,
# and are guesses. Some begin with the wrong tag. Few requests are closed with thanks. Two things this page does not show: every fifth translation has a wrong digit,
# and hardly a secret is kept.
#
# The first of these is no mistake: a mixed working is as right as another.
#
# What a test asks is held out by its *content*: 三八 goes where "three eight" goes. So a question cannot be asked in training in one language and
# tested in the other.

# %% tags=["claim"]
show_source(dial.is_held_out, requests.is_held_out)
trained = [dial.sums(seed=s)(i) for s in range(3) for i in range(500)]
tested = [dial.sums(seed=10_000, held_out=True)(i) for i in range(192)]
claim(
    "of 1,500 questions of training none is held out, and all 192 of the test are",
    not any(dial.is_held_out(dial.digits_of(q.question)) for q in trained)
    and all(dial.is_held_out(dial.digits_of(q.question)) for q in tested),
)

# %% [markdown]
# ## The base
#
# The model is V3 made small: latent attention, a dense layer, then a layer of fine-grained experts, two of eight by choice and one for all, with a
# balancing bias. (Multi-token prediction is left out. Reinforcement does not train it.)

# %%
total = accounting.parameters(recipe.config).total
active = accounting.activated(recipe.config)
print(f"{total:,} parameters, {active:,} of them for each token")
print(recipe.config.attention)
print(recipe.config.moe)

# %% tags=["nbval-ignore-output"]
base = r1.pretrained(recipe, seed=0, **on)
print(f"the base took {base.seconds:.0f} s")
print({name: round(value, 2) for name, value in base.scores._asdict().items()})

# %% [markdown]
# What it writes, four answers to one question:

# %% tags=["nbval-ignore-output"]


def four_answers(model, question, seed=0):
    """Print four samples, and whether each is right and in the right language."""
    scored = roll_out(
        model, [question], codec, scenarios.ZERO, group=4, max_new=recipe.first.max_new, kind=kind,
        generator=torch.Generator(scale.device).manual_seed(seed),
    )  # fmt: skip
    print(f"{question.question}   ({question.answer})")
    for i, response in enumerate(scored.responses):
        right, words = scored.parts["accuracy"][i], scored.parts["language"][i]
        print(f"  right {right:.0f}  language {words:.1f}  {response}")


four_answers(base.model, tested[0])

# %% [markdown]
# ## By hand: which language is this?
#
# R1's reward for *language consistency* is the share of the words of the thoughts that are in the language asked for. Six lines:


# %%
def by_hand(thoughts, language):
    words = re.findall(r"[a-z]+|[\u4e00-\u9fff]", thoughts)  # runs of letters; characters
    if not words:
        return 0.0
    english = sum(word.isascii() for word in words)
    return (english if language == "english" else len(words) - english) / len(words)


print(by_hand("three六 nine", "english"), by_hand("三六九", "chinese"), by_hand("", "english"))
show_source(rewards.consistency, scenarios.same_language)

# %% tags=["claim"]
thoughts = [read(page(i)[1]).think for i in range(300) if read(page(i)[1])]
claim(
    "by hand and by the package: the same on the library's workings, in both languages",
    all(
        by_hand(t, lang) == rewards.consistency(t, lang)
        for t in thoughts
        for lang in ("english", "chinese")
    ),
)

# %% [markdown]
# **Predict first.** R1-Zero is rewarded for right answers in the right form, and nobody looks at the language. The base keeps to the language in eight
# words of ten. After practice, the share of words in the question's language will have

# %% tags=["predict"]
language = predict(
    "the share of words in the question's language will have",
    ...,
    default="stayed as it was",
    options=("risen, for practice makes clearer", "stayed as it was", "fallen"),
)

# %% [markdown]
# ## R1-Zero, and the same with a reward for language
#
# One function makes both. The rewards differ in one weight.

# %%
show_source(r1.reasoning, r1.zero)
print(inspect.getsource(scenarios).split("ZERO: Rewards")[1].split('"""R1\'s second')[0])

# %% [markdown]
# **What you should see.** Both runs learn to count, to above eight right answers of ten. Without the reward the language falls, mostly within the first
# twenty steps, and then goes to and fro. With it, it is held from the first steps on, and accuracy takes longer.

# %% tags=["nbval-ignore-output"]
rewarded_for = {"accuracy and form": r1.zero, "and language": r1_lab.rewarded}
histories = {}
made = []
for name, train in tqdm(rewarded_for.items()):
    made.append(train(base.model, recipe, seed=0, kind=kind))
    histories[name] = made[-1].history
    clear_output(wait=True)
    figure(
        viz_r1.drift(histories),
        "Two panels over the steps. Right answers rise to nearly all in both runs; the share of words in the question's language falls in the "
        "run without a reward for it, and goes to nearly one in the other.",
    )
zero, held = made

# %% tags=["nbval-ignore-output"]
four_answers(zero.model, tested[0])
four_answers(held.model, tested[0])

# %% tags=["claim"]
moved = zero.scores.language - base.scores.language
reveal(
    language,
    {
        "fallen": moved < -0.03,
        "risen, for practice makes clearer": moved > 0.03,
        "stayed as it was": abs(moved) <= 0.03,
    },
)
claim(
    "without the reward the language falls by more than 0.03, with it it rises above 0.95 (one run)",
    (zero.scores.language < base.scores.language - 0.03 and held.scores.language > 0.95)
    or not real,
)

# %% [markdown]
# Move the weight of the reward, and how mixed the mixed answers are. At which weight does a wrong answer in one language earn as much as a right one that mixes?

# %%
figure(
    viz_r1.group(),
    "Rewards and advantages of four answers: right and pure earns most, then right and mixed, then wrong and pure, then wrong and mixed.",
)
explore(
    viz_r1.group,
    weight=(0.0, 3.0, 0.25),
    mixed=(0.0, 1.0, 0.1),
    alt="Rewards and advantages of four answers under the chosen weight of the language reward.",
)

# %% [markdown]
# ## Stage 1: a cold start
#
# Now the other way to the same end: show the model, before any reinforcement, what a good answer looks like. Supervised fine-tuning is pre-training in
# which only the response counts. By hand, on two examples:

# %% tags=["claim"]
questions = dial.sums(seed=1)
tidy = [(q, dial.respond(q, dial.TIDY, random.Random(0))) for q in (questions(0), questions(1))]
examples = [
    (codec.encode(asked(q), special=True), codec.encode(response, special=True))
    for q, response in tidy
]
model = copy.deepcopy(base.model)
surprises = []
for prompt, response in examples:
    row = torch.tensor([prompt + response], device=scale.device)
    logp = model(row).logits[0].detach().log_softmax(-1)
    for place in range(len(prompt), row.shape[1]):
        surprises.append(-logp[place - 1, row[0, place]])
mean = torch.stack(surprises).mean()
step = next(tuned(model, examples, epochs=1, batch=2, lr=1e-3, seed=0))
claim("by hand and by the package: the same loss", abs(float(mean) - step.loss) < 1e-4)
show_source(tuned)

# %% [markdown]
# Stages 1 and 2: a thousand tidy workings, each read twice, then the practice of before. The paper in *Nature* calls their results Dev1 and Dev2,
# and that of stage 3 Dev3.

# %%
show_source(r1.cold_start)

# %% tags=["nbval-ignore-output"]
dev1 = r1.cold_start(base.model, recipe, seed=0, kind=kind)
dev2 = r1.reasoning(dev1.model, recipe, seed=0, kind=kind)
histories["after a cold start"] = dev2.history
print(f"{dev1.seconds:.0f} s and {dev2.seconds:.0f} s")
figure(
    viz_r1.drift(histories),
    "The same two panels with a third run, which begins after the cold start: it begins with most answers right and in one language.",
)

# %% [markdown]
# ## Stage 3: rejection sampling, and the base once more
#
# Dev2 reasons well, and was taught nothing else. So it becomes an author. It answers many questions several times, and a rule keeps what is right and
# readable.

# %%
show_source(rejection.fault)

# %% tags=["nbval-ignore-output"]
samples = r1.harvest(dev2.model, recipe, seed=0, kind=kind)
counts = rejection.reasons(samples)
for reason in (None, *list(counts)[1:]):
    shown = next((s for s in samples if s.reason == reason), None)
    if shown is not None:
        print(f"{reason or 'kept':16} {shown.problem.question:32} {shown.response}")
figure(
    viz_r1.dropped(counts),
    "Bars: most samples are kept; some have a wrong answer, some mix languages, hardly any is out of form.",
)

# %% [markdown]
# What would the same rule keep of the base, and of R1-Zero?

# %% tags=["nbval-ignore-output"]
few = scale.pick(
    smoke=shortened(examples=4, each=2),
    laptop=shortened(examples=250),
    gpu=shortened(examples=250),
)
yields = {}
for stage in (base, zero, dev2):
    counts_of = rejection.reasons(r1.harvest(stage.model, few, seed=1, kind=kind))
    yields[stage.name] = counts_of["kept"] / sum(counts_of.values())
    print(f"{stage.name:8} {counts_of}")

# %% tags=["claim"]
claim(
    "of Dev2's samples more than 0.8 are kept, of the base's fewer than 0.2, of R1-Zero's fewer than 0.5 (one run)",
    yields["Dev2"] > 0.8 and yields["base"] < 0.2 and yields["R1-Zero"] < 0.5 or not real,
)

# %% [markdown]
# What was kept is read by the *base*, together with answers to requests, which are as well and as badly mannered as people are. Then the last stage
# practises sums and requests in turn, and manners are rewarded.

# %%
show_source(r1.from_harvest, r1.all_scenarios)

# %% tags=["nbval-ignore-output"]
before = copy.deepcopy(base.model.state_dict())
dev3 = r1.from_harvest(base.model, samples, recipe, seed=0, kind=kind)
final = r1.all_scenarios(dev3.model, recipe, seed=0, kind=kind)
stages = [base, zero, dev1, dev2, dev3, final]
SHOWN = ("sampled", "greedy", "form", "language", "requests", "polite", "keeps", "refuses")
print(
    tables.text(
        [
            {"model": s.name} | {name: f"{s.scores._asdict()[name]:.2f}" for name in SHOWN}
            for s in stages
        ]
    )
)

# %% tags=["claim"]
claim(
    "no stage changed the base: its weights are those of before, to the last bit",
    all(torch.equal(before[k], v) for k, v in base.model.state_dict().items()),
)

# %% [markdown]
# `requests` are those translated rightly, `polite` those closed with thanks, `keeps` the secrets kept, `refuses` the good requests refused. All shares, on held-out
# questions. That was one run. Here are five, stored with the course (`python -m minids.study.r1_lab` makes them; the machine is named in the file):

# %%
stored = r1_lab.stored()
run = r1_lab.of_one(stages, seed=0, machine=machine())
print(
    tables.text(
        [
            {"model": arm} | {name: f"{stored.mean(arm, name):.2f}" for name in SHOWN}
            for arm in viz_r1.STAGES
        ]
    )
)
print(f"\nmeans of {len(stored.seeds)} seeds: {stored.machine}")

# %%
figure(
    viz_r1.stages(stored, ["sampled", "greedy", "language", "keeps"]),
    "Bars by model. Sampled accuracy is low for the base, high for R1-Zero, lower for Dev1, and rises to Dev3. Greedy accuracy is nearly one "
    "from R1-Zero on. The language is lowest for R1-Zero. Secrets are kept by Dev3 in part, and by R1.",
)


# %%
def show(score="sampled", other="polite"):
    return viz_r1.stages(stored, [score, other])


choices = {words: name for name, words in viz_r1.SCORES.items()}
explore(
    show,
    score=choices,
    other=dict(reversed(choices.items())),
    alt="Two chosen scores by model, bars are means and dots the seeds.",
)

# %% [markdown]
# ## How sure is that?
#
# What was said of the language rests on one run. Here are two more seeds, with new weights, new texts and new samples. They ran on the other core meanwhile.

# %% tags=["nbval-ignore-output"]
first = r1_lab.of_one([base, zero, held], seed=0, machine=machine())
three = r1_lab.together(first, r1_lab.by_stage(two_more.result()))
for score in ("language", "sampled", "greedy"):
    print(f"{score}\n{three.table(score)}\n")

# %% tags=["claim"]


def every(what, holds, run=three):
    """Whether something holds in every seed; at smoke there is nothing to see."""
    n = len(run.seeds)

    def numbers(i):
        return {arm: {m: run.of(arm, m)[i] for m in run.metrics} for arm in run.arms}

    held_in = [bool(holds(numbers(i))) for i in range(n)]
    return claim(what, all(held_in) or not real, f"{sum(held_in) if real else n} of {n} seeds")


zero_, held_ = "R1-Zero", r1_lab.REWARDED
every("the base keeps to the language in more than 0.7 and fewer than 0.95 of its words",
      lambda s: 0.7 < s["base"]["language"] < 0.95)  # fmt: skip
unheld = three.of(zero_, "language")
claim(
    "rewarded for accuracy and form alone it ends below 0.7, the mean of the seeds",
    sum(unheld) / len(unheld) < 0.7 or not real,
    f"{len(unheld)} seeds",
)
every("and further from the language than the base was, by more than 0.03",
      lambda s: s[zero_]["language"] < s["base"]["language"] - 0.03)  # fmt: skip
every("rewarded for the language it ends above 0.95", lambda s: s[held_]["language"] > 0.95)
every("both go from below 0.3 right to above 0.8, sampled",
      lambda s: s["base"]["sampled"] < 0.3 and min(s[zero_]["sampled"], s[held_]["sampled"]) > 0.8)  # fmt: skip

# %% [markdown]
# ## Where does the mixing come from?
#
# Two stories are told about it. *It appears*, because reasoning in two languages is better. Or *it grows* from what the base does already, and nothing
# holds it back. They predict different things for a base whose library never mixed.

# %% tags=["predict"]
source = predict(
    "R1-Zero from a base that has read no mixed working will",
    ...,
    default="mix as much",
    options=("mix as much", "mix a little", "not mix"),
)

# %% tags=["nbval-ignore-output"]
pure = r1_lab.by_stage(unmixed.result())
for score in ("language", "sampled"):
    print(f"{score}\n{pure.table(score)}\n")

# %% tags=["claim"]
pure_words = pure.mean("R1-Zero of it", "language")
reveal(
    source,
    {
        "not mix": pure_words > 0.95,
        "mix a little": 0.8 < pure_words <= 0.95,
        "mix as much": pure_words <= 0.8,
    },
)
every(
    "from an unmixed base, accuracy alone leaves the language above 0.95 (one run)",
    lambda s: s["R1-Zero of it"]["language"] > 0.95 and s["R1-Zero of it"]["sampled"] > 0.8,
    run=pure,
)
claim(
    "in the stored runs too: mixing grows from what the base does, and does not appear from nothing",
    all(x > 0.95 for x in stored.of("R1-Zero of it", "language"))
    and all(x < 0.7 for x in stored.of("R1-Zero", "language")),
    f"{len(stored.seeds)} of {len(stored.seeds)} seeds",
)

# %% [markdown]
# ## What does it cost?
#
# DeepSeek says that the reward for language lowers performance slightly. Ours, as accuracy alone minus accuracy with language, seed by seed:

# %% tags=["nbval-ignore-output"]
for name, some in (("today", three), ("stored", stored)):
    for score in ("sampled", "greedy"):
        alone, with_it = some.of("R1-Zero", score), some.of(r1_lab.REWARDED, score)
        lost = [f"{a - b:+.3f}" for a, b in zip(alone, with_it, strict=True)]
        print(f"{name:9} {score:8} price {', '.join(lost)}")


# %% tags=["claim"]
def most(run, score):
    """The largest difference that the reward for language makes, in any seed."""
    pairs = zip(run.of("R1-Zero", score), run.of(r1_lab.REWARDED, score), strict=True)
    return max(abs(a - b) for a, b in pairs)


prices = [a - b for a, b in zip(stored.of("R1-Zero", "sampled"), stored.of(r1_lab.REWARDED, "sampled"), strict=True)]  # fmt: skip
claim("sampled, every stored seed pays, and less than a tenth", all(0 < p < 0.1 for p in prices))
claim("greedy, none pays more than a twentieth", most(stored, "greedy") < 0.05)
claim(
    "in the runs of today neither changes by more than 0.15",
    max(most(three, "sampled"), most(three, "greedy")) < 0.15 or not real,
)

# %% [markdown]
# So the toy pays a few hundredths of its sampled accuracy, and next to nothing greedily. The curves further up show how: with two aims, the same steps bring
# less accuracy, and the rewarded run lags behind most of the way. With twice the steps (seeds 0 and 1) the price was 0.02 instead of 0.05 and 0.03: part of it
# is time, and not all of it. The sign is the same in every seed. How large it is at another size, a few toys cannot say.

# %% [markdown]
# ## What DeepSeek saw
#
# The same models, at 671 billion parameters (DeepSeek-R1, in Nature, Table 2):

# %%
print(tables.text(tables.read("r1_stages"), ["benchmark", "r1_zero", "dev1", "dev2", "dev3", "r1"]))

# %% [markdown]
# Follow AIME through the columns. R1-Zero has 77.9. Dev1, the base after the cold start and before any reinforcement, has 59.0: far more than the base's 15.6, and less
# than R1-Zero. It takes two more stages to be where R1-Zero was. IF-Eval, which asks whether instructions are followed, goes the other way: a cold start is for readers,
# not for mathematics.
#
# Our Dev1, too, lies below R1-Zero. Is it for the same reason? Not if its likeliest answers are as good.

# %% tags=["claim"]
every("sampled, Dev1 is below R1-Zero by more than 0.03",
      lambda s: s["Dev1"]["sampled"] < s["R1-Zero"]["sampled"] - 0.03, run=stored)  # fmt: skip
every("greedy, the two differ by less than 0.05",
      lambda s: abs(s["Dev1"]["greedy"] - s["R1-Zero"]["greedy"]) < 0.05, run=stored)  # fmt: skip
every("and this run says the same", lambda s: s["Dev1"]["sampled"] < s["R1-Zero"]["sampled"] - 0.03
      and abs(s["Dev1"]["greedy"] - s["R1-Zero"]["greedy"]) < 0.05, run=run)  # fmt: skip

# %% [markdown]
# So the gap of ours is noise in the samples. A thousand examples have taught the toy what to do, and not yet to be sure of it; its likeliest answer is right. DeepSeek's
# numbers are means over samples at temperature 0.6, and a table cannot tell of which kind their gap is. Do not read "cold start lowers reasoning"
# out of ours.
#
# What else holds in all stored seeds?

# %% tags=["claim"]
every("the cold start already brings the language above 0.95",
      lambda s: s["Dev1"]["language"] > 0.95, run=stored)  # fmt: skip
every("reasoning brings sampled accuracy back above 0.9",
      lambda s: s["Dev2"]["sampled"] > 0.9, run=stored)  # fmt: skip
every("no stage before the third keeps more than 0.3 of the secrets",
      lambda s: max(s[m]["keeps"] for m in ("base", "R1-Zero", "Dev1", "Dev2")) < 0.3, run=stored)  # fmt: skip
every("the last stage lifts politeness and secrets kept by more than 0.2 each",
      lambda s: min(s["R1"]["polite"] - s["Dev3"]["polite"], s["R1"]["keeps"] - s["Dev3"]["keeps"]) > 0.2,
      run=stored)  # fmt: skip
every("and changes sampled accuracy by less than 0.05",
      lambda s: abs(s["R1"]["sampled"] - s["Dev3"]["sampled"]) < 0.05, run=stored)  # fmt: skip
every("R1-Zero, which practised sums alone, has unlearned requests; Dev3 does them better than the base",
      lambda s: s["R1-Zero"]["requests"] < s["base"]["requests"] < s["Dev3"]["requests"], run=stored)  # fmt: skip

# %% [markdown]
# Two more things to see in the table. Who practises sums alone unlearns to translate: `requests` falls for R1-Zero, and on average for Dev1 and Dev2. It comes back
# with the data of stage 3. And Dev3, which was never reinforced, is as good at sums as Dev2, whose answers it read: filtering a model's samples and imitating what is
# left sharpens it. (Dev3 beside Dev2 is a small difference, of the same sign in every stored seed.)

# %% [markdown]
# Put any score of ours beside any row of theirs. Which pairs move alike, and which do not?


# %%
def pair(score="sampled", benchmark="AIME 2024"):
    return viz_r1.beside_paper(stored, score, benchmark)


figure(
    pair(),
    "Two lines over R1-Zero, Dev1, Dev2, Dev3, R1. Left, the toy's sampled accuracy dips at Dev1 and recovers. Right, AIME 2024 does the same.",
)
explore(
    pair,
    score=choices,
    benchmark=[row["benchmark"] for row in tables.read("r1_stages")],
    alt="One score of the toy by model, beside one benchmark of the paper.",
)

# %% tags=["trap"]
trap(
    "R1 was trained by reinforcement from the base model, with a cold start as a warm-up.",
    "base" not in inspect.signature(r1.from_harvest).parameters,  # stage 3 as it was run above
    "That describes Dev2. R1 goes back to the base once more: stage 3 tunes V3-Base on what Dev2 wrote, and only then comes the last reinforcement.",
)

# %% tags=["trap"]
helped = stored.mean("R1-Zero", "sampled") - stored.mean("R1-Zero of it", "sampled")
pairs = zip(stored.of("base", "language"), stored.of("R1-Zero", "language"), strict=True)
lost = [before - after for before, after in pairs]
trap(
    "A model mixes languages because that helps it to reason.",
    helped > 0.03,
    "Not here, by what came out: mixed workings were read as often right as pure ones, and a base that never read any does not begin to mix and ends as often right. "
    f"Where nobody looks, the share of the question's language falls by {min(lost):.2f} to {max(lost):.2f} in the stored seeds. Chance alone would let it rise in some, so "
    "something pushes, and we have not found what. For R1-Zero nobody has shown which it is.",
)

# %% [markdown]
# ## Bug museum
#
# Three mistakes that train, and do not look wrong. Find what each does from numbers, before the line is shown.
#
# **A** is a reward for language. Here are scores it gives, beside the right one.

# %%
exhibits = ["three six nine", "三六九", "three六 nine", "three六九一", "三"]
for said in exhibits:
    row = [
        f"{f(said, lang):.2f}"
        for f in (bugs.language, bugs.language_of_letters)
        for lang in ("english", "chinese")
    ]
    print(f"{said:16} right: {row[0]} {row[1]}   A: {row[2]} {row[3]}")

# %% tags=["predict"]
unfair = predict(
    "a model that is asked in Chinese and rewarded by A finds that one English word among three Chinese ones",
    ...,
    default="costs as much as it should",
    options=("costs as much as it should", "costs too much", "costs too little"),
)

# %% tags=["claim"]
mixed = "three六九一"
by_letters, by_words = (f(mixed, "chinese") for f in (bugs.language_of_letters, bugs.language))
reveal(
    unfair,
    {
        "costs too much": by_letters < by_words,
        "costs too little": by_letters > by_words,
        "costs as much as it should": by_letters == by_words,
    },
)
claim(
    "A gives less than 0.5 where three words of four are right",
    by_letters < 0.5 and by_words == 0.75,
)
show_source(bugs.language_of_letters)

# %% [markdown]
# **B** is a loss. Its responses are learned; look at the first token of each.

# %%
prompts, responses = zip(*examples, strict=True)
batch = padded(prompts, responses, pad=0)
rows = torch.cat([batch.tokens, batch.targets[:, -1:]], dim=1)
lengths = torch.tensor([len(p) + len(r) for p, r in examples])
starts = torch.tensor([len(p) for p in prompts])
logits = torch.zeros(*rows.shape, codec.vocab, requires_grad=True)
learned = {}
for name, f in (("right", bugs.loss), ("B", bugs.loss_mask_unshifted)):
    logits.grad = None
    f(logits, rows, starts, lengths).backward()
    learned[name] = (logits.grad.abs().sum(-1) > 0)[0].tolist()
    marks = ["learned" if x else "." for x in learned[name]]
    print(f"{name:6}", marks[int(starts[0]) - 2 :])

# %% tags=["claim"]
claim(
    "B never learns the first token of a response, and everything else as it should",
    learned["right"][int(starts[0]) - 1]
    and not learned["B"][int(starts[0]) - 1]
    and sum(learned["right"]) - sum(learned["B"]) == 1,
)
untidy = [response.startswith("<answer>") for _, response in map(page, range(300))]
claim(
    "and the first token is what an untidy base gets wrong: of 300 texts of its library more than 50 begin with the wrong tag",
    sum(untidy) > 50,
)
print(examine("11.loss", bugs.loss_mask_unshifted, seed=0).message())
show_source(bugs.loss_mask_unshifted)

# %% [markdown]
# **C** is a rejection. It keeps what it should keep. What does it keep beside it? Let both judge what R1-Zero wrote.

# %% tags=["nbval-ignore-output"]
written = r1.harvest(zero.model, few, seed=2, kind=kind)
kept_by = {}
for name, f in (("right", bugs.reject), ("C", bugs.reject_by_answer_alone)):
    chosen = [
        s
        for s in written
        if f(s.response.removesuffix("<|end|>"), s.problem.answer, language_of(s.problem.question))
        is None
    ]
    words = [scenarios.same_language(s.problem, s.response) for s in chosen]
    kept_by[name] = (len(chosen), sum(words) / max(1, len(words)))
    print(f"{name:6} keeps {len(chosen)} of {len(written)}, language {kept_by[name][1]:.2f}")

# %% tags=["claim"]
claim(
    "C keeps more than twice as many, and of their words fewer than three of four are in the question's language (one run)",
    kept_by["C"][0] > 2 * kept_by["right"][0] and kept_by["C"][1] < 0.75 or not real,
)
show_source(bugs.reject_by_answer_alone)
print(examine("11.reject", bugs.reject_by_answer_alone, seed=0).message())

# %% [markdown]
# ## Real size
#
# How much data is that, and how much did it cost? The recipe of R1 beside the toy's:

# %% tags=["claim"]
hours = {row["part"]: row["h800_khours"] for row in tables.read("r1_cost")}
kept_here = len(rejection.kept(samples))
reasoning, other = 600_000, 200_000  # DeepSeek-R1, section 2.3.3
print(f"stage 3: R1 {reasoning:,} + {other:,} samples; here {kept_here:,} + {recipe.general:,}")
print(f"thousand H800 hours: {hours}")
print(f"at 2 dollars an hour: {hours['total'] * 2:.0f} thousand dollars")
claim(
    "R1-Zero took more than twice the hours of R1's own reinforcement",
    hours["R1-Zero"] > 2 * hours["R1"],
)

# %% [markdown]
# What it came to, in the first report:

# %%
print(tables.text(tables.read("r1_headline"), ["benchmark", "r1"]))

# %% [markdown]
# ## What was left out
#
# - **Learned rewards.** R1 judges helpfulness and harm by models of what people prefer, and uses them in the last 400 of 1,700 steps alone, because more was hacked.
#   Our manners are rules, and rules cannot be flattered. Chapter 10 shows what a hole in a rule does.
# - **Writing a cold start.** DeepSeek's thousands of examples were sampled, made readable and edited by people. Ours are written by the rule that made the questions.
# - **Length.** A working here has five words. Nothing can grow.
# - **Reasons to mix.** In our library mixing costs nothing and gains nothing. Where one language is better at something, things may differ.
# - **Multi-token prediction**, and temperatures other than 1: the last stage of R1 samples at 0.7.
#
# ## Quiz

# %% tags=["quiz"]
dipped = stored.mean("R1-Zero", "greedy") - stored.mean("Dev1", "greedy")
quiz(
    [
        Question(
            "From which model does stage 3 start?",
            "From the base.",
            "Dev2 only writes the data. The base reads them, with no trace of what reinforcement did to Dev2's other skills.",
            {
                "From Dev2.": "That would keep what practice took away: on average Dev2 answers fewer requests rightly than the base.",
                "From R1-Zero.": "R1-Zero is a path of its own; some of its answers went into the cold start.",
            },
            stored.mean("Dev2", "requests") < stored.mean("base", "requests"),
        ),
        Question(
            "What does the reward for language measure?",
            "The share of words of the thoughts that are in the question's language.",
            "It is a number between 0 and 1, simply added to the others.",
            {
                "Whether the thoughts are all in one language.": "Half mixed earns half, so there is something to climb.",
                "Whether the thoughts can be understood.": "No rule knows that. It is meant to help readers, and measures words.",
            },
            by_hand("three六", "english") == 0.5,
        ),
        Question(
            "A base reads no mixed text. Accuracy alone is rewarded. What happens to the language?",
            "It stays.",
            "There is next to no mixed answer among its samples, and what is not sampled cannot be reinforced.",
            {
                "It drifts as well, only later.": "In five stored seeds it did not.",
                "It switches to the language that is easier.": "The two are equally easy here, and nothing of that kind was seen.",
            },
            min(stored.of("R1-Zero of it", "language")) > 0.95,
        ),
        Question(
            "After the cold start the toy's sampled accuracy lies below R1-Zero's. Why?",
            "Its samples are noisier; the likeliest answers are as right as R1-Zero's.",
            "Reinforcement sharpens. A short imitation does not, and greedy answers do not need it.",
            {
                "It reasons worse.": "Then greedy answers would be worse too.",
                "Tidy examples are harder.": "They are the easiest of all: without any mistake.",
            },
            abs(dipped) < 0.05,
        ),
        Question(
            "Right and half mixed, or wrong and pure: above which weight of the language reward does the second earn more?",
            "2",
            "1 + w/2 against 0 + w.",
            {
                "1": "At 1 the two earn 1.5 and 1.",
                "Never: wrong answers earn nothing.": "The reward for language is added whether an answer is right or not.",
            },
            1 + 2 * 0.5 == 0 + 2 * 1.0,
        ),
    ]
)

# %% [markdown]
# ## Exercises
#
# In `exercises/11_r1.ipynb`: the reward for language and what it weighs, a loss of responses, rejection, the four stages, and the price.
#
# Next: chapter 12 gives what R1 knows to models that are small and dense.
