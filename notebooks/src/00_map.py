# %% [markdown]
# # 00 map. What changed from V1 to R1, in numbers?
#
# DeepSeek went from V1 to R1 in one year. A one-page table of that road, in Chinese, made the rounds.
# This course grew from that page.
#
# Can the page be trusted? Nearly every cell of it can be checked: computed from a published config, or looked up
# in a paper. This chapter checks them all.
#
# It needs no GPU and no weights. A model's size, its cache and its work per token follow from a dozen numbers in a file.
#
# **You need** Python and a first course in deep learning.
# **You get** three figures that the rest of the course explains: parameters in total, parameters that a token
# passes through, and bytes kept per token.

# %%
import json
from collections import Counter
from dataclasses import asdict, replace
from typing import get_args

import torch
from IPython.display import Markdown, display

from minids import accounting
from minids.check.bugs import ch00 as bugs
from minids.model.transformer import Transformer
from minids.presets import DATA, preset
from minids.study import tables, viz_map
from minids.study.cards import Question, quiz, trap
from minids.study.lesson import claim, figure, predict, reveal, show_source
from minids.study.scale import Scale
from minids.study.widgets import explore

scale = Scale.auto()  # the dial of every chapter; nothing is trained here, so it turns nothing yet

# %% [markdown]
# ## The page
#
# Rows are topics, columns are generations, words are the page's own.
# It was read into `data/paper/seed.csv`; links are reduced to where they point, and long cells shortened.

# %%
seed = tables.read("seed")


def grid(field):
    """The page as rows, with one `field` of each cell."""
    rows = {}
    for cell in seed:
        if cell["row"] != "heading":
            rows.setdefault(cell["row"], {"row": cell["row"]})[cell["column"]] = cell[field]
    return list(rows.values())


print(tables.text(grid("cell"), ["row", "V1", "V2", "V3", "R1"]))

# %% [markdown]
# **Predict first.** Read the page. How many of its cells are right as they stand?
# Put your number in place of the three dots, here and in every cell like this one.

# %% tags=["predict"]
cells = [cell for cell in seed if cell["row"] != "heading"]
how_many = predict(
    f"how many of the {len(cells)} cells are right as they stand?",
    ...,
    default=len(cells),
    unit="cells",
)

# %% [markdown]
# ## By hand: how many parameters has V3?
#
# A config is a short list of widths. A parameter count is the sum of the matrices between these widths.
#
# These facts are enough:
#
# - A vector of the model has `d` numbers. There are `L` layers, and `V` tokens in the vocabulary, which has two tables: in and out.
# - Attention does not go from `d` to its `h` heads directly. It first goes down to a narrow vector, a *latent*,
#   and up again from there. A key has a part without position (`nope`), and a part that is turned by it (`rope`), one for
#   all heads and beside the latent. Chapter 04 says why.
# - A feed-forward has three matrices: gate, up, down.
# - Most layers have many feed-forwards, the *experts*. A router chooses a few of them for each token, and
#   shared experts see every token. Chapter 03 says why.
# - Each layer has a norm before each of its two parts, and one on each latent. The model has one more at its end.
#
# **Predict first.** Which share of V3's parameters sits in the routed experts?

# %% tags=["predict"]
experts_share = predict(
    "which share of V3's parameters are routed experts?", ..., default=50, unit="%"
)

# %% [markdown]
# Now count. The keys are those of DeepSeek's own `config.json`; nothing comes from the package but the file.

# %%
c = json.loads((DATA / "configs" / "deepseek-v3.json").read_text(encoding="utf-8"))
d, L, V, h = c["hidden_size"], c["num_hidden_layers"], c["vocab_size"], c["num_attention_heads"]
nope, rope, value = c["qk_nope_head_dim"], c["qk_rope_head_dim"], c["v_head_dim"]
q_latent, kv_latent, first = c["q_lora_rank"], c["kv_lora_rank"], c["first_k_dense_replace"]

