# %% [markdown]
# # 01 llama. Exercises
#
# Six exercises, from one line to a baseline that you train and measure. Each checks itself: run the cell below it.
# A check stops at the first claim that does not hold, and hints. `hint("01.rms_norm")` says more, in three steps.
#
# The chapter is `notebooks/01_llama.ipynb`. Times are for somebody who has read it. In a workshop numbers 1 and 4 come first.

# %%
import bz2
import gzip
import math

import torch

from minids import accounting
from minids.check import check, hint
from minids.model.rope import rotary, rotate_pairs
from minids.model.transformer import Transformer
from minids.presets import preset
from minids.study.lesson import claim
from minids.study.pretrain import tokenized, toy
from minids.text.batches import Batch
from minids.text.corpus import Corpus, real_text
from minids.text.tokenizer import SHIPPED as VOCABULARY
from minids.text.tokenizer import default_tokenizer, read_ranks
from minids.train.losses import next_token as package_loss

# %% [markdown]
# ## 1. Fill one line: the norm (5 minutes)
#
# Give every vector a root mean square of 1, then multiply by the gain. The mean of the squares gets `eps` added before the
# root is taken.
#
# By hand: `[3, 4]` has the mean square 12.5, so it becomes `[0.849, 1.131]`.


# %%
hint("01.rms_norm")


# %% tags=["exercise"]
def rms_norm(x, gain, eps):
    """Return x with every vector scaled to root mean square 1, times the gain. x: (…, d), gain: (d,)"""
    ### BEGIN SOLUTION
    return x / (x.square().mean(-1, keepdim=True) + eps).sqrt() * gain
    ### END SOLUTION


# %% tags=["check"]
check("01.rms_norm", rms_norm)

# %% [markdown]
# ## 2. Replay the merges (15 minutes)
#
# Training made tokens in an order, their *ranks*. To encode a piece of text, start from its bytes. Of all neighbours that
# together are a known token, join the pair whose token has the lowest rank; of two equal pairs the left one. Repeat until no
# neighbours are a known token.
#
# By hand, with the merges `he` (256), `th` (257), `the` (258): the piece `the` becomes `t|he` and then `the`, because
# `t` + `he` is a token, too. The answer is `[258]`. `th` is never made, since `he` came first.


# %% tags=["exercise"]
def bpe_merge(piece, ranks):
    """Return the tokens of a piece, as a list of ranks. piece: bytes, ranks: {token as bytes: rank}"""
    ### BEGIN SOLUTION
    tokens = [piece[i : i + 1] for i in range(len(piece))]
    while True:
        known = [i for i in range(len(tokens) - 1) if tokens[i] + tokens[i + 1] in ranks]
        if not known:
            return [ranks[token] for token in tokens]
        best = min(known, key=lambda i: ranks[tokens[i] + tokens[i + 1]])
        tokens[best : best + 2] = [tokens[best] + tokens[best + 1]]
    ### END SOLUTION


# %% tags=["check"]
check("01.bpe_merge", bpe_merge)

# %% [markdown]
# Yours beside tiktoken, with the vocabulary of this course:

# %% tags=["claim"]
tokenizer, ranks = default_tokenizer(), read_ranks(VOCABULARY)
words = [" tokenizers", " return", "\n    ", "好", " the", "𝒳"]
claim(
    "every piece gives the same tokens",
    all(bpe_merge(word.encode(), ranks) == tokenizer.encode(word) for word in words),
)

# %% [markdown]
# ## 3. Turn neighbours (15 minutes)
#
# The chapter turned number $i$ with number $i + d/2$, as Hugging Face's Llama and DeepSeek LLM do. DeepSeek-V2 and V3 turn neighbours: numbers
# $2i$ and $2i + 1$ are a pair. Pair $i$ turns by $\theta^{-2i/d}$ radians per position:
#
# $$(a, b) \mapsto (a \cos\varphi - b \sin\varphi,\; a \sin\varphi + b \cos\varphi)$$
#
# By hand: the pair `(1, 0)` with $i = 0$ at position 1 becomes `(0.540, 0.841)`. Stay in torch: the result is a tensor like `x`.


