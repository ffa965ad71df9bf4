# %% [markdown]
# # 07 mtp. Exercises
#
# Six exercises, from one line to a decoder of your own. Each checks itself: run the cell below it.
# A check stops at the first claim that does not hold, and hints. `hint("07.shift")` says more, in three steps.
#
# The chapter is `notebooks/07_mtp.ipynb`. Times are for somebody who has read it. Number 4 is the heart. In a workshop numbers 1 and 2 come first.

# %%
import torch

from minids.check import check, hint
from minids.decode.draft import Pick
from minids.decode.sample import generate
from minids.decode.speculative import rounds
from minids.study import draws
from minids.study.lesson import claim

# %% [markdown]
# ## 1. Fill one line: who predicts what? (5 minutes)
#
# `tokens` is `(b, n)`: whole texts. At place `i` module `k` is given the embedding of token `i + k`, and has to predict the token behind it.
#
# Return two tensors of tokens: those that module `k` is given, place by place, and those that it has to predict. Places for which the text
# has no such token are left out. With `k = 0` it would be the model itself; here `k` is 1 or more.

# %%
hint("07.shift")


# %% tags=["exercise"]
def shift(tokens, k):
    """Return (given, predicted) of module k, both (b, n - 1 - k)."""
    ### BEGIN SOLUTION
    return tokens[:, k:-1], tokens[:, k + 1 :]
    ### END SOLUTION


# %% tags=["check"]
check("07.shift", shift)

# %% [markdown]
# ## 2. Verify drafts (15 minutes)
#
# Greedy writing. `drafts` is a list of `n` tokens that somebody guessed. The model has read them in one pass, and `best` is the list of its `n + 1`
# likeliest tokens: `best[i]` in the place of `drafts[i]`, and one more behind the last.
#
# Return the list of tokens that this pass adds to the text. With `drafts = [5, 8]` and `best = [5, 7, 2]` it is `[5, 7]`.


# %% tags=["exercise"]
def verify(best, drafts):
    """Return the tokens that a pass brings: drafts that are right, and the model's own choice."""
    ### BEGIN SOLUTION
    kept = 0
    while kept < len(drafts) and drafts[kept] == best[kept]:
        kept += 1
    return [*drafts[:kept], best[kept]]
    ### END SOLUTION


# %% tags=["check"]
check("07.verify", verify)

# %% [markdown]
# ## 3. Accept, or draw again (30 minutes)
#
# Sampled writing. `p` is `(n + 1, v)`: the model's probabilities in the place of each draft, and behind the last. `q` is `(n, v)`: what the drafts
# were drawn from. `drafts` is `(n,)`, and `coins` is `(n,)`: a number between 0 and 1 for each draft.
#
# Return how many drafts are kept, and the distribution `(v,)` from which the next token is to be drawn. It sums to 1. You draw nothing here:
# all chance is in `drafts` and `coins`. The last claim adds up every case: what comes out must follow `p`.


# %% tags=["exercise"]
def accept(p, q, drafts, coins):
    """Return (kept, weights): how many drafts are kept, and what the next token is drawn from."""
    ### BEGIN SOLUTION
    for i, draft in enumerate(drafts.tolist()):
        if coins[i] * q[i, draft] >= p[i, draft]:
            rest = (p[i] - q[i]).clamp(min=0)
            return i, rest / rest.sum()
    return len(drafts), p[len(drafts)]
    ### END SOLUTION


# %% tags=["check"]
check("07.accept", accept)

# %% [markdown]
# ## 4. Build it: write with drafts (45 minutes)
#
# Greedy writing at batch 1, with a cache. You get
#
# - `model(tokens, cache)`: tokens `(1, t)` continue the cache; `.logits` is `(1, t, v)`. `model.new_cache(1, room)` makes an empty cache for `room` tokens;
#   `cache.length` says how many it holds, and `cache.rewind(length)` forgets all behind the first `length`.
# - `draft(text)`: takes the text so far, a list of tokens with the prompt, and returns a list of guesses. It may be empty, and may have any length up to 8.
#
# Return the list of `n_new` new tokens, and the number of times the model was called. Use `verify` from above. The check counts passes and tokens read.


# %% tags=["exercise"]
def write(model, draft, prompt, n_new):
    """Return (new tokens, passes) of greedy writing with drafts."""
    ### BEGIN SOLUTION
    text, passes = list(prompt), 0
    cache = model.new_cache(1, len(prompt) + n_new + 16)
    while len(text) < len(prompt) + n_new:
        drafts = draft(text)
        unread = torch.tensor([[*text[cache.length :], *drafts]])
        best = model(unread, cache).logits[0, -len(drafts) - 1 :].argmax(-1).tolist()
        passes += 1
        text += verify(best, drafts)
        cache.rewind(len(text) - 1)  # the newest token is unread
    return text[len(prompt) : len(prompt) + n_new], passes
    ### END SOLUTION