attention = d * q_latent + q_latent * h * (nope + rope)  # queries, through a latent
attention += d * (kv_latent + rope) + kv_latent * h * (
    nope + value
)  # keys and values, through another
attention += h * value * d  # all heads back to the width of the model

expert = 3 * d * c["moe_intermediate_size"]
routed = (L - first) * c["n_routed_experts"] * expert
others = (L - first) * (
    c["n_shared_experts"] * expert + c["n_routed_experts"] * d
)  # shared, router
dense = first * 3 * d * c["intermediate_size"]
norms = L * (2 * d + q_latent + kv_latent) + d

by_hand = 2 * V * d + L * attention + routed + others + dense + norms  # two tables: in and out
print(f"{by_hand:,} parameters")

# %% tags=["claim"]
reveal(experts_share, round(100 * routed / by_hand, 1))
claim(
    f"{by_hand / 1e9:.0f} B, as the report says",
    round(by_hand / 1e9)
    == {row["model"]: row["total_b"] for row in tables.read("models")}["deepseek-v3"],
)

# %% [markdown]
# ## The package's own count
#
# The package does the same for every generation. This is the code that runs, printed and not pasted:

# %%
show_source(accounting.parameters, accounting.attention_parameters)

# %% [markdown]
# Three ways to one number must agree to the last digit: your lines above, the package's function, and the model itself.
#
# The third way builds V3. On PyTorch's *meta* device a tensor has a shape and no memory, so this fits a laptop.

# %% tags=["claim"]
v3 = preset("deepseek-v3")
with torch.device("meta"):
    built = sum(p.numel() for p in Transformer(v3).parameters())

assert by_hand == accounting.parameters(v3).total == built
claim("by hand, by the package and by building: the same number", by_hand == built, f"{built:,}")

# %% [markdown]
# Where are they, and which of them does one token meet? Mind the axis: each step is a factor of ten.

# %%
figure(
    viz_map.parts(v3),
    "Parts of DeepSeek-V3 on a logarithmic axis. Routed experts hold nearly everything; a token meets a small "
    "fraction of them, and still more of them than of attention.",
)

# %% [markdown]
# ## The page, checked
#
# Which cells can be computed? Totals, activated parameters, numbers of experts, and the context of V1.
# The rest is looked up: each cell in the file names its source.

# %%
partner = {"experts": "active experts", "active experts": "experts"}


def truth(what, model):
    """What the page should say, from the config alone."""
    config = preset(model)
    moe = config.moe
    convention = "both tables" if model == "deepseek-moe-2b" else "head only"
    match what:
        case "total":
            return f"{accounting.parameters(config).total / 1e9:.3g}B"
        case "activated":
            return f"{accounting.activated(config, convention) / 1e9:.2g}B"
        case "context":
            return f"{config.context // 1024}K"
        case "experts":
            return f"{moe.n_shared}+{moe.n_routed}"
        case "active experts":
            return f"{moe.n_shared}+{moe.top_k}"


def verdict(cell):
    what, model = cell["check"].split(":")
    if cell["cell"] == "-":
        return "missing"
    if cell["cell"] == truth(what, model):
        return "right"
    return "swapped" if cell["cell"] == truth(partner.get(what, what), model) else "wrong"


computable = [cell for cell in seed if cell["check"]]
print(
    tables.text(
        [
            {
                "row": cell["row"],
                "column": cell["column"],
                "page": cell["cell"],
                "computed": truth(*cell["check"].split(":")),
                "verdict": verdict(cell),
            }
            for cell in computable
        ]
    )
)

# %% tags=["claim"]
claim(
    "what we compute gives each of these cells the verdict that the sources give",
    all(verdict(cell) == cell["verdict"] for cell in computable),
    f"{len(computable)} cells",
)

# %% [markdown]
# The whole page, one verdict a cell. *Misplaced* is true of another model. *Partly* is true and misses the point.
# *Opinion* can be neither right nor wrong.

