# %% [markdown]
# # 12 distill. Exercises
#
# Six exercises: keep what is right, two divergences, a prediction, a training loop with a measurement, and a price to explain. Each checks
# itself: run the cell below it.
# Stuck? `hint("12.keep")`, `hint("12.keep", 2)`, `hint("12.keep", 3)`; 4 says where the solution is.
#
# The chapter is `notebooks/12_distill.ipynb`. Times are for somebody who has read it.

# %%
import torch
from torch import nn

from minids.check import check, hint
from minids.study import modes, viz_distill
from minids.study.lesson import claim, figure
from minids.train.losses import forward_kl, reverse_kl

# %% [markdown]
# ## 1. Keep what is right (10 minutes)
#
# `groups` is a list of (question, answers): what a teacher said to each question, in order; no question comes twice. `right(question, answer)` is True or False.
# Return a flat list of (question, answer): the right answers, each different text once, at most `most` to a question, the first ones.
# A question without a right answer has no pair.
#
# By hand: for `[("3+4", ["8", "7", "7", "07"])]`, a rule that takes `"7"` alone, and `most=2`, the list is `[("3+4", "7")]`.

# %%
hint("12.keep")


# %% tags=["exercise"]
def keep(groups, right, most):
    """Return (question, answer) pairs that are right: at most `most` different ones a question."""
    ### BEGIN SOLUTION
    pairs = []
    for question, answers in groups:
        good = [answer for answer in answers if right(question, answer)]
        pairs += [(question, answer) for answer in list(dict.fromkeys(good))[:most]]
    return pairs
    ### END SOLUTION


# %% tags=["check"]
check("12.keep", keep)

# %% [markdown]
# ## 2. Soft lessons (10 minutes)
#
# `student` and `teacher` are logits (b, t, v), `mask` (b, t) is True where a token of the answer follows. Return KL(teacher || student),
# averaged over the places where the mask is True. Gradients go to the student alone. All other places, a prompt before the answer and
# padding behind it, may hold anything, NaN included, and spoil neither the loss nor its gradient.
#
# By hand: a teacher of 0.5 and 0.5 and a student of 0.25 and 0.75 give 0.5 ln 2 + 0.5 ln (2/3) = 0.144 nats.


# %% tags=["exercise"]
def soft(student, teacher, mask):
    """Return KL(teacher || student) as one number, in nats per token that counts."""
    ### BEGIN SOLUTION
    log_s, log_t = student[mask].log_softmax(-1), teacher.detach()[mask].log_softmax(-1)
    return (log_t.exp() * (log_t - log_s)).sum(-1).mean()
    ### END SOLUTION


# %% tags=["check"]
check("12.soft", soft)

# %% tags=["claim"]
g = torch.Generator().manual_seed(0)
s, t = torch.randn(2, 4, 6, generator=g), torch.randn(2, 4, 6, generator=g)
mask = torch.arange(4) < torch.tensor([[4], [2]])
claim("yours is the package's", abs(float(soft(s, t, mask) - forward_kl(s, t, mask))) < 1e-5)

# %% [markdown]
# ## 3. On-policy lessons (5 minutes)
#
# The same arguments, the other direction: KL(student || teacher). Now the student's probabilities weigh, and they carry a gradient, too.


# %% tags=["exercise"]
def on_policy(student, teacher, mask):
    """Return KL(student || teacher) as one number, in nats per token that counts."""
    ### BEGIN SOLUTION
    log_s, log_t = student[mask].log_softmax(-1), teacher.detach()[mask].log_softmax(-1)
    return (log_s.exp() * (log_s - log_t)).sum(-1).mean()
    ### END SOLUTION


# %% tags=["check"]
check("12.reverse", on_policy)

# %% tags=["claim"]
claim("yours is the package's", abs(float(on_policy(s, t, mask) - reverse_kl(s, t, mask))) < 1e-5)

# %% [markdown]
# ## 4. Predict: where will the hill stand? (10 minutes)
#
# A teacher has two hills, at -6 and at 6, each with a deviation of 1.5. The left one holds 0.75 of it. A student is one hill, with a
# mean and a width (its deviation). Which student has the least KL(teacher || student): the *covering* one? Which the least
# KL(student || teacher): the *seeking* one?
#
# Do not run it first. Of the covering one: its mean and width are those of the whole teacher, and the variance of two hills is that
# within a hill plus that between them. Write a dictionary: `"covering mean"`, `"covering width"`, `"seeking mean"` and `"seeking width"`,
# with two decimals or more.

# %% tags=["exercise"]
### BEGIN SOLUTION
guess = {
    "covering mean": 0.75 * -6 + 0.25 * 6,
    "covering width": (1.5**2 + 0.75 * 0.25 * 12**2) ** 0.5,
    "seeking mean": -6.0,
    "seeking width": 1.5,
}
### END SOLUTION

# %% tags=["check"]
check("12.predict", guess)

# %% [markdown]
# Tried out: all students of a grid, and the nearest by each divergence.

