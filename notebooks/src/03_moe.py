# %% [markdown]
# # 03 moe. Why many small experts and one that always works?
#
# A dense model uses all of its weights for every token. A *mixture of experts* owns many feed-forwards, the experts, and sends each
# token to a few of them. It can know more than it has to compute.
#
# Before it, *GShard* sent each token to two large experts and *Switch* to one. DeepSeekMoE, January 2024, took 16 such experts to compare
# with, cut them into 64 small ones and let one of them work for every token.
#
# Three questions. What does cutting buy? Who becomes an expert for what? And what is lost when one of them is missing?
#
# **You need** chapter 01: the feed-forward SwiGLU, and the noise band. **You get** a layer of experts in fifteen lines, and models
# that you take apart.

# %%
import tempfile
from math import comb

import torch
from torch.nn import functional as F

from minids import accounting
from minids.check.bugs import ch03 as bugs
from minids.model import balance, experts, routing
from minids.model.layers import SwiGLU
from minids.presets import DATA, preset
from minids.study import evened, mixture_runs, mixtures, served, specialise, tables, viz_moe
from minids.study.cards import Question, quiz, trap
from minids.study.compare import compare
from minids.study.lesson import claim, figure, predict, reveal, show_source
from minids.study.results import Results
from minids.study.scale import Scale
from minids.study.widgets import explore
from minids.systems.dispatch import devices_visited, expected_destinations, in_order

scale = Scale.auto()  # the dial
steps = scale.pick(smoke=6, laptop=240, gpu=400)
seeds = scale.pick(smoke=range(2), laptop=range(3), gpu=range(5))
batch = scale.pick(smoke=16, laptop=16, gpu=64)
settings = {"products": scale.products, "device": str(scale.device), "batch": batch}
workers = None if scale.device.type == "cpu" else 0

# %% [markdown]
# ## In how many ways can a token choose?
#
# Take 16 experts, two for each token. Cut each into four: 64 experts of a quarter of the width. To compute as much as before, a token
# now takes eight.
#
# **Predict first.** Two of 16 can be chosen in 120 ways. And eight of 64?

# %% tags=["predict"]
ways = predict("in how many ways can 8 of 64 be chosen?", ..., default=480, unit="ways")