# %%
print(tables.text(grid("verdict"), ["row", "V1", "V2", "V3", "R1"]))

# %% tags=["claim"]
verdicts = Counter(cell["verdict"] for cell in cells)
reveal(how_many, verdicts["right"])
print(dict(verdicts.most_common()))
claim(
    "less than two thirds of the page is right as it stands", 3 * verdicts["right"] < 2 * len(cells)
)

# %% [markdown]
# What is wrong, and what is true:

# %% tags=["hide-input"]
display(
    Markdown(
        tables.markdown(
            [cell for cell in seed if cell["verdict"] != "right"],
            ["row", "column", "cell", "verdict", "truth", "source"],
        )
    )
)

# %% [markdown]
# Two of these errors teach something. They come next.
#
# ## The first total: what was counted?
#
# The page gives V1's total under a link to the MoE paper. That paper validates its idea on a small model that was never
# released. Count that model, and count its experts alone.

# %%
small = preset("deepseek-moe-2b")
p = accounting.parameters(small)
experts = p.routed + p.shared
met = experts * (small.moe.top_k + small.moe.n_shared) / (small.moe.n_routed + small.moe.n_shared)

print(
    tables.text(
        [
            {
                "counted": "experts",
                "there (B)": round(experts / 1e9, 2),
                "met by a token (B)": round(met / 1e9, 2),
            },
            {
                "counted": "whole model",
                "there (B)": round(p.total / 1e9, 2),
                "met by a token (B)": round(accounting.activated(small, "both tables") / 1e9, 2),
            },
        ]
    )
)
on_the_page = {(cell["row"], cell["column"]): cell["cell"] for cell in seed}
page_total, page_active = on_the_page["total", "V1"], on_the_page["activated", "V1"]

# %% tags=["claim"]
claim(
    f'"{page_total}" and "{page_active}" are the experts of the validation model, not a model',
    f"{experts / 1e9:.2f}B" == page_total and f"{met / 1e9:.2f}B" == page_active,
)

# %% [markdown]
# ## The experts: which row is which?
#
# A notation like *shared + routed* can mean what is there or what a token meets. A token cannot meet more than there is.

# %% tags=["claim"]
pairs = {
    column: (on_the_page["experts", column], on_the_page["active experts", column])
    for column in ("V1", "V2", "V3")
}
for column, (there, active) in pairs.items():
    print(f"{column}: the page says {there} experts, of which {active} are active")


def add(text):
    return sum(map(int, text.split("+")))


claim(
    "in every column more experts are active than exist: the two rows are swapped",
    all(add(active) > add(there) for there, active in pairs.values()),
)

# %% [markdown]
# ## Activated parameters: who decides what counts?
#
# A token looks up one row of the embedding table, and is multiplied with all of the output table, the *head*.
# Do these tables count as activated? No report says, and one README does not add up (below). So try each convention and see which one gives the published figure.

# %%
published = {row["model"]: row for row in tables.read("models")}
conventions = ("both tables", "head only", "no table")
print(
    tables.text(
        [
            {
                "model": name,
                "total": f"{accounting.parameters(preset(name)).total / 1e9:.4f}",
                "published": row["total_b"],
            }
            | {k: f"{accounting.activated(preset(name), k) / 1e9:.3f}" for k in conventions}
            | {"published active": row["activated_b"]}
            for name, row in published.items()
        ]
    )
)

# %% tags=["claim"]


def fits(name, convention):
    said = published[name]["activated_b"]
    places = len(str(said).partition(".")[2])
    return round(accounting.activated(preset(name), convention) / 1e9, places) == said


