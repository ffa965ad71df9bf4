# %% [markdown]
# # 09 cost. Why 5.576 million dollars?
#
# DeepSeek-V3 was trained for 5.576 million dollars, says its report. Cards were rented by the hour, on paper: 2 dollars for each hour of an H800.
#
# So the question is: why so few hours? Work has to be done, cards have a speed. In between lies waiting: for the stage before, for the gradient
# from the stage after, for tokens that travel to their experts.
#
# In this chapter we take the bill apart. Then we simulate a row of devices, chunk by chunk, and watch them wait.
#
# **You need** chapter 00 (parameters and FLOPs). Chapters 03, 04 and 08 explain three of the ideas that are priced here.
# **You get** the bill and what is not in it, a simulator of pipelines, and a price for each idea.

# %%
from collections import Counter
from dataclasses import replace
from functools import cache

from minids import accounting, bill
from minids.check.bugs import ch09 as bugs
from minids.config import GQAConfig
from minids.presets import preset
from minids.study import tables, viz_cost, viz_pipeline
from minids.study.cards import Question, quiz, trap
from minids.study.lesson import claim, figure, predict, reveal, show_source
from minids.study.scale import Scale
from minids.study.widgets import explore
from minids.systems import alltoall, pipeline, schedules
from minids.systems.dispatch import BF16_BYTES, expected_destinations, free_experts
from minids.systems.pipeline import Times, simulate

scale = Scale.auto()  # the dial
depths = scale.pick(smoke=(1, 2, 4), laptop=(1, 2, 3, 4, 6, 8, 12, 16), gpu=range(1, 25))
more_micros = scale.pick(smoke=(0, 2), laptop=(0, 1, 2, 8, 24), gpu=(0, 1, 2, 8, 24, 100))

# %% [markdown]
# ## The bill
#
# Three stages, in thousands of hours. V3 learned from 14.8 trillion tokens; the report gives the hours of one trillion.

# %%
print(tables.text(tables.read("cost"), ["stage", "h800_khours", "dollars_m"]))

# %% tags=["claim"]
per_trillion = tables.figure("v3_khours_per_trillion")
print(
    f"{per_trillion}K hours x 14.8 = {per_trillion * 14.8:,.0f}K; + 119K + 5K = {bill.V3.hours / 1e3:,.0f}K hours"
)
print(f"2048 cards for {bill.days(bill.V3.hours, 2048):.0f} days")
claim(
    "the hours, at 2 dollars each, are the report's 5.576 million",
    round(bill.V3.dollars()) == 5_576_000,
)
claim("one trillion tokens take 3.7 days", round(bill.days(1e3 * per_trillion, 2048), 1) == 3.7)

# %% [markdown]
# **Predict first.** Four guesses. A card of this kind does at most about 990 TFLOPS in BF16: 990 x 10^12 operations a second.

# %% tags=["predict"]
share = predict(
    "which share of that peak did the training use, in percent?", ..., default=90, unit="percent"
)
dense = predict(
    "a dense model of 671 billion parameters, the same tokens: how many times the hours?",
    ...,
    default=2,
    unit="times",
)
idle = predict(
    "16 devices in a row, 64 micro-batches, 1F1B: which share of a step does a device stand still?",
    ...,
    default=1,
    unit="percent",
)
where = predict(
    "MLA instead of the grouped attention of the 67B makes training …",
    ...,
    default="cheaper",
    options=("cheaper", "dearer", "no different"),
)

# %% [markdown]
# ## How busy were the cards?
#
# Hours say nothing about work. Count the work: `accounting` gives the operations of a token, forward and backward. A token of a causal sequence of
# 4096 sees 2048 others on average. (Counting all 4096 is the other habit. The report of the hardware, a later paper, gives both.)

# %% tags=["claim"]
v3 = preset("deepseek-v3")
work = accounting.flops_per_token(v3, 2048)
print(f"one token: {work / 1e9:.1f} GFLOP; 14.8 trillion: {work * 14.8e12:.2e} FLOP")
published = {row["model"]: row["gflops_per_token"] for row in tables.read("training_flops")}
claim(
    "our count for V2 and V3 is the one that DeepSeek publishes",
    all(
        round(accounting.flops_per_token(preset(name), 2048) / 1e9) == published[name]
        for name in ("deepseek-v2", "deepseek-v3")
    ),
    f"{published['deepseek-v2']} and {published['deepseek-v3']} GFLOP",
)

# %% [markdown]
# Work, over hours, over the peak: that is the *model FLOPs utilisation*, MFU. It asks how much of what was paid for was useful.

# %%
show_source(bill.mfu)

