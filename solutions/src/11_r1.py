# %% [markdown]
# # 11 r1. Exercises
#
# Six exercises: a reward for language, what it weighs, a loss of responses, rejection, the order of the stages, and a price.
# Each checks itself: run the cell below it. Stuck? `hint("11.loss")`, `hint("11.loss", 2)`, `hint("11.loss", 3)`; 4 says where the
# solution is.
#
# The chapter is `notebooks/11_r1.ipynb`. Times are for somebody who has read it.

# %%
import random
import re
import statistics

import torch

from minids.check import check, hint
from minids.rl import rejection, rewards
from minids.study import r1_lab
from minids.study.lesson import claim
from minids.study.noise import multiple
from minids.text import dial
from minids.text.batches import padded
from minids.text.bilingual import language_of
from minids.text.dial import Faults
from minids.train.losses import next_token

# %% [markdown]
# ## 1. A reward for language (10 minutes)
#
# `text` is what a model thought. Return the share of its words that are in `language`, which is `"english"` or `"chinese"`.
# A run of Latin letters is one English word. Every Chinese character is a word. Figures and signs belong to no language, and end a
# word: `it's` is two.
# Thoughts without a word get 0.
#
# By hand: `"three六九"` asked for in English is 1 of 3.

# %%
hint("11.language")


# %% tags=["exercise"]
def language_reward(text, language):
    """Return the share of words in the language, 0.0 to 1.0."""
    ### BEGIN SOLUTION
    words = re.findall(r"[a-zA-Z]+|[\u4e00-\u9fff]", text)
    if not words:
        return 0.0
    return sum(word.isascii() == (language == "english") for word in words) / len(words)
    ### END SOLUTION


# %% tags=["check"]
check("11.language", language_reward)

# %% tags=["claim"]
thoughts = ["three six", "三六", "three六 nine", "", "3, 6", "eight六六六"]
claim(
    "yours is the package's on what a model might think",
    all(
        language_reward(t, lang) == rewards.consistency(t, lang)
        for t in thoughts
        for lang in ("english", "chinese")
    ),
)

# %% [markdown]
# ## 2. Predict, and explain: what does it push? (10 minutes)
#
# Four answers to one question. Two are right (accuracy 1), two are wrong (0). Of each pair one has pure thoughts (consistency 1) and one
# mixed ones (0.6). The reward is accuracy plus `w` times consistency. Advantages are GRPO's: how many deviations of the group (the one that
# divides by 4) above its mean.
#
# On paper, to 2 %:
#
# - `"right and mixed, accuracy alone"`: its advantage for `w` = 0;
# - `"right and pure, language at 1"`, `"right and mixed, language at 1"`, `"wrong and pure, language at 1"`: the advantages for `w` = 1;
# - `"weight at which wrong and pure equals right and mixed"`: the `w` at which the two earn the same;
# - `"because"`: a sentence with that weight in it, on why R1's weight may not be large.
#
# Write a dictionary with these five numbers and the sentence.

# %% tags=["exercise"]
### BEGIN SOLUTION
weighed = {
    "right and mixed, accuracy alone": 1.0,
    "right and pure, language at 1": 0.7 / 0.29**0.5,
    "right and mixed, language at 1": 0.3 / 0.29**0.5,
    "wrong and pure, language at 1": -0.3 / 0.29**0.5,
    "weight at which wrong and pure equals right and mixed": 2.5,
    "because": "From a weight of 2.5 on, wrong answers in one language earn as much as right ones in two, and more beyond.",
}
### END SOLUTION

# %% tags=["check"]
check("11.weigh", weighed)

# %% [markdown]
# ## 3. The loss of a response (15 minutes)
#
# Supervised fine-tuning is pre-training on some of the tokens. `tokens` (b, t) holds a prompt, a response, and padding in each row; `logits` (b, t, v) at a
# place predict the token at the next one. The first `prompts[i]` tokens of row i are the prompt, `lengths[i]` are prompt and response together.
# Return the mean surprise over all tokens of all responses, in nats.
#
# By hand: prompt 2, length 3. One token counts, the third, and the logits at the second place predict it.