claim(
    "the MoE paper counts both tables",
    all(fits(f"deepseek-moe-{size}", "both tables") for size in ("2b", "16b", "145b"))
    and not fits("deepseek-moe-16b", "head only"),
)
claim(
    "from V2 on the head alone counts: it fits V2 and V3, and both tables would not fit V3",
    fits("deepseek-v2", "head only")
    and fits("deepseek-v3", "head only")
    and not fits("deepseek-v3", "both tables"),
    f"both tables would round to {accounting.activated(preset('deepseek-v3'), 'both tables') / 1e9:.0f} B",
)
lite = accounting.activated(preset("deepseek-v2-lite")) / 1e9
routers = accounting.parameters(preset("deepseek-v2-lite")).router / 1e9
claim(
    f"V2-Lite's {published['deepseek-v2-lite']['activated_b']} B is cut off, or leaves out the router as well",
    int(10 * lite) / 10 == published["deepseek-v2-lite"]["activated_b"] == round(lite - routers, 1)
    and not fits("deepseek-v2-lite", "head only"),
    f"head only gives {lite:.3f} B, without the router {lite - routers:.3f} B",
)

# %% [markdown]
# Two numbers under one name are not comparable until somebody says what was counted.
#
# ## The cache: what is kept per token?
#
# While a model writes, it keeps something of every earlier token in every layer, so as not to read all of it again.
# Plain attention (MHA) keeps a key and a value for each head. GQA lets several heads share them: chapter 02.
# MLA keeps one latent and one small key for all heads: chapter 04.
#
# **Predict first.** How many kilobytes does V3 keep per token, at two bytes a number?

# %% tags=["predict"]
v3_cache = predict("how many kB does V3 keep per token?", ..., default=4000, unit="kB")

# %%
print(
    tables.text(
        [
            {
                "model": name,
                "attention": viz_map.kind(preset(name)),
                "numbers": accounting.cache_elements(preset(name)),
                "kB": round(accounting.cache_bytes(preset(name)) / 1e3, 1),
                "kB as MHA": round(2 * accounting.mha_cache_elements(preset(name)) / 1e3, 1),
                "a full context, GB": round(
                    accounting.cache_bytes(preset(name))
                    * (published[name]["extends_to"] or published[name]["context"])
                    / 1e9,
                    2,
                ),
            }
            for name in published
        ]
    )
)

# %% tags=["claim"]
reveal(v3_cache, round(accounting.cache_bytes(v3) / 1e3, 1))
claim(
    f"V3 keeps {accounting.cache_bytes(v3):,.0f} bytes per token where MHA would keep "
    f"{2 * accounting.mha_cache_elements(v3) / 1e6:.1f} MB",
    accounting.cache_bytes(v3) == 2 * (kv_latent + rope) * L,
)

# %% [markdown]
# ## The abstract's saving
#
# V2's abstract compares its cache with that of the dense model before it. Divide.

# %% tags=["claim"]
v2, dense67 = preset("deepseek-v2"), preset("deepseek-llm-67b")
said = tables.figure("v2_cache_saving")
bits = tables.figure("v2_cache_bits")


def saving(bits):
    return 100 * (1 - accounting.cache_bytes(v2, bits) / accounting.cache_bytes(dense67))


for b in (16, 8, bits):
    print(f"V2 at {b} bits against the 67B at 16 bits: {saving(b):.1f} % smaller")
claim(
    f"the published {said} % needs {bits} bits on one side and 16 on the other",
    round(saving(bits), 1) == said,
)
claim(f"at equal precision it is {saving(16):.1f} %", round(saving(16), 1) != said)

# %% tags=["trap"]
per_layer = 100 * (1 - v2.attention.cached_width / dense67.attention.cached_width)
trap(
    f"Latent attention made DeepSeek-V2's cache {said} % smaller than the 67B's.",
    round(saving(16), 1) == said,
    f"At equal precision the cache is {saving(16):.1f} % smaller, and V2 also has fewer layers "
    f"({v2.n_layers} against {dense67.n_layers}): per layer the latent saves {per_layer:.1f} %. The rest is "
    f"quantisation. The paper deploys V2 with {bits} bits per number and draws the older model at 16; it does not "
    "spell that out, the division above does.",
)