# %% tags=["claim"]
said = {row["what"]: row["value"] for row in tables.read("utilisation")}
rows = []
for name, context in (("causal half", 2048), ("whole attention matrix", 4096)):
    flops = accounting.training_flops(v3, 14.8e12, context)
    rows.append(
        {
            "attention counted": name,
            "TFLOPS a card": round(flops / bill.V3.pre_training / 3600 / 1e12),
            "MFU from the hours, %": f"{100 * bill.mfu(flops, bill.V3.pre_training):.2f}",
            "measured by DeepSeek, %": said[f"MFU, {name}"],
        }
    )
print(tables.text(rows))
reveal(share, round(float(rows[0]["MFU from the hours, %"])))
claim(
    "hours from one report and MFU from another agree within 0.2 points",
    all(abs(float(r["MFU from the hours, %"]) - r["measured by DeepSeek, %"]) < 0.2 for r in rows),
)

# %% [markdown]
# So the hours of the bill are believable: work, speed and hours fit together. Both peaks have to be named, though. V3 trains in FP8, and in FP8 a
# card is twice as fast. Peaks are from NVIDIA's data sheet of the H100 (without sparsity), whose tensor cores the H800 has.

# %% tags=["claim"]
flops = accounting.training_flops(v3, 14.8e12, 2048)
in_fp8 = bill.fp8_share(v3, 2048)
peaks = {
    "BF16": bill.H800_BF16,
    "FP8": bill.H800_FP8,
    f"{100 * in_fp8:.0f} % FP8, the rest BF16": bill.mixed_peak(in_fp8),
}
for name, peak in peaks.items():
    print(
        f"{100 * bill.mfu(flops, bill.V3.pre_training, peak):5.1f} % of {peak / 1e12:6,.0f} TFLOPS: {name}"
    )
claim(
    "against the peak of what really ran, less than a quarter of the cards' speed was used",
    bill.mfu(flops, bill.V3.pre_training, bill.mixed_peak(in_fp8)) < 0.25,
)

# %% [markdown]
# Where did the rest go? Some of it waits. Two kinds of waiting can be computed: in the pipeline, and on the way to the experts.
#
# ## Waiting in a row: pipelines
#
# V3 does not fit on one card. Its layers are cut into 16 *stages*, each on another device. A batch is cut into *micro-batches*. A device runs its
# stage forward (F) for one micro-batch, and hands the result on. Later the gradient comes back, and it runs backward (B). Each such piece of work is a *chunk*.
#
# The first device waits for its first gradient until all others are through. The last one waits for its first input. This idle time is the *bubble*.
#
# ### By hand
#
# An order for each device, two rules, and a recursion. This is 1F1B: a few forward chunks, then one forward and one backward in turn.


# %%
def by_hand(stages, micros, forward, backward):
    orders = []
    for s in range(stages):
        first = min(stages - 1 - s, micros)
        turns = [x for i in range(micros - first) for x in (("F", first + i), ("B", i))]
        ahead, left = [("F", i) for i in range(first)], [("B", i) for i in range(micros)]
        orders.append(ahead + turns + left[micros - first :])

    @cache
    def end(stage, place):
        work, micro = orders[stage][place]
        before = [end(stage, place - 1)] if place else [0]  # the device has to be free
        if work == "F" and stage > 0:
            before.append(end(stage - 1, orders[stage - 1].index(("F", micro))))
        if work == "B" and stage < stages - 1:
            before.append(end(stage + 1, orders[stage + 1].index(("B", micro))))
        return max(before) + (forward if work == "F" else backward)

    return end(0, 2 * micros - 1) - micros * (forward + backward)


print("bubble of 4 stages and 8 micro-batches with F = 1, B = 2:", by_hand(4, 8, 1, 2))

# %% [markdown]
# ### The package's own
#
# Orders are written in words: `(3, "F0 B0")` is three times F, B. The digit is the *way* a micro-batch goes; only DualPipe has two.

# %%
show_source(schedules.one_f_one_b, pipeline.waits_for, pipeline.simulate)

# %% tags=["claim"]
times = Times(forward=3, backward=5, weights=2)
pairs = [(p, m) for p in (1, 2, 3, 5) for m in (1, 2, 7)]
claim(
    "by hand and by the package: the same bubble, for all of these",
    all(
        by_hand(p, m, 3, 5) == simulate(schedules.one_f_one_b(p, m), times).bubble for p, m in pairs
    ),
)

# %% [markdown]
# ### Two better ideas
#
# **Cut backward in two.** B computes two gradients: of the inputs (I), for which the stage before waits, and of the weights (W), for which nobody
# waits. So I goes first, and W fills holes. That is *ZB1P*.
#
# **Feed both ends.** In *DualPipe*, half of the micro-batches enter at the first device and half at the last. Each device holds two stages. And a
# forward chunk of one way runs *together* with a backward chunk of the other (F&B): while one sends tokens to experts, the other computes.

# %%
show_source(schedules.zb1p, schedules.dualpipe)