# %% tags=["exercise"]
def rope(x, positions, theta):
    """Return x with every pair of neighbours turned. x: (b, h, t, d), positions: (t,), theta: a number"""
    ### BEGIN SOLUTION
    d = x.shape[-1]
    angles = positions[:, None] * theta ** (-torch.arange(0, d, 2) / d)
    a, b, cos, sin = x[..., 0::2], x[..., 1::2], angles.cos(), angles.sin()
    return torch.stack([a * cos - b * sin, a * sin + b * cos], dim=-1).flatten(-2)
    ### END SOLUTION


# %% tags=["check"]
check("01.rope", rope)

# %% [markdown]
# The package's version, used from chapter 04 on, must agree with yours:

# %% tags=["claim"]
x = torch.randn(2, 3, 7, 8, generator=torch.Generator().manual_seed(0))
turn = rotary(10_000.0 ** (-torch.arange(0, 8, 2) / 8), torch.arange(7))
claim(
    "yours and the package's turn alike",
    torch.allclose(rope(x, torch.arange(7), 10_000.0), rotate_pairs(x, turn), atol=1e-5),
)

# %% [markdown]
# ## 4. Shift and mask (15 minutes)
#
# The logits at place $t$ are the model's opinion of the token at place $t + 1$. Some tokens are not to be learned: the question
# of an exercise, or padding. `counts` is True on the tokens that are.
#
# Return the mean surprise in nats, over all tokens that count and have something before them. Every one of them weighs the same.


# %% tags=["exercise"]
def next_token(logits, tokens, counts):
    """Return the mean loss, shape (). logits: (b, t, v), tokens: (b, t), counts: (b, t) of bool"""
    ### BEGIN SOLUTION
    logp = logits[:, :-1].log_softmax(-1)
    surprise = -logp.gather(-1, tokens[:, 1:, None])[..., 0]
    return surprise[counts[:, 1:]].mean()
    ### END SOLUTION


# %% tags=["check"]
check("01.next_token", next_token)

# %% [markdown]
# In the package the shift is made once, where batches are made. So its loss gets tokens and targets:

# %% tags=["claim"]
g = torch.Generator().manual_seed(0)
tokens, logits = torch.randint(20, (3, 9), generator=g), torch.randn(3, 9, 20, generator=g)
counts = torch.rand(3, 9, generator=g) < 0.6
batch = Batch(tokens[:, :-1], tokens[:, 1:], counts[:, 1:])
claim(
    "your loss is the package's",
    math.isclose(
        next_token(logits, tokens, counts),
        package_loss(logits[:, :-1], batch.targets, batch.mask),
        rel_tol=1e-5,
    ),
)

# %% [markdown]
# ## 5. Predict six numbers, and explain one (10 minutes)
#
# Fill in the dictionary. Compute as little as you can.
#
# - `"first loss"`: of DeepSeek LLM 7B before training, in nats per token. Its vocabulary has 102,400 tokens.
# - `"length"`: of a vector of 4,096 numbers after RMSNorm with gain 1, as the root of the sum of its squares.
# - `"bits per byte"`: of a model with 2 nats per token, where a token stands for 3 bytes.
# - `"block"`: parameters in one block of the 7B. Width 4,096, feed-forward 11,008, as many key heads as query heads, two norms.
# - `"learning rate"` and `"batch"`: what DeepSeek's formulas multiply them by when the budget grows ten thousandfold.
#
# - `"because"`: a sentence with the first loss in it. What would a first loss of half that say about the code?
#
# Write `numbers = {"first loss": 7.5, ...}`. One percent is near enough.

# %% tags=["exercise"]
### BEGIN SOLUTION
numbers = {
    "first loss": math.log(102_400),
    "length": 4096**0.5,
    "bits per byte": 2 / math.log(2) / 3,
    "block": 4 * 4096**2 + 3 * 4096 * 11_008 + 2 * 4096,
    "learning rate": 10_000**-0.1250,
    "batch": 10_000**0.3271,
    "because": "Who knows nothing loses ln 102,400 = 11.54 nats a token; half of it means a loss that is counted wrongly, as with padding taken for 0.",
}
### END SOLUTION

# %% tags=["check"]
check("01.predict", numbers)