# %% [markdown]
# ## Work: what does a token cost?
#
# A multiply and an add for every number of every matrix that a token meets: that is two floating-point operations
# (FLOPs) each. Attention adds products with everything read so far. Training costs three times a forward pass.

# %%
show_source(accounting.flops_per_token, docstring=True)

# %% tags=["claim"]
context = 4096
forward = {
    name: accounting.flops_per_token(preset(name), context, "prefill") / 1e9 for name in published
}
print(tables.text([{"model": name, "GFLOP per token": round(x, 1)} for name, x in forward.items()]))

total_ratio = accounting.parameters(v3).total / accounting.parameters(dense67).total
work_ratio = forward["deepseek-v3"] / forward["deepseek-llm-67b"]
claim(
    "V3 has about ten times the parameters of the dense 67B, and a token costs less",
    total_ratio > 9 and work_ratio < 1,
    f"{total_ratio:.1f} x the parameters, {work_ratio:.2f} x the work",
)

# %% [markdown]
# The MoE paper prints the same comparison for its own models. Ours is close and not equal. Where does the rest come from?

# %% tags=["claim"]
rows = []
for name, key, layer in (
    ("deepseek-llm-7b", "flops_4k_llm_7b", 12),
    ("deepseek-moe-16b", "flops_4k_moe_16b", 20),
):
    config = preset(name)
    ours = context * accounting.flops_per_token(config, context) / 1e12
    # d² in a layer: attention 4, a feed-forward 3 x 8/3 = 8; in the 16B 8 experts of a quarter, 16.
    weights = layer * config.n_layers * config.dim**2 + config.vocab * config.dim
    ideal = context * 6 * (weights + 2 * config.n_layers * config.dim * context) / 1e12
    rows.append(
        {
            "model": name,
            "ours (T)": round(ours, 1),
            "ideal widths (T)": round(ideal, 1),
            "published (T)": tables.figure(key),
        }
    )
print(tables.text(rows))
claim(
    "the paper counts ideal widths, 8/3 of the model's for a dense feed-forward, and no router; the real ones are rounded up",
    all(row["ideal widths (T)"] == row["published (T)"] < row["ours (T)"] for row in rows),
)

# %% [markdown]
# ## Money: what does the bill say?
#
# V3's report lists hours of H800 cards, and rents them at a price it assumes.

# %%
print(tables.text(tables.read("cost"), ["stage", "h800_khours", "dollars_m"]))

# %% tags=["claim"]
bill = tables.read("cost")
per_trillion = tables.figure("v3_khours_per_trillion")
claim(
    "every line of the bill is hours times two dollars",
    all(
        abs(accounting.training_cost(1e3 * row["h800_khours"]) / 1e6 - row["dollars_m"]) < 1e-9
        for row in bill
    ),
)
claim(
    "hours per trillion tokens times trillions of tokens is the first line",
    round(per_trillion * published["deepseek-v3"]["tokens_t"]) == bill[0]["h800_khours"],
)
saved = 100 * (
    1 - tables.figure("v2_khours_per_trillion") / tables.figure("llm67_khours_per_trillion")
)
claim(
    "V2 saves what its abstract says against the 67B",
    round(saved, 1) == tables.figure("v2_training_saving"),
    f"{saved:.1f} %",
)

# %% tags=["hide-input"]
r1_bill = {row["part"]: row["h800_khours"] for row in tables.read("r1_cost")}
display(
    Markdown(
        f"The {bill[-1]['dollars_m']} million dollars are the last run alone. Research before it, failed runs and "
        f"ablations are not in the bill, as the report itself says. R1 came on top, R1-Zero and its data included: "
        f"{r1_bill['total']} thousand hours, {100 * r1_bill['total'] / bill[-1]['h800_khours']:.0f} % of V3's. "
        "Chapter 09 takes the bill apart."
    )
)

# %% [markdown]
# ## The road in one figure
#
# To the left a token costs less work. Further down it leaves less behind. The bubble is what has to lie in memory.