# %% [markdown]
# Four stages, eight micro-batches. F, I and W take 1, so B takes 2. A pair takes 3, as long as its two chunks alone: what
# DualPipe gains by sending and computing at once is not in it yet. Numbers are micro-batches, white is waiting.

# %%
unit = Times(forward=1, backward=2, weights=1)
small = {
    "1F1B": simulate(schedules.one_f_one_b(4, 8), unit),
    "ZB1P": simulate(schedules.zb1p(4, 8), unit),
    "DualPipe": simulate(schedules.dualpipe(4, 8), unit),
}
figure(
    viz_pipeline.gantt(small),
    "Three timelines of four devices. Under 1F1B devices wait in a triangle at the start and between the last backward chunks. Under ZB1P "
    "weight chunks fill the end. Under DualPipe both ends start at once, pairs of chunks share a box, and little white is left.",
)

# %% [markdown]
# ### The formulas of the report
#
# The report prints a bubble for each, with PP for the number of stages. Our simulator knows orders, times and what waits for what. It knows no
# formula. Does it find the same? Every depth, several numbers of micro-batches, three kinds of chunk times, in whole numbers: no rounding.

# %%
print(
    tables.text(
        tables.read("pipeline"), ["schedule", "bubble", "parameter_copies", "activation_memory"]
    )
)

# %% tags=["claim"]
kinds = [
    Times(forward=1, backward=2, weights=1),
    Times(forward=3, backward=5, weights=2),
    Times(forward=4, backward=9, weights=3, overlapped=11),
]
same = {"1F1B": 0, "ZB1P": 0}
runs = [(p, p + more, t) for p in depths for more in more_micros for t in kinds]
for p, m, t in runs:
    one = simulate(schedules.one_f_one_b(p, m), t)
    zero = simulate(schedules.zb1p(p, m), t)
    same["1F1B"] += one.idle == p * [pipeline.bubble_1f1b(p, t)]
    same["ZB1P"] += zero.idle == p * [pipeline.bubble_zb1p(p, t)]
for name in same:
    claim(
        f"{name}: every device idles exactly as long as the formula says",
        same[name] == len(runs),
        "in every run",
    )

# %% [markdown]
# Exactly, with one condition that the table does not print: ZB1P needs W no longer than F, and no longer than I. A longer W does not fit into the holes.
#
# And DualPipe?

# %% tags=["claim"]
rows = []
for f, i, w, pair in (
    (10, 10, 10, 30),
    (10, 10, 10, 27),
    (10, 12, 8, 30),
    (10, 20, 8, 38),
    (10, 8, 8, 26),
):
    t = Times(forward=f, backward=i + w, weights=w, overlapped=pair)
    public = simulate(schedules.dualpipe(8, 24), t)
    paired = simulate(schedules.dualpipe(8, 24, overlap_first=True), t)
    rows.append(
        {
            "F": f,
            "I = B - W": i,
            "W": w,
            "F&B": pair,
            "formula": pipeline.bubble_dualpipe(8, t),
            "all pairs together": paired.bubble,
            "public order": public.bubble,
            "its outermost device": public.idle[0],
        }
    )
print(tables.text(rows))
gap = [r["all pairs together"] - r["formula"] for r in rows]
claim(
    "with I at least as long as F and W the formula is exact, for the middle devices",
    gap[:4] == [0] * 4,
)
claim("with a shorter I it is too low by (PP/2 - 1)(F - I)", gap[4] == 3 * (10 - 8))
claim(
    "the public order saves up to one F more where I is longer than F",
    [r["formula"] - r["public order"] for r in rows[:4]] == [0, 0, 3 * (12 - 10), 10],
)
claim(
    "where a pair gains, outer devices pair less, work more and idle less",
    rows[1]["public order"] - rows[1]["its outermost device"] == 2 * (10 + 20 - 27),
)

# %% [markdown]
# So the report's formula is what the two devices in the *middle* wait, and it supposes that I is not shorter than F, nor than W. The order in DeepSeek's public
# code is slightly better than the formula: the middle devices run their first pair apart, because F need not wait for B's gradient there. Its
# authors say so in a comment. And the formula counts one device; the outer ones overlap fewer pairs, so they are busier. The tests of this course hold
# these sentences against random times.
#
# ### What waiting costs, and what not waiting costs
#
# More micro-batches make the bubble a smaller share of the step. Sixteen stages:

# %%
sixteen = (16, 32, 64, 128)
all_four = {
    "GPipe": schedules.gpipe,
    "1F1B": schedules.one_f_one_b,
    "ZB1P": schedules.zb1p,
    "DualPipe": schedules.dualpipe,
}