# %% tags=["exercise"]
def response_loss(logits, tokens, prompts, lengths):
    """Return the loss as one number. prompts, lengths: (b,), whole numbers, 1 or more."""
    ### BEGIN SOLUTION
    place = torch.arange(1, tokens.shape[1])
    mask = (place >= prompts[:, None]) & (place < lengths[:, None])
    surprise = -logits[:, :-1].log_softmax(-1).gather(-1, tokens[:, 1:, None])[..., 0]
    return surprise[mask].mean()
    ### END SOLUTION


# %% tags=["check"]
check("11.loss", response_loss)

# %% tags=["claim"]
g = torch.Generator().manual_seed(0)
pairs = [([4, 9, 2], [7, 7, 1]), ([3], [8, 1])]
batch = padded(*zip(*pairs, strict=True), pad=0)
logits = torch.randn(2, 6, 10, generator=g)
rows = torch.tensor([[4, 9, 2, 7, 7, 1], [3, 8, 1, 0, 0, 0]])
mine = response_loss(logits, rows, torch.tensor([3, 1]), torch.tensor([6, 3]))
theirs = next_token(logits[:, :-1], batch.targets, batch.mask)
claim("yours is what `minids.rl.sft` trains with", abs(float(mine - theirs)) < 1e-6)

# %% [markdown]
# ## 4. What may be imitated? (10 minutes)
#
# `response` should be `<think>…</think><answer>…</answer>` and nothing else, with no `<` or `>` inside a pair of tags, its answer `answer`, letter by letter,
# its thoughts in `language`.
# Return the first reason to drop it: `"out of form"`, `"wrong answer"`, `"no working"` (nothing but white space is thought),
# `"mixed languages"` (not every word is in the language, or there is no word); and None to keep it.
# `rewards.consistency(thoughts, language)` is the reward of exercise 1, in which letters of other scripts are words of neither language.
#
# Be strict, as in chapter 10: white space outside the tags is out of form, and a space beside the answer makes it another one. The
# package is more lenient in these two cases.


# %% tags=["exercise"]
def reason_to_drop(response, answer, language):
    """Return one of four reasons, or None."""
    ### BEGIN SOLUTION
    found = re.fullmatch(r"<think>([^<>]*)</think><answer>([^<>]*)</answer>", response)
    if found is None:
        return "out of form"
    if found[2] != answer:
        return "wrong answer"
    if not found[1].strip():
        return "no working"
    if rewards.consistency(found[1], language) < 1:
        return "mixed languages"
    return None
    ### END SOLUTION


# %% tags=["check"]
check("11.reject", reason_to_drop)

# %% tags=["claim"]
careless, rng = Faults(slip=0.2, switch=0.5, guess=0.2, untidy=0.2), random.Random(0)
questions = [dial.sums(seed=0)(i) for i in range(300)]
responses = [dial.respond(q, careless, rng).removesuffix("<|end|>") for q in questions]
mine = [
    reason_to_drop(r, q.answer, language_of(q.question))
    for q, r in zip(questions, responses, strict=True)
]
theirs = [rejection.fault(q, r) for q, r in zip(questions, responses, strict=True)]
claim(
    "on 300 careless responses you and the package drop the same for the same reason",
    mine == theirs,
)
print({reason: mine.count(reason) for reason in sorted(set(mine), key=str)})