# %%
flagships = ("deepseek-llm-67b", "deepseek-v2", "deepseek-v3", "deepseek-r1")
smaller = ("deepseek-llm-7b", "deepseek-moe-16b", "deepseek-v2-lite")
figure(
    viz_map.evolution(flagships, smaller),
    "Activated parameters against cache per token, both logarithmic. The large models go from upper right (67B, GQA) to lower "
    "left (V2, MLA) and then right (V3 and R1, the largest bubbles). The small ones go left and down to MoE 16B, which has half the width, then straight down to V2-Lite.",
)

# %% tags=["claim"]
places = {
    name: (accounting.activated(preset(name)), accounting.cache_bytes(preset(name)))
    for name in flagships + smaller
}
claim(
    "experts move a model to the left: MoE 16B has more parameters than the 7B and activates fewer",
    places["deepseek-moe-16b"][0] < places["deepseek-llm-7b"][0],
)
claim(
    "the latent moves it down: in this figure every MLA model keeps less per token than every model before it",
    max(places[n][1] for n in ("deepseek-v2", "deepseek-v3", "deepseek-v2-lite"))
    < min(places[n][1] for n in ("deepseek-llm-67b", "deepseek-llm-7b", "deepseek-moe-16b")),
)
claim(
    "R1 stands where V3 stands: what changed is how it was trained",
    places["deepseek-r1"] == places["deepseek-v3"],
)

# %% [markdown]
# The same figure with the counting convention as a switch. Which models move most, and why the small ones?


# %%
def map_by_convention(convention="head only"):
    return viz_map.evolution(flagships, smaller, convention=convention)


explore(
    map_by_convention,
    convention=list(conventions),
    alt="The map of models; the switch moves points to the right as more vocabulary tables count.",
)

# %% [markdown]
# ## Change one number
#
# What does each number of a config buy? Here is V3 with twice as many experts per token:

# %%
figure(
    viz_map.one_number(v3, viz_map.vary(v3, "experts per token", 2)),
    "Bars for V3 with twice the experts per token: total and cache stay at one, activated parameters and work grow by about half.",
)

# %% [markdown]
# Now choose a model, a number and a factor yourself. Which number moves the cache of V3? Which moves its total alone?


# %%
def what_if(model="deepseek-v3", change="routed experts", factor=2.0):
    config = preset(model)
    return viz_map.one_number(config, viz_map.vary(config, change, factor))


explore(
    what_if,
    model=list(flagships + smaller),
    change=list(viz_map.CHANGES),
    factor={"a quarter": 0.25, "half": 0.5, "the same": 1.0, "twice": 2.0, "four times": 4.0},
    alt="Four bars: total, activated, cache and work, as multiples of the published model.",
)

# %% [markdown]
# ## Bug museum
#
# Four counters that are wrong. Each lies near some published number. Here is what they print.
# Find the mistake in the number before you read the line.
#
# The cell that makes them is folded: its names give the answers away.

# %% tags=["hide-input"]
widths = {"dim": v3.dim} | asdict(v3.attention)
right = accounting.parameters(v3)
exhibits = {
    "A": (
        right.total - right.attention + v3.n_layers * bugs.kv_for_every_head(**widths),
        right.total,
        "V3, total",
    ),
    "B": (bugs.active_norms_twice(v3, 1), accounting.activated(v3), "V3, activated"),
    "C": (bugs.active_both_tables(v3, 1), accounting.activated(v3), "V3, activated"),
    "D": (
        bugs.active_experts_alone(small, 2),
        accounting.activated(small, "both tables"),
        "2B model, activated",
    ),
}
print(
    tables.text(
        [
            {
                "bug": name,
                "counts": what,
                "it says (B)": round(wrong / 1e9, 2),
                "off by (%)": round(100 * (wrong - true) / true, 4),
            }
            for name, (wrong, true, what) in exhibits.items()
        ]
    )
)

# %% tags=["predict"]
which = predict(
    "one of them counts keys and values for every head. Which?",
    ...,
    default="B",
    options=["A", "B", "C", "D"],
)