def percent(schedule, stages, micros, t=unit):
    """Share of a step that the most idle device stands still, or None where it cannot run."""
    try:
        line = simulate(schedule(stages, micros), t)
    except ValueError:
        return None
    return 100 * line.bubble / line.end


shares = {
    name: [percent(s, 16, m) for m in sixteen] for name, s in all_four.items() if name != "GPipe"
}
figure(
    viz_pipeline.bubbles(sixteen, shares),
    "Idle share of a step over the number of micro-batches, for 16 stages. All fall. 1F1B lies far above ZB1P and DualPipe, which nearly coincide: a pair gains nothing here.",
)

# %% tags=["claim"]
reveal(idle, round(shares["1F1B"][2], 1))
claim(
    "at 64 micro-batches 1F1B idles more than twice as long as ZB1P and DualPipe",
    shares["1F1B"][2] > 2 * max(shares["ZB1P"][2], shares["DualPipe"][2]),
)

# %% [markdown]
# GPipe, the oldest order, runs all micro-batches forward first. It has the same bubble as 1F1B. Why did anybody bother? Look at what has to be
# kept: the activations of a micro-batch from its F to its B, or to its W, which needs them too.

# %% tags=["claim"]
lines = {name: simulate(s(8, 16), unit) for name, s in all_four.items()}
figure(
    viz_pipeline.memory({name: line.peaks for name, line in lines.items()}),
    "Micro-batches held at most, by device. GPipe holds all sixteen everywhere; 1F1B falls from eight to one; ZB1P holds eight on every device, "
    "DualPipe nine.",
)
claim("GPipe and 1F1B take equally long", lines["GPipe"].end == lines["1F1B"].end)
claim(
    "peaks are the report's: PP for 1F1B and ZB1P, PP + 1 for DualPipe, which also holds its weights twice",
    [max(lines[name].peaks) for name in ("1F1B", "ZB1P", "DualPipe")] == [8, 8, 9],
)

# %% tags=["trap"]
trap(
    "Zero-bubble schedules are free: they only change the order.",
    sum(lines["ZB1P"].peaks) <= sum(lines["1F1B"].peaks),
    f"The worst device holds no more than before, {max(lines['ZB1P'].peaks)} micro-batches. But under 1F1B the last device holds "
    f"{lines['1F1B'].peaks[-1]}, and under ZB1P it holds {lines['ZB1P'].peaks[-1]}: it keeps the inputs of the weights that wait.",
)

# %% [markdown]
# ### Try it
#
# Stages, micro-batches, and times in tenths of F. When is ZB1P better than DualPipe? What does a pair have to gain? A larger W is a smaller I.


# %%
def draw(schedule="DualPipe", stages=4, micro_batches=10, backward=20, weights=10, pair_saves=0):
    t = Times(
        forward=10,
        backward=backward,
        weights=weights,
        overlapped=10 + backward - pair_saves,
    )
    return viz_pipeline.gantt({schedule: simulate(all_four[schedule](stages, micro_batches), t)})


figure(
    draw(),
    "DualPipe with four devices and ten micro-batches, the starting point of the sliders.",
)

# %%
explore(
    draw,
    schedule=list(all_four),
    stages=(1, 8),
    micro_batches=(1, 20),
    backward=(12, 40, 2),
    weights=(2, 20, 2),
    pair_saves=(0, 10),
    alt="A timeline of all devices for the chosen schedule, sizes and chunk times.",
)

# %% [markdown]
# ## Waiting for experts
#
# Each MoE layer sends every token to 8 of 256 experts on 64 cards, and brings the results back. Between nodes of 8 cards lies InfiniBand, inside a
# node NVLink. How long does a token keep its card's links busy?

# %%
print(tables.text(tables.read("links"), ["link", "gb_per_s"]))
show_source(alltoall.reach, alltoall.exchange)

# %% [markdown]
# Three ideas make it cheaper. Out in FP8, back in BF16. One copy for each *node*, handed on inside. And a router that may choose experts on at most
# four of eight nodes.

# %% tags=["claim"]
by_chance = expected_destinations(256, 8, 8)
print(f"without a limit a token visits {by_chance:.1f} of 8 nodes on average")  # V3's: 4 at most
one_each = alltoall.Reach(nodes=8 * 7 / 8, handed_on=0)
ways = {
    "V3: FP8 out, at most 4 nodes": alltoall.exchange(v3.dim),
    "BF16 both ways": alltoall.exchange(v3.dim, out_bytes=BF16_BYTES),
    "no limit of nodes": alltoall.exchange(v3.dim, alltoall.reach(kept_nodes=by_chance)),
    "a copy for each expert": alltoall.exchange(v3.dim, one_each),
    "none of the three": alltoall.exchange(v3.dim, one_each, out_bytes=BF16_BYTES),
}
figure(
    viz_cost.journeys({name: (1e6 * cost.out, 1e6 * cost.back) for name, cost in ways.items()}),
    "Microseconds for a token and layer, out and back. V3's way is shortest; without its three ideas it takes more than twice as long.",
)
v3_way, none = ways["V3: FP8 out, at most 4 nodes"].total, ways["none of the three"].total
claim("without the three ideas tokens travel 2.6 times as long", round(none / v3_way, 1) == 2.6)
claim(
    "InfiniBand is the slower link, so NVLink could serve 12 experts in the same time",
    int(free_experts()) == 12 and alltoall.exchange(v3.dim).out == alltoall.exchange(v3.dim).out_ib,
)