# %% tags=["claim"]
hills = modes.two_hills(12.0, 1.5, 0.75)
cover, pick = modes.covering(hills), modes.seeking(hills)
claim("the grid finds the covering hill there", abs(cover.mean - guess["covering mean"]) < 0.3)
claim("and as wide", abs(cover.width - guess["covering width"]) < 0.2)
claim("and the seeking one on the larger hill", abs(pick.mean - guess["seeking mean"]) < 0.3)
figure(
    viz_distill.hills(12.0, 1.5, 0.75),
    "A teacher with two hills of unequal size; one student lies over both, the other stands on the larger.",
)

# %% [markdown]
# ## 5. Build a lesson, and measure two (20 minutes)
#
# Write the loop. `batches` is a list of (tokens, mask); `student(tokens)` and `teacher(tokens)` return logits;
# `loss(student_logits, teacher_logits, mask)` returns one number; `optimizer` moves the student. For each batch take one step. Ask the
# teacher without gradients. Return the losses, as plain numbers, each from before its step.


# %% tags=["exercise"]
def learn(student, teacher, batches, loss, optimizer):
    """Return the list of losses of one step for each batch; the student learns in place."""
    ### BEGIN SOLUTION
    losses = []
    for tokens, mask in batches:
        with torch.no_grad():
            wanted = teacher(tokens)
        found = loss(student(tokens), wanted, mask)
        optimizer.zero_grad()
        found.backward()
        optimizer.step()
        losses.append(found.item())
    return losses
    ### END SOLUTION


# %% tags=["check"]
check("12.learn", learn)

# %% [markdown]
# Now measure. The teacher is the one of exercise 4. The student is one hill with a mean and a width that learn. It begins in the middle
# between the teacher's hills, a little to the left. Give it 400 lessons of each kind, with your loop and your losses.


# %%
class Student(nn.Module):
    """One hill, as logits over the places, for tokens of any shape."""

    def __init__(self):
        super().__init__()
        self.mean, self.log_width = (
            nn.Parameter(torch.tensor(-1.0)),
            nn.Parameter(torch.tensor(1.0)),
        )

    def forward(self, tokens):
        hill = -0.5 * ((modes.places() - self.mean) / self.log_width.exp()) ** 2
        return hill.expand(*tokens.shape, -1)


def teacher(tokens):
    return hills.expand(*tokens.shape, -1)


lesson = (torch.zeros(1, 1, dtype=torch.long), torch.ones(1, 1, dtype=torch.bool))
ends = {}
for name, loss in (("soft", soft), ("on-policy", on_policy)):
    student = Student()
    adam = torch.optim.Adam(student.parameters(), lr=0.05)
    losses = learn(student, teacher, [lesson] * 400, loss, adam)
    ends[name] = {
        "first loss": losses[0],
        "last loss": losses[-1],
        "mean": student.mean.item(),
        "width": student.log_width.exp().item(),
    }
    print(name, {k: round(v, 1) for k, v in ends[name].items()})

# %% tags=["claim"]
claim("soft lessons end at the covering hill", abs(ends["soft"]["mean"] + 3) < 0.2)
claim("with its width", abs(ends["soft"]["width"] - guess["covering width"]) < 0.2)
claim("on-policy lessons end on one hill", abs(ends["on-policy"]["mean"] + 6) < 0.2)
claim("and are as narrow as it", abs(ends["on-policy"]["width"] - 1.5) < 0.1)

# %% [markdown]
# ## 6. Explain: what does verification cost? (10 minutes)
#
# A student is to read 800,000 right answers. The teacher is right in 0.4 of its answers. For every token, writing costs the teacher 5
# units and learning costs the student 3; all answers are equally long.
#
# How many answers does the teacher write? How many times the cost of 800,000 raw answers is that, learning included? Why?
# Write a dictionary with `"written"`, `"times"` (two decimals or more) and `"because"`: a sentence that says how many answers were thrown away.

# %% tags=["exercise"]
### BEGIN SOLUTION
price = {
    "written": 800_000 / 0.4,
    "times": (5 / 0.4 + 3) / (5 + 3),
    "because": "1,200,000 answers are written and thrown away: the teacher's work is paid for, the student's is not needed.",
}
### END SOLUTION

# %% tags=["check"]
check("12.explain", price)

# %% [markdown]
# ### BEGIN SOLUTION
# ## About the answers
#
# - **1.** The limit comes last; the rule and the duplicates may change places.
# - **2.** `student[mask]` comes first: log_softmax of NaN passes NaN back, even where its result is thrown away.
#   The gradient is simply the student's probabilities minus the teacher's: words, with the teacher's distribution in place of one word.
# - **3.** If the weights are detached the value is right and the gradient is not; only a check of gradients finds it.
# - **4.** A student that wants to be surprised by nothing must expect everything. One that wants to say nothing strange may keep to one hill.
# - **5.** The hill on which the on-policy student ends depends on where it began. Start it at 1, then at 3: is it still the larger one?
# - **6.** As the teacher gets better the price of verification goes away, and so does its use.
# ### END SOLUTION