# %% tags=["claim"]
reveal(which, "A")
wrong_a = exhibits["A"][0] / 1e9
claim(
    f"A lands within one billion of the {tables.figure('hf_total')} B on Hugging Face, and for a wrong reason",
    abs(wrong_a - tables.figure("hf_total")) < 1,
    f"{wrong_a:.1f} B",
)
claim(
    "B is invisible in any rounded figure: only an exact count finds it",
    round(exhibits["B"][0] / 1e9, 2) == round(exhibits["B"][1] / 1e9, 2),
)
claim(
    "C is one billion too high: it rounds to a figure that V3 never published",
    round(exhibits["C"][0] / 1e9) != published["deepseek-v3"]["activated_b"],
)

# %% [markdown]
# The lines, with the comparison that exposes each: A and B differ from the model that was built, C from the report, D from the activated figure that the paper gives for the whole model, 0.3 B.

# %%
show_source(
    bugs.kv_for_every_head,
    bugs.active_norms_twice,
    bugs.active_both_tables,
    bugs.active_experts_alone,
)

# %% [markdown]
# ## What Hugging Face shows
#
# The page of V3 on Hugging Face names a larger total than the report. Where is the rest?

# %% tags=["claim"]
module = right.mtp
copies = right.embedding + right.head
print(
    f"main model {right.total / 1e9:.2f} B + MTP module {module / 1e9:.2f} B + a second copy of both tables {copies / 1e9:.2f} B"
)
stored = (right.total + module + copies) / 1e9
claim(
    "the sum is what is stored there, to within one billion",
    abs(stored - tables.figure("hf_total")) < 1,
    f"{stored:.2f} B",
)

# %% tags=["trap"]
trap(
    f"DeepSeek-V3 has {tables.figure('hf_total')} billion parameters, as its page on Hugging Face says.",
    round(right.total / 1e9) == tables.figure("hf_total"),
    f"The model that answers has {right.total / 1e9:.0f} B. The files also hold a module that predicts one token further "
    f"({module / 1e9:.2f} B, chapter 07) and a second copy of the vocabulary tables that this module shares.",
)

# %% [markdown]
# ## What DeepSeek reported that we could not reproduce
#
# These stay open. A count that agrees everywhere else makes them worth writing down.

# %%
half = preset("deepseek-moe-145b")
half = replace(half, moe=replace(half.moe, n_shared=2, top_k=6))
moe16, llm7 = (accounting.parameters(preset(f"deepseek-{n}")) for n in ("moe-16b", "llm-7b"))
open_cases = [
    {
        "what": "half activated variant, total (B)",
        "published": tables.figure("moe_142b_total"),
        "ours": round(accounting.parameters(half).total / 1e9, 1),
    },
    {
        "what": "half activated variant, activated (B)",
        "published": tables.figure("moe_142b_activated"),
        "ours": round(accounting.activated(half, "both tables") / 1e9, 1),
    },
    {
        "what": "V3 activated with both tables (B)",
        "published": tables.figure("v3_activated_weights"),
        "ours": round(accounting.activated(v3, "both tables") / 1e9, 1),
    },
    {
        "what": "MTP module (B)",
        "published": tables.figure("mtp_unique"),
        "ours": round(module / 1e9, 1),
    },
]
print(tables.text(open_cases))

# %% tags=["claim"]
projection = 2 * v3.dim**2
claim(
    "the MTP figure is ours without the projection from twice the width",
    round((module - projection) / 1e9, 1) == tables.figure("mtp_unique"),
)
claim(
    "the other three are not explained by any convention: in all, and activated by three ways to count",
    open_cases[0]["published"] != open_cases[0]["ours"]
    and all(
        row["published"] != round(accounting.activated(c, way) / 1e9, 1)
        for row, c in zip(open_cases[1:3], (half, v3), strict=True)
        for way in get_args(accounting.Convention)
    ),
)