# %% [markdown]
# Is that long? The report says that computing and sending take about equally long (1 : 1), and that this is why DualPipe exists: it computes one
# chunk while it sends the other. DeepSeek published the profile of one such pair: a sequence of 4096 tokens, four layers, F&B. Beside it our floor.

# %% tags=["claim"]
profile = {row["part"]: row["ms"] for row in tables.read("profile")}
tokens, layers = 4096, 4
floor = 2e3 * tokens * layers * v3_way
sending = profile["dispatch"] + profile["combine"]
rate = 3 * alltoall.layer_flops(v3) * tokens * layers / (profile["pair"] / 1e3)
rows = [
    {"what": "the pair, from start to end", "ms": profile["pair"]},
    {"what": "computing", "ms": profile["compute"]},
    {"what": "sending, kernels", "ms": round(sending, 1)},
    {"what": "sending and waiting for others", "ms": round(sending + profile["notify"], 1)},
    {"what": "sending, our floor: bytes over bandwidth", "ms": round(floor, 1)},
]
print(tables.text(rows))
print(
    f"useful work: {rate / 1e12:.0f} TFLOPS, {100 * rate / bill.H800_BF16:.0f} % of the BF16 peak"
)
busy = profile["compute"] / (sending + profile["notify"])
claim("the card sends and waits about as long as it computes", 0.9 < busy < 1.1, f"{busy:.2f} : 1")
claim(
    "computing and sending overlap: together they would take 1.5 times as long as the pair",
    profile["compute"] + sending > 1.5 * profile["pair"],
)
claim("our floor explains more than half of the sending", 0.5 < floor / sending < 1)

# %% [markdown]
# What our floor leaves out is the rest: packing, adding up, latency, links that are shared. And the pair alone reaches half of the peak, where the whole
# training reaches 39 %. Part of the difference stands around the pairs, and part is in them: in a real step a pair takes a tenth longer (next section).
# In the profile tokens are spread evenly by design, and nothing is sent between stages.
#
# ## A step of V3
#
# The paper on the hardware prints the parts of one training step. We know the schedule. So we can put our clock beside theirs. Some things no paper
# states, we **infer** them: 120 micro-batches (15,360 sequences, 128 copies of the pipeline, one sequence each), that its "1F1B" are the pairs, parts
# as the first device has them, and chunks of equal length. One thing stays open: was each W timed, or only those that run alone? We compute both.

# %%
step = {row["part"]: row["seconds"] for row in tables.read("step")}
micros = 15_360 // (2048 // 16)
orders = schedules.dualpipe(16, micros)
alone = Counter(c.work for s in orders[0] if len(s) == 1 for c in s)
pairs = sum(len(s) == 2 for s in orders[0])
backwards = alone["B"] + alone["I"]
print(
    f"{micros} micro-batches; the first device runs {alone['F']} F alone, {backwards} B or I alone, "
    f"{alone['W']} W alone, {pairs} pairs"
)


def chunks(timed):
    """Times of single chunks, from the parts of the step; `timed` W make up the part of the weights."""
    f, i = step["forward"] / alone["F"], step["backward for inputs"] / backwards
    w, pair = step["backward for weights"] / timed, step["pairs"] / pairs
    return Times(forward=f, backward=i + w, weights=w, overlapped=pair)


readings = {"each W timed": chunks(backwards), "W alone timed": chunks(alone["W"])}
clocks = {}
for name, t in readings.items():
    clocks[name] = {k: simulate(all_four[k](16, micros), t) for k in ("DualPipe", "ZB1P", "1F1B")}
    print(
        f"{name}: F {t.forward:.3f}, I {t.inputs:.3f}, W {t.weights:.3f}, F&B {t.pair:.3f} seconds; "
        f"bubble {clocks[name]['DualPipe'].idle[0]:.2f} seconds"
    )

# %%
measured = {
    "forward": step["forward"],
    "inputs": step["backward for inputs"],
    "weights": step["backward for weights"],
    "pairs": step["pairs"],
    "bubble": step["bubble"],
    "optimizer": step["optimizer"],
}
simulated = measured | {"bubble": float(clocks["each W timed"]["DualPipe"].idle[0])}
figure(
    viz_cost.parts({"DeepSeek": measured, "with our bubble": simulated}),
    "Two stacked bars of one training step. Most of it is pairs. Only the bubble of the lower bar is simulated, its other parts are the measured ones. "
    "The measured bubble is 1.7 times as long.",
)

