# %% [markdown]
# # 09 cost. Exercises
#
# Six exercises, from one line to a measurement. Each checks itself: run the cell below it.
# A check stops at the first claim that does not hold, and hints. `hint("09.simulate")` says more, in three steps.
#
# The chapter is `notebooks/09_cost.ipynb`. Times are for somebody who has read it. Number 2 is the heart. In a workshop numbers 1 and 4 come first.

# %%
from minids import bill
from minids.check import check, hint
from minids.study import viz_pipeline
from minids.study.lesson import claim, figure
from minids.systems.pipeline import Times, simulate
from minids.systems.schedules import dualpipe, one_f_one_b, write, zb1p

# %% [markdown]
# ## 1. Fill one line: the bill (5 minutes)
#
# `tokens` are counted one by one (14.8e12). `khours_per_trillion` are thousands of GPU hours for each trillion tokens. `extra_khours` are
# thousands of hours of the other stages. An hour costs `per_hour` dollars. Return the dollars.


# %%
hint("09.bill")


# %% tags=["exercise"]
def dollars(tokens, khours_per_trillion, extra_khours, per_hour):
    """Return what a training run costs, in dollars."""
    ### BEGIN SOLUTION
    return (tokens / 1e12 * khours_per_trillion + extra_khours) * 1000 * per_hour
    ### END SOLUTION


# %% tags=["check"]
check("09.bill", dollars)

# %% [markdown]
# ## 2. An event simulator (30 minutes)
#
# Given the orders of all devices, when does each chunk start? `orders[d]` lists the pairs of device `d`, which holds stage `d`. A forward chunk
# takes `forward`, a backward chunk `backward`. Time begins at 0.
#
# A pair is `("F", 0)` or `("B", 0)`: which work, for which micro-batch. The middle one of three devices works on four micro-batches under 1F1B in the
# order `F0 F1 B0 F2 B1 F3 B2 B3`.
#
# A chunk starts as soon as its device is free and what it needs is done:
#
# - F of a stage needs F of the stage before, of the same micro-batch. Stage 0 needs nothing.
# - B of a stage needs B of the stage after. The last stage needs its own F.
#
# Return a list for each device with the start of each of its chunks, in its order.


# %% tags=["exercise"]
def starts(orders, forward, backward):
    """Return when every chunk starts: one list for each device."""
    ### BEGIN SOLUTION
    last, long = len(orders) - 1, {"F": forward, "B": backward}
    done, free, begun = {}, [0] * len(orders), [[] for _ in orders]
    while sum(map(len, begun)) < sum(map(len, orders)):
        for stage, todo in enumerate(orders):
            if len(begun[stage]) == len(todo):
                continue
            work, micro = todo[len(begun[stage])]
            if work == "F":
                need = ("F", micro, stage - 1) if stage else None
            else:
                need = ("F", micro, stage) if stage == last else ("B", micro, stage + 1)
            if need is None or need in done:
                start = max(free[stage], done.get(need, 0))
                done[work, micro, stage] = free[stage] = start + long[work]
                begun[stage].append(start)
    return begun
    ### END SOLUTION


# %% tags=["check"]
check("09.simulate", starts)

# %% [markdown]
# The order of the package in your simulator, beside the package's own:

# %% tags=["claim"]
orders = [[(step[0].work, step[0].micro) for step in device] for device in one_f_one_b(4, 8)]
packaged = simulate(one_f_one_b(4, 8), Times(forward=1, backward=2, weights=1))
claim(
    "every chunk starts when the package says",
    starts(orders, 1, 2) == [[run.start for run in packaged.of(d)] for d in range(4)],
)

# %% [markdown]
# ## 3. To the experts and back (15 minutes)
#
# A token of `dim` numbers visits experts on `nodes` other nodes: it crosses InfiniBand once for each node. NVLink hands it on to `experts` cards. A
# number weighs `out_bytes` on the way out and `back_bytes` on the way back. The links carry `ib` and `nvlink` bytes a second, at the same time.
#
# Return the seconds for there and back.


# %% tags=["exercise"]
def seconds(dim, nodes, experts, out_bytes, back_bytes, ib, nvlink):
    """Return how long one token keeps the busier link busy, out and back."""
    ### BEGIN SOLUTION
    size = dim * (out_bytes + back_bytes)
    return max(nodes * size / ib, experts * size / nvlink)
    ### END SOLUTION


# %% tags=["check"]
check("09.alltoall", seconds)

# %% [markdown]
# ## 4. Predict: how long do they idle? (10 minutes)
#
# 12 stages, 48 micro-batches, F = 1, B = 2, W = 1, F&B = 3. What share of the whole step does a device stand still, in percent, by the formulas of
# the report? And how many micro-batches does 1F1B need to idle at most 10 %?
#
# Write a dictionary: `"1F1B"`, `"ZB1P"`, `"DualPipe"` and `"micro-batches"`, the shares with one decimal or more. On paper first.