# %% tags=["claim"]
reveal(ways, comb(64, 8))
claim(
    "2 of 16: 120 ways; 8 of 64: 4.4 billion",
    comb(16, 2) == 120 and round(comb(64, 8) / 1e9, 1) == 4.4,
)
claim(
    "the finer pieces add up to the same width, in all and for a token",
    64 * (512 // 4) == 16 * 512 and 8 * (512 // 4) == 2 * 512,
)

# %% [markdown]
# More ways to combine, for the same work but that of the router, which scores more experts. The second idea: what *every* token needs, such as grammar, would be learned by
# every expert again. So one expert is *shared*. It sees every token, and the others need not repeat it.

# %%
figure(
    viz_moe.cut(m=4, shared=1),
    "Above, 16 coarse experts, two of them active. Below, the same width in 64 pieces: one shared, seven chosen, the rest idle.",
)

# %% [markdown]
# Cut it yourself. What happens to the number of ways when more experts are shared?

# %%
explore(
    viz_moe.cut,
    m=[1, 2, 4, 8],
    shared=(0, 4),
    alt="Coarse experts above, finer ones below, of equal total and equal active width, with the number of ways to choose.",
)

# %% [markdown]
# ## By hand
#
# A token is a vector `u`. Each routed expert `i` has a vector `e_i`, and what the token thinks of it is a softmax over all experts:
#
# $$ s_i = \mathrm{softmax}_i(u \cdot e_i), \qquad h = u + \mathrm{FFN}_{shared}(u) + \sum_{i \in \mathrm{top}\,K} s_i\, \mathrm{FFN}_i(u) $$
#
# The largest `K` of the `s_i` stay, *as they are*. They are the gates. Here is all of it:


# %%
def by_hand(u, vectors, gate_up, down, shared, k):
    s = (u @ vectors.T).softmax(-1)
    h = u + shared(u)
    for token in range(len(u)):
        for i in s[token].topk(k).indices:
            gate, up = (gate_up[i] @ u[token]).chunk(2)
            h[token] += s[token, i] * (down[i] @ (F.silu(gate) * up))
    return h


g = torch.Generator().manual_seed(0)
n, d, e, k, width = 10, 8, 6, 2, 12
u, vectors = torch.randn(n, d, generator=g), torch.randn(e, d, generator=g)
gate_up = torch.randn(e, 2 * width, d, generator=g) / 3
down = torch.randn(e, d, width, generator=g) / 3
shared = SwiGLU(d, width)
with torch.no_grad():
    expected = by_hand(u, vectors, gate_up, down, shared, k)

# %% [markdown]
# ## The package's own
#
# First the choice. `bias`, `scale`, groups and `normalise` belong to later generations (chapter 06); without them this is V1's.

# %%
show_source(routing.softmax_scores, routing.route)

# %% [markdown]
# Then the experts, one after another, and all at once: tokens are sorted by expert, so that one grouped product serves all.
# `linear(x, W)` is $x W^T$, as in torch.

# %%
show_source(experts.experts_loop, experts.experts_grouped)

# %% tags=["claim"]
chosen = routing.route(routing.softmax_scores(u @ vectors.T), top_k=k)
with torch.no_grad():
    ours = {
        way.__name__: u + shared(u) + way(u, gate_up, down, chosen)
        for way in (experts.experts_loop, experts.experts_grouped)
    }
for name, out in ours.items():
    claim(f"{name} gives what we computed by hand", float((out - expected).abs().max()) < 1e-5)

# %% [markdown]
# ## Trap or not? A gate that sums to 1
#
# A token's gates sum to less than 1, because the others keep their share. Many courses divide by the sum. With one expert a token,
# what does the router then learn? The slope of the output to the router's vectors:


# %% tags=["claim"]
def router_gradient(top_k, normalise):
    v = vectors.clone().requires_grad_()
    r = routing.route(routing.softmax_scores(u @ v.T), top_k=top_k, normalise=normalise)
    experts.experts_loop(u, gate_up, down, r).square().sum().backward()
    return float(v.grad.abs().max())


slopes = {
    (k, normalise): router_gradient(k, normalise) for k in (1, 2) for normalise in (False, True)
}
print(
    tables.text(
        [
            {
                "experts a token": k,
                "gates": "sum to 1" if norm else "raw softmax",
                "router's gradient": "there" if slope > 1e-4 else "none",
            }
            for (k, norm), slope in slopes.items()
        ]
    )
)
claim(
    "with one expert and a gate that is always 1, the loss teaches the router nothing",
    slopes[1, True] < 1e-5 and slopes[1, False] > 1e-2,
)

# %% tags=["trap"]
trap(
    "Gates should be made to sum to 1: it only fixes the scale.",
    slopes[1, True] > 1e-5,
    "With one expert a token the gate is s / s, the constant 1, and a constant has no slope. The router stays as it was drawn. Switch and V1 keep "
    "the raw softmax. With several experts dividing is fine, and V3 does it.",
)

# %% [markdown]
# ## Experiment 1: what does cutting buy?
#
# Four worlds to read about: stories in English, Python, arithmetic, stories in Chinese. Stories and code are about 64 people and 64
# functions with fixed facts. A model is as good as the number of facts it can keep.
#
# Tokens are characters. Six models: five whose feed-forward is equally wide for each token (routers add up to a tenth of the work), and one as
# wide as all experts together: eight times the feed-forward, three times the work. It is the bound.
#
# All mixtures also follow a small second loss, of weight 0.01 as in the paper's 2B model, that keeps experts about equally busy over the tokens of a
# batch. *Keeping everybody busy*, below, takes it apart. It is not in the losses that are printed.

# %%
rows = []
for arm in mixtures.ARMS:
    c = mixtures.toy(arm)
    rows.append(
        {
            "arm": arm,
            "width in all": mixture_runs.total(arm),
            "a token meets": mixture_runs.active(arm),
            "parameters": accounting.parameters(c).total,
            "activated": accounting.activated(c),
            "kFLOPs a token": accounting.flops_per_token(c, mixtures.LENGTH) // 1000,
        }
    )
print(tables.text(rows))

# %% tags=["claim"]
mixed = [arm for arm, cut in mixtures.ARMS.items() if isinstance(cut, mixtures.Mixture)]
claim(
    "all mixtures are as wide in all, and as wide for a token",
    {mixture_runs.total(a) for a in mixed} == {mixtures.TOTAL}
    and {mixture_runs.active(a) for a in mixed} == {mixtures.ACTIVE},
)

# %% [markdown]
# Four of the six run here. Two more stand in the stored results below.
#
# **Predict first.** Where will the mixture with a shared expert end, beside GShard's top-2 of 16?

# %% tags=["predict"]
where = predict(
    "the mean loss of 1 + 7 of 63, beside top-2 of 16, will be …",
    ...,
    default="clearly lower",
    options=("clearly lower", "inside the noise band", "clearly higher"),
)

# %% [markdown]
# **What you should see.** The dense model of the active size ends highest, the one of the total size lowest. The mixtures lie between them, nearer
# to the upper one.

# %% tags=["nbval-ignore-output"]
folder = tempfile.TemporaryDirectory()
live = ("top-2 of 16", "dense, active size", "1 + 7 of 63", "dense, total size")
results = compare(
    mixture_runs.run,
    {arm: {"arm": arm, "steps": steps, "keep": folder.name, **settings} for arm in live},
    seeds=seeds,
    workers=workers,
)
print(results.table())

# %%
figure(
    viz_moe.losses(results, title="Loss at equal active size, and the bound"),
    "Held-out loss of every run. Dense of the active size lies highest, both mixtures a little below it, close together, and dense of "
    "the total size far below all.",
)

# %% tags=["claim"]
mean = {arm: results.mean(arm) for arm in live}
pairs = {arm: results.of(arm) for arm in live}
claim(
    "the dense model of the total size beats every mixture in every seed: its feed-forward is eight times as wide",
    all(
        max(pairs["dense, total size"]) < min(pairs[arm]) for arm in ("top-2 of 16", "1 + 7 of 63")
    ),
)
claim(
    "both mixtures end below the dense model that computes as much, on average",
    max(mean["top-2 of 16"], mean["1 + 7 of 63"]) < mean["dense, active size"],
)

# %% [markdown]
# Three seeds are few for small differences. The course stores six seeds of all six arms, with two thirds more steps
# (`data/results/mixtures.json`, made by the same function).

# %% tags=["claim"]
six = Results.load(DATA / "results" / "mixtures.json")
print(f"run on {six.machine}")
print(six.table())
order = ("dense, active size", "top-1 of 8", "top-2 of 16", "dense, total size")
for worse, better in zip(order, order[1:], strict=False):
    gaps = [a - b for a, b in zip(six.of(worse), six.of(better), strict=True)]
    print(
        f"{worse} minus {better}: {sum(gaps) / len(gaps):+.3f}, above 0 in {sum(x > 0 for x in gaps)} of {len(gaps)} seeds"
    )
ends = [six.mean(arm) for arm in order]
claim(
    "dense of the active size > top-1 of 8 > top-2 of 16 > dense of the total size, in the mean of six seeds",
    ends == sorted(ends, reverse=True),
)
finer = {arm: six.difference(arm) for arm in ("8 of 64", "1 + 7 of 63")}
one_shared = finer["1 + 7 of 63"]
reveal(
    where,
    {
        "inside the noise band": one_shared.inside,
        "clearly lower": one_shared.mean < 0 and not one_shared.inside,
        "clearly higher": one_shared.mean > 0 and not one_shared.inside,
    },
)
claim(
    "fine-grained, with and without a shared expert: inside the noise band of top-2 of 16",
    all(x.inside for x in finer.values()),
)

# %%
figure(
    viz_moe.losses(six, title="Six seeds, all arms"),
    "Held-out loss of six arms with six seeds. Dense of the active size is highest; the four mixtures lie in one group inside the noise band of "
    "top-2 of 16; dense of the total size is far below.",
)

# %% [markdown]
# So at this size cutting buys nothing that we can see. The paper saw it at 2 billion parameters and 100 billion tokens. (*Pile loss* is the loss on the
# Pile, a public collection of text: lower is better. The other two are scores of benchmarks: higher is better. ×1.5 has experts 1.5 times as large, dense ×16
# the width of all 16 at once.)

# %% tags=["claim"]
paper = {row["measure"]: row for row in tables.read("moe_2b")}
columns = ("dense", "switch", "gshard", "deepseekmoe", "gshard_x1.5", "dense_x16")
print(
    tables.text([paper["Pile loss"], paper["HellaSwag"], paper["TriviaQA"]], ["measure", *columns])
)
pile = {name: paper["Pile loss"][name] for name in columns}
claim(
    "there the order is dense > Switch > GShard > DeepSeekMoE > dense with all of the width",
    pile["dense"] > pile["switch"] > pile["gshard"] > pile["deepseekmoe"] > pile["dense_x16"],
)
gain = (pile["gshard"] - pile["deepseekmoe"]) / (pile["gshard"] - pile["dense_x16"])
claim(
    "DeepSeekMoE closes more than nine tenths of the way from GShard to the bound",
    0.9 < gain < 1.0,
    f"{100 * gain:.0f} %",
)

# %% [markdown]
# Why not here? Our facts are few, and with 48 numbers a token an expert of width 8 is hardly a network. A combination pays when there is more to
# combine. The course has a command for the size where it may appear, 0.2 billion parameters on a GPU; it was not run:
# `python -m minids.study.segmentation --seeds 3 --scale gpu`.
#
# One learning rate serves all arms. With another one, or with fewer steps, top-1 and top-2 changed places in trials; the two ends never did.
#
# ## Experiment 2: who becomes an expert for what?
#
# Nobody told the router about domains. Take the trained models, read held-out text of each domain, and count who was chosen. 1 is the even
# share. Beside it the same counts with the labels of the rows shuffled: what chance alone would show.

# %%
texts = mixtures.controlled()
batch, labels = texts.exam(32)
models = {arm: mixture_runs.kept(folder.name, arm, 0) for arm in ("top-2 of 16", "1 + 7 of 63")}
seen = {arm: mixtures.examine(model, texts).routings for arm, model in models.items()}


def draw_heat(arm="top-2 of 16", layer=0, deal=0):
    counts, dealt = (
        served.relative_load(specialise.by_domain(seen[arm][layer], who, 4))
        for who in (labels, specialise.shuffled(labels, deal))
    )
    return viz_moe.heat(
        counts, dealt, mixtures.DOMAINS, f"{arm}, layer {layer}: which expert serves which domain"
    )


figure(
    draw_heat(),
    "Loads of sixteen experts by domain. Above, most experts serve one or two domains several times as often as the even share and others hardly "
    "at all. Below, with shuffled labels, all cells are near the same for every domain.",
)

# %% [markdown]
# Look at the other layer, at 63 small experts, and at other deals of the labels.

# %%
explore(
    draw_heat,
    arm=list(models),
    layer=[0, 1],
    deal=(0, 9),
    alt="Relative load of every expert by domain, and the same with shuffled labels.",
)

# %% [markdown]
# One number for the picture. How much does an expert's number tell about the domain? Mutual information over the entropy of the domains: 0
# if nothing, 1 if it gives the domain away.

# %%
show_source(served.specialisation, specialise.by_chance)

# %%
when = [int(name.split()[1]) for name in results.values[live[0]] if name.startswith("after ")]
curves = {
    arm: {step: results.of(arm, f"after {step}") for step in when}
    for arm in ("top-2 of 16", "1 + 7 of 63")
}
chance = max(max(results.of(arm, "by chance")) for arm in curves)
figure(
    viz_moe.growth(curves, chance),
    "Specialisation over training steps for two mixtures and all seeds. All curves lie far above the dotted line of chance. They rise steeply at "
    "first, then fall again by a third or more, and end above where they began; once trained, the finer mixture is above the coarser one.",
)

# %% tags=["claim"]
for arm in curves:
    low = min(min(results.of(arm, f"specialisation, layer {i}")) for i in (0, 1))
    claim(
        f"{arm}: in every seed and both layers at least five times what chance gives",
        low > 5 * max(results.of(arm, "by chance")),
    )
first, early, end = (curves["top-2 of 16"][step] for step in (when[0], when[1], when[-1]))
claim(
    "a router drawn at random already tells something: letters differ between the domains",
    min(first) > 5 * max(results.of("top-2 of 16", "by chance")),
)
claim(
    "training adds to it: on average it ends higher than it began, for both",
    all(sum(c[when[-1]]) > sum(c[when[0]]) for c in curves.values()),
)
claim(
    "it peaks early and falls again, in every seed",
    all(a > b for a, b in zip(early, end, strict=True)),
)
pairs = zip(six.of("8 of 64", "after 400"), six.of("top-2 of 16", "after 400"), strict=True)
claim(
    "stored: fine-grained experts tell more than coarse ones",
    all(a > b for a, b in pairs),
    f"{len(six.seeds)} of {len(six.seeds)} seeds",
)

# %% [markdown]
# Two things to keep. The untrained router is above chance: subtract it before you call something learned. And specialisation by *domain* comes
# first and then falls. Finer distinctions inside a domain would do that. So would the balance loss that they all follow.
#
# ### What the balance loss allows
#
# Over what should experts be equally busy? Here it was a batch, whose rows come from all four domains: an expert may serve one of them alone. In
# V1's formula it is a single sequence. A row here is text of one domain. What becomes of specialisation, if every row has to use all experts
# alike? And what, if there is no such loss at all?

# %% tags=["nbval-ignore-output"]
same = {"arm": "top-2 of 16", "steps": steps, **settings}
others = compare(
    mixture_runs.run,
    {"no balance loss": {**same, "alpha": 0.0}, "within each text": {**same, "by_sequence": True}},
    seeds=seeds[:2],
    workers=workers,
)
grown = {
    "over a batch": [curves["top-2 of 16"][step][:2] for step in when],
    **{arm: [others.of(arm, f"after {step}") for step in when] for arm in others.arms},
}
print("specialisation of two seeds after", *when[:2], "and", when[-1], "steps")
for arm, by_step in grown.items():
    print(f"{arm:17}", *("  {:.2f} {:.2f}".format(*by_step[i]) for i in (0, 1, -1)))

# %% tags=["claim"]
none, within = (grown[arm] for arm in ("no balance loss", "within each text"))
claim(
    "without the loss specialisation falls after its peak, too: by more than a fifth, in both seeds",
    all(end < 0.8 * max(run) for end, run in zip(none[-1], zip(*none, strict=True), strict=True)),
)
claim(
    "within each text the loss takes it away: below half of what the untrained router had, in both seeds",
    all(end < start / 2 for start, end in zip(within[0], within[-1], strict=True)),
)
claim(
    "and below half of what a loss over a batch leaves",
    all(a < b / 2 for a, b in zip(within[-1], grown["over a batch"][-1], strict=True)),
)

# %% [markdown]
# So the fall above is not the loss's doing: over a batch the loss takes little. Within each text it takes nearly all. The paper's sequences are
# at least thirty times as long as our rows, and its 16B model's factor is a tenth of ours: how much of this it saw, these runs cannot say.
# Chapter 06 returns to the question.
#
# ### On real text
#
# Those domains were made by us. Here are two that were not: the prose of Python's manual and the code of its library, in the tokens of
# chapter 01. They share words, and the manual is full of code. One mixture, all seeds, a shorter run.

# %% tags=["nbval-ignore-output"]
real = compare(
    mixture_runs.run,
    {
        "top-2 of 16": {
            "arm": "top-2 of 16",
            "steps": steps // 2,
            "text": "real",
            "marks": 3,
            "keep": f"{folder.name}/real",
            **settings,
        }
    },
    seeds=seeds,
    workers=workers,
)
told = {name: real.of("top-2 of 16", name) for name in real.values["top-2 of 16"]}
for name in ("after 0", f"after {steps // 2}", "by chance"):
    print(f"specialisation, {name:10}", *(f"{x:.3f}" for x in told[name]))

# %%
model = mixture_runs.kept(f"{folder.name}/real", "top-2 of 16", 0)
real_routing = mixtures.examine(model, mixtures.real()).routings[0]
who = mixtures.real().exam()[1]
figure(
    viz_moe.heat(
        *(
            served.relative_load(specialise.by_domain(real_routing, labels_, 2))
            for labels_ in (who, specialise.shuffled(who, 0))
        ),
        ("prose", "code"),
        "real text, layer 0: which expert serves which domain",
    ),
    "Loads of sixteen experts for prose and for code. Above, up to half of the experts serve one of the two more than twice as much, a few by much more. "
    "Below, with shuffled labels, the two rows are nearly alike.",
)

# %% tags=["claim"]
end = told[f"after {steps // 2}"]
claim(
    "prose and code lean to different experts: three times what chance gives, in every seed",
    all(a > 3 * b for a, b in zip(end, told["by chance"], strict=True)),
)
claim("training adds to it, on average", sum(end) > sum(told["after 0"]))
made = results.of("top-2 of 16", f"after {steps}")
claim("but it is less than half as much as in the four made worlds", max(end) < min(made) / 2)

# %% [markdown]
# The router that never learned says something here too: prose and code differ in their tokens. Training adds to that, in trials with five seeds in every
# one, and it stays small. Most of these are leanings, a few are specialists. V3's report shows specialists on real text in a model of 16 billion parameters (chapter 06).

# %% [markdown]
# ## Experiment 3: what is lost without it?
#
# Take one thing away from the trained models and measure the loss again. No training follows.
#
# **Predict first.** In 1 + 7 of 63, a token loses the last of its seven choices, the one with the smallest gate, or the shared expert. All are
# equally wide. What costs more?

# %% tags=["predict"]
times = predict("losing the shared expert costs …", ..., default="about as much",
                options=("about as much", "2 to 5 times as much", "more than 5 times as much"))  # fmt: skip

# %%
show_source(specialise.shared_off, specialise.more_routed, specialise.masked)
small = "1 + 7 of 63"
figure(
    viz_moe.missed(
        {name: results.of(small, name) for name in mixture_runs.PROBES},
        f"{small}: what is added to the loss",
    ),
    "What interventions add to the loss, logarithmic. A token's last choice adds almost nothing; the shared one switched off adds many times "
    "more, also with one more routed expert; masking each token's best experts adds most.",
)

# %% tags=["claim"]
fewer, off, instead, top = (results.of(small, name) for name in mixture_runs.PROBES)
ratio = sum(off) / max(1e-4, sum(fewer))
reveal(
    times,
    {
        "more than 5 times as much": ratio > 5,
        "2 to 5 times as much": 2 < ratio <= 5,
        "about as much": ratio <= 2,
    },
)
claim(
    "switching the shared expert off costs more than five times as much as a token's last choice, in every seed",
    all(a > 5 * b for a, b in zip(off, fewer, strict=True)),
)
claim(
    "one more choice, the eighth, does not repair it",
    all(a > 0.5 * b for a, b in zip(instead, off, strict=True)),
)
claim(
    "masking each token's best experts costs most of all",
    all(a > b for a, b in zip(top, off, strict=True)),
)

# %% [markdown]
# Width is not weight. The last gate of seven is small, and the shared expert counts in full. The *first* choices are dearer still, as the masked ones show.
#
# The paper switched the shared expert off in the same way:

# %% tags=["claim"]
published = {row["shared_of_64"]: row["pile_loss"] for row in tables.read("moe_shared")}
intact, without = tables.figure("shared_off_before"), tables.figure("shared_off_after")
print(f"Pile loss {intact}; shared expert off, one more routed: {without}")
print(f"how many are shared matters little: {published}")
claim("there too a routed one cannot replace it", without - intact > 0.5)

# %% [markdown]
# Masking, too, was done there, and asked *which* model suffers more. Fig. 4 of the paper: fine-grained experts suffer more than those of a GShard
# whose experts are 1.5 times as large, so that both begin with the same loss: they repeat each other less. Ours begin with about the same loss as well:

# %% tags=["claim"]
masking = {row["masked_sixteenths"]: row for row in tables.read("moe_masked")}
print(
    f"paper, 1/16 masked (read off a chart): about {masking[1]['deepseekmoe']}, "
    f"against about {masking[1]['gshard_x1.5']} of GShard x 1.5"
)
toys = {arm: six.mean(arm, "top 1/16 masked") for arm in ("top-2 of 16", "8 of 64", small)}
print("ours, added to the loss:", ", ".join(f"{arm} {cost:+.2f}" for arm, cost in toys.items()))
claim(
    "in the paper the fine-grained model loses more",
    masking[1]["deepseekmoe"] > masking[1]["gshard_x1.5"],
)
claim(
    "here it does not: seed by seed the ranges overlap, and the coarse one's mean is the highest",
    max(toys, key=toys.get) == "top-2 of 16"
    and min(six.of("top-2 of 16", "top 1/16 masked")) < max(six.of(small, "top 1/16 masked")),
)

# %% [markdown]
# ## Keeping everybody busy
#
# Left alone, a router may love a few experts. They learn more, and are loved more. Idle experts are weights for nothing, and idle *devices*
# are money for nothing, when experts live on many of them. V1 adds two terms to the loss. (`read` is False on padding; our rows have none.)

# %%
show_source(balance.expert_balance, balance.device_balance)

# %% [markdown]
# Frequency times affinity: `f` counts how often an expert was chosen, over its even share, and has no slope; `P` is the mean affinity, and
# has one. A crowded expert's affinity is pushed down, in proportion to its crowd. The device loss first takes the mean of `f` and the sum of `P` over the experts of
# a device.
#
# A wind tunnel: a router alone, with tokens that make some experts everybody's favourites. It follows one of the losses, and nothing else. *MaxVio* is by how much
# the busiest exceeds the mean.

# %%
tunnel = {name: [evened.evened(name, seed=s) for s in range(3)] for name in evened.LOSSES}
figure(
    viz_moe.evened({name: runs[0].load.tolist() for name, runs in tunnel.items()}, evened.DEVICES),
    "Load of sixteen experts on four devices. Without a loss three of the sixteen take more than half. With the expert loss all bars are level. With the "
    "device loss each device has the same sum, and inside a device one expert may take most of it.",
)

# %% tags=["claim"]
print(
    tables.text(
        [
            {
                "loss": name,
                "MaxVio of experts": f"{sum(r.experts for r in runs) / 3:.1f}",
                "of devices": f"{sum(r.devices for r in runs) / 3:.1f}",
            }
            for name, runs in tunnel.items()
        ]
    )
)
claim(
    "the expert loss evens out experts, and with them devices, in 3 of 3",
    all(r.experts < 0.1 and r.devices < 0.1 for r in tunnel["expert loss"]),
)
claim(
    "the device loss evens out devices and leaves experts uneven, in 3 of 3",
    all(r.devices < 0.1 and r.experts > 1 for r in tunnel["device loss"]),
)

# %% [markdown]
# Which loss is better? The expert loss also forbids an expert to be needed more than others.
# So V1's advice: a small factor for experts, a larger one for devices. The 2B model used the first only, the 145B model both.
#
# Small experts have a price, too: a token's experts live in more places. With eight devices:

# %% tags=["claim"]
coarse, fine = expected_destinations(16, 8, 2), expected_destinations(64, 8, 8)
print(f"chosen by chance: 2 of 16 visit {coarse:.1f} devices, 8 of 64 visit {fine:.1f}")
visited = (
    devices_visited(seen["top-2 of 16"][0], in_order(16, n_devices=8, n_nodes=1))
    .sum(-1)
    .float()
    .mean()
)
claim("fine-grained experts send a token to more than twice as many devices", fine > 2 * coarse)
claim("the trained router visits about as many as chance would", abs(float(visited) - coarse) < 0.2)

# %% [markdown]
# That is why V2 limits a token to three devices. Chapter 06 does so, and balances without a loss.
#
# ## Real size
#
# The paper's 2B model and its 16B model, from their configs:

# %% tags=["claim"]
two, sixteen, seven = (
    preset(name) for name in ("deepseek-moe-2b", "deepseek-moe-16b", "deepseek-llm-7b")
)
per_expert = 3 * two.dim * two.moe.hidden * two.n_moe / 1e9
all_experts, met = (per_expert * (x + two.moe.n_shared) for x in (two.moe.n_routed, two.moe.top_k))
print(
    f"2B: {two.moe.n_shared} + {two.moe.top_k} of {two.moe.n_routed}; experts {all_experts:.2f} B, of which a token meets {met:.2f} B"
)
work = {c.name: 4096 * accounting.flops_per_token(c, 4096) / 1e12 for c in (sixteen, seven)}
told = tables.read("moe_16b")[0]
print(
    f"16B: {accounting.parameters(sixteen).total / 1e9:.1f} B in all, {accounting.activated(sixteen, 'both tables') / 1e9:.1f} B for a token, with both tables"
)
print(
    f"TFLOPs for 4,096 tokens of training: {work[sixteen.name]:.1f} (paper {told['deepseek_moe_16b']}), dense 7B {work[seven.name]:.1f} (paper {told['deepseek_llm_7b']})"
)
claim(
    "the 2B model's experts: 1.89 B, 0.24 B met, as published",
    round(all_experts, 2) == paper["expert_total_b"]["deepseekmoe"]
    and round(met, 2) == paper["expert_activated_b"]["deepseekmoe"],
)
claim(
    "our count of work is within 2.5 % of the paper's, for both",
    all(
        abs(a / b - 1) < 0.025
        for a, b in (
            (work[sixteen.name], told["deepseek_moe_16b"]),
            (work[seven.name], told["deepseek_llm_7b"]),
        )
    ),
)
claim(
    "the 16B model takes about two fifths of the work of the dense 7B",
    0.39 < work[sixteen.name] / work[seven.name] < 0.43,
)

# %% tags=["trap"]
idle = sum(int((balance.load(r) == 0).sum()) for r in seen["1 + 7 of 63"])
trap(
    "A mixture needs memory only for the experts that a token meets.",
    idle > 63,  # half of both layers together
    f"Each token meets few, but tokens differ: {len(labels)} rows of text used nearly all of the 63 experts in both layers. All have to be kept at hand. "
    "Nor is it faster by as much as it computes less: small experts make small products, and tokens have to be sorted. "
    "`minids bench moe` times a layer of 64 experts beside a dense one of equal work, and the dense one wins.",
)

# %% [markdown]
# ## Bug museum
#
# Four broken versions. None of them crashes. Each reading below is 1 when it is right. Find each mistake in the numbers
# before you read the line.
#
# The cell that makes them is folded: its names give the answers away.


# %% tags=["hide-input"]
def readings(segment=bugs.segment, gates=bugs.gates, layer=bugs.layer, balance=bugs.balance):
    """Work a token meets, slope of the router at one expert, weight of a shared expert, slope of the balance loss."""
    _, chosen, narrow = segment(16, 2, 512, 4, 1)
    v = vectors.clone().requires_grad_()
    slope = torch.autograd.grad(gates(u, v, 1).square().sum(), v)[0].abs().max()
    quiet = torch.full((n, e), 0.3)
    weight = (layer(u, quiet, [lambda x: 0 * x] * e, [torch.tanh]) - u).sum() / torch.tanh(u).sum()
    s = (u @ vectors.T).softmax(-1).detach().requires_grad_()
    loss = balance(s, s.topk(2).indices, e)
    steep = torch.autograd.grad(loss, s)[0].abs().max() if loss.requires_grad else torch.tensor(0.0)
    return torch.stack([torch.tensor((chosen + 1) * narrow / 1024), slope, weight.detach(), steep])


exhibits = {
    "A": {"gates": bugs.renormalised},
    "B": {"segment": bugs.keeps_the_width},
    "C": {"balance": bugs.counts_alone},
    "D": {"layer": bugs.shared_behind_a_gate},
}
right = readings()
names = ("work of a token", "router's slope", "shared expert's weight", "balance loss's slope")
found = {exhibit: (readings(**changed) / right).tolist() for exhibit, changed in exhibits.items()}
print(
    tables.text(
        [
            {"version": exhibit, **dict(zip(names, (f"{x:.2f}" for x in values), strict=True))}
            for exhibit, values in found.items()
        ]
    )
)

# %% tags=["predict"]
which = predict(
    "one of them forgot to make the pieces smaller. Which?",
    ...,
    default="A",
    options=("A", "B", "C", "D"),
)

# %% tags=["claim"]
reveal(which, next(name for name in exhibits if found[name][0] > 1))
claim("A: the router gets no slope", found["A"][1] < 1e-4)
claim("B: a token computes four times as much, which any loss would reward", found["B"][0] == 4)
claim("C: the balance loss falls only by luck: it is a count", found["C"][3] == 0)
claim(
    "D: the shared expert counts only as much as its gate, here 0.3",
    abs(found["D"][2] - 0.3) < 1e-5,
)
claim(
    "each is wrong in one reading and right in the others",
    all(sum(abs(x - 1) > 1e-4 for x in values) == 1 for values in found.values()),
)

# %%
show_source(bugs.renormalised, bugs.keeps_the_width, bugs.counts_alone, bugs.shared_behind_a_gate)

# %% [markdown]
# B is the one to fear. A model that computes four times as much has a lower loss, and the table of losses then says that fine-grained experts win. Count parameters
# and work before you compare losses.
#
# ## What was left out
#
# - **Dropping tokens** of crowded experts, as GShard and Switch do. V1 drops none; `model/routing.py` has both ways.
# - **Speed.** Experts on one CPU save products and lose time to sorting. `minids bench moe` says how much.
# - **Sigmoid gates, biases, groups**: chapter 06.
# - **A size where cutting pays.** The command above is there; the GPU was not.
#
# ## Quiz
#
# Five questions. Open an option to see whether it is right, and why.

# %% tags=["quiz"]
quiz(
    [
        Question(
            "Each of 16 experts is cut into four, and a token takes eight instead of two. What grows?",
            "The number of ways to choose.",
            "From 120 to 4.4 billion. All widths stay as they were.",
            {
                "The work for a token.": "Eight pieces of a quarter are two experts: the table above counts equal widths.",
                "The number of parameters.": "But for the router's vectors, which are few: the pieces add up to the same width.",
            },
            comb(64, 8) > 1e9 > comb(16, 2),
        ),
        Question(
            "One expert a token, and its gate is divided by the sum of the chosen gates. What does the loss teach the router?",
            "Nothing: the gate is always 1.",
            "The router learns through the gate alone, and a constant has no slope.",
            {
                "To choose better, only more slowly.": "A constant has no slope at all, not a small one.",
                "The same as with the raw softmax.": "The raw softmax has a slope: it was measured above.",
            },
            slopes[1, True] < 1e-5 < slopes[1, False],
        ),
        Question(
            "What does the shared expert do?",
            "It serves every token, and cannot be replaced by a routed one.",
            "Switched off, it costs several times what a token's last choice costs, also with one more choice in its place.",
            {
                "It takes over when the router is unsure.": "It has no gate: it is always added.",
                "It lowers the loss at every size.": "Ours did not: the difference lies inside the noise band.",
            },
            all(a > 5 * b for a, b in zip(off, fewer, strict=True)),
        ),
        Question(
            "The device loss has brought MaxVio of devices near 0. What do you know of the experts?",
            "Nothing: on an even device one expert may do most of the work.",
            "The wind tunnel: MaxVio of devices near 0, of experts above 1.",
            {
                "They are equally busy, too.": "That is what the expert loss is for.",
                "Each serves a domain of its own.": "No balance loss asks what an expert serves.",
            },
            all(r.devices < 0.1 and r.experts > 1 for r in tunnel["device loss"]),
        ),
        Question(
            "A heat map of experts and domains shows dark and bright cells. Does that prove specialisation?",
            "Only beside the same map with shuffled labels.",
            "Chance gives unequal cells too; ours are at least five times as telling.",
            {
                "Yes: even experts would give one colour.": "An expert may be loved by all domains alike: bright, and no specialist.",
                "No: one would have to read the weights.": "Counts suffice, if chance is counted as well.",
            },
            min(results.of("top-2 of 16", "specialisation, layer 0")) > 5 * chance,
        ),
    ]
)

# %% [markdown]
# ## Exercises
#
# In `exercises/03_moe.ipynb`: cut experts, gate them, add them up, measure who serves whom, predict the number of ways, and
# explain why a router stood still. Each checks itself and hints.
#
# Next: chapter 04 leaves the feed-forward and shrinks the cache.