# %% tags=["claim"]
pair = readings["each W timed"].pair
gaps = [clock["DualPipe"].idle[0] / step["bubble"] for clock in clocks.values()]
claim(
    "a pair in the step lasts as long as in the published profile, within 15 %",
    abs(pair / (profile["pair"] / 1e3) - 1) < 0.15,
)
claim(
    "the schedule explains about half of the measured bubble, in both readings",
    all(0.4 < gap < 0.65 for gap in gaps),
    " and ".join(f"{100 * gap:.0f} %" for gap in gaps),
)

# %% [markdown]
# The rest of the bubble is not in our model. Sixteen stages cannot share 61 layers evenly, the first stage has the embedding and the last one the head,
# and results travel between stages. We cannot say which of them weighs most.
#
# With the same chunk times, what would the other schedules have cost?


# %% tags=["claim"]
def times_as_long(name, clock):
    """A step under another schedule, over one under DualPipe; the optimizer takes its time in both."""
    update = step["optimizer"]
    return (clock[name].end + update) / (clock["DualPipe"].end + update)


for name in ("ZB1P", "1F1B"):
    print(name, ", ".join(f"x {times_as_long(name, clock):.2f} ({reading})" for reading, clock in clocks.items()))  # fmt: skip
slower = times_as_long("1F1B", clocks["each W timed"])
claim(
    "with 1F1B a step would take 10 to 25 % longer, in both readings",
    all(1.1 < times_as_long("1F1B", clock) < 1.25 for clock in clocks.values()),
)

# %% [markdown]
# ## A price for each idea
#
# Take V3 as it was, and take one idea away. Hours follow from operations, at the same MFU.
#
# - **Sparse experts.** Every token meets 8 of 256 experts. The dense twin has the same weights, and uses all of them.
# - **FP8.** All linear layers but head and router run in FP8, which doubles their peak. Without it, at the same share of the peak: an upper bound, since waiting does not double.
# - **DualPipe.** The ratio above, first reading.
# - **MLA.** Compare with the attention of the 67B: heads as wide as the model together, an eighth as many keys.

# %% tags=["claim"]
twin = bill.dense(v3)
ratio = accounting.flops_per_token(twin, 2048) / work
grouped = replace(
    v3, rope_scaling=None, attention=GQAConfig(n_heads=56, n_kv_heads=7, head_dim=128)
)
khours = bill.V3.pre_training / 1e3
without = {
    "V3 as it was": khours,
    "GQA of 56 heads, no MLA": khours * accounting.flops_per_token(grouped, 2048) / work,
    "1F1B, no DualPipe": khours * slower,
    "BF16, no FP8 (at most)": khours * bill.mixed_peak(in_fp8) / bill.H800_BF16,
    "dense, no experts": khours * ratio,
}
figure(
    viz_cost.hours(without),
    "Hours of pre-training with one idea taken away, logarithmic. Without MLA it would be a little cheaper, without DualPipe a little dearer, "
    "in BF16 up to 1.7 times, dense 16 times.",
)
reveal(dense, round(ratio, 1))
reveal(where, "dearer" if without["GQA of 56 heads, no MLA"] < khours else "cheaper")
claim(
    "the dense twin activates everything it has, 671 billion",
    accounting.activated(twin, "both tables") == accounting.parameters(v3).total,
)
claim("dense, the same tokens cost 16 times the hours", round(ratio) == 16, f"{ratio:.1f} x")
claim("FP8 saves at most a factor of 1.75", bill.mixed_peak(in_fp8) / bill.H800_BF16 < 1.75)
print(
    f"dense at 2 dollars an hour: {bill.Bill(1e3 * khours * ratio).dollars() / 1e6:.0f} million dollars"
)

# %% tags=["trap"]
many = replace(
    v3, rope_scaling=None, attention=GQAConfig(n_heads=128, n_kv_heads=128, head_dim=128)
)
trap(
    "MLA makes training cheap.",
    work < accounting.flops_per_token(grouped, 2048),
    f"Against the attention of the 67B it costs {work / accounting.flops_per_token(grouped, 2048):.2f} times the operations, because it "
    f"affords 128 heads. (Against plain attention with 128 heads it saves {100 * (1 - work / accounting.flops_per_token(many, 2048)):.0f} %.) "
    f"What it saves is memory when the model writes: its cache is {accounting.cache_elements(grouped) / accounting.cache_elements(v3):.1f} "
    "times smaller than the 67B's kind.",
)