# %% [markdown]
# ## 5. Build it: four stages (15 minutes)
#
# You are given a base model and three tools, none of which changes the model that it is given:
#
# - `tune(model, examples)` returns a model that has imitated a list of examples;
# - `practise(model, rewards)` returns a model after reinforcement; `rewards` is a list of names, of `"accuracy"`, `"form"`, `"language"`, `"manners"`;
# - `answer(model)` returns a list of pairs (sample, fault), and a fault is None where a sample is fit to be imitated.
#
# `cold` is a list of traces, `general` a list of answered requests. Return a dictionary of four models, `"Dev1"`, `"Dev2"`, `"Dev3"`, `"R1"`.
# The reasoning stage has three rewards, the last stage all four.


# %% tags=["exercise"]
def four_stages(base, cold, general, tune, practise, answer):
    """Return the models by name, in the order in which they are made."""
    ### BEGIN SOLUTION
    rules = ["accuracy", "form", "language"]
    dev1 = tune(base, cold)
    dev2 = practise(dev1, rules)
    kept = [sample for sample, fault in answer(dev2) if fault is None]
    dev3 = tune(base, kept + general)
    return {"Dev1": dev1, "Dev2": dev2, "Dev3": dev3, "R1": practise(dev3, [*rules, "manners"])}
    ### END SOLUTION


# %% tags=["check"]
check("11.stages", four_stages)

# %% [markdown]
# ## 6. Measure: what does consistency cost? (10 minutes)
#
# `alone` and `rewarded` are lists of one number for each seed: accuracy after reinforcement by accuracy alone, and with the reward for language.
# Runs of one seed share their base, so subtract seed by seed. Return a dictionary:
#
# - `"mean"`: by how much `alone` is better, on average (a price is positive);
# - `"positive"`: in how many seeds it is better;
# - `"inside"`: whether noise alone explains the mean. The noise is the spread of the differences, not that of `alone`: their sample standard
#   deviation (it divides by n - 1), divided by the root of n, for a mean of n. How many times that chance reaches says Student,
#   `multiple(n - 1)`: 4.3 for three seeds, 2.8 for five (chapter 01).


# %% tags=["exercise"]
def price(alone, rewarded):
    """Return mean, number of seeds and whether noise alone explains it."""
    ### BEGIN SOLUTION
    lost = [a - b for a, b in zip(alone, rewarded, strict=True)]
    n, mean = len(lost), statistics.fmean(lost)
    return {
        "mean": mean,
        "positive": sum(x > 0 for x in lost),
        "inside": abs(mean) <= multiple(n - 1) * statistics.stdev(lost) / n**0.5,
    }
    ### END SOLUTION


# %% tags=["check"]
check("11.price", price)

# %% [markdown]
# Yours on the five seeds that are stored with the course (`data/results/r1.json`):

# %% tags=["claim"]
run = r1_lab.stored()
for score in ("sampled", "greedy", "language"):
    found = price(run.of("R1-Zero", score), run.of("language rewarded", score))
    print(
        f"{score:9} {found['mean']:+.3f}, lost in {found['positive']} seeds, inside: {found['inside']}"
    )
gained = price(run.of("R1-Zero", "language"), run.of("language rewarded", "language"))
claim(
    "the language gains in every seed, far outside the noise",
    gained["mean"] < -0.2 and gained["positive"] == 0 and not gained["inside"],
)

# %% [markdown]
# ### BEGIN SOLUTION
# ## About the answers
#
# - **1.** Counting letters would make English weigh three to five times as much as Chinese. Giving silence a 1 would reward thinking nothing.
# - **2.** Above a weight of 2.5 a wrong answer in one language beats a right one that is mixed: then the reward teaches to be consistent and wrong.
#   R1 adds the share of words with weight 1.
# - **3.** A mask of tokens in place of targets leaves out the first word of every response, the one that decides how it goes on.
# - **4.** What is kept is imitated word by word, so one word in the wrong language is one too many.
# - **5.** Dev3 starts from the base: Dev2 is used as an author, not as a starting point.
# - **6.** Two numbers, a mean and its noise. Few seeds are few: a price inside the noise may be none, and may be there all the same.
# ### END SOLUTION