# %% tags=["exercise"]
### BEGIN SOLUTION
guess = {"1F1B": 18.64, "ZB1P": 7.10, "DualPipe": 6.49, "micro-batches": 99}
### END SOLUTION

# %% tags=["check"]
check("09.predict", guess)

# %% [markdown]
# Beside the simulator, which knows no formula:

# %% tags=["claim"]
times = Times(forward=1, backward=2, weights=1)
idle = {}
for name, schedule in (("1F1B", one_f_one_b), ("ZB1P", zb1p), ("DualPipe", dualpipe)):
    timeline = simulate(schedule(12, 48), times)
    idle[name] = 100 * timeline.bubble / timeline.end
    print(f"{name:8} idles {idle[name]:.2f} % of the step")
claim("DualPipe idles least", min(idle, key=idle.get) == "DualPipe")

# %% [markdown]
# ## 5. Explain: who is too good? (10 minutes)
#
# A blog writes: "V3 has 671 billion parameters. Six operations for each of them and each of 14.8e12 tokens, in 2664e3 hours on cards of 989.5e12
# operations a second (BF16): do the division."
#
# Do it. Then do it with the 37 billion that a token activates. Write a dictionary with `"claimed"`, `"activated"` (both as shares: 0.5 is half of the
# peak; three decimals or more) and `"because"`: a sentence with both numbers of parameters, in figures, that says what they are.

# %% tags=["exercise"]
### BEGIN SOLUTION
answer = {
    "claimed": 6 * 671e9 * 14.8e12 / (2664e3 * 3600 * 989.5e12),
    "activated": 6 * 37e9 * 14.8e12 / (2664e3 * 3600 * 989.5e12),
    "because": "A token meets 37 billion of the 671 billion parameters, so only those work for it.",
}
### END SOLUTION

# %% tags=["check"]
check("09.explain", answer)

# %% tags=["claim"]
claim(
    "a share of the peak above 1 means that something was counted which nobody did",
    bill.mfu(6 * 671e9 * 14.8e12, 2664e3) > 1 > bill.mfu(6 * 37e9 * 14.8e12, 2664e3),
)

# %% [markdown]
# ## 6. Measure: how many micro-batches are enough? (20 minutes)
#
# `idle(stages, micros)` runs some schedule and returns the share of a step that devices stand still. It takes at least as many micro-batches as
# stages, and you do not know which schedule it is. Return the smallest number of micro-batches for which the share is at most `share`.


# %% tags=["exercise"]
def enough(idle, stages, share):
    """Return the smallest number of micro-batches with which devices idle at most `share`."""
    ### BEGIN SOLUTION
    micros = stages
    while idle(stages, micros) > share:
        micros += 1
    return micros
    ### END SOLUTION


# %% tags=["check"]
check("09.measure", enough)

# %% [markdown]
# Use it. How many micro-batches do eight stages need, to idle at most a tenth?


# %% tags=["claim"]
def idle_of(schedule):
    def idle(stages, micros):
        timeline = simulate(schedule(stages, micros), times)
        return timeline.bubble / timeline.end

    return idle


needed = {
    "1F1B": enough(idle_of(one_f_one_b), 8, 0.1),
    "ZB1P": enough(idle_of(zb1p), 8, 0.1),
}
print(needed)
claim("ZB1P needs a third of what 1F1B needs", 3 * needed["ZB1P"] == needed["1F1B"])

# %% [markdown]
# ## An order of your own
#
# Not checked, to play with: write any order and look at it. `write((3, "F0 B0"))` is F, B three times; `I0` and `W` are the two halves of `B0`.

# %%
mine = [write((2, "F0"), (4, "F0 I0"), (2, "I0"), (6, "W")), write((6, "F0 I0 W"))]
figure(
    viz_pipeline.gantt({"mine": simulate(mine, times)}),
    "Two devices, six micro-batches. The first device keeps all its weight chunks for the end.",
)

# %% [markdown]
# ### BEGIN SOLUTION
# ## About the answers
#
# - **1.** Thousands and trillions are where bills go wrong.
# - **2.** Two times and their maximum: when the device is free, and when the need is done. The rest is book-keeping.
# - **3.** Out and back use the same slower link, so one maximum is enough.
# - **4.** A share of the step, not of the work. Both ZB1P and DualPipe come close to each other here; they differ in what else they hide.
# - **5.** Sparse models have two sizes. Memory pays for one, the cards for the other.
# - **6.** Bisection asks less often. It needs a share that only falls, which is so here.
# ### END SOLUTION