# %% [markdown]
# Ratios of operations are exact. That hours follow them is an assumption: a dense model has larger products and no all-to-all, and would use the
# cards better. So 16 is the ratio of work; the ratio of money would probably be smaller.
#
# ## What DeepSeek reported, generation by generation
#
# Hours for each trillion tokens, from the reports. Did later models use the cards better?

# %% tags=["claim"]
rows = []
for name, key in (
    ("deepseek-llm-67b", "llm67_khours_per_trillion"),
    ("deepseek-v2", "v2_khours_per_trillion"),
    ("deepseek-v3", "v3_khours_per_trillion"),
):
    config = preset(name)
    total = accounting.training_flops(config, 1e12, 2048)
    rows.append(
        {
            "model": name,
            "activated, B": round(accounting.activated(config) / 1e9, 1),
            "GFLOP a token": round(accounting.flops_per_token(config, 2048) / 1e9),
            "K hours per trillion": tables.figure(key),
            "MFU of BF16, %": round(100 * bill.mfu(total, 1e3 * tables.figure(key)), 1),
        }
    )
print(tables.text(rows))
claim(
    "V3 does 1.6 times the work of V2 in nearly the same hours",
    1.55 < rows[2]["GFLOP a token"] / rows[1]["GFLOP a token"] < 1.65
    and rows[2]["K hours per trillion"] < 1.05 * rows[1]["K hours per trillion"],
)
claim(
    "beside the BF16 peak the dense 67B and V3 come out alike, and V2 lower",
    abs(rows[0]["MFU of BF16, %"] - rows[2]["MFU of BF16, %"]) < 1
    and rows[1]["MFU of BF16, %"] < 0.7 * rows[2]["MFU of BF16, %"],
)

# %% [markdown]
# V2 sits lowest. The reports do not say why; small products and much traffic are what experts bring. V3 has them too, and FP8 and DualPipe besides: it
# stands where the dense model stood, with the help of FP8. Beside its own mixed peak it reached 22 %, as we saw above.
#
# ## What R1 added
#
# R1 starts from V3. The supplement of its paper lists the reinforcement learning on its own.

# %% tags=["claim"]
print(tables.text(tables.read("r1_cost"), ["part", "gpus", "hours", "h800_khours"]))
r1 = {row["part"]: row for row in tables.read("r1_cost")}
dollars = bill.Bill(1e3 * r1["total"]["h800_khours"]).dollars()
claim(
    "cards times hours are the hours listed",
    all(
        round(r1[name]["gpus"] * r1[name]["hours"] / 1e3) == r1[name]["h800_khours"]
        for name in ("R1-Zero", "R1")
    ),
)
claim("294 thousand dollars", round(dollars) == 294_000)
print(f"that is {100 * dollars / bill.V3.dollars():.1f} % of V3's bill, which it needs first")

# %% [markdown]
# ## What is not in the bill
#
# The report says it itself, under its table: the official training run only, without earlier research and ablations. So these are not in it:
#
# - research before the run, ablations, smaller models, runs that failed;
# - the data, and its preparation;
# - people;
# - buying 2048 cards, a network and a building: rent is the price of hours, not of owning.
#
# So "a model for 5.6 million" is the price of doing it *again*, when everything is known.
#
# ## Bug museum
#
# Three simulators and models that run without an error, and draw fine pictures. Find what is wrong with each from the numbers, before you read the lines.
# A and B simulate 1F1B with 8 stages, 16 micro-batches, F = 1, B = 2. C computes the seconds of a token in one layer of V3.

# %% tags=["claim"]
listed = [[(s[0].work, s[0].micro) for s in o] for o in schedules.one_f_one_b(8, 16)]
found = {}
for name, clock in (
    ("right", bugs.starts),
    ("A", bugs.starts_two_at_once),
    ("B", bugs.starts_without_gradient),
):
    begun = clock(listed, 1, 2)
    ends = [t + (1 if w == "F" else 2) for r, o in zip(begun, listed, strict=True) for t, (w, _) in zip(r, o, strict=True)]  # fmt: skip
    found[name] = max(ends), max(ends) - 48, 48 / max(ends)
print(
    tables.text(
        [
            {"clock": name, "end": end, "bubble": gap, "busy, % of the step": round(100 * use)}
            for name, (end, gap, use) in found.items()
        ]
    )
)
links = {"right": bugs.seconds, "C": bugs.seconds_one_copy_per_expert}
for name, model in links.items():
    costs = {n: 1e6 * model(7168, min(n, 4), n, 1.03, 2.0, 50e9, 160e9) for n in (4, 8, 12)}
    print(f"{name:6}", ", ".join(f"{n} experts {t:.2f}" for n, t in costs.items()), "microseconds")
    found[name + ", links"] = costs