# %% [markdown]
# Two of them, found in another way:

# %% tags=["claim"]
b7 = preset("deepseek-llm-7b")
with torch.device("meta"):
    block = sum(p.numel() for p in Transformer(b7).layers[0].parameters())
claim(
    "a block that was built has as many parameters",
    math.isclose(block, numbers["block"], rel_tol=0.01),
    f"{block:,}",
)
rates = [accounting.scaling_laws(budget).lr for budget in (1e18, 1e22)]
claim(
    "the formulas agree",
    math.isclose(rates[1] / rates[0], numbers["learning rate"], rel_tol=0.01),
)

# %% [markdown]
# ## 6. Build it and measure it: the baseline (20 minutes)
#
# How much can be known from one token before? Count in the training text how often each token follows each other one. Add `alpha`
# to every count, or a pair that was never seen would cost infinitely much:
#
# $$p(b \mid a) = \frac{n(a, b) + \alpha}{n(a) + \alpha V}$$
#
# Here $n(a, b)$ counts the pair, $n(a)$ is how often $a$ has a follower, and $V$ is the size of the vocabulary. Return the mean of $-\ln p$
# over the pairs of the held-out text.


# %% tags=["exercise"]
def bigram(train, held_out, vocab, alpha):
    """Return nats per token of a held-out text. train: (n,), held_out: (m,), whole numbers below vocab"""
    ### BEGIN SOLUTION
    counts = torch.full((vocab, vocab), alpha, dtype=torch.float64)
    one = torch.ones(len(train) - 1, dtype=torch.float64)
    counts.index_put_((train[:-1], train[1:]), one, accumulate=True)
    p = counts / counts.sum(1, keepdim=True)
    return float(-p[held_out[:-1], held_out[1:]].log().mean())
    ### END SOLUTION


# %% tags=["check"]
check("01.bigram", bigram)

# %% [markdown]
# Now measure it on real text. Which `alpha` is best, and whom does a table of pairs beat? Change `alpha` and run again.

# %% tags=["nbval-ignore-output"]
prose, code = (real_text(kind, n_chars=350_000) for kind in ("prose", "code"))
corpus = Corpus(prose.train + code.train, prose.held_out + code.held_out)
text = tokenized(corpus, tokenizer)
bits = {
    alpha: text.bits_per_byte(
        bigram(text.train.long(), text.held_out.long(), tokenizer.vocab, alpha)
    )
    for alpha in (1.0, 0.1, 0.01, 0.001)
}
data = corpus.held_out.encode()
programs = {"gzip": gzip.compress(data, 9), "bz2": bz2.compress(data)}
for alpha, value in bits.items():
    print(f"a table of pairs, alpha {alpha}: {value:.2f} bits per byte")
for name, packed in programs.items():
    print(f"{name}: {8 * len(packed) / len(data):.2f}")

# %% tags=["claim"]
best = min(bits.values())
claim(
    "pairs are worth more than a bit per byte against guessing",
    best < text.bits_per_byte(math.log(1024)) - 1,
)
claim("one for every pair is too much: a smaller alpha is better", bits[1.0] > min(bits.values()))
claim(
    "a table of pairs does not reach bz2",
    best > 8 * len(programs["bz2"]) / len(data),
)
size = toy(128, vocab=tokenizer.vocab)
claim(
    "and it has more numbers than the chapter's model, which does better, has parameters",
    tokenizer.vocab**2 > accounting.parameters(size).total,
)

# %% [markdown]
# ### BEGIN SOLUTION
# ## About the answers
#
# - **1.** LayerNorm would subtract the mean first. Nobody misses it.
# - **2.** The order of the text does not matter, the order of the ranks does. Taking the longest token that fits is another method, and gives
#   other tokens.
# - **3.** Both layouts are right. A model trained with one cannot be read with the other: chapter 04 meets both.
# - **4.** The mask goes with the target and not with the place that predicts it. Off by one, the first word of every answer would
#   not be learned, and what follows its end would.
# - **5.** The norm makes all vectors equally long. What a vector says is its direction.
# - **6.** A token remembers one step back. What the model adds in the chapter is everything further away.
# ### END SOLUTION