# %% [markdown]
# ## What was left out
#
# - **Quality.** No number here says that a model is good. From chapter 01 on, models are trained and compared.
# - **Memory of training.** Gradients, optimizer states and activations come on top of the parameters: chapters 08 and 09.
# - **Time.** FLOPs are not seconds. Decoding mostly waits for memory: chapters 02 and 04 measure it.
# - **Small products.** Norms, softmax and rotations are not counted as work. They are cheap beside the matrices.
# - **Biases that balance V3's experts.** A rule moves them, not a gradient: chapter 06.
# - **An expert of the validation model** has no published width. We take the nearest whole number; the printed figures do not depend on it.
#
# ## Quiz
#
# Five questions. Open an option to see whether it is right, and why.

# %% tags=["quiz"]
share = routed / by_hand
more_experts = viz_map.vary(v3, "routed experts", 2)
growth = accounting.activated(more_experts) / accounting.activated(v3) - 1
many_heads = viz_map.vary(v3, "query heads", 2)
quiz(
    [
        Question(
            "Where are most of V3's parameters?",
            "In the routed experts.",
            f"They hold {100 * share:.1f} % of the total.",
            {
                "In attention.": f"Attention holds {100 * L * attention / by_hand:.1f} %: its latents keep it narrow.",
                "In the vocabulary tables.": f"Both together hold {100 * 2 * V * d / by_hand:.1f} %.",
            },
            share > 0.9,
        ),
        Question(
            f'What is the "{page_total}" that the page gives as V1\'s total?',
            "The experts of a small validation model.",
            f"Counting its experts alone gives {experts / 1e9:.2f} B; the whole model has {p.total / 1e9:.1f} B.",
            {
                "The smallest DeepSeek LLM.": f"That one has {accounting.parameters(preset('deepseek-llm-7b')).total / 1e9:.1f} B.",
                "The activated parameters of MoE 16B.": f"Those are {accounting.activated(preset('deepseek-moe-16b'), 'both tables') / 1e9:.1f} B.",
            },
            f"{experts / 1e9:.2f}B" == page_total,
        ),
        Question(
            "V3 with twice the routed experts and the same number chosen: what happens to the activated parameters?",
            "Next to nothing.",
            f"They grow by {100 * growth:.1f} %: the router scores every expert, and that is all a token notices.",
            {
                "They double.": "A token still meets as many experts as before; only the choice is wider.",
                "They stay exactly equal.": "The router has a row for every expert, and the token is multiplied with all of them.",
            },
            0 < growth < 0.01,
        ),
        Question(
            "On what does V3's cache per token depend?",
            "On the latent's width, the shared rotary key's width and the number of layers.",
            "Add the two widths and multiply by the layers: (512 + 64) x 61 = 35,136 numbers.",
            {
                "On the number of heads.": "All heads read the same latent: twice the heads leave the cache as it is.",
                "On the number of experts.": "Experts look at one token at a time and remember nothing.",
            },
            accounting.cache_elements(many_heads)
            == accounting.cache_elements(more_experts)
            == accounting.cache_elements(v3),
        ),
        Question(
            "Which part of V2's published cache saving comes from storing numbers in fewer bits?",
            f"The step from {saving(16):.1f} % to {said} %.",
            f"With V2's numbers at 16 bits, like the 67B's, the first figure comes out; with {bits} bits the second.",
            {
                "None.": f"At equal precision the saving is {saving(16):.1f} %.",
                "All of it.": f"{bits} bits instead of 16 alone would save {100 * (1 - bits / 16):.1f} %.",
            },
            round(saving(bits), 1) == said and round(saving(16), 1) < said,
        ),
    ]
)

# %% [markdown]
# ## Exercises
#
# In `exercises/00_map.ipynb`: fill one line, count latent attention, count what a token meets, predict what a change moves,
# build a model and measure its cache, and explain a published figure. Each checks itself and hints.
#
# Next: [01 llama](01_llama.ipynb) builds the V1 starting point and trains it.