# %% tags=["check"]
check("07.write", write)

# %% [markdown]
# Use it. The simplest drafter of all looks for the last place where the newest token stood before, and guesses that what came then comes again.
# A text that repeats itself is written in fewer passes, by a drafter without a single weight.


# %% tags=["claim"]
def repeats(text, n=3):
    earlier = [i for i in range(len(text) - 1) if text[i] == text[-1]]
    return text[earlier[-1] + 1 :][:n] if earlier else []


model = draws.tiny(vocab=30).main
plain = generate(model, [[1, 2, 3]], 24, temperature=0).answers()[0]
found, passes = write(model, repeats, [1, 2, 3], 24)
claim("a drafter that only looks back gives the same text", found == plain)
claim("in fewer passes than tokens", passes < 24)

# %% [markdown]
# ## 5. Measure: how often is a draft kept? (15 minutes)
#
# `rounds` is a list of pairs `(drafts, kept)`: how many tokens were drafted in a pass, and how many of them were kept. Return a list: for each
# position, the share of drafts that were kept among those *whose turn came*, because all before them had been kept.
# Every position has its turn in some round.


# %% tags=["exercise"]
def shares(rounds):
    """Return the share of drafts kept at each position, given those before it."""
    ### BEGIN SOLUTION
    found = []
    for i in range(max(drafts for drafts, _ in rounds)):
        turns = [kept > i for drafts, kept in rounds if drafts > i and kept >= i]
        found.append(sum(turns) / len(turns) if turns else 0.0)
    return found
    ### END SOLUTION


# %% tags=["check"]
check("07.measure", shares)

# %% [markdown]
# Use it on a model with two modules that was never trained. Its modules guess badly; how badly, in 200 sampled texts?

# %% tags=["claim"]
mtp = draws.tiny()
pick = Pick(temperature=1.0, generator=torch.Generator().manual_seed(0))
log = [
    (one.drafts, kept)
    for one in rounds(mtp.main, mtp, [[1, 2]] * 200, 12, n_drafts=2, pick=pick)
    for kept in one.accepted
    if one.drafts
]
first, second = shares(log)
print(f"first draft {first:.1f}, second {second:.1f}")
claim("guesses that know nothing are kept now and then, and far from always", 0.05 < first < 0.8)

# %% [markdown]
# ## 6. Predict, and explain with numbers: is it worth it, and is it the same? (15 minutes)
#
# Work it out on paper, then check. A round of drafting brings one token of the model's own, and the drafts that are kept.
#
# - `"tokens per round"`: one draft a round, kept in 80 % of all cases;
# - `"V3"`: how many times as fast is that, if a round costs 1.044 plain steps?
# - `"needed"`: a small model pays 1.6 steps for a round. Which share of drafts must be kept, so that nothing is lost?
# - `"two drafts"`: two drafts a round, each kept in 70 % of the cases in which its turn comes: how many tokens does a round bring?
#
# Then a vocabulary of three tokens. The model's probabilities are `p = (0.6, 0.3, 0.1)`, the drafter's `q = (0.2, 0.7, 0.1)`. Somebody accepts drafts by the
# right rule, and replaces a rejected one by a fresh draw from `p`.
#
# - `"fresh draw"`: how often does token 0 come out, as a share?
# - `"because"`: a sentence that says this number and the one it should be, and what a fresh draw forgets.
#
# Write a dictionary with these six answers, the numbers with two decimals or more.

# %% tags=["exercise"]
### BEGIN SOLUTION
worth = {
    "tokens per round": 1.8,
    "V3": 1.8 / 1.044,
    "needed": 0.6,
    "two drafts": 1 + 0.7 + 0.49,
    "fresh draw": 0.2 + 0.4 * 0.6,
    "because": "A fresh draw gives token 0 a chance of 0.44, not 0.6: a rejected draft was never token 0, so what comes instead must make up for it.",
}
### END SOLUTION

# %% tags=["check"]
check("07.predict", worth)

# %% [markdown]
# ### BEGIN SOLUTION
# ## About the answers
#
# - **1.** Given and predicted are the same row, one place apart. The same slices are in `MTP.ahead` and in the loss.
# - **2.** One token comes in any case. That is why drafting never writes slower, counted in passes.
# - **3.** What is left over, `max(p - q, 0)`, sums to the chance of a rejection. So nothing is lost and nothing comes twice.
# - **4.** The order matters: extend the text, then rewind to it. The newest token is known and unread, as after every step of plain writing.
# - **5.** Dividing by all rounds would count a draft as wrong that nobody ever looked at.
# - **6.** A round that costs `c` pays if more than `c - 1` drafts are kept. Only rejected drafts make room, and they are never token 0: `0.2 + 0.4 x 0.6`.
# ### END SOLUTION