claim("the right clock has the bubble of the formula", found["right"][1] == 7 * 3)
claim("A works more than all of the time: its devices do two things at once", found["A"][2] > 1)
claim(
    "B waits less than the formula allows: 8 devices cannot turn round without the gradient's way back",
    0 < found["B"][1] < found["right"][1],
)
claim(
    "C pays for every expert, though up to 12.8, which the report rounds to 13, cost no more than 8",
    found["C, links"][12] > 1.4 * found["C, links"][8]
    and abs(found["right, links"][12] / found["right, links"][8] - 1) < 1e-9,
)

# %% [markdown]
# A loss curve shows none of these, and no picture does. Each was found by something that the number *must* satisfy: at most all of the time, at least the
# bubble of the formula, nothing dearer for more experts in the same nodes. The lines:

# %%
show_source(bugs.starts_two_at_once, bugs.starts_without_gradient, bugs.seconds_one_copy_per_expert)

# %% [markdown]
# ## What was left out
#
# - **Sending between stages.** Results of a stage travel to the next one. DualPipe hides that, too; our clock gives it no time.
# - **Uneven stages.** Our chunks are all alike. V3's are not.
# - **Recomputation.** V3 computes norms and up-projections again in the backward pass, to save memory. MFU does not count it, rightly.
# - **The 20 cores.** Of a card's 132 cores 20 do nothing but communicate.
# - **DualPipeV**, a later cut that needs no second copy of the weights, and schedules after it.
# - **Serving.** What a token costs when the model writes is another bill (chapters 04 and 07).
#
# ## Quiz
#
# Five questions. Open an option to see whether it is right, and why.

# %% tags=["quiz"]
quiz(
    [
        Question(
            "Twice as many micro-batches: what happens to the bubble of 1F1B?",
            "It stays as long, and is a smaller share of the step.",
            "No formula of the table has the number of micro-batches in it.",
            {
                "It halves.": "Its share of the step falls, to a little more than half. The bubble itself does not change.",
                "It doubles.": "It comes from filling and emptying the pipeline, which happens once in a step.",
            },
            simulate(schedules.one_f_one_b(8, 32), unit).bubble == lines["1F1B"].bubble,
        ),
        Question(
            "Why can ZB1P fill holes that 1F1B cannot?",
            "It has work for which nobody waits.",
            "The gradients of the weights are needed only at the end of the step.",
            {
                "It computes less.": f"The work is the same: {lines['ZB1P'].busy[0]} on a device in both.",
                "It runs two chunks at once.": "That is DualPipe.",
            },
            lines["ZB1P"].busy == lines["1F1B"].busy and lines["ZB1P"].end < lines["1F1B"].end,
        ),
        Question(
            "Somebody finds an MFU of 630 % for V3. What did they count?",
            "All 671 billion parameters, for each token.",
            "A token meets 37 billion. Above 100 % something was counted that nobody did.",
            {
                "FP8 against BF16's peak.": f"That is at most a factor of 2: {100 * bill.mfu(flops, bill.V3.pre_training):.0f} % becomes {100 * bill.mfu(flops, bill.V3.pre_training, bill.H800_FP8):.0f} %, not more.",
                "The attention twice.": f"The whole matrix instead of half gives {said['MFU, whole attention matrix']} %.",
            },
            6
            < bill.mfu(accounting.training_flops(twin, 14.8e12, 2048), bill.V3.pre_training)
            < 6.6,
        ),
        Question(
            "Why may a token of V3 visit at most four nodes?",
            "Between nodes the network is slowest, and a token crosses it once for each node.",
            "Without the limit our estimate grows by a third: the average without it beside the most with it.",
            {
                "Experts on other nodes are worse.": "They are trained alike. It is a limit of traffic.",
                "Four nodes hold all experts it may use.": "Experts on all eight nodes are open to it; it chooses four nodes anew in each layer.",
            },
            1.3 < ways["no limit of nodes"].total / v3_way < 1.35,
        ),
        Question(
            "Which idea made V3's bill small?",
            "Sparse experts, by far.",
            f"They save a factor of {ratio:.0f} in work; FP8 at most {bill.mixed_peak(in_fp8) / bill.H800_BF16:.2f}, DualPipe {slower:.2f}.",
            {
                "FP8.": "It doubles the peak of most products. A factor of 2 is its limit.",
                "MLA.": "It saves cache, when the model writes. Training gets dearer than with the 67B's attention.",
            },
            ratio > 5 * bill.mixed_peak(in_fp8) / bill.H800_BF16 > slower > 1,
        ),
    ]
)

# %% [markdown]
# ## Exercises
#
# In `exercises/09_cost.ipynb`: the bill in one line, a simulator of your own, the way to the experts, predictions for 12 stages, who claimed
# too much, and how many micro-batches are enough. Each checks itself and hints.
#
# Next: chapter 10 leaves the cluster. Can a model teach itself to reason, from right and wrong alone?
